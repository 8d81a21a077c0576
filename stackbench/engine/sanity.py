"""Checks at a run's end of what cannot be true: a run that fails one has failed, whatever its scores say."""

from __future__ import annotations

import itertools
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from stackbench.benchmarks import DeclaredMetrics, ReferenceAnswers, SpeedBenchmark, kind_of
from stackbench.engine.plan import RunPlan
from stackbench.engine.work import LoadedBenchmark
from stackbench.errors import UsageError
from stackbench.store import BenchmarkResult, BenchmarkRow, PlannedBenchmark, Reader

__all__ = ["Sanity", "check_same_data", "check_sanity"]

PASS_AT = re.compile(r"(.*pass@)(\d+)(.*)")
TOO_FAST_TOKENS_PER_S = 200_000
"""No model writes an answer so fast."""
LEAST_DRAWN = 5
"""Tasks whose attempts have all the same answer, at a temperature, from which on it is no chance."""
LEAST_REFERENCE = 80
"""Characters of a reference solution from which on its equal is no coincidence."""
LEAST_ALIKE, ALIKE_SHARE = 3, 0.1
"""Tasks, and share of tasks, whose answers hold the reference to the letter, from which on it is told."""
NO_MODELS = ("oracle", "null", "replay:")


@dataclass(frozen=True, slots=True)
class Sanity:
    """What the checks found, a line each."""

    faults: tuple[str, ...] = ()
    """Things that cannot be: the run has failed."""
    hints: tuple[str, ...] = ()
    """Things that a reader of the scores is to know."""


def check_sanity(
    plan: RunPlan, loaded: Sequence[LoadedBenchmark], results: Sequence[BenchmarkResult], reader: Reader, run_id: str,
    *, whole: bool,
) -> Sanity:  # fmt: skip
    """Checks a run that came to its end; `whole`: nobody cancelled attempts or ended it before."""
    by_name = {result.benchmark: result for result in results}
    faults: list[str] = []
    hints: list[str] = []
    for item in loaded:
        result = by_name.get(item.plan.name)
        if result is None:
            continue
        if result.impossible:
            faults.append(f"{result.benchmark}: {result.impossible} completed attempts have no score between 0 and 1")
        faults += _counts(result, whole=whole)
        faults += _metrics(item, result)
        if not plan.samples_file and plan.settings.model == "oracle" and not reader.operated(run_id):
            faults += _oracle(result)
        if not isinstance(item.benchmark, SpeedBenchmark):
            faults += _answers(plan, item, result, reader, run_id)
            hints += _contamination(plan, item, reader, run_id)
    return Sanity(tuple(faults), tuple(hints))


def check_same_data(run_id: str, before: Sequence[PlannedBenchmark], now: Sequence[BenchmarkRow]) -> None:
    """For a run that is resumed: its data must be those that its first part had.

    Raises:
        UsageError: a file of a benchmark has another hash.
    """
    recorded = {one.benchmark: one.datasets for one in before if one.skipped is None}
    for row in now:
        for name, digest in recorded.get(row.benchmark, {}).items():
            if row.skipped is None and row.datasets.get(name, digest) != digest:
                raise UsageError(
                    f"run {run_id} was made with other data of {row.benchmark} ({name}): its sha256 was {digest[:12]}, "
                    f"it is {row.datasets[name][:12]}; bring the file back, or start a new run"
                )


def _counts(result: BenchmarkResult, *, whole: bool) -> Iterator[str]:
    planned = result.planned
    if planned is None:
        return
    if result.attempts > planned.attempts_planned:
        yield f"{result.benchmark}: {result.attempts} attempts were recorded, {planned.attempts_planned} were planned"
    elif whole and result.attempts < planned.attempts_planned:
        yield f"{result.benchmark}: {result.attempts} attempts were recorded of {planned.attempts_planned} planned"


def _metrics(item: LoadedBenchmark, result: BenchmarkResult) -> Iterator[str]:
    """Shares outside 0 to 1, and pass@k that falls with k."""
    at_k: dict[tuple[str, str, str], list[tuple[int, float]]] = defaultdict(list)
    for metric in result.metrics:
        kind = (
            kind_of(item.benchmark.metric_kinds, metric.name) if isinstance(item.benchmark, DeclaredMetrics) else None
        )
        most = kind[0].at_most if kind is not None else None
        if most is not None and not 0.0 <= metric.value <= most:
            yield f"{result.benchmark}: {metric.name} is {metric.value:g}, which is not between 0 and {most:g}"
        if found := PASS_AT.fullmatch(metric.name):
            at_k[found[1], found[3], metric.category].append((int(found[2]), metric.value))
    for (before, after, _), values in at_k.items():
        ordered = sorted(values)
        for (k, low), (more, high) in itertools.pairwise(ordered):
            if high < low - 1e-9:
                less = f"{before}{k}{after}, {low:.4f}"
                yield f"{result.benchmark}: {before}{more}{after} is {high:.4f}, less than {less}"


def _oracle(result: BenchmarkResult) -> Iterator[str]:
    whole = [metric for metric in result.metrics if not metric.category]
    # what is recognised of speech is no model's: the references are held to the same requests as typed
    typed = [metric for metric in whole if metric.name.endswith("typed_pass_rate")]
    head = next(iter((*typed, *whole)), None)
    if head is not None and head.value < 1.0 - 1e-9:
        yield (
            f"{result.benchmark}: the reference solutions come to {head.name} {head.value:.4f}, not 1: "
            "the harness or this machine fails them"
        )


def _answers(
    plan: RunPlan, item: LoadedBenchmark, result: BenchmarkResult, reader: Reader, run_id: str
) -> Iterator[str]:
    """Answers that no model gives: all the same although they are drawn, or faster than any writes."""
    if plan.samples_file is not None or plan.settings.model.startswith(NO_MODELS):
        return
    name = result.benchmark
    several = plan.attempts(item.plan) * len(plan.settings.seeds) > 1
    if several and plan.temperature(item.plan) > 0:
        tasks, alike = reader.tasks_with_equal_answers(run_id, name)
        if tasks >= LEAST_DRAWN and alike == tasks:
            yield (
                f"{name}: at temperature {plan.temperature(item.plan):g} all attempts at each of {tasks} tasks have "
                "the same answer: the model does not draw, or its seed is ignored"
            )
    rate = reader.median_token_rate(run_id, name)
    if rate is not None and rate > TOO_FAST_TOKENS_PER_S:
        yield f"{name}: half of the answers came at more than {rate:,.0f} tokens/s, which no model writes"


def _contamination(plan: RunPlan, item: LoadedBenchmark, reader: Reader, run_id: str) -> Iterator[str]:
    """Whether answers are the published solutions to the letter."""
    benchmark = item.benchmark
    if (
        not isinstance(benchmark, ReferenceAnswers)
        or plan.samples_file is not None
        or plan.settings.model.startswith(NO_MODELS)
    ):
        return
    references = {task.task_id: benchmark.reference(task).strip() for task in item.tasks}
    long = {task: text for task, text in references.items() if len(text) >= LEAST_REFERENCE}
    answers = reader.first_answers(run_id, item.plan.name)
    alike = sorted(task for task, text in long.items() if text in answers.get(task, ""))
    if len(alike) >= LEAST_ALIKE and len(alike) >= ALIKE_SHARE * len(long):
        yield (
            f"{item.plan.name}: {len(alike)} of {len(long)} answers hold the reference solution to the letter "
            f"({', '.join(alike[:3])} ...): the model may have seen the benchmark"
        )
