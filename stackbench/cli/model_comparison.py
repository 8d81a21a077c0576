"""Runs of several models side by side: each benchmark's headline, and the paired difference to the first model's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from stackbench.cli.console import fits, make_table, out, shown
from stackbench.cli.history import opened
from stackbench.config import Home
from stackbench.report.comparison import BenchmarkComparison, compare_benchmark
from stackbench.report.headlines import headline, interval_or_counts
from stackbench.stats.multiple import shared_ranks
from stackbench.stats.paired import ALPHA
from stackbench.store import BenchmarkResult, Reader, RunInfo
from stackbench.types import Metric

__all__ = ["ModelScore", "comparison_document", "print_comparison", "read_comparison"]

COLUMNS = (
    "benchmark",
    "rank",
    "model",
    "tasks",
    "errors",
    "metric",
    "value",
    "95% interval",
    "to the first",
    "95% interval",
    "p",
)


@dataclass(frozen=True, slots=True)
class ModelScore:
    """One model at one benchmark."""

    benchmark: str
    model: str
    run_id: str
    result: BenchmarkResult
    metric: Metric | None
    difference: BenchmarkComparison | None
    """To the first model, over the tasks that both completed; None for the first itself and where there are none."""
    rank: int | None = None
    """1 for the best; models whose paired interval holds 0 share one. None without a score, and for too few tasks."""


def read_comparison(home: Home, runs: Sequence[tuple[str, str]]) -> list[ModelScore]:
    """What the database holds of the runs (id and model), benchmark by benchmark, in the order of the runs."""
    if not home.database.exists():
        return []
    with opened(home) as queries:
        reader = Reader(queries)
        known = [(reader.run(run_id), model) for run_id, model in runs if reader.has_run(run_id)]
        results = [{result.benchmark: result for result in reader.results(run.run_id)} for run, _ in known]
        found: list[ModelScore] = []
        for name in dict.fromkeys(name for mine in results for name in mine):
            scores: list[ModelScore] = []
            for number, ((run, model), mine) in enumerate(zip(known, results, strict=True)):
                if name not in mine:
                    continue
                compared = number > 0 and name in results[0]
                difference = compare_benchmark(reader, (known[0][0], run), name) if compared else None
                scores.append(ModelScore(name, model, run.run_id, mine[name], headline(mine[name].metrics), difference))
            found += _ranked(reader, {run.run_id: run for run, _ in known}, name, scores)
    return found


def _ranked(
    reader: Reader, runs: Mapping[str, RunInfo], benchmark: str, scores: Sequence[ModelScore]
) -> list[ModelScore]:
    """The scores of one benchmark, in their order, with their ranks."""
    measured = [(score, score.metric.value) for score in scores if score.metric is not None]

    def apart(better: int, worse: int) -> bool:
        pair = [runs[measured[index][0].run_id] for index in (better, worse)]
        compared = compare_benchmark(reader, pair, benchmark)
        return compared is not None and compared.p_value is not None and compared.p_value <= ALPHA

    if any(score.difference is not None and not score.difference.paired.difference.shown for score in scores):
        return list(scores)  # nothing can be told apart, and rank 1 for all would look like a result
    ranks = shared_ranks([value for _, value in measured], apart)
    by_run = {score.run_id: rank for (score, _), rank in zip(measured, ranks, strict=True)}
    return [replace(score, rank=by_run.get(score.run_id)) for score in scores]


def print_comparison(scores: Sequence[ModelScore]) -> None:
    """A row for each model under each benchmark; where there is no room, two lines."""
    if not scores:
        return
    rows = [_row(score) for score in scores]
    console = out()
    console.print(shown("models compared; differences are to the first, over the tasks that both completed", "bold"))
    table = make_table(COLUMNS, rows, right=[name for name in COLUMNS if name not in ("benchmark", "model", "metric")])
    if fits(table):
        console.print(table)
        return
    for benchmark, rank, model, tasks, errors, metric, value, interval, difference, around, p in rows:
        console.print(shown(f"{benchmark}  {model}" + (f"  rank {rank}" if rank else ""), "bold"))
        console.print(shown(f"  {metric} {value}  {interval}  {tasks} tasks, errors {errors}"))
        if difference:
            how = f"{around}  p {p}" if around else "(too few tasks for an interval)"
            console.print(shown(f"  to the first {difference}  {how}"))


def comparison_document(scores: Sequence[ModelScore]) -> list[dict[str, Any]]:
    """For `--json`."""
    return [
        {
            "benchmark": score.benchmark,
            "model": score.model,
            "run_id": score.run_id,
            "metric": score.metric.name if score.metric is not None else None,
            "value": score.metric.value if score.metric is not None else None,
            "ci_low": score.metric.ci_low if score.metric is not None else None,
            "ci_high": score.metric.ci_high if score.metric is not None else None,
            "rank": score.rank,
            "to_first": _difference(score.difference),
        }
        for score in scores
    ]


def _difference(comparison: BenchmarkComparison | None) -> dict[str, Any] | None:
    if comparison is None:
        return None
    estimate = comparison.paired.difference
    low, high = comparison.ends
    return {
        "tasks": estimate.n,
        "difference": estimate.value,
        "ci_low": low,
        "ci_high": high,
        "p_value": comparison.p_value,
        "test": comparison.paired.test,
    }


def _row(score: ModelScore) -> tuple[str, ...]:
    result, metric = score.result, score.metric
    rank = "" if score.rank is None else str(score.rank)
    head = (
        score.benchmark,
        rank,
        score.model,
        f"{result.tasks_completed} of {result.tasks_planned}",
        str(result.errors),
    )
    value = (
        ("-", "-", "")
        if metric is None
        else (metric.name, f"{metric.value:.4f}", interval_or_counts(score.benchmark, metric))
    )
    if score.difference is None:
        return (*head, *value, "", "", "")
    estimate = score.difference.paired.difference
    if not estimate.shown:
        return (*head, *value, f"{estimate.value:+.4f}", "", "")
    around = f"[{estimate.ci_low:+.4f}, {estimate.ci_high:+.4f}]"
    return (*head, *value, f"{estimate.value:+.4f}", around, f"{score.difference.paired.p_value:.3g}")
