"""How fast a model's attempts went in earlier runs of this home, and how many tasks its benchmarks have."""

from __future__ import annotations

from dataclasses import dataclass

from stackbench.store.query import Queries
from stackbench.store.results import HAS_PLANNED

__all__ = ["Pace", "read_pace", "read_task_counts"]

SPEEDS = """
SELECT benchmark, sum(made), sum(seconds), count(*) FROM (
    SELECT benchmark, count(*) AS made, epoch(max(started_at)) - epoch(min(started_at)) + avg(latency_s) AS seconds
    FROM attempts JOIN runs USING (run_id) WHERE model = ? AND attempts.status = 'completed' GROUP BY run_id, benchmark
) GROUP BY benchmark
"""
TASKS = "SELECT benchmark, max(tasks_available) FROM run_benchmarks WHERE skipped IS NULL GROUP BY benchmark"


@dataclass(frozen=True, slots=True)
class Pace:
    """A benchmark's attempts in earlier runs."""

    attempts: int
    seconds: float
    """From the first start to the last end, summed over the runs."""
    runs: int


def read_pace(queries: Queries, model: str) -> dict[str, Pace]:
    """By benchmark; empty for a model that was never run here."""
    return {row[0]: Pace(int(row[1]), float(row[2] or 0), int(row[3])) for row in queries.rows(SPEEDS, [model])}


def read_task_counts(queries: Queries) -> dict[str, int]:
    """The tasks of each benchmark that was run here."""
    return {row[0]: int(row[1]) for row in queries.rows(TASKS)} if queries.rows(HAS_PLANNED) else {}
