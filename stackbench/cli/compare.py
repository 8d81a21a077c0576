"""`compare`: what one run has that another has not."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from stackbench.benchmarks import ClusteredBenchmark, find_benchmark
from stackbench.cli.console import out, print_json, print_table
from stackbench.cli.history import opened
from stackbench.cli.speeds import is_speed
from stackbench.cli.visible_text import in_one_line
from stackbench.config import Home
from stackbench.errors import UsageError
from stackbench.stats import PairedDifference, paired_difference
from stackbench.store import BenchmarkResult, Reader, RunInfo
from stackbench.types import AttemptStatus, AttemptSummary

__all__ = ["compare"]

UNIMPORTANT = {"vllm_bin", "concurrency", "sandboxes", "max_error_rate", "max_hours", "retries", "request_timeout_s"}


@dataclass(frozen=True, slots=True)
class BenchmarkComparison:
    """One benchmark in both runs; scores are means over a task's attempts."""

    benchmark: str
    first: float
    second: float
    paired: PairedDifference
    differing: tuple[tuple[str, float, float], ...]
    """Task and its two scores."""
    only_first: int
    """Tasks that only the first run completed."""
    only_second: int


def compare(home: Path | None, first: str, second: str, tasks: int, *, as_json: bool) -> None:
    """Prints paired differences per benchmark and the tasks behind them, `tasks` at most (0: all).

    Raises:
        UsageError: a run does not exist, or they have no task in common.
    """
    with opened(Home.find(home)) as queries:
        reader = Reader(queries)
        runs = reader.run(first), reader.run(second)
        results = [{result.benchmark: result for result in reader.results(run.run_id)} for run in runs]
        shared = [name for name in results[0] if name in results[1]]
        found = [c for name in shared if (c := _compare(reader, runs, name)) is not None]
    if not found:
        raise UsageError(f"runs {runs[0].run_id} and {runs[1].run_id} have no completed task in common")
    differences = _settings_apart(runs[0].config, runs[1].config)
    if as_json:
        print_json(_document(runs, found, differences))
        return
    console = out()
    console.print(in_one_line(f"first   {runs[0].run_id}  {runs[0].model}"))
    console.print(in_one_line(f"second  {runs[1].run_id}  {runs[1].model}"))
    for name, (a, b) in differences.items():
        console.print(in_one_line(f"        {name}: {a} | {b}"))
    console.print()
    print_table(
        ["benchmark", "tasks", "first", "second", "difference", "95% interval", "better", "worse", "p", "test"],
        [_row(comparison) for comparison in found],
        right=["tasks", "first", "second", "difference", "better", "worse", "p"],
    )
    for comparison in found:
        _print_tasks(comparison, tasks)
    for name in shared:
        _print_speeds(results[0][name], results[1][name])


def _compare(reader: Reader, runs: Sequence[RunInfo], benchmark: str) -> BenchmarkComparison | None:
    completed = [_completed(reader, run, benchmark) for run in runs]
    first, second = (_task_scores(attempts) for attempts in completed)
    both = [task for task in first if task in second]
    if not both:
        return None
    a, b = [first[task] for task in both], [second[task] for task in both]
    clusters = _clusters(benchmark, completed[0])
    return BenchmarkComparison(
        benchmark,
        fmean(a),
        fmean(b),
        paired_difference(a, b, clusters=[clusters[task] for task in both] if clusters else None),
        tuple((task, first[task], second[task]) for task in both if first[task] != second[task]),
        len(first) - len(both),
        len(second) - len(both),
    )


def _completed(reader: Reader, run: RunInfo, benchmark: str) -> list[AttemptSummary]:
    return [s for s in reader.summaries(run.run_id, benchmark) if s.status is AttemptStatus.COMPLETED]


def _task_scores(attempts: Sequence[AttemptSummary]) -> dict[str, float]:
    """The mean over each task's attempts: tasks are the unit."""
    scores: dict[str, list[float]] = defaultdict(list)
    for attempt in attempts:
        if attempt.score is not None:
            scores[attempt.key.task_id].append(attempt.score)
    return {task: fmean(values) for task, values in scores.items()}


