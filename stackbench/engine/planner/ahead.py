"""Plans a run without starting anything: counts tasks that are on this machine, reads what earlier runs took."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from stackbench.benchmarks import AgentBenchmark, Benchmark, SpeedBenchmark, create_benchmark
from stackbench.benchmarks.base import PlannedTokens
from stackbench.config import Home
from stackbench.datasets import DatasetStore
from stackbench.datasets.manifest import DatasetFile
from stackbench.engine.plan import BenchmarkPlan, RunPlan
from stackbench.engine.planner.fleet import assumed_fleet, this_machine
from stackbench.engine.planner.forecast import RunForecast, Workload, forecast_run
from stackbench.engine.planner.profiles import find_profile
from stackbench.engine.planner.speed import served_model
from stackbench.engine.work import LoadedBenchmark, attempts_each
from stackbench.errors import DataNotAvailableError, StackbenchError, StoreError
from stackbench.store import open_queries
from stackbench.store.timings import RunTiming, read_tasks_available, read_timings

__all__ = ["plan_ahead", "workloads"]

SLOW_TO_COUNT = {"swebench"}
"""Benchmarks whose tasks are fetched, or whose tables are, when they are asked for them."""


class _LocalDatasets(DatasetStore):
    """Reads what is on this machine, and fetches nothing."""

    def _pull(self, dataset: str, file: DatasetFile, progress: object) -> Path:
        raise DataNotAvailableError(f"{file.path} is not on this machine yet")


def plan_ahead(plan: RunPlan, home: Home, machines: str = "") -> RunForecast:
    """The estimate of a run on this machine, or on those that `machines` describes. Blocks for some seconds.

    Raises:
        UsageError: the machines or the model mean nothing.
    """
    settings = plan.settings
    fleet = assumed_fleet(machines) if machines else this_machine(home.path, settings.gpus)
    timings, known = _recorded(home, settings.model)
    data = _LocalDatasets(home.data, home.data_extra, own=home.own_data)
    work = [_count(plan, part, data, known.get(part.name)) for part in plan.benchmarks]
    return forecast_run(work, settings, fleet, served_model(settings, fleet), timings)


def workloads(plan: RunPlan, loaded: Sequence[LoadedBenchmark]) -> list[Workload]:
    """The benchmarks of a run whose tasks are loaded."""
    seeds = len(plan.settings.seeds)
    return [
        _workload(
            plan, item.plan, item.benchmark, len(item.tasks), seeds * attempts_each(plan, item.plan, item.benchmark)
        )
        for item in loaded
    ]


def _recorded(home: Home, model: str) -> tuple[list[RunTiming], dict[str, int]]:
    """What earlier runs took, and how many tasks benchmarks had in them."""
    try:
        queries = open_queries(home.database, home.socket)
    except StoreError:  # there is none yet
        return [], {}
    try:
        return read_timings(queries, model), read_tasks_available(queries)
    finally:
        queries.close()


def _count(plan: RunPlan, part: BenchmarkPlan, data: DatasetStore, known: int | None) -> Workload:
    benchmark = create_benchmark(part.name, part.options)
    counted, tasks = True, known or find_profile(part.name).tasks
    try:
        if part.name not in SLOW_TO_COUNT:
            tasks = len(benchmark.tasks(data))
        else:
            counted = known is not None
    except StackbenchError:
        counted = False
    if part.sample_ids:
        tasks = min(tasks, len(part.sample_ids))
    elif part.limit is not None:
        tasks = min(tasks, part.limit)
    if plan.shard:
        number, count = (int(one) for one in plan.shard.split("/"))
        tasks = len(range(number - 1, tasks, count)) if not isinstance(benchmark, SpeedBenchmark) else tasks
    each = len(plan.settings.seeds) * attempts_each(plan, part, benchmark)
    return _workload(plan, part, benchmark, tasks, each, counted=counted)


def _workload(
    plan: RunPlan, part: BenchmarkPlan, benchmark: Benchmark, tasks: int, each: int, *, counted: bool = True
) -> Workload:
    return Workload(
        name=part.name,
        tasks=tasks,
        attempts=tasks * each,
        counted=counted,
        optional=part.optional,
        priority=part.priority,
        speed=isinstance(benchmark, SpeedBenchmark),
        agent=isinstance(benchmark, AgentBenchmark),
        tokens=benchmark.planned_tokens() if isinstance(benchmark, PlannedTokens) else None,
        max_tokens=part.max_tokens or plan.settings.max_tokens,
    )
