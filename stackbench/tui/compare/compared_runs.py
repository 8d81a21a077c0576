"""Reads what the screen compares: two runs with the settings that differ, and the two attempts at a task."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from stackbench.engine.setup_differences import setup_differences
from stackbench.report.comparison import RunComparison, compare_runs
from stackbench.store import Queries, Reader
from stackbench.tui.compare.comparison_rows import TaskPair
from stackbench.types import AttemptKey, AttemptStatus

__all__ = ["ComparedRuns", "read_attempts", "read_comparison"]


@dataclass(frozen=True, slots=True)
class ComparedRuns:
    """A comparison, and how the runs were set up differently."""

    comparison: RunComparison
    settings: Mapping[str, tuple[Any, Any]]


def read_comparison(queries: Queries, first: str, second: str) -> ComparedRuns:
    """Raises as `compare_runs`."""
    found = compare_runs(queries, first, second)
    reader = Reader(queries)
    return ComparedRuns(found, setup_differences(found.runs, [reader.planned(run.run_id) for run in found.runs]))


def read_attempts(
    queries: Queries, runs: tuple[str, str], benchmark: str, pair: TaskPair
) -> tuple[AttemptKey, AttemptKey] | None:
    """An attempt of each run at the task. Of several, the first that is on its run's side of the difference."""
    task, first, second = pair
    keys: list[AttemptKey] = []
    for run_id, better in zip(runs, (first > second, second > first), strict=True):
        attempts = [
            one
            for one in Reader(queries).summaries(run_id, benchmark)
            if one.key.task_id == task and one.status is AttemptStatus.COMPLETED
        ]
        if not attempts:
            return None
        sign = -1 if better else 1 if first != second else 0
        keys.append(min(attempts, key=lambda one: sign * (one.score or 0.0)).key)
    return keys[0], keys[1]
