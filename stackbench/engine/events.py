"""What the engine tells whoever watches a run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from stackbench.store import BenchmarkResult

__all__ = [
    "AttemptFinished",
    "BenchmarkFinished",
    "BenchmarkSkipped",
    "BenchmarkStarted",
    "EngineEvent",
    "Listener",
    "Notice",
    "RunStarted",
]


@dataclass(frozen=True, slots=True)
class RunStarted:
    """The run is recorded; work begins."""

    run_id: str
    model: str


@dataclass(frozen=True, slots=True)
class BenchmarkStarted:
    """A benchmark's attempts begin; `done` of `total` came from an earlier part of the run."""

    benchmark: str
    total: int
    done: int
    passed: int


@dataclass(frozen=True, slots=True)
class AttemptFinished:
    """One attempt has its score, or ended in an error (`passed` is None)."""

    benchmark: str
    task_id: str
    passed: bool | None
    reason: str
    completion_tokens: int
    cut: bool = False
    """Whether an answer of it ended at its token limit."""


@dataclass(frozen=True, slots=True)
class BenchmarkFinished:
    """A benchmark's attempts have ended and its metrics are known."""

    result: BenchmarkResult


@dataclass(frozen=True, slots=True)
class BenchmarkSkipped:
    """A benchmark could not be run; the suite goes on."""

    benchmark: str
    reason: str


@dataclass(frozen=True, slots=True)
class Notice:
    """A line for the operator."""

    text: str


EngineEvent = RunStarted | BenchmarkStarted | AttemptFinished | BenchmarkFinished | BenchmarkSkipped | Notice
Listener = Callable[[EngineEvent], None]
