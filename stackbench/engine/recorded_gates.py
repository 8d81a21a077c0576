"""The gates of a run, judged in one way at its end and later, from what is recorded."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence

from stackbench.benchmarks import Benchmark, create_benchmark
from stackbench.benchmarks.registry import may_have_bounds
from stackbench.engine.baseline_gates import difference_to_baseline
from stackbench.engine.gates import GateResult, check_gates, own_gates
from stackbench.engine.plan import RunPlan
from stackbench.errors import StackbenchError
from stackbench.store import BenchmarkResult, Reader, RunInfo
from stackbench.types import RunStatus

__all__ = ["judge_gates", "recorded_gates"]


def judge_gates(
    plan: RunPlan,
    reader: Reader,
    run_id: str,
    results: Sequence[BenchmarkResult],
    benchmarks: Iterable[tuple[str, Benchmark]],
) -> tuple[GateResult, ...]:
    """The gates of the suite and those of the benchmarks themselves, against a run's results and its baseline."""
    baseline = plan.settings.baseline
    gates = (*plan.gates, *own_gates(plan.gates, benchmarks))
    return check_gates(gates, results, baseline, difference_to_baseline(reader, run_id, baseline, results))


def recorded_gates(reader: Reader, run: RunInfo, results: Sequence[BenchmarkResult]) -> tuple[GateResult, ...]:
    """Of a run that has come to its end; none of one that goes on or was cut off, or that another version planned."""
    if run.finished_at is None or run.status in (RunStatus.RUNNING, RunStatus.QUEUED):
        return ()
    try:
        plan = RunPlan.model_validate(run.config)
    except ValueError:
        return ()
    return judge_gates(plan, reader, run.run_id, results, _benchmarks(plan, results))


def _benchmarks(plan: RunPlan, results: Sequence[BenchmarkResult]) -> Iterator[tuple[str, Benchmark]]:
    """Those of the plan that were run, are installed and may have bounds of their own."""
    names = {result.benchmark for result in results}
    for part in plan.benchmarks:
        if part.name in names and may_have_bounds(part.name):
            with contextlib.suppress(StackbenchError):
                yield part.name, create_benchmark(part.name, part.options)
