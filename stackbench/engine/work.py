"""From a plan to the attempts that it asks for: benchmarks with their tasks, tasks with their attempts."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from stackbench.benchmarks import Benchmark, CodeBenchmark, SpeedBenchmark, create_benchmark
from stackbench.datasets import DatasetStore
from stackbench.engine.context import AttemptContext
from stackbench.engine.plan import BenchmarkPlan, RunPlan
from stackbench.engine.samples import SampleFile
from stackbench.errors import DataNotAvailableError, UsageError
from stackbench.types import AttemptKey, Scored, Task

__all__ = ["LoadedBenchmark", "Work", "list_work", "load_benchmarks"]


@dataclass(frozen=True, slots=True)
class LoadedBenchmark:
    """A benchmark with the tasks that the plan wants of it, every row checked."""

    plan: BenchmarkPlan
    benchmark: Benchmark
    tasks: tuple[Task, ...]


@dataclass(frozen=True, slots=True)
class Work:
    """One attempt to make: the benchmark's part is a function of the context."""

    key: AttemptKey
    task: Task
    make: Callable[[AttemptContext], Awaitable[Scored]]


def load_benchmarks(
    plan: RunPlan, data: DatasetStore, samples: SampleFile | None
) -> tuple[list[LoadedBenchmark], Mapping[str, str]]:
    """The plan's benchmarks whose data can be had, and for the others the reason.

    Raises:
        DataCorruptError: a dataset is not what the manifest promises.
        DataNotAvailableError: no benchmark's data can be had.
        UsageError: a task id exists in none of the benchmarks.
    """
    loaded: list[LoadedBenchmark] = []
    skipped: dict[str, str] = {}
    unknown = {name for part in plan.benchmarks for name in part.sample_ids}
    example = ""
    for part in plan.benchmarks:
        benchmark = create_benchmark(part.name, part.options)
        try:
            tasks = benchmark.tasks(data)
        except DataNotAvailableError as error:
            if len(plan.benchmarks) == 1:
                raise
            skipped[part.name] = str(error)
            continue
        unknown -= {task.task_id for task in tasks}
        example = example or f'{part.name} names its tasks like "{tasks[0].task_id}"'
        loaded.append(LoadedBenchmark(part, benchmark, tuple(_select(part, tasks, samples))))
    if not loaded:
        raise DataNotAvailableError("; ".join(f"{name}: {reason}" for name, reason in skipped.items()))
    if unknown:
        raise UsageError(f'no task "{min(unknown)}" in {", ".join(part.name for part in plan.benchmarks)}; {example}')
    return loaded, skipped


def _select(part: BenchmarkPlan, tasks: Sequence[Task], samples: SampleFile | None) -> Sequence[Task]:
    if samples is not None:
        wanted = {key.task_id for key in samples.keys}
        return [task for task in tasks if task.task_id in wanted]
    if part.sample_ids:
        known = {task.task_id: task for task in tasks}
        return [known[name] for name in dict.fromkeys(part.sample_ids) if name in known]
    return tasks[: part.limit]


def list_work(plan: RunPlan, loaded: LoadedBenchmark, samples: SampleFile | None) -> list[Work]:
    """Every attempt at a benchmark's tasks, in order of task, seed, attempt; with samples, one for each of them."""
    benchmark = loaded.benchmark
    least = benchmark.least_attempts if isinstance(benchmark, SpeedBenchmark) else 1
    if samples is not None:
        assert isinstance(benchmark, CodeBenchmark)
        by_id = {task.task_id: task for task in loaded.tasks}
        return [_scoring(benchmark, by_id[key.task_id], key, samples) for key in samples.keys]
    return [
        Work(
            AttemptKey(loaded.plan.name, task.task_id, attempt, seed),
            task,
            lambda context, task=task: benchmark.attempt(task, context),
        )
        for task in loaded.tasks
        for seed in plan.settings.seeds
        for attempt in range(max(plan.attempts(loaded.plan), least))
    ]


def _scoring(benchmark: CodeBenchmark, task: Task, key: AttemptKey, samples: SampleFile) -> Work:
    sample = samples.samples[key]

    async def make(context: AttemptContext) -> Scored:
        scored = await benchmark.score(task, sample, context)
        return replace(scored, completion=sample.text)

    return Work(key, task, make)
