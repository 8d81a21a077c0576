"""Shared metrics of benchmarks: pass@k over tasks, and averages within a task."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from statistics import fmean

from stackbench.stats import Estimate, pass_at_k_estimate
from stackbench.types import AttemptSummary, Metric

__all__ = ["KS", "pass_at_k_metrics", "task_means", "to_metric"]

KS = (1, 10, 100)


def pass_at_k_metrics(
    attempts: Sequence[AttemptSummary],
    *,
    prefix: str = "",
    passed: Callable[[AttemptSummary], bool] = lambda attempt: bool(attempt.passed),
) -> list[Metric]:
    """pass@1, pass@10 and pass@100, each where every task has enough attempts; seeds are replicates of a task."""
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for attempt in attempts:
        count = counts[attempt.key.task_id]
        count[0] += 1
        count[1] += passed(attempt)
    pairs = [(n, c) for n, c in counts.values()]
    found = [(k, pass_at_k_estimate(pairs, k)) for k in KS]
    return [to_metric(f"{prefix}pass@{k}", estimate) for k, estimate in found if estimate is not None]


def task_means(attempts: Iterable[AttemptSummary], value: Callable[[AttemptSummary], float | None]) -> dict[str, float]:
    """The mean of a figure over each task's attempts, by task id, since tasks are the unit of every interval.

    Attempts to which the figure does not apply (None) are left out, and with them tasks that have no others.
    """
    found: dict[str, list[float]] = defaultdict(list)
    for attempt in attempts:
        figure = value(attempt)
        if figure is not None:
            found[attempt.key.task_id].append(float(figure))
    return {task: fmean(figures) for task, figures in found.items()}


def to_metric(name: str, estimate: Estimate, category: str = "") -> Metric:
    """An estimate under a name; without error and interval where these are not shown (see `Estimate`)."""
    if not estimate.shown:
        return Metric(name, estimate.value, None, None, None, estimate.n, category=category)
    return Metric(
        name, estimate.value, estimate.stderr, estimate.ci_low, estimate.ci_high, estimate.n, category=category
    )
