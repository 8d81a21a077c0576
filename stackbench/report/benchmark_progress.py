"""Where a benchmark of a live run stands, counted from events: pass rate with its interval, speed, time to come."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from stackbench.control.messages import AttemptFinished
from stackbench.stats import proportion

__all__ = ["BenchmarkProgress", "clock_text"]


@dataclass(slots=True)
class BenchmarkProgress:
    """One benchmark's progress; `clock` counts seconds from anywhere."""

    benchmark: str
    total: int
    before: int
    """Attempts that were made before the counting began."""
    passed: int
    clock: Callable[[], float] = time.monotonic
    started: float = field(default=-1.0)
    ended: float | None = None
    done: int = 0
    errors: int = 0
    cut: int = 0
    """Attempts with an answer that ended at the token limit."""
    tokens: int = 0
    tasks: set[str] = field(default_factory=set[str])
    """Those with a scored attempt since the counting began."""

    def __post_init__(self) -> None:
        if self.started < 0:
            self.started = self.clock()

    @property
    def finished(self) -> int:
        return self.before + self.done

    @property
    def elapsed_s(self) -> float:
        return (self.ended if self.ended is not None else self.clock()) - self.started

    def take(self, event: AttemptFinished) -> None:
        self.done += 1
        self.passed += event.passed is True
        self.errors += event.passed is None
        self.cut += event.cut and event.passed is not None
        self.tokens += event.completion_tokens
        if event.passed is not None:
            self.tasks.add(event.attempt.task_id)

    def rate(self) -> str:
        """The share of attempts that passed so far, with Wilson's interval on as many units as there are tasks."""
        scored = self.finished - self.errors
        if scored <= 0:
            return "-"
        now = self.done - self.errors
        p = proportion(self.passed, scored, units=scored * len(self.tasks) / now if now > 0 else scored)
        return f"{p.value:.3f} [{p.ci_low:.3f}, {p.ci_high:.3f}]"

    def speed(self) -> str:
        """Tokens per second where the model counts tokens, else attempts per second."""
        elapsed = max(self.elapsed_s, 1e-9)
        return f"{self.tokens / elapsed:.0f} tok/s" if self.tokens else f"{self.done / elapsed:.1f} att/s"

    def eta(self) -> str:
        left = self.total - self.finished
        if left <= 0 or self.ended is not None:
            return clock_text(self.elapsed_s)
        return f"ETA {clock_text(self.elapsed_s / self.done * left)}" if self.done else "ETA ?"


def clock_text(seconds: float) -> str:
    """`1:05`, `2:00:05`."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
