"""Collects everything that a report says of runs into one `Results` document."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from stackbench import __version__
from stackbench.benchmarks import MetricKind, kind_of
from stackbench.errors import UsageError
from stackbench.nesting import is_object
from stackbench.report.benchmark_facts import BenchmarkFacts, benchmark_facts
from stackbench.report.benchmark_rows import (
    AS_AGENT,
    BenchmarkRows,
    attempts_per_task,
    category_counts,
    pass_at_k_curve,
)
from stackbench.report.beside import compare_reports, published_results
from stackbench.report.caveats import caveats, partial_reasons
from stackbench.report.headlines import headline
from stackbench.report.reasons import ReasonGroup, group_reasons
from stackbench.report.results_model import (
    BenchmarkReport,
    Change,
    Example,
    Exclusion,
    FailureKind,
    Gate,
    Measure,
    Price,
    Results,
    RunReport,
    Settings,
    TaskOutcome,
    section,
)
from stackbench.stats.intervals import Z95
from stackbench.stats.power import minimum_detectable_effect
from stackbench.store import BenchmarkResult, Queries, Reader, RunInfo
from stackbench.types import Metric, RunStatus
from stackbench.visible_text import in_one_line

__all__ = ["HARNESS_CHECKS", "Judged", "collect_results"]

HARNESS_CHECKS = ("oracle", "null")
"""Models that check the harness; they are never listed beside models."""
CHANGES = """
SELECT strftime(ts::TIMESTAMP, '%Y-%m-%d %H:%M:%S'), payload FROM events
WHERE run_id = ? AND kind = 'operator' ORDER BY seq
"""
TASK_IDS_SHOWN = 20
FAILURES_SHOWN = 12
PASSES, FAILS = 2, 3
"""Examples of a benchmark: attempts that passed, and one for each of the most frequent reasons of failure."""

Judged = tuple[Sequence[Gate], Price | None]
"""What the engine's rules say of a run: its gates, and the price of its tokens."""


def collect_results(
    queries: Queries, names: Sequence[str], judge: Callable[[RunInfo, Sequence[BenchmarkResult]], Judged]
) -> Results:
    """Of runs named by id, the start of it, name, tag or `last`.

    Raises:
        UsageError: a run does not exist, goes on, is named twice, or two have different data of a benchmark.
    """
    reader = Reader(queries)
    runs = [reader.run(name) for name in names]
    _check_runs(runs)
    results = [reader.results(run.run_id) for run in runs]
    _check_data(runs, results)
    reports = [
        _run_report(queries, reader, run, found, judge(run, found)) for run, found in zip(runs, results, strict=True)
    ]
    comparisons, warnings = compare_reports(reader, runs, reports)
    return Results(
        stackbench=__version__,
        runs=tuple(reports),
        comparisons=tuple(comparisons),
        published=tuple(published_results(reports)),
        warnings=tuple(warnings),
    )


def _check_runs(runs: Sequence[RunInfo]) -> None:
    seen: set[str] = set()
    for run in runs:
        if run.run_id in seen:
            raise UsageError(f"run {run.run_id} is named twice; name it once")
        seen.add(run.run_id)
        if run.status in (RunStatus.RUNNING, RunStatus.QUEUED):
            raise UsageError(f"run {run.run_id} goes on; wait for its end (stackbench attach {run.run_id}) or stop it")


def _check_data(runs: Sequence[RunInfo], results: Sequence[Sequence[BenchmarkResult]]) -> None:
    """Scores on different data stand in no table together."""
    known: dict[str, tuple[str, Mapping[str, str]]] = {}
    for run, found in zip(runs, results, strict=True):
        for result in found:
            if result.planned is None:
                continue
            first, data = known.setdefault(result.benchmark, (run.run_id, result.planned.datasets))
            if data != result.planned.datasets:
                differing = sorted(
                    name
                    for name in {*data, *result.planned.datasets}
                    if data.get(name) != result.planned.datasets.get(name)
                )
                raise UsageError(
                    f"runs {first} and {run.run_id} have different data of {result.benchmark}: "
                    f"{', '.join(differing)} differ in their sha256, so that the scores cannot stand side by side; "
                    "make a report of each"
                )


