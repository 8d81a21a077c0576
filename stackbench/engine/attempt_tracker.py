"""Tracks each running attempt: what it waits for, and since when."""

from __future__ import annotations

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
    """Every change is published as an event of its attempt, a wait only while somebody watches (`describe` tells it
    afterwards). `describe` may be called from any thread."""

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
        if self._watched():
            self._publish(AttemptWaiting(attempt=tracked.ref, reason=reason, detail=detail))
