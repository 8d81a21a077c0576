"""Two runs side by side: paired differences of each benchmark, and what makes the runs less than comparable."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from stackbench.benchmarks import EditionedBenchmark, find_benchmark
from stackbench.benchmarks.pairs import PairedTasks, pair_tasks
from stackbench.errors import UsageError
from stackbench.report.caveats import caveats
from stackbench.stats import PairedDifference
from stackbench.stats.bootstrap import Bootstrap, bootstrap_paired
from stackbench.stats.estimates import too_few
from stackbench.stats.intervals import Z95
from stackbench.stats.multiple import holm
from stackbench.stats.power import minimum_detectable_effect
from stackbench.store import BenchmarkResult, Queries, Reader, RunInfo

__all__ = [
    "WHICH",
    "BenchmarkComparison",
    "RunComparison",
    "adjusted_together",
    "compare_benchmark",
    "compare_runs",
]

WHICH = ("first", "second")
CUT_APART = 0.01
"""Shares of answers that were cut which differ by more than this are pointed out."""


@dataclass(frozen=True, slots=True)
class BenchmarkComparison:
    """One benchmark in both runs; scores are means over a task's attempts."""

    benchmark: str
    pairs: PairedTasks
    p_adjusted: float | None
    """Holm's, over the benchmarks that are compared together; None where there is no p-value."""

    @property
    def first(self) -> float:
        return fmean(self.pairs.first)

    @property
    def second(self) -> float:
        return fmean(self.pairs.second)

    @property
    def paired(self) -> PairedDifference:
        return self.pairs.paired

    @property
    def p_value(self) -> float | None:
        """None for too few tasks, of which only counts are told."""
        return self.paired.p_value if self.paired.difference.shown else None

    @property
    def ends(self) -> tuple[float, float] | tuple[None, None]:
        """The 95% interval of the difference; two None for too few tasks."""
        return self.paired.difference.ends

    @property
    def why_counts(self) -> str:
        """Why there is neither interval nor p-value; empty where there are both."""
        return "" if self.paired.difference.shown else too_few(self.paired.difference.n, "an interval and a p-value")

    @property
    def tasks(self) -> tuple[tuple[str, float, float], ...]:
        """Each task that both runs completed, with its two scores."""
        return self.pairs.tasks

    @property
    def only_first(self) -> int:
        """Tasks that only the first run completed."""
        return self.pairs.only_first

    @property
    def only_second(self) -> int:
        """Tasks that only the second run completed."""
        return self.pairs.only_second

    @property
    def differing(self) -> tuple[tuple[str, float, float], ...]:
        """The tasks whose scores differ."""
        return tuple(one for one in self.tasks if one[1] != one[2])

    @property
    def detectable(self) -> float | None:
        """The smallest true difference that tasks like these show four times in five; None for too few of them."""
        found = self.paired.difference
        if not found.shown:
            return None
        # Where no task differs the standard error is 0, and the interval's half width tells more.
        return minimum_detectable_effect(max(found.stderr, (found.ci_high - found.ci_low) / 2 / Z95))

    def bootstrap(self) -> Bootstrap:
        """The paired bootstrap over tasks, or over clusters of them: the same numbers each time."""
        return bootstrap_paired(self.pairs.first, self.pairs.second, clusters=self.pairs.clusters)


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
    apart = {name: why for name in shared if (why := _apart(name, results[0][name], results[1][name]))}
    shared = [name for name in shared if name not in apart]
    if apart and not shared:
        raise UsageError(f"{'; '.join(apart.values())}; run the benchmark again with the model of the older run")
    found = [one for name in shared if (one := compare_benchmark(reader, runs, name)) is not None]
    if not found:
        raise UsageError(f"runs {runs[0].run_id} and {runs[1].run_id} have no completed task in common")
    compared = tuple(adjusted_together(found))
    warnings = [f"{why}; it is left out" for why in apart.values()] + _warnings(runs, results, compared)
    return RunComparison(runs, (results[0], results[1]), compared, tuple(warnings))


def _apart(benchmark: str, first: BenchmarkResult, second: BenchmarkResult) -> str:
    """Why two results of a benchmark cannot be compared; empty where they can."""
    return other_tasks(benchmark, first, second) or _other_data(benchmark, first, second)


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
    first, second = (reader.summaries(run.run_id, benchmark) for run in runs)
    pairs = pair_tasks(benchmark, first, second)
    if pairs is None:
        return None
    alone = BenchmarkComparison(benchmark, pairs, None)
    return replace(alone, p_adjusted=alone.p_value)


def adjusted_together(found: Sequence[BenchmarkComparison]) -> list[BenchmarkComparison]:
    """The same with Holm's adjustment over their p-values; one without a p-value takes no part in it."""
    adjusted = iter(holm([one.p_value for one in found if one.p_value is not None]))
    return [replace(one, p_adjusted=None if one.p_value is None else next(adjusted)) for one in found]


def _other_data(benchmark: str, first: BenchmarkResult, second: BenchmarkResult) -> str:
    """In which of a benchmark's files two runs differ; empty where they do not, or an older version recorded none."""
    if first.planned is None or second.planned is None:
        return ""
    a, b = first.planned.datasets, second.planned.datasets
    name = next((name for name in {**a, **b} if name != "tasks" and a.get(name) != b.get(name)), None)
    if name is None or not a or not b:
        return ""
    return (
        f"{benchmark}: the runs had other data ({name}: sha256 {a.get(name, 'none')[:12]} and "
        f"{b.get(name, 'none')[:12]}), in which tasks of one name need not be the same"
    )


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
