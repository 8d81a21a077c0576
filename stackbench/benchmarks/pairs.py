"""Two runs of one benchmark, paired task by task: what `compare` shows and gates of regression test."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from stackbench.benchmarks.base import ClusteredBenchmark
from stackbench.benchmarks.registry import find_benchmark
from stackbench.stats import PairedDifference, paired_difference
from stackbench.types import AttemptStatus, AttemptSummary

__all__ = ["PairedTasks", "pair_tasks"]


@dataclass(frozen=True, slots=True)
class PairedTasks:
    """The tasks that two runs completed, each with its two scores: means over its attempts."""

    tasks: tuple[tuple[str, float, float], ...]
    clusters: tuple[str, ...] | None
    """Of each task, where the benchmark's tasks come in clusters."""
    paired: PairedDifference
    attempts: int
    """Completed attempts at these tasks in the run that made fewer of them."""
    only_first: int
    """Tasks that only the first run completed."""
    only_second: int

    @property
    def first(self) -> list[float]:
        return [one[1] for one in self.tasks]

    @property
    def second(self) -> list[float]:
        return [one[2] for one in self.tasks]


def pair_tasks(benchmark: str, first: Sequence[AttemptSummary], second: Sequence[AttemptSummary]) -> PairedTasks | None:
    """Pairs the attempts of two runs at a benchmark; None where they completed no task in common."""
    done = [[one for one in attempts if one.status is AttemptStatus.COMPLETED] for attempts in (first, second)]
    scores = [_task_scores(attempts) for attempts in done]
    both = [task for task in scores[0] if task in scores[1]]
    if not both:
        return None
    known = _clusters(benchmark, done[0])
    clusters = tuple(known[task] for task in both) if known else None
    means = [{task: fmean(values) for task, values in one.items()} for one in scores]
    a, b = ([one[task] for task in both] for one in means)
    return PairedTasks(
        tuple(zip(both, a, b, strict=True)),
        clusters,
        paired_difference(a, b, clusters=clusters),
        min(sum(len(one[task]) for task in both) for one in scores),
        len(scores[0]) - len(both),
        len(scores[1]) - len(both),
    )


def _task_scores(attempts: Sequence[AttemptSummary]) -> dict[str, list[float]]:
    scores: dict[str, list[float]] = defaultdict(list)
    for attempt in attempts:
        if attempt.score is not None:
            scores[attempt.key.task_id].append(attempt.score)
    return dict(scores)


def _clusters(benchmark: str, attempts: Sequence[AttemptSummary]) -> dict[str, str]:
    """The cluster of each task, where the benchmark's tasks come in clusters."""
    kind = find_benchmark(benchmark)
    if kind is None or not isinstance(kind, ClusteredBenchmark):
        return {}
    return {attempt.key.task_id: kind.cluster(attempt) for attempt in attempts}
