"""Expands a plan to attempts: benchmarks to tasks, tasks to attempts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from stackbench.benchmarks import Benchmark, HashedFiles, HashedTasks, NamedTasks, SpeedBenchmark, create_benchmark
from stackbench.benchmarks.base import Sample
from stackbench.config import Home
from stackbench.datasets import DatasetStore
from stackbench.engine.plan import BenchmarkPlan, RunPlan
from stackbench.engine.samples import SampleFile
from stackbench.engine.selection import select_limited
from stackbench.errors import DataNotAvailableError, UsageError
from stackbench.models import Model
from stackbench.store import BenchmarkRow, DoneAttempts
from stackbench.suggestions import did_you_mean
from stackbench.types import AttemptKey, Task

__all__ = [
    "AttemptSpec",
    "LoadedBenchmark",
    "attempts_each",
    "data_not_here",
    "further_attempts",
    "list_attempts",
    "load_benchmarks",
    "planned_attempts",
    "planned_rows",
    "without_speed",
]


@dataclass(frozen=True, slots=True)
class LoadedBenchmark:
    """A benchmark with the tasks that the plan wants of it, every row checked."""

    plan: BenchmarkPlan
    benchmark: Benchmark
    tasks: tuple[Task, ...]
    available: int
    """Tasks that the benchmark has, under its options."""
    datasets: Mapping[str, str] = field(default_factory=dict[str, str])
    """sha256 of each of its dataset files, as the manifest promises, or of its own files."""


@dataclass(frozen=True, slots=True)
class AttemptSpec:
    """One attempt to make, as data: an executor in another process can make it from this and the run's plan."""

    key: AttemptKey
    category: str = ""
    sample: Sample | None = None
    """A recorded sample to score, in place of a model's answer."""


def load_benchmarks(
    plan: RunPlan,
    data: DatasetStore,
    samples: SampleFile | None,
    recorded: Mapping[str, Sequence[str]] | None = None,
    *,
    first_tasks: bool = False,
) -> tuple[list[LoadedBenchmark], Mapping[str, str]]:
    """The plan's benchmarks whose data can be had, and for the others the reason.

    `recorded` holds the tasks that a run which is resumed selected, by benchmark: it goes on with exactly these.
    `first_tasks`: a limit selects the first ones, as it did for runs that recorded no tasks.

    Raises:
        DataCorruptError: a dataset is not what the manifest promises.
        DataNotAvailableError: no benchmark's data can be had.
        UsageError: a task id exists in none of the benchmarks, or a recorded task is there no more.
    """
    loaded: list[LoadedBenchmark] = []
    skipped: dict[str, str] = {}
    unknown = {name for part in plan.benchmarks for name in part.sample_ids}
    known: list[str] = []
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
        if not tasks:
            raise UsageError(f"{part.name} has no task with these options; ask for more with -T")
        if unknown:
            known += [task.task_id for task in tasks]
            unknown -= set(known)
        example = example or f'{part.name} names its tasks like "{tasks[0].task_id}"'
        kept = (recorded or {}).get(part.name)
        if kept is not None:
            chosen = _again(part.name, kept, tasks)
        else:
            first = first_tasks or isinstance(benchmark, SpeedBenchmark)
            chosen = _select(part, tasks, samples, None if first else plan.settings.limit_seed)
        loaded.append(LoadedBenchmark(part, benchmark, tuple(chosen), len(tasks), _hashes(benchmark, data)))
    if not loaded:
        raise DataNotAvailableError("; ".join(f"{name}: {reason}" for name, reason in skipped.items()))
    if unknown:
        first = min(unknown)
        where = ", ".join(part.name for part in plan.benchmarks)
        raise UsageError(f'no task "{first}" in {where}{did_you_mean(first, known)}; {example}')
    return loaded, skipped


def data_not_here(plan: RunPlan, home: Home) -> dict[str, list[str]]:
    """The dataset files that the plan's benchmarks lack on this machine, by benchmark; no file is read."""
    store = DatasetStore.of_home(home)
    found: dict[str, list[str]] = {}
    for part in plan.benchmarks:
        states = [state for name in create_benchmark(part.name, part.options).datasets for state in store.states(name)]
        lacking = [state.file.path for state in states if state.path is None]
        if lacking:
            found[part.name] = lacking
    return found


def _select(
    part: BenchmarkPlan, tasks: Sequence[Task], samples: SampleFile | None, limit_seed: int | None
) -> Sequence[Task]:
    """`limit_seed` None: a limit selects the first tasks."""
    if samples is not None:
        wanted = {key.task_id for key in samples.keys}
        return [task for task in tasks if task.task_id in wanted]
    if part.sample_ids:
        known = {task.task_id: task for task in tasks}
        return [known[name] for name in dict.fromkeys(part.sample_ids) if name in known]
    if part.limit is None or limit_seed is None:
        return tasks[: part.limit]
    return select_limited(tasks, part.limit, limit_seed)


def _again(name: str, recorded: Sequence[str], tasks: Sequence[Task]) -> Sequence[Task]:
    known = {task.task_id: task for task in tasks}
    missing = [task_id for task_id in recorded if task_id not in known]
    if missing:
        raise UsageError(f'the run has the task "{missing[0]}" of {name}, which is there no more; start a new run')
    return [known[task_id] for task_id in recorded]


