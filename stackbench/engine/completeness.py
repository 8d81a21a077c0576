"""Incomplete results: bounds that count errors as failures, and metrics that missing attempts prevent."""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from stackbench.benchmarks import Benchmark, SpeedBenchmark
from stackbench.stats import pass_at_k
from stackbench.store import MissingMetric
from stackbench.types import AttemptKey, AttemptStatus, AttemptSummary, Metric

__all__ = ["Figures", "lower_bounds", "missing_metrics", "sum_up"]

PASS_AT = re.compile(r"pass@(\d+)")
ATTEMPTS_OF = re.compile(r"pass[@^](\d+)")
SAME = 1e-9
Mean = Callable[[Sequence[AttemptSummary]], float]


@dataclass(frozen=True, slots=True)
class Figures:
    """What the attempts at a benchmark come to."""

    metrics: tuple[Metric, ...]
    lower_bounds: Mapping[str, float]
    missing: tuple[MissingMetric, ...]


def sum_up(
    benchmark: Benchmark, summaries: Sequence[AttemptSummary], planned: Mapping[str, int], to_come: str
) -> Figures:
    """Metrics of the completed attempts, and what they lack; arguments as for `missing_metrics`."""
    completed = [s for s in summaries if s.status is AttemptStatus.COMPLETED]
    metrics = tuple(benchmark.metrics(completed))
    return Figures(
        metrics,
        lower_bounds(benchmark, summaries, metrics),
        tuple(missing_metrics(benchmark, summaries, metrics, planned, to_come)),
    )


def lower_bounds(
    benchmark: Benchmark, summaries: Sequence[AttemptSummary], metrics: Sequence[Metric]
) -> dict[str, float]:
    """The headline and every pass@k with attempts in error counted as failures, by metric.

    Only for metrics that follow from each attempt's verdict or score: where the same mean over completed attempts does
    not give the metric's own value, there is no bound.
    """
    if isinstance(benchmark, SpeedBenchmark):
        return {}
    completed = [s for s in summaries if s.status is AttemptStatus.COMPLETED]
    found: dict[str, float] = {}
    for number, metric in enumerate(metrics):
        if metric.category or not completed:
            continue
        if len(completed) == len(summaries):
            if number == 0 or PASS_AT.fullmatch(metric.name):
                found[metric.name] = metric.value
            continue
        at_k = PASS_AT.fullmatch(metric.name)
        means: Sequence[Mean] = ()
        if at_k:
            means = (_pass_at(int(at_k[1])),)
        elif number == 0:
            means = HEADLINE_MEANS
        same = next((mean for mean in means if abs(mean(completed) - metric.value) < SAME), None)
        if same is not None:
            found[metric.name] = same(summaries)
    return found


def missing_metrics(
    benchmark: Benchmark,
    summaries: Sequence[AttemptSummary],
    metrics: Sequence[Metric],
    planned: Mapping[str, int],
    to_come: str,
) -> list[MissingMetric]:
    """The metrics that the planned attempts were to give and the completed ones do not, each with the reason.

    Args:
        planned: attempts by task.
        to_come: why attempts that were not made were not made.
    """
    completed: dict[str, list[AttemptSummary]] = defaultdict(list)
    for summary in summaries:
        if summary.status is AttemptStatus.COMPLETED:
            completed[summary.key.task_id].append(summary)
    most = max(planned.values(), default=0)
    if not completed or all(len(made) >= most for made in completed.values()):
        return []
    whole = [summary for made in completed.values() for summary in _filled(made, most)]
    present = {(metric.name, metric.category) for metric in metrics}
    names = [m.name for m in benchmark.metrics(whole) if not m.category and (m.name, m.category) not in present]
    made = {task: len(found) for task, found in completed.items()}
    errors = Counter(s.key.task_id for s in summaries if s.status is AttemptStatus.ERROR)
    return [MissingMetric(name, _reason(name, made, errors, planned, most, to_come)) for name in names]


def _filled(made: Sequence[AttemptSummary], count: int) -> list[AttemptSummary]:
    """A task's attempts, made up to `count` with copies: which metrics there would be, not their values."""
    taken = {(one.key.attempt, one.key.seed) for one in made}
    numbers = (n for n in range(count + len(made)) if (n, made[0].key.seed) not in taken)
    return [*made, *(_renumbered(made[0], next(numbers)) for _ in range(count - len(made)))]


def _renumbered(summary: AttemptSummary, attempt: int) -> AttemptSummary:
    key = summary.key
    return replace(summary, key=AttemptKey(key.benchmark, key.task_id, attempt, key.seed))


def _reason(
    name: str,
    made: Mapping[str, int],
    errors: Mapping[str, int],
    planned: Mapping[str, int],
    most: int,
    to_come: str,
) -> str:
    sought = ATTEMPTS_OF.search(name)
    needed = int(sought[1]) if sought else most
    lacking = [task for task, count in made.items() if count < needed]
    if not lacking:
        return f"not every task has {most} completed attempts"
    task = min(lacking, key=lambda one: made[one])
    in_error = sum(errors[one] for one in lacking)
    unplanned = sum(planned.get(one, 0) < needed for one in lacking)
    why = [f"{in_error} attempt{'s' if in_error > 1 else ''} at them ended in errors"] if in_error else []
    if unplanned:
        why.append(f"{unplanned} of them {'has' if unplanned == 1 else 'have'} fewer than {needed} samples")
    if any(made[one] + errors[one] < planned.get(one, 0) for one in lacking):
        why.append(to_come)
    counted = "1 task has" if len(lacking) == 1 else f"{len(lacking)} tasks have"
    return f"{counted} fewer than {needed} completed attempts ({task} has {made[task]})" + (
        f": {'; '.join(why)}" if why else ""
    )


# -- means over attempts, those in error counting as failures


def _verdict(summary: AttemptSummary) -> float:
    return float(bool(summary.passed))


def _score(summary: AttemptSummary) -> float:
    return summary.score or 0.0


def _over_tasks(value: Callable[[AttemptSummary], float]) -> Mean:
    def mean(summaries: Sequence[AttemptSummary]) -> float:
        by_task: dict[str, list[float]] = defaultdict(list)
        for summary in summaries:
            by_task[summary.key.task_id].append(value(summary))
        return math.fsum(math.fsum(found) / len(found) for found in by_task.values()) / len(by_task)

    return mean


def _over_attempts(summaries: Sequence[AttemptSummary]) -> float:
    return math.fsum(map(_verdict, summaries)) / len(summaries)


def _pass_at(k: int) -> Mean:
    def mean(summaries: Sequence[AttemptSummary]) -> float:
        by_task: dict[str, list[float]] = defaultdict(list)
        for summary in summaries:
            by_task[summary.key.task_id].append(_verdict(summary))
        values = [
            pass_at_k(len(found), int(sum(found)), k) if len(found) >= k else math.nan for found in by_task.values()
        ]
        return math.fsum(values) / len(values)

    return mean


HEADLINE_MEANS: Sequence[Mean] = (_over_tasks(_verdict), _over_attempts, _over_tasks(_score))
