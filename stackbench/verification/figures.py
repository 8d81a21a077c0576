"""Every published figure computed again from the attempts, by the benchmarks' code and by SQL."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

from stackbench.benchmarks import ClusteredBenchmark, create_benchmark, find_benchmark
from stackbench.engine import RunPlan
from stackbench.errors import ConfigError, UsageError
from stackbench.store import BenchmarkResult, Queries, Reader
from stackbench.store.recomputed import figure_by_sql
from stackbench.types import AttemptStatus, Metric
from stackbench.verification.verdicts import Check, Figure

__all__ = ["recompute"]

SAME = 1e-9
UNCERTAINTY = ("stderr", "ci_low", "ci_high", "low", "high", "n")


def recompute(queries: Queries, run_id: str, plan: RunPlan) -> tuple[list[Figure], list[Check]]:
    """Figures of every benchmark of a run, and checks of what has none."""
    figures: list[Figure] = []
    checks: list[Check] = []
    options = {part.name: part.options for part in plan.benchmarks}
    for result in Reader(queries).results(run_id):
        name = result.benchmark
        if find_benchmark(name) is None and "definition" not in options.get(name, {}):
            checks.append(Check("figures", name, "unchecked", "this version knows no such benchmark; SQL alone"))
            figures += [_by_sql_alone(queries, run_id, name, metric) for metric in result.metrics]
            continue
        try:
            figures += _figures(queries, run_id, result, options.get(name, {}))
        except (ConfigError, UsageError) as error:
            checks.append(Check("figures", name, "unchecked", str(error)))
    return figures, checks


def _figures(queries: Queries, run_id: str, result: BenchmarkResult, options: dict[str, object]) -> Iterator[Figure]:
    benchmark = create_benchmark(result.benchmark, options)
    summaries = Reader(queries).summaries(run_id, result.benchmark)
    completed = [one for one in summaries if one.status is AttemptStatus.COMPLETED]
    try:
        known = {(m.name, m.category): m for m in benchmark.metrics(completed)}
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:
        why = f"the attempts cannot be summed up: {type(error).__name__}: {error}"
        yield from (_figure(result.benchmark, m, None, None, why) for m in result.metrics)
        return
    clustered = isinstance(benchmark, ClusteredBenchmark)
    for metric in result.metrics:
        name, category = metric.name, metric.category
        own = known.pop((name, category), None)
        sql = figure_by_sql(queries, run_id, result.benchmark, name, category, clustered=clustered and not category)
        problem = _problem(metric, own)
        if not problem and sql is not None:
            shown = metric.ci_low is not None
            ends = (sql.ci_low, sql.ci_high) if shown and sql.ci_low is not None else (metric.ci_low, metric.ci_high)
            problem = _problem(
                metric, replace(metric, value=sql.value, n=sql.n, ci_low=ends[0], ci_high=ends[1]), " by SQL"
            )
        yield _figure(result.benchmark, metric, own.value if own else None, sql.value if sql else None, problem)
    for left in known.values():
        yield _figure(result.benchmark, left, left.value, None, "was not published, though the attempts give it")


def _by_sql_alone(queries: Queries, run_id: str, benchmark: str, metric: Metric) -> Figure:
    found = figure_by_sql(queries, run_id, benchmark, metric.name, metric.category, clustered=True)
    problem = _problem(metric, replace(metric, value=found.value), " by SQL") if found is not None else ""
    return _figure(benchmark, metric, None, found.value if found else None, problem)


def _figure(benchmark: str, metric: Metric, numpy: float | None, sql: float | None, problem: str) -> Figure:
    return Figure(benchmark, metric.name, metric.category, metric.value, numpy, sql, problem)


def _problem(published: Metric, found: Metric | None, how: str = "") -> str:
    if found is None:
        return "the attempts give no such figure"
    if not _same(published.value, found.value):
        return f"published as {published.value:.6g}, the attempts give {found.value:.6g}{how}"
    for name in UNCERTAINTY:
        old, new = getattr(published, name), getattr(found, name)
        if not _same(old, new):
            return f"its {name} was published as {_shown(old)}, the attempts give {_shown(new)}{how}"
    return ""


def _same(first: float | None, second: float | None) -> bool:
    if first is None or second is None:
        return first is second
    return math.isclose(first, second, rel_tol=SAME, abs_tol=SAME)


def _shown(value: float | None) -> str:
    return "none" if value is None else f"{value:.6g}"
