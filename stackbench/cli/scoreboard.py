"""What a run came to: the table on the screen and the JSON document of the contract."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from stackbench.cli.console import make_table, out
from stackbench.cli.speeds import is_speed, speeds_table
from stackbench.cli.visible_text import in_one_line
from stackbench.engine import RunOutcome
from stackbench.store import BenchmarkResult
from stackbench.types import Metric

__all__ = ["outcome_document", "result_document", "results_table", "scoreboard"]

WIDE_ENOUGH = 100


def outcome_document(outcome: RunOutcome) -> dict[str, Any]:
    """The `--json` document; a skipped benchmark has an entry that says why."""
    skipped = [
        {"benchmark": name, "tasks": 0, "attempts": 0, "errors": 0, "metrics": {}, "skipped": reason}
        for name, reason in outcome.skipped.items()
    ]
    return {
        "run_id": outcome.run_id,
        "status": outcome.status.value,
        "model": outcome.model,
        "seconds": round(outcome.seconds, 3),
        "results": [*map(result_document, outcome.results), *skipped],
        "gates": [
            {"name": gate.name, "threshold": gate.threshold, "value": gate.value, "passed": gate.passed}
            for gate in outcome.gates
        ],
    }


def result_document(result: BenchmarkResult) -> dict[str, Any]:
    """One benchmark as the contract's JSON shows it."""
    return {
        "benchmark": result.benchmark,
        "tasks": result.tasks,
        "attempts": result.attempts,
        "errors": result.errors,
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
    """The table that ends a run, with skipped benchmarks and gates under it."""
    parts: list[RenderableType] = [results_table(outcome.results)]
    parts += [speeds_table(result) for result in outcome.results if is_speed(result)]
    parts += [
        Text(in_one_line(f"{name}: skipped: {reason}"), style="yellow") for name, reason in outcome.skipped.items()
    ]
    for gate in outcome.gates:
        value = "not measured" if gate.value is None else f"{gate.value:.4f}"
        word, style = ("passed", "green") if gate.passed else ("FAILED", "red")
        line = in_one_line(f"gate {gate.name}: {word} ({value}, threshold {gate.threshold:g})")
        parts.append(Text(line, style=style))
    return Group(*parts)


def results_table(results: Sequence[BenchmarkResult], *, categories: bool = False) -> RenderableType:
    """A row per metric; those of single categories only where asked for. A narrow terminal gets fewer columns."""
    narrow = out().width < WIDE_ENOUGH
    rows: list[Sequence[Any]] = []
    for result in results:
        head = (result.benchmark, result.tasks, result.attempts, result.errors)
        shown = [m for m in result.metrics if not m.category or (categories and not is_speed(result))]
        for m in shown:
            label = f"{metric_key(m)}, best load" if is_speed(result) else metric_key(m)
            rows.append((*(head if m is shown[0] else ("",) * 4), label, *_numbers(m)))
        if not shown:
            rows.append((*head, _nothing(result), "", "", ""))
    columns = ("benchmark", "tasks", "attempts", "errors", "metric", "value", "95% interval", "stderr")
    kept = [index for index, column in enumerate(columns) if not (narrow and column in ("tasks", "errors", "stderr"))]
    numbers = ("tasks", "attempts", "errors", "value", "95% interval", "stderr")
    return make_table([columns[i] for i in kept], [[row[i] for i in kept] for row in rows], right=numbers)


def _nothing(result: BenchmarkResult) -> str:
    return "not summed up yet" if result.attempts > result.errors else "no completed attempt"


def _numbers(m: Metric) -> tuple[str, str, str]:
    interval = "" if m.ci_low is None else f"[{m.ci_low:.4f}, {m.ci_high:.4f}]"
    if m.low is not None:
        interval = f"{m.low:.1f} to {m.high:.1f}, range of {m.n}"
    return f"{m.value:.4f}", interval, "" if m.stderr is None else f"{m.stderr:.4f}"
