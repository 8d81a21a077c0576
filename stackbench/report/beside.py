"""What stands beside a run's figures in a report: other runs, task by task, and published results of other models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from stackbench.benchmarks.baselines import Baseline, Comparability, baselines
from stackbench.natural_order import natural
from stackbench.report.comparison import BenchmarkComparison, adjusted_together, compare_benchmark
from stackbench.report.published_results import how_comparable
from stackbench.report.results_model import BenchmarkReport, PairedComparison, PublishedResult, RunReport
from stackbench.stats import proportion
from stackbench.store import Reader, RunInfo

__all__ = ["compare_reports", "published_results"]


@dataclass(frozen=True, slots=True)
class _Pair:
    """Two runs of models."""

    reader: Reader
    runs: tuple[RunInfo, RunInfo]
    reports: tuple[RunReport, RunReport]


def compare_reports(
    reader: Reader, runs: Sequence[RunInfo], reports: Sequence[RunReport]
) -> tuple[list[PairedComparison], list[str]]:
    """Every pair of models at every benchmark that both have; what makes them less than comparable."""
    models = [number for number, report in enumerate(reports) if not report.harness_check]
    found: list[PairedComparison] = []
    warnings: set[str] = set()
    for one, other in combinations(models, 2):
        pair = _Pair(reader, (runs[one], runs[other]), (reports[one], reports[other]))
        compared, said = _compare_pair(pair)
        found += compared
        warnings |= said
    return found, sorted(warnings, key=natural)


def _compare_pair(pair: _Pair) -> tuple[list[PairedComparison], set[str]]:
    names = {benchmark.name: benchmark for benchmark in pair.reports[1].benchmarks}
    found: list[BenchmarkComparison] = []
    warnings: set[str] = set()
    for benchmark in pair.reports[0].benchmarks:
        match = names.get(benchmark.name)
        if match is None or _is_speed(benchmark):
            continue
        compared = compare_benchmark(pair.reader, pair.runs, benchmark.name)
        named = f"{benchmark.name}: runs {pair.runs[0].run_id} and {pair.runs[1].run_id}"
        warnings |= {f"{named} {line}" for line in _differences(benchmark, match, compared)}
        if compared is not None:
            found.append(compared)
    return [_paired(pair, one) for one in adjusted_together(found)], warnings


def _is_speed(benchmark: BenchmarkReport) -> bool:
    """Its headline is no score of tasks."""
    return benchmark.head is not None and benchmark.head.interval == "range"


def _differences(first: BenchmarkReport, second: BenchmarkReport, compared: BenchmarkComparison | None) -> list[str]:
    if compared is None:
        return ["have no completed task in common"]
    lines: list[str] = []
    if compared.only_first or compared.only_second:
        lines.append(
            f"have different tasks: {compared.only_first} of the first and {compared.only_second} of the second are "
            "left out of their comparison, and their scores are not of the same tasks"
        )
    if first.settings.prompt_form != second.settings.prompt_form:
        lines.append(f"asked in different forms: {first.settings.prompt_form}; {second.settings.prompt_form}")
    return lines


def _paired(pair: _Pair, one: BenchmarkComparison) -> PairedComparison:
    paired = one.paired
    low, high = one.ends
    return PairedComparison(
        benchmark=one.benchmark,
        first_run=pair.runs[0].run_id,
        second_run=pair.runs[1].run_id,
        n=paired.difference.n,
        first=one.first,
        second=one.second,
        difference=paired.difference.value,
        low=low,
        high=high,
        better=paired.better,
        worse=paired.worse,
        p_value=one.p_value,
        p_adjusted=one.p_adjusted,
        test=paired.test,
        minimum_detectable_effect=one.detectable,
        why_counts=one.why_counts,
    )


def published_results(reports: Sequence[RunReport]) -> list[PublishedResult]:
    """Those of the benchmarks and measures that these runs of models have, in the order of the benchmarks."""
    measured = {
        (benchmark.name, measure.name): None
        for report in reports
        if not report.harness_check
        for benchmark in report.benchmarks
        for measure in benchmark.measures
        if not measure.category
    }
    found: list[PublishedResult] = []
    for benchmark, measure in measured:
        for one in baselines():
            if (one.benchmark, one.metric) != (benchmark, measure):
                continue
            estimate = proportion(round(one.share * one.tasks), one.tasks)
            comparability, other_tasks = _how_comparable(one, reports)
            found.append(
                PublishedResult(
                    benchmark=benchmark,
                    measure=measure,
                    model=one.model,
                    value=one.share,
                    low=estimate.ci_low,
                    high=estimate.ci_high,
                    n=one.tasks,
                    comparability=comparability,
                    other_tasks=other_tasks,
                    source=one.source.title,
                    where=one.source.where,
                    setting=one.source.setting,
                    note=one.note,
                )
            )
    return found


def _how_comparable(one: Baseline, reports: Sequence[RunReport]) -> tuple[Comparability, str]:
    """The least that holds for these runs of models, and which of them have other tasks."""
    lowered: list[str] = []
    for report in reports:
        for benchmark in report.benchmarks if not report.harness_check else ():
            measure = next((m for m in benchmark.measures if (m.name, m.category) == (one.metric, "")), None)
            if benchmark.name != one.benchmark or measure is None:
                continue
            why = how_comparable(one, measure.n, benchmark.partial.values())[1]
            lowered += [f"run {report.run_id}: {why}"] if why else []
    return ("partly", "; ".join(lowered)) if lowered else (one.comparability, "")
