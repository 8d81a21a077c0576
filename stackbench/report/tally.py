"""Counts of a live run, benchmark by benchmark, from the engine's events: done, pass rate, speed, time left."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from stackbench.control.messages import (
    AttemptFinished,
    AttemptRef,
    AttemptStarted,
    BenchmarkFinished,
    BenchmarkStarted,
    EventKind,
    Gauges,
    OperatorAction,
)
from stackbench.stats import proportion

__all__ = ["BenchmarkTally", "RunTally", "clock", "counted_tokens"]

LEAST_FOR_ETA = 8
"""Attempts that must have ended before the time left is told."""


@dataclass(slots=True)
class BenchmarkTally:
    """One benchmark's progress; times in seconds of `now`."""

    benchmark: str
    total: int
    before: int
    """Attempts that an earlier part of the run made."""
    passed: int
    now: Callable[[], float] = time.monotonic
    started: float = field(init=False)
    ended: float | None = None
    done: int = 0
    errors: int = 0
    cut: int = 0
    """Attempts with an answer that ended at the token limit."""
    tokens: int = 0
    """Completion tokens of attempts that have ended."""
    tokens_under_way: int = 0
    """Those of attempts under way, where the engine's count of the whole run tells."""
    tasks: set[str] = field(default_factory=set[str])
    """Those with a scored attempt in this part of the run."""
    under_way: set[tuple[str, int, int]] = field(default_factory=set[tuple[str, int, int]])
    """Task, attempt and seed of each."""
    _scored: int = 0
    """Attempts with a score in this part of the run."""
    _most_at_once: int = 0
    _least_left_s: float | None = None
    """The shortest time left that was told."""

    def __post_init__(self) -> None:
        self.started = self.now()

    @property
    def finished(self) -> int:
        return self.before + self.done

    @property
    def elapsed_s(self) -> float:
        return (self.now() if self.ended is None else self.ended) - self.started

    def begin(self, attempt: AttemptRef) -> None:
        self.under_way.add(_place(attempt))
        self._most_at_once = max(self._most_at_once, len(self.under_way))

    def take(self, event: AttemptFinished) -> None:
        self.under_way.discard(_place(event.attempt))
        self.done += 1
        self.passed += event.passed is True
        self.errors += event.passed is None
        self.cut += event.cut and event.passed is not None
        self.tokens += event.completion_tokens
        self.tokens_under_way = max(0, self.tokens_under_way - event.completion_tokens)
        if event.passed is not None:
            self._scored += 1
            self.tasks.add(event.attempt.task_id)

    def rate(self) -> str:
        """The share of attempts that passed so far, with Wilson's interval on as many units as there are tasks."""
        scored = self.finished - self.errors
        if scored <= 0:
            return "-"
        units = scored * len(self.tasks) / self._scored if self._scored else scored
        p = proportion(self.passed, scored, units=units)
        return f"{p.value:.3f} " + (f"[{p.ci_low:.3f}, {p.ci_high:.3f}]" if p.shown else f"({self.passed} of {scored})")

    def speed(self) -> str:
        """Tokens per second where the model counts tokens, else attempts per second; `-` before one has ended."""
        elapsed = max(self.elapsed_s, 1e-9)
        if not self.done:
            return "-"
        tokens = self.tokens + self.tokens_under_way
        return f"{tokens / elapsed:.0f} tok/s" if tokens else f"{self.done / elapsed:.1f} attempts/s"

    def left_s(self) -> float | None:
        """Seconds left at the speed so far, or None.

        None until more attempts have ended than began together (the first to end are the quickest), and while the
        estimate is longer than one that was given before: what is told never grows.
        """
        left = self.total - self.finished
        if left <= 0 or self.ended is not None or self.done < max(LEAST_FOR_ETA, 2 * self._most_at_once):
            return None
        estimate = self.elapsed_s / self.done * left
        if self._least_left_s is not None and estimate > self._least_left_s:
            return None
        self._least_left_s = estimate
        return estimate

    def time(self) -> str:
        """Time since the benchmark began, and the time left where it is known."""
        left = self.left_s()
        return clock(self.elapsed_s) + (f", ETA {clock(left)}" if left is not None else "")


class RunTally:
    """All of a run. `take` says which benchmark an event changed."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self.benchmarks: dict[str, BenchmarkTally] = {}
        self._now = now
        self._started = now()
        self._reported_tokens = 0
        self._lost_tokens = 0
        """Of attempts of earlier benchmarks that ended in errors, and of what else the server was asked."""

    @property
    def under_way(self) -> int:
        return sum(len(tally.under_way) for tally in self.benchmarks.values())

    @property
    def tokens(self) -> int:
        """Completion tokens so far: of ended attempts, or what the engine told last where that is more."""
        return max(self._reported_tokens, sum(tally.tokens for tally in self.benchmarks.values()))

    @property
    def elapsed_s(self) -> float:
        return self._now() - self._started

    def take(self, event: EventKind) -> BenchmarkTally | None:
        if isinstance(event, BenchmarkStarted):
            if all(tally.ended is not None for tally in self.benchmarks.values()):
                self._lost_tokens = max(0, self._unattributed)
            tally = BenchmarkTally(event.benchmark, event.total, event.done, event.passed, self._now)
            self.benchmarks[event.benchmark] = tally
            return tally
        if isinstance(event, AttemptStarted | AttemptFinished):
            tally = self.benchmarks.get(event.attempt.benchmark)
            if tally is not None:
                tally.take(event) if isinstance(event, AttemptFinished) else tally.begin(event.attempt)
            return tally
        if isinstance(event, BenchmarkFinished):
            tally = self.benchmarks.get(event.benchmark)
            if tally is not None:
                tally.ended = self._now()
                tally.tokens_under_way = 0
                tally.under_way.clear()
            return tally
        if isinstance(event, Gauges):
            self._reported_tokens = max(self._reported_tokens, int(event.values.get("completion_tokens") or 0))
            self._share_out()
        elif isinstance(event, OperatorAction) and event.verb == "cancel":
            self._give_up(str(event.arguments.get("target", "")))
        return None

    def _share_out(self) -> None:
        """Tokens that no ended attempt has are of the one benchmark that is under way; of several nobody can tell."""
        live = [tally for tally in self.benchmarks.values() if tally.ended is None]
        if len(live) == 1:
            live[0].tokens_under_way = max(0, self._unattributed - self._lost_tokens)

    @property
    def _unattributed(self) -> int:
        return self._reported_tokens - sum(tally.tokens for tally in self.benchmarks.values())

    def _give_up(self, target: str) -> None:
        """Attempts that an operator cancelled end without an event of their own."""
        for name, tally in self.benchmarks.items():
            tally.under_way = {one for one in tally.under_way if target not in (name, one[0], f"{name}/{one[0]}")}


def _place(attempt: AttemptRef) -> tuple[str, int, int]:
    return attempt.task_id, attempt.attempt, attempt.seed


def counted_tokens(tokens: int) -> str:
    return f"{tokens:,} tokens"


def clock(seconds: float) -> str:
    """`1:02`, or `1:00:02` from an hour on."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
