"""The results of a run: the scoreboard, each score with its denominators, and the JSON document."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Group, RenderableType

from stackbench.cli.console import fits, make_table, out, shown
from stackbench.cli.gate_lines import gate_documents, gate_lines
from stackbench.cli.length_tables import is_by_length, length_tables
from stackbench.cli.speeds import is_speed, speeds_table
from stackbench.engine import Cost, RunOutcome
from stackbench.plurals import number_of
from stackbench.report.caveats import caveats, counted, partial_reasons
from stackbench.report.headlines import interval_or_counts
from stackbench.report.tally import clock
from stackbench.stats.replicates import differ
from stackbench.store import BenchmarkResult
from stackbench.types import Metric

__all__ = [
    "caveat_lines",
    "cost_document",
    "outcome_document",
    "result_document",
    "result_documents",
    "results_table",
    "sampling_lines",
    "scoreboard",
    "skipped_lines",
    "total_line",
]


def outcome_document(outcome: RunOutcome) -> dict[str, Any]:
    """The `--json` document; a skipped benchmark has an entry that says why."""
    return {
        "run_id": outcome.run_id,
        "status": outcome.status.value,
        "model": outcome.model,
        "seconds": round(outcome.seconds, 3),
        **({"chain": outcome.chain} if outcome.chain else {}),
        **({"sampling_not_set": outcome.sampling_not_set} if outcome.sampling_not_set else {}),
        **({"hints": list(outcome.hints)} if outcome.hints else {}),
        **cost_document(outcome.cost, outcome.results),
        "results": result_documents(outcome.results, outcome.skipped, outcome.status.value),
        "gates": gate_documents(outcome.gates),
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
        **_replicates(result),
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


def _replicates(result: BenchmarkResult) -> dict[str, Any]:
    """Of a run of several seeds: each one's mean score, and what they come to together."""
    if not result.replicates:
        return {}
    from stackbench.stats.spread import spread

    together = spread(list(result.replicates.values()))
    by_seed = {str(seed): score for seed, score in result.replicates.items()}
    return {
        "replicates": {
            "seeds": by_seed,
            "mean": together.mean,
            "median": together.median,
            "sd": together.sd,
            "differ": differ(result.replicates),
        }
    }


def metric_key(metric: Metric) -> str:
    """A metric's name, with its category where it has one: `acc/stem`."""
    return f"{metric.name}/{metric.category}" if metric.category else metric.name


def cost_document(cost: Cost | None, results: Sequence[BenchmarkResult]) -> dict[str, Any]:
    """The field `cost` of a run that has one."""
    if cost is None:
        return {}
    sent, received = tokens_of(results)
    document = {"amount": cost.amount, "currency": cost.currency, "price": cost.pattern}
    return {"cost": document | {"prompt_tokens": sent, "completion_tokens": received}}


def scoreboard(outcome: RunOutcome, last_lines: Sequence[str] = ()) -> RenderableType:
    """How a run ended and its scores, with what they leave out, skipped benchmarks, gates and totals under them.

    Lines with commands are whole: print it with `crop=False`.
    """
    style = {"completed": "bold green", "failed": "bold red"}.get(outcome.status.value, "bold yellow")
    took = f"{outcome.status.value} in" if outcome.status.value == "completed" else f"{outcome.status.value} after"
    parts: list[RenderableType] = [
        shown(f"run {outcome.run_id}  {took} {clock(outcome.seconds)}", style),
        shown(f"model {outcome.model}"),
        results_table(outcome.results),
    ]
    parts += [speeds_table(result) for result in outcome.results if is_speed(result)]
    parts += [length_tables(result) for result in outcome.results if is_by_length(result)]
    parts += caveat_lines(outcome.results, outcome.status.value)
    parts += sampling_lines(outcome.sampling_not_set)
    parts += skipped_lines(outcome.skipped)
    parts += [shown(line, "yellow") for line in outcome.hints]
    parts += gate_lines(outcome.gates, outcome.results)
    parts.append(shown(total_line(outcome.results, outcome.cost)))
    parts += [shown(line, "dim", whole=True) for line in last_lines]
    return Group(*parts)


