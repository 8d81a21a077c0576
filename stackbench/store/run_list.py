"""The runs of a home with what they came to, in a handful of statements however many there are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from stackbench.store.query import Queries
from stackbench.store.reader import PROBLEM, Labels, Reader
from stackbench.store.results import HAS_PLANNED
from stackbench.types import Metric

__all__ = ["ListedBenchmark", "ListedRun", "list_runs"]

RUNS = f"""
SELECT run_id, suite, status, created_at, finished_at, model, {PROBLEM}
FROM runs ORDER BY created_at DESC, run_id DESC LIMIT ?
"""
PLANNED = """
SELECT run_id, benchmark, attempts_planned FROM run_benchmarks WHERE skipped IS NULL ORDER BY run_id, position
"""
COUNTS = """
SELECT run_id, benchmark, count(*), count(*) FILTER (status = 'error'), count(*) FILTER (passed)
FROM attempts GROUP BY run_id, benchmark ORDER BY run_id, benchmark
"""
METRICS = """
SELECT run_id, benchmark, name, value, stderr, ci_low, ci_high, n, category FROM metrics
WHERE category = '' AND list_contains(?, name) ORDER BY run_id, benchmark
"""


@dataclass(frozen=True, slots=True)
class ListedBenchmark:
    """What a run came to in one benchmark."""

    name: str
    planned: int
    """Attempts; 0 where an older version did not record it."""
    attempts: int = 0
    errors: int = 0
    passed: int = 0
    metrics: tuple[Metric, ...] = ()
    """Those asked for."""


@dataclass(frozen=True, slots=True)
class ListedRun:
    """A row of `runs` with its benchmarks, in the order of their start."""

    run_id: str
    suite: str
    status: str
    """As recorded: `running` also of a run whose engine was killed."""
    created_at: str
    finished_at: str | None
    model: str
    benchmarks: tuple[ListedBenchmark, ...] = ()
    labels: Labels = field(default_factory=Labels)
    """What the user calls it."""
    problem: str = ""
    """Why it failed, as `RunInfo.problem`."""

    @property
    def attempts(self) -> int:
        return sum(one.attempts for one in self.benchmarks)

    @property
    def planned(self) -> int:
        return sum(max(one.planned, one.attempts) for one in self.benchmarks)

    @property
    def errors(self) -> int:
        return sum(one.errors for one in self.benchmarks)


def list_runs(queries: Queries, metrics: Sequence[str], limit: int = 2000) -> list[ListedRun]:
    """The newest runs first, with these metrics of their benchmarks."""
    benchmarks: dict[str, dict[str, dict[str, Any]]] = {}
    if queries.rows(HAS_PLANNED):
        for run_id, name, planned in queries.rows(PLANNED):
            benchmarks.setdefault(run_id, {})[name] = {"planned": planned}
    for run_id, name, attempts, errors, passed in queries.rows(COUNTS):
        counts = benchmarks.setdefault(run_id, {}).setdefault(name, {"planned": 0})
        counts |= {"attempts": attempts, "errors": errors, "passed": passed}
    for run_id, name, *fields in queries.rows(METRICS, [list(metrics)]):
        found = benchmarks.setdefault(run_id, {}).setdefault(name, {"planned": 0})
        found["metrics"] = (*found.get("metrics", ()), Metric(*fields))
    labels = Reader(queries).labels()
    return [
        ListedRun(
            run_id,
            suite,
            status,
            _seconds(created),
            _seconds(finished) if finished else None,
            model,
            tuple(ListedBenchmark(name, **one) for name, one in benchmarks.get(run_id, {}).items()),
            labels.get(run_id, Labels()),
            problem,
        )
        for run_id, suite, status, created, finished, model, problem in queries.rows(RUNS, [limit])
    ]


def _seconds(timestamp: Any) -> str:
    """A timestamp to its seconds."""
    return str(timestamp)[:19].replace("T", " ")