def _clusters(benchmark: str, attempts: Sequence[AttemptSummary]) -> dict[str, str]:
    """The cluster of each task, where the benchmark's tasks come in clusters."""
    kind = find_benchmark(benchmark)
    if kind is None or not isinstance(kind, ClusteredBenchmark):
        return {}
    return {attempt.key.task_id: kind.cluster(attempt) for attempt in attempts}


def _settings_apart(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    a, b = first.get("settings", {}), second.get("settings", {})
    names = [name for name in {**a, **b} if a.get(name) != b.get(name) and name not in UNIMPORTANT | {"model"}]
    return {name: (a.get(name), b.get(name)) for name in names}


def _row(comparison: BenchmarkComparison) -> tuple[str, ...]:
    paired = comparison.paired
    estimate = paired.difference
    return (
        comparison.benchmark,
        str(estimate.n),
        f"{comparison.first:.3f}",
        f"{comparison.second:.3f}",
        f"{estimate.value:+.3f}",
        f"[{estimate.ci_low:+.3f}, {estimate.ci_high:+.3f}]",
        str(paired.better),
        str(paired.worse),
        f"{paired.p_value:.3g}",
        paired.test,
    )


def _print_tasks(comparison: BenchmarkComparison, most: int) -> None:
    console = out()
    for number, which in ((comparison.only_first, "first"), (comparison.only_second, "second")):
        if number:
            console.print(f"\n{comparison.benchmark}: {number} tasks are in the {which} run only, and left out")
    differing = comparison.differing
    if not differing:
        return
    shown = differing[: most or None]
    left = len(differing) - len(shown)
    console.print(f"\n{comparison.benchmark}: {len(differing)} tasks with other scores")
    print_table(
        ["task", "first", "second"], [(task, f"{a:g}", f"{b:g}") for task, a, b in shown], right=["first", "second"]
    )
    if left:
        console.print(f"... {left} more; --tasks 0 shows all")


def _print_speeds(first: BenchmarkResult, second: BenchmarkResult) -> None:
    """A benchmark of speed has no score to compare: its figures stand side by side."""
    if not is_speed(first):
        return
    known = {(m.category, m.name): m for m in second.metrics}
    rows = [
        (m.category or "best", m.name, f"{m.value:.4g}", f"{other.value:.4g}", f"{other.value / m.value:.2f}")
        for m in first.metrics
        if (other := known.get((m.category, m.name))) is not None and m.value
    ]
    if rows:
        out().print(f"\n{first.benchmark}, medians of the repeats")
        print_table(["workload", "metric", "first", "second", "ratio"], rows, right=["first", "second", "ratio"])


def _document(
    runs: Sequence[RunInfo], found: Sequence[BenchmarkComparison], differences: Mapping[str, tuple[Any, Any]]
) -> dict[str, Any]:
    return {
        "first": {"run_id": runs[0].run_id, "model": runs[0].model},
        "second": {"run_id": runs[1].run_id, "model": runs[1].model},
        "settings": {name: list(pair) for name, pair in differences.items()},
        "benchmarks": [
            {
                "benchmark": comparison.benchmark,
                "tasks": comparison.paired.difference.n,
                "first": comparison.first,
                "second": comparison.second,
                "difference": comparison.paired.difference.value,
                "stderr": comparison.paired.difference.stderr,
                "ci_low": comparison.paired.difference.ci_low,
                "ci_high": comparison.paired.difference.ci_high,
                "p_value": comparison.paired.p_value,
                "test": comparison.paired.test,
                "interval": comparison.paired.method,
                "better": comparison.paired.better,
                "worse": comparison.paired.worse,
                "only_first": comparison.only_first,
                "only_second": comparison.only_second,
                "differing": [{"task_id": task, "first": a, "second": b} for task, a, b in comparison.differing],
            }
            for comparison in found
        ],
    }
