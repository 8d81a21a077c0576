"""The results of a run: the scoreboard, each score with its denominators, and the JSON document."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from stackbench.cli.console import fits, make_table, out
from stackbench.cli.speeds import is_speed, speeds_table
from stackbench.engine import GateResult, RunOutcome
from stackbench.report.caveats import caveats, counted, partial_reasons
from stackbench.store import BenchmarkResult
from stackbench.types import Metric
from stackbench.visible_text import in_one_line

__all__ = [
    "caveat_lines",
    "outcome_document",
    "result_document",
    "result_documents",
    "results_table",
    "sampling_lines",
    "scoreboard",
    "skipped_lines",
]


def outcome_document(outcome: RunOutcome) -> dict[str, Any]:
    """The `--json` document; a skipped benchmark has an entry that says why."""
    return {
        "run_id": outcome.run_id,
        "status": outcome.status.value,
        "model": outcome.model,
        "seconds": round(outcome.seconds, 3),
        **({"sampling_not_set": outcome.sampling_not_set} if outcome.sampling_not_set else {}),
        "results": result_documents(outcome.results, outcome.skipped, outcome.status.value),
        "gates": [
            {
                "name": gate.name,
                "benchmark": gate.benchmark,
                "metric": f"{gate.metric}/{gate.category}" if gate.category else gate.metric,
                "on": gate.on,
                "min": gate.min,
                "max": gate.max,
                "threshold": gate.threshold,
                "value": gate.value,
                "passed": gate.passed,
            }
            for gate in outcome.gates
        ],
    }


def result_documents(
    results: Sequence[BenchmarkResult], skipped: Mapping[str, str], status: str
) -> list[dict[str, Any]]:
    """The benchmarks of a run of that status, with an entry for each that was skipped."""
    return [
        *(result_document(result, status) for result in results),
        *(
            {"benchmark": name, "tasks": 0, "attempts": 0, "errors": 0, "metrics": {}, "skipped": reason}
            for name, reason in skipped.items()
        ),
    ]


def result_document(result: BenchmarkResult, status: str) -> dict[str, Any]:
    """One benchmark as the contract's JSON shows it, in a run of that status."""
    planned = result.planned
    limits = result.token_limits
    return {
        "benchmark": result.benchmark,
        "tasks": result.tasks,
        "attempts": result.attempts,
        "errors": result.errors,
        "tasks_completed": result.tasks_completed,
        "tasks_planned": result.tasks_planned,
        "tasks_available": planned.tasks_available if planned is not None else None,
        "attempts_planned": planned.attempts_planned if planned is not None else None,
        "selection": dict(planned.selection) if planned is not None else None,
        "partial": partial_reasons(result, status) or None,
        "cut": result.cut,
        "ended_by": dict(result.endings),
        "slow_machine": result.slow,
        "token_limit": limits[0] if len(limits) == 1 else list(limits) or None,
        "missing_metrics": [asdict(missing) for missing in planned.missing] if planned is not None else [],
        "errors_as_failures": dict(planned.lower_bounds) if planned is not None else {},
        "metrics": {
            metric_key(m): {
                "value": m.value,
                "stderr": m.stderr,
                "ci_low": m.ci_low,
                "ci_high": m.ci_high,
                "n": m.n,
                **({} if m.low is None else {"interval": "range", "low": m.low, "high": m.high}),
            }
            for m in result.metrics
        },
    }


def metric_key(metric: Metric) -> str:
    """A metric's name, with its category where it has one: `acc/stem`."""
    return f"{metric.name}/{metric.category}" if metric.category else metric.name


def scoreboard(outcome: RunOutcome) -> RenderableType:
    """The scores that end a run, with what they leave out, skipped benchmarks and gates under them."""
    parts: list[RenderableType] = [results_table(outcome.results)]
    parts += [speeds_table(result) for result in outcome.results if is_speed(result)]
    parts += caveat_lines(outcome.results, outcome.status.value)
    parts += sampling_lines(outcome.sampling_not_set)
    parts += skipped_lines(outcome.skipped)
    for gate in outcome.gates:
        value = _not_measured(outcome, gate) if gate.value is None else f"{gate.value:.4f}"
        word, style = ("passed", "green") if gate.passed else ("FAILED", "red")
        measured = f"{gate.measure} {value}".strip()
        line = in_one_line(f"gate {gate.name}: {word} ({measured}, {gate.bounds})")
        parts.append(Text(line, style=style))
    return Group(*parts)


