"""The first page of a report: what the model scored, how certain that is, the settings, and what is left out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from stackbench.nesting import is_array, is_object
from stackbench.report.document import Block, Bullets, Heading, Page, Paragraph, Picture, table
from stackbench.report.numbers import (
    detectable,
    difference_interval,
    duration,
    interval,
    measure_interval,
    number,
    p_text,
    setting,
)
from stackbench.report.results_model import BenchmarkReport, Gate, Results, RunReport, section

__all__ = ["SETTINGS_COLUMNS", "report_title", "run_label", "score_table", "settings_row", "summary_page"]

SETTINGS_COLUMNS = (
    "benchmark", "asked as~", "examples>", "temperature>", "top_p>", "max tokens>", "attempts a task>", "seeds~",
)  # fmt: skip
CAVEATS_SHOWN = 12


def report_title(results: Results) -> str:
    """Names the models, or says that the harness was checked."""
    models = list(dict.fromkeys(run.model for run in results.runs if not run.harness_check))
    if not models:
        return f"Check of the harness: {', '.join(dict.fromkeys(run.model for run in results.runs))}"
    return f"Benchmark results: {', '.join(models)}"


def summary_page(results: Results, pictures: Sequence[Picture]) -> Page:
    """BENCHMARKS.md, and the first pages of the other formats."""
    title = report_title(results)
    blocks: list[Block] = [Heading(1, title), *(Paragraph(_verdict(run)) for run in results.runs)]
    blocks += score_table(results)
    blocks += _left_out(results)
    blocks += _gates(results)
    blocks += table(
        "Settings of these scores", _with_run(SETTINGS_COLUMNS, results.runs),
        [_led(run, results.runs, settings_row(one)) for run in results.runs for one in run.benchmarks],
    )  # fmt: skip
    blocks += [picture for picture in pictures if picture.name == "scores"]
    blocks += _comparisons(results)
    blocks += [Heading(2, "Environment"), *(block for run in results.runs for block in _environment(run))]
    described = f"Scores of {', '.join(run.model for run in results.runs)} with 95% intervals, settings and exclusions"
    return Page(title, described, tuple(blocks))


def score_table(results: Results) -> list[Block]:
    """The headline of each benchmark; checks of the harness in a table of their own."""
    models = [run for run in results.runs if not run.harness_check]
    checks = [run for run in results.runs if run.harness_check]
    blocks = table("Scores", *_scores(models)) if models else []
    return blocks + (table("Checks of the harness; these are no models", *_scores(checks)) if checks else [])


def _verdict(run: RunReport) -> str:
    tasks = sum(one.tasks_completed for one in run.benchmarks)
    attempts, errors = sum(one.attempts for one in run.benchmarks), sum(one.errors for one in run.benchmarks)
    parts = [
        f"Run {run.run_id} of {run.model}, {run.created_at} UTC, {run.status}"
        + (f" after {duration(run.seconds)}" if run.seconds else "")
        + f": {len(run.benchmarks)} {_plural('benchmark', len(run.benchmarks))}, {tasks:,} {_plural('task', tasks)}, "
        f"{attempts:,} {_plural('attempt', attempts)}, {errors:,} of them in error."
    ]
    partial = [one.name for one in run.benchmarks if one.partial]
    if partial:
        parts.append(f"Not of the whole benchmark: {', '.join(partial)}.")
    if not attempts:
        parts.append("No attempt was made, so there is no score.")
    if run.skipped:
        parts.append(f"Skipped: {', '.join(run.skipped)}.")
    failed = [gate.name for gate in run.gates if not gate.passed]
    if run.gates:
        parts.append(f"Gates not met: {', '.join(failed)}." if failed else f"All {len(run.gates)} gates are met.")
    if run.harness_check:
        parts.append("It checks the harness and is no model's result.")
    return " ".join(parts)


def _scores(runs: Sequence[RunReport]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    columns = (
        "benchmark", "measure", "value>", "95% interval>", "n>", "detectable>", "tasks>", "attempts>",
        "errors>", "cut>",
    )  # fmt: skip
    return _with_run(columns, runs), [_led(run, runs, _score(one)) for run in runs for one in run.benchmarks]


def _score(one: BenchmarkReport) -> tuple[str, ...]:
    head = one.head
    available = f" of {one.tasks_available:,}" if one.tasks_available is not None else ""
    counts = (f"{one.tasks_completed:,}{available}", f"{one.attempts:,}", f"{one.errors:,}", f"{one.cut:,}")
    if head is None:
        why = "no completed attempt" if one.attempts == one.errors else "no headline"
        return (one.name, why, "", "none", "0", "-", *counts)
    figures = (number(head.value), measure_interval(head), f"{head.n:,}", detectable(head))
    return (one.name, head.name, *figures, *counts)


def _with_run(columns: Sequence[str], runs: Sequence[RunReport]) -> tuple[str, ...]:
    """Several runs are told apart by their first column."""
    return ("run~", *columns) if len(runs) > 1 else tuple(columns)


def _led(run: RunReport, runs: Sequence[RunReport], row: tuple[str, ...]) -> tuple[str, ...]:
    return (run_label(run, runs), *row) if len(runs) > 1 else row


def run_label(run: RunReport, runs: Sequence[RunReport]) -> str:
    """The model, where each run has another one; else the run's id."""
    return run.model if len({one.model for one in runs}) == len(runs) else run.run_id


