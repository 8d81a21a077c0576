"""Two runs side by side: paired differences of each benchmark, and what makes the runs less than comparable."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from stackbench.benchmarks import ClusteredBenchmark, EditionedBenchmark, find_benchmark
from stackbench.errors import UsageError
from stackbench.report.caveats import caveats
from stackbench.stats import PairedDifference, paired_difference
from stackbench.store import BenchmarkResult, Queries, Reader, RunInfo
from stackbench.types import AttemptStatus, AttemptSummary

__all__ = ["WHICH", "BenchmarkComparison", "RunComparison", "compare_benchmark", "compare_runs"]

WHICH = ("first", "second")
CUT_APART = 0.01
"""Shares of answers that were cut which differ by more than this are pointed out."""


@dataclass(frozen=True, slots=True)
class BenchmarkComparison:
    """One benchmark in both runs; scores are means over a task's attempts."""

    benchmark: str
    first: float
    second: float
    paired: PairedDifference
    tasks: tuple[tuple[str, float, float], ...]
    """Each task that both runs completed, with its two scores."""
    only_first: int
    """Tasks that only the first run completed."""
    only_second: int

    @property
    def differing(self) -> tuple[tuple[str, float, float], ...]:
        """The tasks whose scores differ."""
        return tuple(one for one in self.tasks if one[1] != one[2])


@dataclass(frozen=True, slots=True)
class RunComparison:
    """Two runs and what of them can be compared."""

    runs: tuple[RunInfo, RunInfo]
    results: tuple[Mapping[str, BenchmarkResult], Mapping[str, BenchmarkResult]]
    """By benchmark, of each run."""
    benchmarks: tuple[BenchmarkComparison, ...]
    """Those with completed tasks in common."""
    warnings: tuple[str, ...]

    @property
    def shared(self) -> list[str]:
        """Benchmarks that both runs have, at the same tasks."""
        first, second = self.results
        return [name for name in first if name in second and not other_tasks(name, first[name], second[name])]


def compare_runs(queries: Queries, first: str, second: str) -> RunComparison:
    """Of two runs named by id, the start of it or `last`.

    Raises:
        UsageError: a run does not exist, or they have no task in common.
    """
    reader = Reader(queries)
    runs = reader.run(first), reader.run(second)
    results = tuple({result.benchmark: result for result in reader.results(run.run_id)} for run in runs)
    shared = [name for name in results[0] if name in results[1]]
    apart = {name: why for name in shared if (why := other_tasks(name, *(by_name[name] for by_name in results)))}
    shared = [name for name in shared if name not in apart]
    if apart and not shared:
        raise UsageError(f"{'; '.join(apart.values())}; run the benchmark again with the model of the older run")
    found = tuple(one for name in shared if (one := compare_benchmark(reader, runs, name)) is not None)
    if not found:
        raise UsageError(f"runs {runs[0].run_id} and {runs[1].run_id} have no completed task in common")
    warnings = [f"{why}; it is left out" for why in apart.values()] + _warnings(runs, results, found)
    return RunComparison(runs, (results[0], results[1]), found, tuple(warnings))


def other_tasks(benchmark: str, first: BenchmarkResult, second: BenchmarkResult) -> str:
    """Why two results of a benchmark are not of the same tasks; empty where they are, or where nothing tells."""
    sets = [result.planned.datasets.get("tasks", "") if result.planned else "" for result in (first, second)]
    if not all(sets) or sets[0] == sets[1]:
        return ""
    kind = find_benchmark(benchmark)
    names = [(kind.edition(one) if isinstance(kind, EditionedBenchmark) else "") or f"set {one[:8]}" for one in sets]
    return f"{benchmark}: the runs have different tasks ({names[0]}, {names[1]}), whose results are not comparable"


def compare_benchmark(reader: Reader, runs: Sequence[RunInfo], benchmark: str) -> BenchmarkComparison | None:
    """Two runs at a benchmark; None where they completed no task in common."""
    completed = [_completed(reader, run, benchmark) for run in runs]
    first, second = (_task_scores(attempts) for attempts in completed)
    both = [task for task in first if task in second]
    if not both:
        return None
    a, b = [first[task] for task in both], [second[task] for task in both]
    clusters = _clusters(benchmark, completed[0])
    return BenchmarkComparison(
        benchmark,
        fmean(a),
        fmean(b),
        paired_difference(a, b, clusters=[clusters[task] for task in both] if clusters else None),
        tuple((task, first[task], second[task]) for task in both),
        len(first) - len(both),
        len(second) - len(both),
    )


def _completed(reader: Reader, run: RunInfo, benchmark: str) -> list[AttemptSummary]:
    return [s for s in reader.summaries(run.run_id, benchmark) if s.status is AttemptStatus.COMPLETED]


def _task_scores(attempts: Sequence[AttemptSummary]) -> dict[str, float]:
    """The mean over each task's attempts: tasks are the unit."""
    scores: dict[str, list[float]] = defaultdict(list)
    for attempt in attempts:
        if attempt.score is not None:
            scores[attempt.key.task_id].append(attempt.score)
    return {task: fmean(values) for task, values in scores.items()}


def _clusters(benchmark: str, attempts: Sequence[AttemptSummary]) -> dict[str, str]:
    """The cluster of each task, where the benchmark's tasks come in clusters."""
    kind = find_benchmark(benchmark)
    if kind is None or not isinstance(kind, ClusteredBenchmark):
        return {}
    return {attempt.key.task_id: kind.cluster(attempt) for attempt in attempts}


def _warnings(
    runs: Sequence[RunInfo],
    results: Sequence[Mapping[str, BenchmarkResult]],
    found: Sequence[BenchmarkComparison],
) -> list[str]:
    """What makes the two runs less than comparable, a line each."""
    lines: list[str] = []
    for comparison in found:
        name = comparison.benchmark
        if comparison.only_first or comparison.only_second:
            lines.append(
                f"{name}: the runs have different tasks; the {comparison.paired.difference.n} that both completed are "
                f"compared, {comparison.only_first} of the first run only and {comparison.only_second} of the second "
                "only are left out"
            )
        shares = [_cut_share(by_name[name]) for by_name in results]
        if abs(shares[0] - shares[1]) > CUT_APART:
            lines.append(
                f"{name}: {shares[0]:.1%} of the first run's answers were cut at the token limit, {shares[1]:.1%} of "
                "the second's; the difference may be the limit's"
            )
    for which, run, by_name in zip(WHICH, runs, results, strict=True):
        lines += [f"{which} run: {line}" for result in by_name.values() for line in caveats(result, run.status)]
    return lines


def _cut_share(result: BenchmarkResult) -> float:
    return result.cut / result.completed if result.completed else 0.0
