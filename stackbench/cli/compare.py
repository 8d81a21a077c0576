"""`compare`: paired differences between two runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from stackbench.benchmarks.baselines import baselines_of
from stackbench.cli.baseline_comparison import compare_published
from stackbench.cli.console import out, print_json, print_table, shown
from stackbench.cli.differences import difference_lines
from stackbench.cli.history import opened
from stackbench.cli.scoreboard import result_document
from stackbench.cli.speeds import is_speed
from stackbench.config import Home
from stackbench.engine.setup_differences import setup_differences
from stackbench.errors import UsageError
from stackbench.plurals import number_of
from stackbench.report.caveats import counted
from stackbench.report.comparison import WHICH, BenchmarkComparison, compare_runs
from stackbench.report.regressions import GateMode, regression_document, regression_line, regressions
from stackbench.store import BenchmarkResult, Reader, RunInfo

__all__ = ["compare"]

MARGIN = 2.0
"""Points by which a run may be worse, unless `--margin` says otherwise."""
VERDICT_STYLES = {"pass": "green", "fail": "red", "undecided": "yellow"}


def compare(
    home: Path | None,
    first: str,
    second: str,
    tasks: int,
    gate: GateMode | None,
    margin: float | None,
    *,
    as_json: bool,
) -> int:
    """Prints paired differences per benchmark and the tasks behind them, `tasks` at most (0: all).

    One of the two may be a model with published results. A gate of regression is held where `gate` or `margin` (points)
    is given; the exit code is 1 where it does not pass.

    Raises:
        UsageError: a run does not exist, they have no task in common, or other data.
    """
    points = MARGIN if margin is None else margin
    if margin is not None and gate is None:
        gate = "paired"
    with opened(Home.find(home, to_write=False)) as queries:
        published = _published(Reader(queries), first, second)
        if published is not None:
            run, name = published
            return compare_published(Reader(queries), run, name, gate, points / 100, as_json=as_json)
        compared = compare_runs(queries, first, second)
        runs, results, found = compared.runs, compared.results, compared.benchmarks
        reader = Reader(queries)
        labels = reader.labels()
        differences = setup_differences(runs, [reader.planned(run.run_id) for run in runs])
    warnings, shared = compared.warnings, compared.shared
    verdicts = regressions(found, gate, points / 100) if gate else []
    code = 0 if all(verdict.verdict == "pass" for _, verdict in verdicts) else 1
    if as_json:
        gates = [regression_document(name, one, gate) for name, one in verdicts] if gate else []
        print_json(_document(runs, results, found, differences, warnings) | {"gates": gates})
        return code
    console = out()
    for which, run, by_name in zip(WHICH, runs, results, strict=True):
        name = labels[run.run_id].name if run.run_id in labels else ""
        console.print(shown("  ".join(filter(None, (f"{which:<6}", run.run_id, name, run.status, run.model)))))
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
        ["benchmark", "tasks", "first", "second", "difference", "95% interval", "MDE", "better", "worse", "p", "test"],
        [_row(comparison) for comparison in found],
        right=["tasks", "first", "second", "difference", "MDE", "better", "worse", "p"],
        or_list=True,
    )
    for comparison in found:
        if comparison.why_counts:
            console.print(shown(f"{comparison.benchmark}: {comparison.why_counts}", "yellow"))
        _print_tasks(comparison, tasks)
    for name in shared:
        _print_speeds(results[0][name], results[1][name])
    for name, verdict in verdicts:
        assert gate is not None
        console.print(shown(regression_line(name, verdict, gate), VERDICT_STYLES[verdict.verdict]))
    return code


def _published(reader: Reader, first: str, second: str) -> tuple[RunInfo, str] | None:
    """The run and the model, where one of the two names is that of a model with published results and of no run."""
    models = [name for name in (first, second) if baselines_of(name) and not reader.names_run(name)]
    if not models:
        return None
    if len(models) == 2:
        raise UsageError(f"{first} and {second} are both published results; name a run of your own beside one of them")
    return reader.run(second if models == [first] else first), models[0]


def _row(comparison: BenchmarkComparison) -> tuple[str, ...]:
    paired = comparison.paired
    estimate = paired.difference
    return (
        comparison.benchmark,
        str(estimate.n),
        f"{comparison.first:.3f}",
        f"{comparison.second:.3f}",
        f"{estimate.value:+.3f}",
        f"[{estimate.ci_low:+.3f}, {estimate.ci_high:+.3f}]" if estimate.shown else "",
        "" if comparison.detectable is None else f"{comparison.detectable:.3f}",
        str(paired.better),
        str(paired.worse),
        "" if comparison.p_value is None else f"{comparison.p_value:.3g}",
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
    console.print(shown(f"{comparison.benchmark}: {number_of(len(differing), 'task')} with other scores"))
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
                **_uncertainty(comparison),
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


def _uncertainty(comparison: BenchmarkComparison) -> dict[str, Any]:
    """Intervals and p-values; nothing for too few tasks, whose counts are all there is to tell."""
    paired = comparison.paired
    names = ("ci_low", "ci_high", "p_value", "p_value_holm", "minimum_detectable_effect", "bootstrap")
    if not paired.difference.shown:
        return dict.fromkeys(names)
    resampled = comparison.bootstrap()
    return {
        "ci_low": paired.difference.ci_low,
        "ci_high": paired.difference.ci_high,
        "p_value": comparison.p_value,
        "p_value_holm": comparison.p_adjusted,
        "minimum_detectable_effect": comparison.detectable,
        "bootstrap": {"ci_low": resampled.low, "ci_high": resampled.high, "p_value": resampled.p_value},
    }