def _run_report(
    queries: Queries, reader: Reader, run: RunInfo, results: Sequence[BenchmarkResult], judged: Judged
) -> RunReport:
    gates, price = judged
    groups = group_reasons(reader.unpassed(run.run_id), [result.benchmark for result in results])
    return RunReport(
        run_id=run.run_id,
        suite=run.suite,
        status=run.status,
        model=in_one_line(run.model),
        harness_check=run.model in HARNESS_CHECKS,
        created_at=run.created_at,
        finished_at=run.finished_at,
        seconds=round(run.seconds, 3),
        seeds=run.seeds,
        git_commit=run.git_commit,
        config=dict(run.config),
        environment=dict(run.environment),
        cost=price,
        gates=tuple(gates),
        changes=tuple(_change(*row) for row in queries.rows(CHANGES, [run.run_id])),
        skipped={name: in_one_line(why) for name, why in reader.skipped(run.run_id).items()},
        benchmarks=tuple(
            _benchmark_report(queries, run, result, [g for g in groups if g.benchmark == result.benchmark])
            for result in results
        ),
    )


def _change(at: str, payload: str) -> Change:
    action: dict[str, Any] = json.loads(payload or "{}")
    arguments = " ".join(map(str, section(action, "arguments").values()))
    what = f"{action.get('verb', '')} {arguments}".strip()
    return Change(
        at=at,
        who=in_one_line(action.get("who", "")),
        what=in_one_line(f"{what}: {action.get('old')} to {action.get('new')}"),
    )


def _benchmark_report(
    queries: Queries, run: RunInfo, result: BenchmarkResult, groups: Sequence[ReasonGroup]
) -> BenchmarkReport:
    rows = BenchmarkRows(queries, run.run_id, result.benchmark)
    tasks = rows.tasks()
    seeds, seed_sd = rows.seeds()
    planned = result.planned
    head = headline(result.metrics) or next((metric for metric in result.metrics if not metric.category), None)
    facts = benchmark_facts(result.benchmark, _options(run, result.benchmark))
    speeds = any(metric.low is not None for metric in result.metrics)
    return BenchmarkReport(
        name=result.benchmark,
        title=facts.title,
        known=facts.known,
        description=facts.description,
        limits=facts.limits,
        citation=facts.citation,
        headline=head.name if head is not None else None,
        tasks_available=planned.tasks_available if planned is not None else None,
        tasks_planned=result.tasks_planned,
        tasks_completed=result.tasks_completed,
        attempts_planned=planned.attempts_planned if planned is not None else None,
        attempts=result.attempts,
        errors=result.errors,
        cut=result.cut,
        partial=partial_reasons(result, run.status),
        lower_bounds=dict(planned.lower_bounds) if planned is not None else {},
        missing={one.name: one.reason for one in planned.missing} if planned is not None else {},
        caveats=tuple(line.removeprefix(f"{result.benchmark}: ") for line in caveats(result, run.status)),
        settings=_settings(rows, run, result, tasks, facts),
        measures=tuple(_measure(metric, facts.kinds) for metric in result.metrics),
        pass_at_k=() if speeds else tuple(pass_at_k_curve(tasks)),
        seeds=() if speeds else tuple(seeds),
        seed_sd=None if speeds else seed_sd,
        categories=tuple(category_counts(tasks)),
        latency=None if speeds else rows.latency(),
        failures=tuple(_failure(group) for group in groups[:FAILURES_SHOWN]),
        examples=() if speeds else tuple(_examples(rows, tasks, groups)),
        exclusions=tuple(_exclusions(result, groups)),
        tasks=tuple(tasks),
    )


def _options(run: RunInfo, benchmark: str) -> dict[str, Any]:
    """A benchmark's own options, as the plan has them."""
    parts = [part for part in run.config.get("benchmarks", ()) if is_object(part) and part.get("name") == benchmark]
    return section(parts[0], "options") if parts else {}