def total_line(results: Sequence[BenchmarkResult], cost: Cost | None) -> str:
    """Attempts, errors, tokens and what they cost, over all benchmarks of a run."""
    attempts, errors = sum(result.attempts for result in results), sum(result.errors for result in results)
    sent, received = tokens_of(results)
    parts = [number_of(attempts, "attempt"), number_of(errors, "error")]
    parts += [f"{sent:,} prompt and {received:,} completion tokens"] if sent or received else []
    parts += [f"cost {cost.amount:,.4f} {cost.currency}"] if cost is not None else []
    return f"total: {', '.join(parts)}"


def tokens_of(results: Sequence[BenchmarkResult]) -> tuple[int, int]:
    """Tokens of prompts and of answers."""
    return sum(result.prompt_tokens for result in results), sum(result.completion_tokens for result in results)


def caveat_lines(results: Sequence[BenchmarkResult], status: str) -> list[RenderableType]:
    """What has to be said beside the scores, a line each."""
    return [shown(line, "yellow") for result in results for line in caveats(result, status)]


def sampling_lines(sampling_not_set: str) -> list[RenderableType]:
    """Whose sampling made the scores, where it is not what the run's settings say."""
    line = f"sampling that is not set: {sampling_not_set}"
    return [shown(line, "yellow")] if sampling_not_set else []


def skipped_lines(skipped: Mapping[str, str]) -> list[RenderableType]:
    """A line each, whole: it ends with a command."""
    return [shown(f"{name}: skipped: {reason}", "yellow", whole=True) for name, reason in skipped.items()]


def results_table(results: Sequence[BenchmarkResult], *, categories: bool = False) -> RenderableType:
    """A row per metric; those of single categories only where asked for. What does not fit as a table is a list."""
    columns = ("benchmark", "tasks", "attempts", "errors", "metric", "value", "95% interval", "stderr", "n")
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
        lines.append(shown(f"{result.benchmark}  {counted(result)}", "bold"))
        rows = list(_metric_rows(result, categories=categories))
        room = width - 4 - max(len(_numbers(*numbers)) for _, *numbers in rows)
        label = max((len(name) for name, *_ in rows if len(name) <= room), default=0)
        for name, *numbers in rows:
            if len(name) <= room:
                lines.append(shown(f"  {name:<{label}}  {_numbers(*numbers)}".rstrip()))
            else:
                lines += [shown(f"  {name}"), shown(f"    {_numbers(*numbers)}")]
    return Group(*lines)


def _metric_rows(result: BenchmarkResult, *, categories: bool) -> Iterator[tuple[str, str, str, str, str]]:
    """Name, value, interval, standard error and number of units of each metric that is shown."""
    shown = [
        m
        for m in result.metrics
        if not m.category or (categories and not is_speed(result) and not is_by_length(result))
    ]
    for m in shown:
        label = f"{metric_key(m)}, best load" if is_speed(result) else metric_key(m)
        stderr = "" if m.stderr is None else f"{m.stderr:.4f}"
        yield label, f"{m.value:.4f}", _interval(result.benchmark, m), stderr, _count(m)
    if not shown:
        yield _nothing(result), "", "", "", ""


def _interval(benchmark: str, metric: Metric) -> str:
    """The confidence interval, or what a few repeats ranged over, which is none."""
    if metric.low is not None:
        return f"{metric.low:.1f} to {metric.high:.1f}, range of {metric.n}"
    return interval_or_counts(benchmark, metric)


def _count(metric: Metric) -> str:
    return "" if metric.low is not None else str(metric.n)


def _numbers(value: str, interval: str, stderr: str, n: str) -> str:
    return "  ".join(part for part in (value, interval, stderr and f"stderr {stderr}", n and f"n {n}") if part)


def _nothing(result: BenchmarkResult) -> str:
    return "not summed up yet" if result.attempts > result.errors else "no completed attempt"
