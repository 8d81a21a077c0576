"""`compare`: paired differences between two runs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from stackbench.benchmarks import ClusteredBenchmark, find_benchmark
from stackbench.cli.console import out, print_json, print_table, shown
from stackbench.cli.differences import difference_lines, setup_differences
from stackbench.cli.history import opened
from stackbench.cli.scoreboard import result_document
from stackbench.cli.speeds import is_speed
from stackbench.config import Home
from stackbench.errors import UsageError
from stackbench.report.caveats import caveats, counted
from stackbench.stats import PairedDifference, paired_difference
from stackbench.store import BenchmarkResult, Reader, RunInfo
from stackbench.types import AttemptStatus, AttemptSummary

__all__ = ["compare"]

WHICH = ("first", "second")
CUT_APART = 0.01
"""Shares of answers that were cut which differ by more than this are pointed out."""


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
    with opened(Home.find(home, to_write=False)) as queries:
        reader = Reader(queries)
        runs = reader.run(first), reader.run(second)
        results = [{result.benchmark: result for result in reader.results(run.run_id)} for run in runs]
        shared = [name for name in results[0] if name in results[1]]
        found = [c for name in shared if (c := _compare(reader, runs, name)) is not None]
        differences = setup_differences(runs, [reader.planned(run.run_id) for run in runs])
    if not found:
        raise UsageError(f"runs {runs[0].run_id} and {runs[1].run_id} have no completed task in common")
    warnings = _warnings(runs, results, found)
    if as_json:
        print_json(_document(runs, results, found, differences, warnings))
        return
    console = out()
    for which, run, by_name in zip(WHICH, runs, results, strict=True):
        console.print(shown(f"{which:<6}  {run.run_id}  {run.status}  {run.model}"))
        for name in shared:
            console.print(shown(f"        {name}: {counted(by_name[name])}"))
    if differences:
        console.print("\nsettings that differ")
        for line in difference_lines(differences, console.width):
            console.print(line)
    for line in warnings:
        console.print(shown(f"warning: {line}", "yellow"))
    console.print()
    print_table(
        ["benchmark", "tasks", "first", "second", "difference", "95% interval", "better", "worse", "p", "test"],
        [_row(comparison) for comparison in found],
        right=["tasks", "first", "second", "difference", "better", "worse", "p"],
        or_list=True,
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


def _warnings(
    runs: Sequence[RunInfo],
    results: Sequence[Mapping[str, BenchmarkResult]],
    found: Sequence[BenchmarkComparison],
) -> list[str]:
    """What makes the two runs less than comparable, a line each."""
    lines: list[str] = []
    for comparison in found:
        name = comparison.benchmark
        if comparison.only_first or comparison.only_second:
            lines.append(
                f"{name}: the runs have different tasks; the {comparison.paired.difference.n} that both completed are "
                f"compared, {comparison.only_first} of the first run only and {comparison.only_second} of the second "
                "only are left out"
            )
        shares = [_cut_share(by_name[name]) for by_name in results]
        if abs(shares[0] - shares[1]) > CUT_APART:
            lines.append(
                f"{name}: {shares[0]:.1%} of the first run's answers were cut at the token limit, {shares[1]:.1%} of "
                "the second's; the difference may be the limit's"
            )
    for which, run, by_name in zip(WHICH, runs, results, strict=True):
        lines += [f"{which} run: {line}" for result in by_name.values() for line in caveats(result, run.status)]
    return lines


def _cut_share(result: BenchmarkResult) -> float:
    return result.cut / result.completed if result.completed else 0.0


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
    differing = comparison.differing
    if not differing:
        return
    listed = differing[: most or None]
    left = len(differing) - len(listed)
    console.print()
    console.print(shown(f"{comparison.benchmark}: {len(differing)} tasks with other scores"))
    print_table(
        ["task", "first", "second"],
        [(task, f"{a:g}", f"{b:g}") for task, a, b in listed],
        right=["first", "second"],
        or_list=True,
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
        out().print()
        out().print(shown(f"{first.benchmark}, medians of the repeats"))
        print_table(
            ["workload", "metric", "first", "second", "ratio"], rows, right=["first", "second", "ratio"], or_list=True
        )


def _document(
    runs: Sequence[RunInfo],
    results: Sequence[Mapping[str, BenchmarkResult]],
    found: Sequence[BenchmarkComparison],
    differences: Mapping[str, tuple[Any, Any]],
    warnings: Sequence[str],
) -> dict[str, Any]:
    return {
        **{
            which: {
                "run_id": run.run_id,
                "model": run.model,
                "status": run.status,
                "results": [result_document(result, run.status) for result in by_name.values()],
            }
            for which, run, by_name in zip(WHICH, runs, results, strict=True)
        },
        "settings": {name: list(pair) for name, pair in differences.items()},
        "warnings": list(warnings),
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
