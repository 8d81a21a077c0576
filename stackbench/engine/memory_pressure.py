"""Lowers concurrency while memory runs short, before the kernel ends something, and raises it again afterwards."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from stackbench.engine.controls import RunControls

__all__ = ["MemoryPressure", "free_share"]

EVERY_S = 1.0
SHORT = 0.06
"""Share of the memory that is free, below which concurrency is halved."""
PLENTY = 0.15
"""Above which it is raised again."""
LOWER_AGAIN_S = 10.0
"""What a step has freed shows after some seconds."""
RAISE_AFTER_S = 60.0
"""Seconds of plenty before each step up."""
LIMITS = (
    (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current"), "inactive_file"),
    (
        Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
        Path("/sys/fs/cgroup/memory/memory.usage_in_bytes"),
        "total_inactive_file",
    ),
)
"""Of the control group that this process is in, as a container sees it: version 2, then 1."""


@dataclass(slots=True)
class MemoryPressure:
    """Watches one run. An operator's own change of the concurrency becomes what is raised to.

    Args:
        controls: of the run.
        sandboxes: containers at once where the operator has set none.
        wake: tells the run that there is room for more attempts.
        tell: takes a line for the operator and the event's payload.
        free: the share of the memory that is free, 0 to 1.
        clock: seconds, monotonic.
    """

    controls: RunControls
    sandboxes: int
    wake: Callable[[], None]
    tell: Callable[[str, Mapping[str, Any]], None]
    free: Callable[[], float] = lambda: free_share()
    clock: Callable[[], float] = time.monotonic
    _wanted: tuple[int, int] | None = None
    """Concurrency and containers before they were lowered; None while they are not."""
    _set: tuple[int, int] = (0, 0)
    """What was set last."""
    _changed_at: float = -LOWER_AGAIN_S
    _plenty_since: float | None = None
    _told_lowest: bool = False

    async def watch(self) -> None:
        """Runs until cancelled."""
        while True:
            await asyncio.sleep(EVERY_S)
            self.check(await asyncio.to_thread(self.free))

    def check(self, free: float) -> None:
        """Looks once: `free` is the share of the memory that is free."""
        now = self.clock()
        if free < SHORT:
            self._plenty_since = None
            if now - self._changed_at >= LOWER_AGAIN_S:
                self._lower(free, now)
        elif free < PLENTY or self._wanted is None:
            self._plenty_since = None
        elif self._plenty_since is None:
            self._plenty_since = now
        elif now - self._plenty_since >= RAISE_AFTER_S:
            self._plenty_since = now
            self._raise(free, now)

    def _lower(self, free: float, now: float) -> None:
        current = self._current()
        if self._wanted is None or current != self._set:  # what an operator has set since
            self._wanted = current
        lower = (max(1, current[0] // 2), max(1, current[1] // 2))
        if lower == current:
            if not self._told_lowest:
                self._told_lowest = True
                self._say("lowest", free, current, current, "and there is nothing left to lower")
            return
        self._apply(lower, now)
        self._say("lowered", free, current, lower, _change(current, lower))

    def _raise(self, free: float, now: float) -> None:
        assert self._wanted is not None
        current = self._current()
        if current != self._set:
            self._wanted = None
            return
        higher = (min(self._wanted[0], 2 * current[0]), min(self._wanted[1], 2 * current[1]))
        whole = higher == self._wanted
        self._apply(higher, now)
        self._told_lowest = False
        if whole:
            self._wanted = None
        self._say("raised", free, current, higher, _change(current, higher))
        self.wake()

    def _current(self) -> tuple[int, int]:
        return self.controls.slots.size, self.controls.sandboxes or self.sandboxes

    def _apply(self, sizes: tuple[int, int], now: float) -> None:
        self._changed_at = now
        self._set = sizes
        self.controls.slots.resize(sizes[0])
        if sizes[1] != (self.controls.sandboxes or self.sandboxes):
            self.controls.resize_sandboxes(sizes[1])
            self.controls.sandboxes = sizes[1]

    def _say(self, what: str, free: float, old: tuple[int, int], new: tuple[int, int], words: str) -> None:
        state = "short" if what != "raised" else "there again"
        self.tell(
            f"memory is {state} ({free:.0%} free): {words}",
            {"what": what, "free": round(free, 4), "old": list(old), "new": list(new)},
        )


def _change(old: tuple[int, int], new: tuple[int, int]) -> str:
    return f"concurrency {old[0]} -> {new[0]}, containers {old[1]} -> {new[1]}"


def free_share() -> float:
    """The share of memory that is free, 0 to 1: of this machine, or of this process's control group where that is less.

    Pages of files that can be dropped count as free.
    """
    machine = psutil.virtual_memory()
    shares = [machine.available / machine.total]
    for limit_file, used_file, dropped in LIMITS:
        try:
            limit, used = int(limit_file.read_text()), int(used_file.read_text())
            stat = dict(line.split() for line in limit_file.with_name("memory.stat").read_text().splitlines())
        except (OSError, ValueError):  # no such group, or `max`
            continue
        if limit < machine.total:
            shares.append(1 - (used - int(stat.get(dropped, 0))) / limit)
    return max(0.0, min(shares))
