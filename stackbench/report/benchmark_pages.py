"""The detailed pages of a report: method, each benchmark with its tables and examples, exclusions, environment."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from stackbench.report.document import Block, Bullets, Heading, Paragraph, Picture, Verbatim, table
from stackbench.report.numbers import (
    COMPARABLE,
    detectable,
    duration,
    interval,
    measure_interval,
    number,
    setting,
)
from stackbench.report.results_model import (
    BenchmarkReport,
    Exclusion,
    Measure,
    PublishedResult,
    Results,
    RunReport,
    section,
)

__all__ = ["detailed_blocks"]

MEASURES_SHOWN = 150
"""Measures by category beyond these stand in results.json and results.xlsx only."""
EMPTY = "(no text)"
METHOD = (
    "Every score is a mean over tasks; several attempts at a task are averaged first, so that n counts tasks. pass@k "
    "is the unbiased estimator of Chen et al. 2021 (arXiv:2107.03374).",
    "Intervals are of 95%: Wilson's on an effective number of tasks for shares, Student's t for amounts, with errors "
    "counted by cluster where tasks belong together (MMLU's subjects, templates of tooluse). docs/statistics.md has "
    "the formulas and how often the intervals hold. A range is the least and the greatest of n repeats, no "
    "confidence interval.",
    "Detectable is the minimum detectable effect: the smallest true difference to another run of as many other tasks "
    "that is found four times in five by a test at 5%. With fewer than 15 tasks, and where simulation finds an "
    "interval to hold too seldom, only counts are told.",
    "An interval says how much a score would vary with other tasks of the same kind. It says nothing of prompts, of "
    "other settings, or of tasks that the training data held.",
    "Attempts that ended in errors of the harness or the endpoint are in no score; where there are some, the scores "
    "that count them as failures stand beside.",
    "results.json beside this report holds every figure of it, with all tasks; results.schema.json describes it.",
)


def detailed_blocks(results: Results, pictures: Sequence[Picture]) -> list[Block]:
    """What follows the summary."""
    blocks: list[Block] = [Heading(2, "Method"), Bullets(METHOD)]
    for run in results.runs:
        several = f", run {run.run_id} of {run.model}" if len(results.runs) > 1 else ""
        for one in run.benchmarks:
            mine = [picture for picture in pictures if picture.name.startswith(f"{run.run_id}-{one.name}-")]
            blocks += [Heading(2, f"{one.title}{several}"), *_benchmark(run, one, mine, results.published)]
        blocks += [picture for picture in pictures if picture.name == f"{run.run_id}-latency"]
    blocks += [Heading(2, "Anomalies"), *_anomalies(results)]
    blocks += [Heading(2, "Exclusions"), *_exclusions(results)]
    blocks += [Heading(2, "Changes while running"), *_changes(results)]
    blocks += [Heading(2, "Everything that was set"), *(block for run in results.runs for block in _everything(run))]
    return blocks


def _benchmark(
    run: RunReport, one: BenchmarkReport, pictures: Sequence[Picture], published: Sequence[PublishedResult]
) -> Iterator[Block]:
    if one.description:
        yield Paragraph(one.description)
    if not one.known:
        yield Paragraph(
            f"This version of stackbench does not know the benchmark {one.name}: only what was recorded is shown.",
            strong=True,
        )
    if one.caveats:
        yield Bullets(one.caveats)
    yield from _measures(one)
    yield from pictures
    yield from _published(one, published)
    yield from _settings(one)
    yield from _pass_at_k(one)
    yield from _seeds(one)
    yield from _categories(one)
    yield from _latency(run, one)
    yield from _failures(one)
    if one.limits:
        yield Heading(3, f"{one.name}: what its scores do not tell")
        yield Bullets((*one.limits, f"Source: {one.citation}") if one.citation else one.limits)
    yield from _examples(one)


def _measures(one: BenchmarkReport) -> Iterator[Block]:
    columns = ("measure", "value>", "95% interval>", "standard error>", "n>", "detectable>", "errors as failures>")
    rows = [
        (*_measure(m), number(one.lower_bounds[m.name]) if one.errors and m.name in one.lower_bounds else "-")
        for m in one.measures
        if not m.category
    ]
    yield from table(f"{one.name}: measures", columns, rows)
    yield from table(f"{one.name}: not measured", ("measure", "reason~"), list(one.missing.items()))


def _measure(m: Measure) -> tuple[str, ...]:
    return m.name, number(m.value), measure_interval(m), number(m.stderr) or "-", f"{m.n:,}", detectable(m)


def _published(one: BenchmarkReport, published: Sequence[PublishedResult]) -> Iterator[Block]:
    """Published results of other models; their intervals are computed from their number of tasks."""
    rows = [
        (
            p.model, p.measure, number(p.value), interval(p.low, p.high), f"{p.n:,}", COMPARABLE[p.comparability],
            "; ".join(filter(None, (p.setting, p.note, p.other_tasks))), f"{p.source}, {p.where}",
        )
        for p in published
        if p.benchmark == one.name
    ]  # fmt: skip
    columns = ("model", "measure", "value>", "95% interval>", "n>", "compares", "setting~", "source~")
    yield from table(f"{one.name}: published results of other models, not measured here", columns, rows)


def _settings(one: BenchmarkReport) -> Iterator[Block]:
    settings = one.settings
    rows = {
        "asked as": settings.prompt_form,
        "examples in each prompt": "-" if settings.shots is None else str(settings.shots),
        "system prompt": settings.system_prompt or "none",
        "beginning of the answer": settings.prefill or "none",
        "answer read as": settings.extraction or "not recorded",
        **{f"option {name}": setting(value) for name, value in settings.options.items()},
        **{name: setting(value) for name, value in settings.sampling.items()},
        "sampling that is not set": settings.sampling_not_set or "not recorded",
        "attempts a task and seed": f"{settings.attempts_per_task:.4g}",
        "seeds": setting(settings.seeds),
        "time limit of a sample": "the benchmark's own" if settings.timeout_s is None else f"{settings.timeout_s:g} s",
        **{f"sandbox {name}": setting(value) for name, value in settings.sandbox.items()},
        **{f"sha256 of {name}": value for name, value in settings.datasets.items()},
    }
    yield from table(f"{one.name}: settings of these numbers", ("setting", "value~"), list(rows.items()))


def _pass_at_k(one: BenchmarkReport) -> Iterator[Block]:
    rows = [(str(p.k), number(p.value), interval(p.low, p.high), f"{p.n:,}") for p in one.pass_at_k]
    yield from table(f"{one.name}: pass@k", ("k>", "pass@k>", "95% interval>", "n>"), rows)


def _seeds(one: BenchmarkReport) -> Iterator[Block]:
    rows = [
        (str(s.seed), number(s.value), interval(s.low, s.high), f"{s.tasks:,}", f"{s.attempts:,}") for s in one.seeds
    ]
    columns = ("seed>", "share passed>", "95% interval>", "n>", "attempts>")
    yield from table(f"{one.name}: seeds", columns, rows)
    if one.seed_sd is not None:
        yield Paragraph(
            f"Standard deviation over {len(one.seeds)} seeds: {number(one.seed_sd)}; least and greatest: "
            f"{number(min(s.value for s in one.seeds))}, {number(max(s.value for s in one.seeds))}."
        )


def _categories(one: BenchmarkReport) -> Iterator[Block]:
    counts = [
        (
            c.category,
            number(c.value) or "-",
            interval(c.low, c.high),
            f"{c.tasks:,}",
            f"{c.attempts:,}",
            f"{c.errors:,}",
        )
        for c in one.categories
    ]
    columns = ("category", "share passed>", "95% interval>", "n>", "attempts>", "errors>")
    measured = [m for m in one.measures if m.category]
    if not measured and len(counts) > 1:
        yield from table(f"{one.name}: categories, tasks taken as independent", columns, counts)
    if len(measured) > MEASURES_SHOWN:
        yield Paragraph(
            f"{len(measured)} measures by category are in results.json and results.xlsx; the first {MEASURES_SHOWN} "
            "stand here."
        )
    rows = [(m.category, *_measure(m)) for m in measured[:MEASURES_SHOWN]]
    columns = ("category", "measure", "value>", "95% interval>", "standard error>", "n>", "detectable>")
    yield from table(f"{one.name}: measures by category", columns, rows)


def _latency(run: RunReport, one: BenchmarkReport) -> Iterator[Block]:
    found = one.latency
    if found is None:
        return
    times = tuple(f"{number(value)}" for value in (found.p50_s, found.p90_s, found.p99_s, found.max_s))
    columns = (
        "median s>",
        "90% within s>",
        "99% within s>",
        "longest s>",
        "n attempts>",
        "prompt tokens>",
        "answer tokens>",
    )
    rows = [(*times, f"{found.n:,}", f"{found.prompt_tokens:,}", f"{found.completion_tokens:,}")]
    yield from table(f"{one.name}: time of an attempt at the model, the wait in its queue included", columns, rows)
    stages = [(stage.name, number(stage.mean_s)) for stage in found.stages]
    yield from table(f"{one.name}: what the mean attempt's time consists of", ("part", "mean s>"), stages)
    if run.cost is not None:
        yield Paragraph(
            f"Cost of the whole run: {run.cost.amount:,.4f} {run.cost.currency} by the price of {run.cost.pattern}."
        )


def _failures(one: BenchmarkReport) -> Iterator[Block]:
    rows = [
        (
            "error" if f.is_error else "failed", f.reason, f"{f.attempts:,}", f"{f.tasks:,}",
            ", ".join(f.task_ids[:5]) + (", ..." if f.tasks > 5 else ""),
        )
        for f in one.failures
    ]  # fmt: skip
    columns = ("kind", "reason~", "attempts>", "tasks>", "which~")
    yield from table(f"{one.name}: why attempts did not pass, the most frequent reasons", columns, rows)


def _examples(one: BenchmarkReport) -> Iterator[Block]:
    if not one.examples:
        return
    yield Heading(3, f"{one.name}: examples")
    yield Paragraph("The first tasks that passed, and one task for each of the most frequent reasons of a failure.")
    for example in one.examples:
        word = "passed" if example.passed else "failed"
        where = f"{example.task_id}, attempt {example.attempt}, seed {example.seed}"
        label = f"{where}: {word}. Prompt of {example.prompt_characters:,} characters:"
        yield Verbatim(label, example.prompt or EMPTY)
        yield Verbatim(
            f"Answer of {example.answer_characters:,} characters ({example.reason or 'no reason recorded'}):",
            example.answer or EMPTY,
        )


def _exclusions(results: Results) -> Iterator[Block]:
    rows = [
        (run.run_id, one.name, KINDS[out.kind], f"{out.count:,}", out.reason, _items(out))
        for run in results.runs
        for one in run.benchmarks
        for out in one.exclusions
    ]
    rows += [(run.run_id, name, "skipped", "all", why, "") for run in results.runs for name, why in run.skipped.items()]
    if not rows:
        yield Paragraph(
            "Nothing was left out: every task of every benchmark was attempted, and no attempt ended in an error."
        )
    columns = ("run", "benchmark", "what", "count>", "reason~", "which~")
    yield from table("What no score holds", columns, rows)


KINDS = {
    "error": "attempts in error", "skipped": "skipped", "not_selected": "tasks not selected",
    "not_attempted": "attempts not made",
}  # fmt: skip


def _items(out: Exclusion) -> str:
    return ", ".join(out.items[:8]) + (f", and {len(out.items) - 8} more" if len(out.items) > 8 else "")


def _anomalies(results: Results) -> Iterator[Block]:
    rows = [(run.run_id, one.kind, one.text) for run in results.runs for one in run.anomalies]
    if not rows:
        yield Paragraph("None was recorded.")
    yield from table("Findings of the checks at the runs' end", ("run", "kind", "what~"), rows)


def _changes(results: Results) -> Iterator[Block]:
    rows = [(run.run_id, change.at, change.who, change.what) for run in results.runs for change in run.changes]
    if not rows:
        yield Paragraph("None: no operator changed anything while the runs went on.")
    yield from table("Changes by an operator", ("run", "at (UTC)", "who", "what~"), rows)


def _everything(run: RunReport) -> Iterator[Block]:
    environment = run.environment
    packages = section(environment, "packages")
    yield from table(
        f"Packages of run {run.run_id}", ("package", "version"), [(k, str(v)) for k, v in packages.items()]
    )
    model = section(environment, "model")
    files = section(model, "files")
    yield from table(f"Model files of run {run.run_id}", ("file", "sha256"), [(k, str(v)) for k, v in files.items()])
    yield Verbatim(f"Plan of run {run.run_id}, which took {duration(run.seconds)}:", json.dumps(run.config, indent=1))
