"""Tracks each running attempt: what it waits for, and since when."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from stackbench.control.messages import (
    AttemptFinished,
    AttemptRef,
    AttemptStarted,
    AttemptWaiting,
    EventKind,
    WaitReason,
)
from stackbench.types import AttemptKey

__all__ = ["AttemptTracker", "TrackedAttempt", "attempt_ref"]

TOLD_AFTER_S = 0.05
"""Waits that are over sooner are not published: nobody could read of them; a fast model makes thousands a second."""


def attempt_ref(key: AttemptKey) -> AttemptRef:
    """The attempt's name as events have it."""
    return AttemptRef(benchmark=key.benchmark, task_id=key.task_id, attempt=key.attempt, seed=key.seed)


@dataclass(slots=True)
class TrackedAttempt:
    """A running attempt; times in seconds of `time.monotonic`."""

    key: AttemptKey
    ref: AttemptRef
    started: float
    reason: WaitReason | None = None
    detail: str = ""
    since: float = 0.0
    step: int = 0
    """Requests to the model so far."""
    told: tuple[WaitReason, str, float] | None = None
    """The wait that was published last."""

    def describe(self, now: float) -> dict[str, Any]:
        """For `why` and the trace file; seconds."""
        return {
            "benchmark": self.key.benchmark,
            "task_id": self.key.task_id,
            "attempt": self.key.attempt,
            "seed": self.key.seed,
            "waits_for": self.reason,
            "detail": self.detail,
            "for_s": round(now - (self.since or self.started), 1),
            "running_s": round(now - self.started, 1),
            "step": self.step,
        }


class AttemptTracker:
    """Every change is published as an event of its attempt, a wait only once it lasts and while somebody watches
    (`describe` tells all). `describe` may be called from any thread."""

    def __init__(
        self,
        publish: Callable[[EventKind], None],
        watched: Callable[[], bool] = lambda: True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._publish = publish
        self._watched = watched
        self._clock = clock
        self._running: dict[AttemptKey, TrackedAttempt] = {}
        self._untold: dict[AttemptKey, TrackedAttempt] = {}
        """Attempts whose present wait is not published."""
        self._timer: asyncio.TimerHandle | None = None
        self.tokens = 0
        """Completion tokens of the model's answers so far, those to attempts under way included."""

    @property
    def watched(self) -> bool:
        """Whether somebody subscribed to events."""
        return self._watched()

    def __len__(self) -> int:
        return len(self._running)

    def start(self, key: AttemptKey) -> TrackedAttempt:
        """An attempt begins."""
        tracked = self._running[key] = TrackedAttempt(key, attempt_ref(key), self._clock())
        self._publish(AttemptStarted(attempt=tracked.ref))
        return tracked

    def finish(self, key: AttemptKey, event: AttemptFinished | None) -> None:
        """It has ended; `event` is None for one that was given up and leaves no record."""
        self._running.pop(key, None)
        if event is not None:
            self._publish(event)

    @contextmanager
    def waiting(self, key: AttemptKey, reason: WaitReason, detail: str = "") -> Iterator[None]:
        """The attempt waits for this, inside the block."""
        tracked = self._running.get(key)
        if tracked is None:
            yield
            return
        before = (tracked.reason, tracked.detail, tracked.since)
        self._set(tracked, reason, detail)
        try:
            yield
        finally:
            tracked.reason, tracked.detail, tracked.since = before
            if tracked.reason is not None:
                self._tell_later(tracked)

    def note(self, key: AttemptKey, reason: WaitReason, detail: str = "") -> None:
        """What it waits for has changed within a wait (another try of a request, say)."""
        tracked = self._running.get(key)
        if tracked is not None:
            self._set(tracked, reason, detail)

    def describe(self) -> list[dict[str, Any]]:
        """Every running attempt, the longest wait first."""
        now = self._clock()
        found = [tracked.describe(now) for tracked in tuple(self._running.values())]
        return sorted(found, key=lambda row: -row["for_s"])

    def _set(self, tracked: TrackedAttempt, reason: WaitReason, detail: str) -> None:
        tracked.reason, tracked.detail, tracked.since = reason, detail, self._clock()
        self._tell_later(tracked)

    def _tell_later(self, tracked: TrackedAttempt) -> None:
        if self._watched():
            self._untold[tracked.key] = tracked
            if self._timer is None:
                self._timer = asyncio.get_running_loop().call_later(TOLD_AFTER_S, self._tell_waits)

    def _tell_waits(self) -> None:
        self._timer = None
        now = self._clock()
        for key, tracked in tuple(self._untold.items()):
            if tracked.reason is None or self._running.get(key) is not tracked:
                del self._untold[key]  # it is over
            elif now - tracked.since >= TOLD_AFTER_S:
                del self._untold[key]
                told = (tracked.reason, tracked.detail, tracked.since)
                if told != tracked.told:
                    tracked.told = told
                    self._publish(AttemptWaiting(attempt=tracked.ref, reason=tracked.reason, detail=tracked.detail))
        if self._untold:
            self._timer = asyncio.get_running_loop().call_later(TOLD_AFTER_S, self._tell_waits)