def _settings(
    rows: BenchmarkRows,
    run: RunInfo,
    result: BenchmarkResult,
    tasks: Sequence[TaskOutcome],
    facts: BenchmarkFacts,
) -> Settings:
    settings = run.config.get("settings", {})
    asked = rows.asked_as()
    scored_file = run.config.get("samples_file")
    agent = asked.form.startswith(AS_AGENT)
    form = "recorded samples" if scored_file else asked.form
    if any(metric.low is not None for metric in result.metrics):
        form = "timed requests, not recorded one by one"
    sandbox = section(run.environment, "sandbox")
    if sandbox:
        memory = settings.get("agent_memory_mib" if agent else "sandbox_memory_mib")
        sandbox = {**sandbox, "memory_mib": memory, "runtime": settings.get("sandbox_runtime")}
    return Settings(
        prompt_form=form,
        system_prompt=settings.get("system_prompt"),
        prefill=settings.get("prefill") or "",
        shots=None if scored_file else facts.shots(asked.form),
        options={name: value for name, value in facts.options.items() if name != "shots"},
        sampling=dict(asked.sampling),
        sampling_not_set=str(section(run.environment, "model").get("sampling_not_set", "")),
        attempts_per_task=attempts_per_task(tasks, len(run.seeds)),
        seeds=run.seeds,
        extraction="none: the samples are executed as they are" if scored_file else facts.extraction,
        datasets=dict(result.planned.datasets) if result.planned is not None else {},
        timeout_s=settings.get("timeout_s"),
        sandbox=dict(sandbox),
    )


def _measure(metric: Metric, kinds: Sequence[MetricKind]) -> Measure:
    ranged = metric.low is not None
    found = kind_of(kinds, metric.name)
    low, high = (metric.low, metric.high) if ranged else (metric.ci_low, metric.ci_high)
    return Measure(
        name=metric.name,
        category=metric.category,
        value=metric.value,
        stderr=metric.stderr,
        low=low,
        high=high,
        interval="range" if ranged else "confidence" if low is not None else None,
        n=metric.n,
        minimum_detectable_effect=_detectable(metric),
        at_most=found[0].at_most if found is not None else None,
    )


def _detectable(metric: Metric) -> float | None:
    """For two runs like this one at other tasks: the variances of both add up.

    Where all values are alike the standard error is 0, and the interval's half width tells more.
    """
    if metric.stderr is None or metric.ci_low is None or metric.ci_high is None:
        return None
    stderr = max(metric.stderr, (metric.ci_high - metric.ci_low) / 2 / Z95)
    return minimum_detectable_effect(math.sqrt(2) * stderr)


def _failure(group: ReasonGroup) -> FailureKind:
    return FailureKind(
        is_error=group.is_error,
        reason=in_one_line(group.reason),
        attempts=group.attempts,
        tasks=len(group.tasks),
        task_ids=tuple(map(in_one_line, group.tasks[:TASK_IDS_SHOWN])),
    )


def _examples(rows: BenchmarkRows, tasks: Sequence[TaskOutcome], groups: Sequence[ReasonGroup]) -> list[Example]:
    """The first tasks that passed, and one task for each of the most frequent reasons of a failure."""
    right = [task.task_id for task in tasks if task.passed][:PASSES]
    wrong = list(dict.fromkeys(group.tasks[0] for group in groups if not group.is_error))[:FAILS]
    found = [rows.example(task, passed=True) for task in right] + [rows.example(task, passed=False) for task in wrong]
    return [one for one in found if one is not None]


def _exclusions(result: BenchmarkResult, groups: Sequence[ReasonGroup]) -> list[Exclusion]:
    found = [
        Exclusion(
            kind="error",
            reason=in_one_line(group.reason),
            count=group.attempts,
            items=tuple(map(in_one_line, group.tasks)),
        )
        for group in groups
        if group.is_error
    ]
    planned = result.planned
    if planned is None:
        return found
    if planned.tasks_planned < planned.tasks_available:
        how = str(planned.selection.get("by", "")).replace("_", "-")
        left = planned.tasks_available - planned.tasks_planned
        found.append(Exclusion(kind="not_selected", reason=f"the run was asked for a part (--{how})", count=left))
    if result.attempts < planned.attempts_planned:
        left = planned.attempts_planned - result.attempts
        found.append(Exclusion(kind="not_attempted", reason="the run ended before them", count=left))
    return found
