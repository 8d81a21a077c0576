"""Says when a run makes no progress for long, and what it waits for: no wait is silent."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from stackbench.durations import spoken_duration

__all__ = ["ProgressWatch", "waits_in_words"]

CHECKS_PER_PERIOD = 30
LONGEST_CHECK_S = 30.0
WAITS_SHOWN = 4


@dataclass(slots=True)
class ProgressWatch:
    """Progress is an attempt that ended or a token that came; a run that an operator holds need not make any.

    Args:
        period_s: seconds without progress after which it is told, and told again for each as many more.
        progress: a value that changes with progress.
        held: whether the run is meant to stand still (paused, waiting for the operator).
        waits: what running attempts wait for, as `AttemptTracker.describe` gives it.
        tell: takes the seconds without progress and the line that says what is waited for.
        clock: seconds, monotonic.
        own: what the run itself waits for, in words; empty where only its attempts do.
    """

    period_s: float
    progress: Callable[[], object]
    held: Callable[[], bool]
    waits: Callable[[], Sequence[dict[str, Any]]]
    tell: Callable[[float, str], None]
    clock: Callable[[], float] = time.monotonic
    own: Callable[[], str] = lambda: ""
    _last: object = None
    _since: float = field(default=0.0)
    _told: int = 0

    @property
    def idle_s(self) -> float:
        """Seconds without progress, as of the last look at it."""
        return self.clock() - self._since if self._since else 0.0

    async def watch(self) -> None:
        """Runs until cancelled."""
        self._since = self.clock()
        while True:
            await asyncio.sleep(min(self.period_s / CHECKS_PER_PERIOD, LONGEST_CHECK_S))
            self.check()

    def check(self) -> None:
        """Looks once."""
        now, progress = self.clock(), self.progress()
        if progress != self._last or self.held():
            self._last, self._since, self._told = progress, now, 0
            return
        idle = now - self._since
        if idle >= (self._told + 1) * self.period_s:
            self._told = int(idle // self.period_s)
            own, waits = self.own(), self.waits()
            parts = [f"the run waits for {own}"] if own else []
            parts += [waits_in_words(waits)] if waits or not own else []
            self.tell(idle, f"no progress for {spoken_duration(idle)}: {'; '.join(parts)}")


def waits_in_words(waits: Sequence[dict[str, Any]]) -> str:
    """`3 attempts wait for model, the longest HumanEval/3 for 15 min`; by reason, the most frequent first."""
    if not waits:
        return "no attempt is under way"
    by_reason: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for wait in waits:
        by_reason[wait["waits_for"] or "the processor"].append(wait)
    parts: list[str] = []
    for reason, found in sorted(by_reason.items(), key=lambda item: -len(item[1]))[:WAITS_SHOWN]:
        longest = max(found, key=lambda wait: wait["for_s"])
        count = "1 attempt waits" if len(found) == 1 else f"{len(found)} attempts wait"
        parts.append(f"{count} for {reason}, the longest {longest['task_id']} for {spoken_duration(longest['for_s'])}")
    return "; ".join(parts)