def settings_row(one: BenchmarkReport) -> tuple[str, ...]:
    """A benchmark's settings under `SETTINGS_COLUMNS`."""
    settings = one.settings
    sampling = settings.sampling
    return (
        one.name,
        settings.prompt_form,
        "-" if settings.shots is None else str(settings.shots),
        *(setting(sampling[name]) if name in sampling else "-" for name in ("temperature", "top_p", "max_tokens")),
        f"{settings.attempts_per_task:.4g}",
        setting(settings.seeds),
    )


def _left_out(results: Results) -> Iterator[Block]:
    """What a reader of the scores must know."""
    several = len(results.runs) > 1
    lines = [
        f"{f'{run_label(run, results.runs)}, ' if several else ''}{one.name}: {line}"
        for run in results.runs
        for one in run.benchmarks
        for line in one.caveats
    ]
    lines = [*(f"{one.kind}: {one.text}" for run in results.runs for one in run.anomalies), *lines]
    lines += [f"{name} was skipped: {why}" for run in results.runs for name, why in run.skipped.items()]
    lines += [f"changed while running, {change.at}: {change.what}" for run in results.runs for change in run.changes]
    lines += results.warnings
    if not lines:
        return
    left = len(lines) - CAVEATS_SHOWN
    if left > 0:
        lines = [*lines[:CAVEATS_SHOWN], f"and {left} more, in the detailed report"]
    yield Heading(2, "What these numbers leave out")
    yield Bullets(tuple(lines))


def _gates(results: Results) -> list[Block]:
    rows = [
        _led(
            run, results.runs,
            (gate.name, gate.measure, gate.bounds, _gate_value(gate), _gate_outcome(gate)),
        )
        for run in results.runs
        for gate in run.gates
    ]  # fmt: skip
    return table("Gates", _with_run(("gate", "measure~", "bounds", "value>", "outcome"), results.runs), rows)


def _gate_value(gate: Gate) -> str:
    if gate.value is None:
        return gate.why or "not measured"
    if gate.low is not None:
        return f"{number(gate.value)} {interval(gate.low, gate.high)}"
    return f"{number(gate.value)}, {gate.why}" if gate.why else number(gate.value)


def _gate_outcome(gate: Gate) -> str:
    if gate.verdict == "undecided":
        return "UNDECIDED" + (f", {gate.needed:,} attempts would decide" if gate.needed is not None else "")
    return "met" if gate.passed else "NOT MET"


def _comparisons(results: Results) -> list[Block]:
    rows = [
        (
            one.benchmark, one.first_run, one.second_run, number(one.first), number(one.second), number(one.difference),
            difference_interval(one), f"{one.n:,}", number(one.minimum_detectable_effect) or "-",
            p_text(one.p_value), p_text(one.p_adjusted), one.test,
        )
        for one in results.comparisons
    ]  # fmt: skip
    columns = (
        "benchmark", "first run", "second run", "first>", "second>", "difference>", "95% interval>", "n>",
        "detectable>", "p>", "p, Holm>", "test",
    )  # fmt: skip
    counts_only = tuple(
        f"{one.benchmark}, runs {one.first_run} and {one.second_run}: {one.why_counts}"
        for one in results.comparisons
        if one.why_counts
    )
    return [
        *table("Paired differences (second minus first, over the tasks that both completed)", columns, rows),
        *([Bullets(counts_only)] if counts_only else []),
    ]


def _environment(run: RunReport) -> list[Block]:
    environment = run.environment
    model, gpus = section(environment, "model"), environment.get("gpus")
    facts: dict[str, Any] = {
        "run": run.run_id,
        "suite": run.suite,
        "model": run.model,
        "model sha256": model.get("sha256"),
        "quantisation, type": " ".join(str(model[key]) for key in ("quantization", "dtype") if model.get(key)) or None,
        "context window": model.get("context_window"),
        "stackbench": f"{environment.get('stackbench', '?')}, commit {run.git_commit or 'not known'}",
        "Python, system": f"{environment.get('python', '?')}, {environment.get('os', '?')}",
        "processor": f"{environment.get('cpu', '?')}, {environment.get('cpus', '?')} cores",
        "GPU": _gpus(gpus),
        "memory": f"{environment['memory_bytes'] / 2**30:.1f} GiB" if environment.get("memory_bytes") else None,
        "sandbox image": section(environment, "sandbox").get("id"),
        "cost": f"{run.cost.amount:,.4f} {run.cost.currency}" if run.cost is not None else None,
    }
    rows = [(name, str(value)) for name, value in facts.items() if value not in (None, "")]
    return table(f"Environment of run {run.run_id}", ("what", "value~"), rows)


def _gpus(gpus: Any) -> str:
    names = [str(gpu.get("name", gpu)) if is_object(gpu) else str(gpu) for gpu in gpus] if is_array(gpus) else []
    return ", ".join(names) or "none"


def _plural(noun: str, count: int) -> str:
    return noun if count == 1 else f"{noun}s"
