"""A run's figures beside the published results of another model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from stackbench.benchmarks.baselines import Baseline, baselines_of
from stackbench.stats import Estimate
from stackbench.stats.regression import unpaired_difference
from stackbench.store import BenchmarkResult

__all__ = ["PublishedComparison", "compare_with_published"]


@dataclass(frozen=True, slots=True)
class PublishedComparison:
    """A run's figure beside a published one."""

    baseline: Baseline
    value: float
    n: int
    difference: Estimate
    """The run's value less the published one, as of two independent samples: its tasks' verdicts are not published."""


def compare_with_published(results: Sequence[BenchmarkResult], name: str) -> list[PublishedComparison]:
    """A run's results beside a model's published ones, in the order of the file."""
    metrics = {(r.benchmark, m.name): m for r in results for m in r.metrics if not m.category}
    return [
        PublishedComparison(
            one,
            metric.value,
            metric.n,
            unpaired_difference(one.share, one.tasks, metric.value, metric.n),
        )
        for one in baselines_of(name)
        if (metric := metrics.get((one.benchmark, one.metric))) is not None
    ]
