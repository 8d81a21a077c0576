"""`compare` of a run with published results of another model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from stackbench.benchmarks.baselines import baselines, baselines_of
from stackbench.cli.console import notice, out, print_json, print_table, shown
from stackbench.cli.scoreboard import result_documents
from stackbench.errors import UsageError
from stackbench.report.caveats import caveats
from stackbench.report.published_results import DIRECTION, PublishedComparison, compare_with_published
from stackbench.report.regressions import GateMode, regression_document, regression_line, regression_of
from stackbench.stats.estimates import too_few
from stackbench.store import BenchmarkResult, Reader, RunInfo

__all__ = ["compare_published", "list_baselines"]

COLUMNS = ["benchmark", "metric", "run", "published", DIRECTION, "95% interval", "comparable"]


def compare_published(
    reader: Reader, run: RunInfo, name: str, gate: GateMode | None, margin: float, *, as_json: bool
) -> int:
    """Prints a run beside a model's published results; the exit code, which a gate decides.

    Raises:
        UsageError: nothing is published of that model in a benchmark of the run.
    """
    results = reader.results(run.run_id)
    found = compare_with_published(results, run.status, name)
    if not found:
        published = ", ".join(sorted({one.benchmark for one in baselines_of(name)}))
        raise UsageError(f"run {run.run_id} has no benchmark with a published result of {name}; there is {published}")
    verdicts = [(_label(one), regression_of(one.difference, gate, margin)) for one in found] if gate else []
    if as_json:
        gates = [regression_document(label, one, gate) for label, one in verdicts] if gate else []
        print_json(_document(run, results, name, found) | {"gates": gates})
    else:
        _print(run, results, name, found)
        for label, verdict in verdicts:
            assert gate is not None
            out().print(shown(regression_line(label, verdict, gate)))
    return 0 if all(verdict.verdict == "pass" for _, verdict in verdicts) else 1


def _print(run: RunInfo, results: Sequence[BenchmarkResult], name: str, found: Sequence[PublishedComparison]) -> None:
    out().print(shown(f"run        {run.run_id}  {run.status}  {run.model}"))
    out().print(shown(f"published  {name}"))
    for result in results:
        for line in caveats(result, run.status):
            out().print(shown(f"warning: {line}", "yellow"))
    print_table(COLUMNS, [_row(one) for one in found], right=["run", "published", DIRECTION], or_list=True)
    for one in found:
        if not one.difference.shown:
            out().print(shown(f"{_label(one)}: {too_few(one.difference.n)}", "yellow"))
        if one.other_tasks:
            out().print(shown(f"{_label(one)}: comparable partly, not closely: {one.other_tasks}", "yellow"))
    notice(
        f"differences are {DIRECTION}, as of two independent samples: no published result tells which tasks were solved"
    )
    for one in found:
        source = one.baseline.source
        note = f"; {one.baseline.note}" if one.baseline.note else ""
        out().print(shown(f"{_label(one)}: {source.title} ({source.where}): {source.setting}{note}", "dim"))


def _label(one: PublishedComparison) -> str:
    return f"{one.baseline.benchmark}.{one.baseline.metric}"


def _row(one: PublishedComparison) -> tuple[str, ...]:
    d = one.difference
    return (
        one.baseline.benchmark,
        one.baseline.metric,
        f"{one.value:.3f} of {one.n}",
        f"{one.baseline.share:.3f} of {one.baseline.tasks}",
        f"{d.value:+.3f}",
        f"[{d.ci_low:+.3f}, {d.ci_high:+.3f}]" if d.shown else "",
        one.comparability,
    )


def _document(
    run: RunInfo, results: Sequence[BenchmarkResult], name: str, found: Sequence[PublishedComparison]
) -> dict[str, Any]:
    return {
        "run": {
            "run_id": run.run_id,
            "model": run.model,
            "status": run.status,
            "results": result_documents(results, {}, run.status),
        },
        "baseline": name,
        "benchmarks": [
            {
                "benchmark": one.baseline.benchmark,
                "metric": one.baseline.metric,
                "value": one.value,
                "tasks": one.n,
                "published": one.baseline.share,
                "published_tasks": one.baseline.tasks,
                "difference": one.difference.value,
                "direction": DIRECTION,
                "ci_low": one.difference.ends[0],
                "ci_high": one.difference.ends[1],
                "interval": "Newcombe's, unpaired",
                "comparability": one.comparability,
                "other_tasks": one.other_tasks,
                "note": one.baseline.note,
                "source": one.baseline.source.model_dump(),
            }
            for one in found
        ],
    }


def list_baselines() -> list[dict[str, Any]]:
    """A row for each published result, for `stackbench list baselines`."""
    return [
        {
            "baseline": one.model,
            "benchmark": one.benchmark,
            "metric": one.metric,
            "published": one.value,
            "tasks": one.tasks,
            "comparable": one.comparability,
            "source": one.source.where,
        }
        for one in baselines()
    ]
