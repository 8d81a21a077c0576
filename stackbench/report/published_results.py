"""A run's figures beside the published results of another model."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from stackbench.benchmarks.baselines import Baseline, Comparability, baselines_of
from stackbench.report.caveats import partial_reasons
from stackbench.stats import Estimate
from stackbench.stats.regression import unpaired_difference
from stackbench.store import BenchmarkResult

__all__ = ["DIRECTION", "PublishedComparison", "compare_with_published", "how_comparable"]

DIRECTION = "run minus published"
"""Of each difference, in whichever order the two are named: a published result is the baseline."""


@dataclass(frozen=True, slots=True)
class PublishedComparison:
    """A run's figure beside a published one."""

    baseline: Baseline
    value: float
    n: int
    difference: Estimate
    """The run's value less the published one, as of two independent samples: its tasks' verdicts are not published."""
    comparability: Comparability
    """The published result's own, lowered where the run has other tasks."""
    other_tasks: str
    """How the run's tasks are others, where that lowered it; else empty."""


def compare_with_published(results: Sequence[BenchmarkResult], status: str, name: str) -> list[PublishedComparison]:
    """The results of a run of that status beside a model's published ones, in the order of the file."""
    metrics = {(r.benchmark, m.name): (r, m) for r in results for m in r.metrics if not m.category}
    return [
        PublishedComparison(
            one,
            metric.value,
            metric.n,
            unpaired_difference(one.share, one.tasks, metric.value, metric.n),
            *how_comparable(one, metric.n, partial_reasons(result, status).values()),
        )
        for one in baselines_of(name)
        for result, metric in [found for key, found in metrics.items() if key == (one.benchmark, one.metric)]
    ]


def how_comparable(one: Baseline, tasks: int, partial: Iterable[str]) -> tuple[Comparability, str]:
    """How far a published result compares with one over `tasks` tasks, and why not closely where the tasks are others.

    `partial` says why the latter is not of the whole benchmark, if it is not.
    """
    if one.comparability != "close":
        return one.comparability, ""
    why = "; ".join(partial) or (f"{tasks} of {one.tasks} tasks" if tasks < one.tasks else "")
    return ("partly", why) if why else ("close", "")
