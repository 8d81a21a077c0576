"""The controls of a live run: pause, drain, stop, limits, cancelled and requeued tasks."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Literal

from stackbench.engine.seats import Seats
from stackbench.outage import Outage
from stackbench.slots import Slots
from stackbench.types import ApprovalPolicy, AttemptKey

__all__ = ["Phase", "RunControls"]

Phase = Literal["running", "paused", "held", "waiting", "draining", "stopping"]
"""`paused`: no further attempt starts; `held`: and those under way wait before their next call of the model;
`waiting`: no further attempt starts until endpoint and Docker engine answer again."""


class RunControls:
    """Belongs to the engine's event loop; `stop` may be called from a signal handler of it."""

    def __init__(
        self,
        *,
        concurrency: int = 1,
        timeout_s: float | None = None,
        max_hours: float | None = None,
        outage: Outage | None = None,
        approval: ApprovalPolicy = "never",
    ) -> None:
        self.slots = Slots(concurrency)
        self.stopping = asyncio.Event()
        self.timeout_s = timeout_s
        """The time limit of samples and agents, in place of the benchmark's own."""
        self.seats = Seats(approval)
        self.outage = outage or Outage()
        """What the run waits for, where something does not answer."""
        self.sandboxes: int | None = None
        self.resize_sandboxes: Callable[[int], None] = lambda size: None
        self._max_hours = max_hours
        self._started = time.monotonic()
        self._deadline_changed = asyncio.Event()
        self._admitting = asyncio.Event()
        self._admitting.set()
        self._unheld = asyncio.Event()
        self._unheld.set()
        self._draining = False
        self._cancelled: set[tuple[str, str]] = set()

    @property
    def phase(self) -> Phase:
        if self.stopping.is_set():
            return "stopping"
        if self._draining:
            return "draining"
        if not self._unheld.is_set():
            return "held"
        if not self._admitting.is_set():
            return "paused"
        return "running" if self.outage.is_over else "waiting"

    @property
    def ending(self) -> bool:
        """Whether no further attempt may start."""
        return self._draining or self.stopping.is_set()

    @property
    def max_hours(self) -> float | None:
        return self._max_hours

    def pause(self, *, now: bool = False) -> None:
        self._admitting.clear()
        if now:
            self._unheld.clear()

    def resume(self) -> None:
        self._admitting.set()
        self._unheld.set()

    def drain(self) -> None:
        """Attempts under way go on, held ones too; none starts."""
        self._draining = True
        self.seats.end_chats()
        self.outage.abandon()
        self.resume()

    def stop(self) -> None:
        """Attempts under way get a few seconds."""
        self.stopping.set()
        self.seats.end_chats()
        self.outage.abandon()
        self.resume()

    def set_max_hours(self, hours: float | None) -> None:
        """Counted from the start of this part of the run."""
        self._max_hours = hours
        self._deadline_changed.set()

    async def admit(self) -> bool:
        """Waits while paused, and while something does not answer; whether a further attempt may start."""
        while not self.ending and self.phase != "running":
            await self._admitting.wait()
            await self.outage.passed()
        return not self.ending

    @property
    def held(self) -> bool:
        return not self._unheld.is_set()

    async def pass_hold(self) -> None:
        """Waits while attempts under way are held."""
        await self._unheld.wait()

    async def past_deadline(self) -> float:
        """Returns when `max_hours` have passed, with their number, however often that limit changes meanwhile."""
        while True:
            self._deadline_changed.clear()
            hours = self._max_hours
            left = None if hours is None else self._started + hours * 3600 - time.monotonic()
            if hours is not None and left is not None and left <= 0:
                return hours
            try:
                async with asyncio.timeout(left):
                    await self._deadline_changed.wait()
            except TimeoutError:
                continue

    # -- what is left out

    def cancel(self, benchmark: str, task_id: str = "") -> None:
        """Leaves out what is left of a benchmark, or of one of its tasks."""
        self._cancelled.add((benchmark, task_id))

    def uncancel(self, benchmark: str, task_id: str) -> None:
        self._cancelled -= {(benchmark, task_id), (benchmark, "")}

    def is_left_out(self, benchmark: str, task_id: str) -> bool:
        return not self._cancelled.isdisjoint({(benchmark, ""), (benchmark, task_id)})

    def is_cancelled(self, key: AttemptKey) -> bool:
        return bool(self._cancelled) and self.is_left_out(key.benchmark, key.task_id)
