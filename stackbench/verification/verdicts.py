"""What a verification found: checks, figures, verdicts executed again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

__all__ = ["Check", "Figure", "Outcome", "Reexecuted", "Verification"]

Outcome = Literal["ok", "failed", "differs", "unchecked"]
"""`differs`: not as recorded, which makes nothing false (another machine, another version); `unchecked`: cannot be."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was checked."""

    area: str
    name: str
    outcome: Outcome
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Figure:
    """A published number beside what the attempts come to."""

    benchmark: str
    metric: str
    category: str
    published: float
    numpy: float | None
    """By the benchmark's own code."""
    sql: float | None
    """By SQL; None where the metric is no share of verdicts."""
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Reexecuted:
    """An attempt that was scored again from its recorded answer."""

    benchmark: str
    task_id: str
    attempt: int
    seed: int
    stratum: str
    recorded: bool | None
    again: bool | None
    problem: str = ""
    """Why its verdict is another one, or cannot be had."""


@dataclass(frozen=True, slots=True)
class Verification:
    """Everything that was found of a run."""

    run_id: str
    model: str
    source: str
    head: str
    """The last hash of the run's chain; empty where there is none."""
    seed: int
    """Drew the sample of verdicts."""
    checks: Sequence[Check] = ()
    figures: Sequence[Figure] = field(default_factory=list[Figure])
    reexecuted: Sequence[Reexecuted] = field(default_factory=list[Reexecuted])

    @property
    def failed(self) -> list[str]:
        """A line for each thing that is not as published."""
        return [
            *(f"{one.area}: {one.name}: {one.detail}" for one in self.checks if one.outcome == "failed"),
            *(f"figures: {_label(one)}: {one.problem}" for one in self.figures if one.problem),
            *(
                f"verdicts: {one.benchmark} {one.task_id}, attempt {one.attempt}, seed {one.seed}: {one.problem}"
                for one in self.reexecuted
                if one.problem
            ),
        ]

    @property
    def passed(self) -> bool:
        return not self.failed


def _label(figure: Figure) -> str:
    category = f"/{figure.category}" if figure.category else ""
    return f"{figure.benchmark}.{figure.metric}{category}"