def _hashes(benchmark: Benchmark, data: DatasetStore) -> Mapping[str, str]:
    found = {file.path: file.sha256 for name in benchmark.datasets for file in data.manifest.files(name).values()}
    if isinstance(benchmark, HashedFiles):
        found |= benchmark.file_hashes
    return found | ({"tasks": benchmark.tasks_hash} if isinstance(benchmark, HashedTasks) else {})


def without_speed(
    loaded: Sequence[LoadedBenchmark], skipped: Mapping[str, str], model: Model
) -> tuple[list[LoadedBenchmark], Mapping[str, str]]:
    """Leaves benchmarks of speed out for a model that has none. Raises UsageError when nothing else is left."""
    kept = [item for item in loaded if model.has_speed or not isinstance(item.benchmark, SpeedBenchmark)]
    names = {item.plan.name for item in loaded} - {item.plan.name for item in kept}
    why = f"{model.name} makes no tokens of its own, so it has no speed; use hf:, vllm: or openai:"
    if not kept:
        raise UsageError(f"{', '.join(sorted(names))}: {why}")
    return kept, {**skipped, **dict.fromkeys(names, why)}


def planned_rows(
    plan: RunPlan, loaded: Sequence[LoadedBenchmark], skipped: Mapping[str, str], samples: SampleFile | None
) -> list[BenchmarkRow]:
    """What a run records of its benchmarks before its first attempt, in the plan's order."""
    rows = {item.plan.name: _planned_row(plan, item, samples) for item in loaded}
    rows |= {name: BenchmarkRow(name, 0, 0, 0, (), {"by": "all"}, {}, reason) for name, reason in skipped.items()}
    return [rows[part.name] for part in plan.benchmarks]


def _planned_row(plan: RunPlan, loaded: LoadedBenchmark, samples: SampleFile | None) -> BenchmarkRow:
    part, available, chosen = loaded.plan, loaded.available, len(loaded.tasks)
    attempts = chosen * len(plan.settings.seeds) * _attempts(plan, loaded)
    how: dict[str, Any] = {"by": "all"}
    if samples is not None:
        how = {"by": "samples_file", "file": samples.path.name, "tasks_with_samples": chosen}
    elif plan.shard:
        how = {"by": "shard", "shard": plan.shard}
    elif part.sample_ids:
        how = {"by": "sample_ids"}
    elif chosen < available:
        stratified = any(task.strata for task in loaded.tasks) and not isinstance(loaded.benchmark, SpeedBenchmark)
        how = {"by": "limit", "limit": part.limit, "stratified": stratified}
        how |= {"seed": plan.settings.limit_seed} if stratified else {}
    if isinstance(loaded.benchmark, NamedTasks) and loaded.benchmark.task_set:
        how |= {"task_set": loaded.benchmark.task_set}
    return BenchmarkRow(
        benchmark=part.name,
        tasks_available=available,
        tasks_planned=chosen if samples is None else available,
        attempts_planned=len(samples.keys) if samples is not None else attempts,
        task_ids=[task.task_id for task in loaded.tasks],
        selection=how,
        datasets=loaded.datasets,
    )


def list_attempts(
    plan: RunPlan, loaded: LoadedBenchmark, samples: SampleFile | None, done: DoneAttempts | None = None
) -> list[AttemptSpec]:
    """Every attempt at a benchmark's tasks that is not done, in order of task, seed, attempt; with samples, one for
    each of them."""
    done = done or DoneAttempts()
    if samples is not None:
        categories = {task.task_id: task.category for task in loaded.tasks}
        left = (key for key in samples.keys if key not in done)
        return [AttemptSpec(key, categories[key.task_id], samples.samples[key]) for key in left]
    name, attempts = loaded.plan.name, range(_attempts(plan, loaded))
    found: list[AttemptSpec] = []
    for task in loaded.tasks:
        for seed in plan.settings.seeds:
            made = done.of_task(name, task.task_id, seed)
            if made != attempts:
                found += [
                    AttemptSpec(AttemptKey(name, task.task_id, attempt, seed), task.category)
                    for attempt in attempts
                    if attempt not in made
                ]
    return found


def further_attempts(
    plan: RunPlan, loaded: LoadedBenchmark, seeds: Sequence[int], repetition: int
) -> list[AttemptSpec]:
    """The attempts that repeat replicates for the so-manieth time: numbered on from those before."""
    attempts = _attempts(plan, loaded)
    return [
        AttemptSpec(AttemptKey(loaded.plan.name, task.task_id, attempt, seed), task.category)
        for task in loaded.tasks
        for seed in seeds
        for attempt in range(repetition * attempts, (repetition + 1) * attempts)
    ]


def planned_attempts(plan: RunPlan, loaded: LoadedBenchmark, samples: SampleFile | None) -> dict[str, int]:
    """How many attempts a run is to make, by task."""
    if samples is not None:
        return Counter(key.task_id for key in samples.keys)
    each = len(plan.settings.seeds) * _attempts(plan, loaded)
    return dict.fromkeys((task.task_id for task in loaded.tasks), each)


def attempts_each(plan: RunPlan, part: BenchmarkPlan, benchmark: Benchmark) -> int:
    """Attempts per task and seed."""
    least = benchmark.least_attempts if isinstance(benchmark, SpeedBenchmark) else 1
    return max(plan.attempts(part), least)


def _attempts(plan: RunPlan, loaded: LoadedBenchmark) -> int:
    """Per task and seed."""
    return attempts_each(plan, loaded.plan, loaded.benchmark)
