"""Collects what a report says of one benchmark of a run."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from stackbench.benchmarks import MetricKind, kind_of
from stackbench.nesting import is_object
from stackbench.report.benchmark_facts import BenchmarkFacts, benchmark_facts
from stackbench.report.benchmark_rows import (
    AS_AGENT,
    BenchmarkRows,
    attempts_per_task,
    category_counts,
    pass_at_k_curve,
)
from stackbench.report.caveats import caveats, partial_reasons
from stackbench.report.headlines import headline
from stackbench.report.reasons import ReasonGroup
from stackbench.report.results_model import (
    BenchmarkReport,
    Example,
    Exclusion,
    FailureKind,
    Measure,
    Settings,
    TaskOutcome,
    section,
)
from stackbench.stats.intervals import Z95
from stackbench.stats.power import minimum_detectable_effect
from stackbench.store import BenchmarkResult, Queries, RunInfo
from stackbench.types import Metric
from stackbench.visible_text import in_one_line

__all__ = ["benchmark_report"]

TASK_IDS_SHOWN = 20
FAILURES_SHOWN = 12
PASSES, FAILS = 2, 3
"""Examples of a benchmark: attempts that passed, and one for each of the most frequent reasons of failure."""


def benchmark_report(
    queries: Queries, run: RunInfo, result: BenchmarkResult, groups: Sequence[ReasonGroup]
) -> BenchmarkReport:
    """`groups` are the benchmark's reasons why attempts did not pass, the most frequent first."""
    rows = BenchmarkRows(queries, run.run_id, result.benchmark)
    tasks = rows.tasks()
    seeds, seed_sd = rows.seeds()
    planned = result.planned
    head = headline(result.metrics) or next((metric for metric in result.metrics if not metric.category), None)
    facts = benchmark_facts(result.benchmark, _options(run, result.benchmark))
    speeds = head is not None and head.low is not None
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
        settings=_settings(rows, run, result, tasks, facts, speeds=speeds),
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
    *,
    speeds: bool,
) -> Settings:
    settings = run.config.get("settings", {})
    asked = rows.asked_as()
    scored_file = run.config.get("samples_file")
    agent = asked.form.startswith(AS_AGENT)
    form = "recorded samples" if scored_file else asked.form
    if speeds:
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
        counted=found[0].counted if found is not None else True,
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