def _not_measured(outcome: RunOutcome, gate: GateResult) -> str:
    planned = next((result.planned for result in outcome.results if result.benchmark == gate.benchmark), None)
    missing = planned.missing if planned is not None and not gate.category else ()
    return next((f"not measured: {one.reason}" for one in missing if one.name == gate.metric), "not measured")


def caveat_lines(results: Sequence[BenchmarkResult], status: str) -> list[RenderableType]:
    """What has to be said beside the scores, a line each."""
    return [Text(in_one_line(line), style="yellow") for result in results for line in caveats(result, status)]


def sampling_lines(sampling_not_set: str) -> list[RenderableType]:
    """Whose sampling made the scores, where it is not what the run's settings say."""
    line = f"sampling that is not set: {sampling_not_set}"
    return [Text(in_one_line(line), style="yellow")] if sampling_not_set else []


def skipped_lines(skipped: Mapping[str, str]) -> list[RenderableType]:
    return [Text(in_one_line(f"{name}: skipped: {reason}"), style="yellow") for name, reason in skipped.items()]


def results_table(results: Sequence[BenchmarkResult], *, categories: bool = False) -> RenderableType:
    """A row per metric; those of single categories only where asked for. What does not fit as a table is a list."""
    columns = ("benchmark", "tasks", "attempts", "errors", "metric", "value", "95% interval", "stderr")
    rows: list[Sequence[str]] = []
    for result in results:
        tasks = f"{result.tasks_completed} of {result.tasks_planned}"
        head = (result.benchmark, tasks, str(result.attempts), str(result.errors))
        for number, cells in enumerate(_metric_rows(result, categories=categories)):
            rows.append((*(head if number == 0 else ("",) * 4), *cells))
    table = make_table(columns, rows, right=[name for name in columns if name not in ("benchmark", "metric")])
    return table if fits(table) else _results_list(results, categories=categories)


def _results_list(results: Sequence[BenchmarkResult], *, categories: bool) -> RenderableType:
    """A line per benchmark with its counts and one per metric, or two where the metric's name leaves no room."""
    width = out().width
    lines: list[RenderableType] = []
    for result in results:
        lines.append(Text(f"{result.benchmark}  {counted(result)}", style="bold"))
        rows = list(_metric_rows(result, categories=categories))
        room = width - 4 - max(len(_numbers(*numbers)) for _, *numbers in rows)
        label = max((len(name) for name, *_ in rows if len(name) <= room), default=0)
        for name, *numbers in rows:
            if len(name) <= room:
                lines.append(Text(f"  {name:<{label}}  {_numbers(*numbers)}".rstrip()))
            else:
                lines += [Text(f"  {name}"), Text(f"    {_numbers(*numbers)}")]
    return Group(*lines)


def _metric_rows(result: BenchmarkResult, *, categories: bool) -> Iterator[tuple[str, str, str, str]]:
    """Name, value, interval and standard error of each metric that is shown."""
    shown = [m for m in result.metrics if not m.category or (categories and not is_speed(result))]
    for m in shown:
        label = f"{metric_key(m)}, best load" if is_speed(result) else metric_key(m)
        yield label, f"{m.value:.4f}", _interval(m), "" if m.stderr is None else f"{m.stderr:.4f}"
    if not shown:
        yield _nothing(result), "", "", ""


def _interval(metric: Metric) -> str:
    """The confidence interval, or what a few repeats ranged over, which is none."""
    if metric.low is not None:
        return f"{metric.low:.1f} to {metric.high:.1f}, range of {metric.n}"
    return "" if metric.ci_low is None else f"[{metric.ci_low:.4f}, {metric.ci_high:.4f}]"


def _numbers(value: str, interval: str, stderr: str) -> str:
    return "  ".join(part for part in (value, interval, stderr and f"stderr {stderr}") if part)


def _nothing(result: BenchmarkResult) -> str:
    return "not summed up yet" if result.attempts > result.errors else "no completed attempt"
