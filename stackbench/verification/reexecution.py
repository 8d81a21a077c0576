"""Scores a sample of a run's recorded answers again, as the run did, and compares the verdicts."""

from __future__ import annotations

import hashlib
import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from stackbench.benchmarks import CodeBenchmark, SpeedBenchmark, create_benchmark, find_benchmark
from stackbench.benchmarks.base import Sample
from stackbench.config import Home, Settings
from stackbench.engine import BenchmarkPlan, RunPlan, SampleFile, plan_benchmarks, replay_settings, run_plan
from stackbench.errors import StackbenchError
from stackbench.store import LocalQueries, Reader, open_database
from stackbench.types import AttemptKey, AttemptStatus, AttemptSummary, FinishReason
from stackbench.verification.verdicts import Check, Reexecuted

__all__ = ["draw_tasks", "execute_again"]

RARE = 3
"""Outcomes that so few tasks have, or fewer, are all executed again."""


def draw_tasks(attempts: Sequence[AttemptSummary], most: int, seed: int) -> dict[str, str]:
    """The tasks of one benchmark to execute again, with the outcome each was drawn for.

    Tasks are drawn by outcome (passed, failed, cut at the token limit, near a time limit): all of an outcome that few
    tasks have, and of the others equally many, `most` in all where the rare ones leave room.
    """
    strata: dict[str, set[str]] = defaultdict(set)
    for attempt in attempts:
        if attempt.status is AttemptStatus.COMPLETED:
            strata[_stratum(attempt)].add(attempt.key.task_id)
    drawn: dict[str, str] = {}
    for name, tasks in sorted(strata.items()):
        if len(tasks) <= RARE:
            drawn |= dict.fromkeys(sorted(tasks), name)
    common = {name: sorted(tasks) for name, tasks in sorted(strata.items()) if len(tasks) > RARE}
    generator = random.Random(seed)
    for tasks in common.values():
        generator.shuffle(tasks)
    while len(drawn) < most and any(common.values()):
        for name, tasks in common.items():
            if tasks and len(drawn) < most:
                drawn.setdefault(tasks.pop(), name)
    return drawn


def _stratum(attempt: AttemptSummary) -> str:
    if attempt.metrics.get("near_limit"):
        return "near a time limit"
    if attempt.finish_reason is FinishReason.LENGTH:
        return "cut"
    return "passed" if attempt.passed else "failed"


async def execute_again(
    home: Home, run_id: str, plan: RunPlan, most: int, seed: int
) -> tuple[list[Reexecuted], list[Check]]:
    """Verdicts of a sample of the run's tasks, `most` for each benchmark, from its recorded answers.

    `home` is a scratch home whose database holds the run alone; the repetition is recorded there.
    """
    recorded, checks = _recorded(home, run_id, plan)
    drawn = {name: draw_tasks(attempts, most, seed) for name, attempts in recorded.items()}
    drawn = {name: tasks for name, tasks in drawn.items() if tasks}
    if not drawn:
        return [], checks
    try:
        again = await _run(home, run_id, plan, drawn)
    except StackbenchError as error:
        return [], [*checks, Check("verdicts", "executed again", "unchecked", str(error))]
    found = [
        _compare(attempt, again.get(attempt.key), drawn[name][attempt.key.task_id])
        for name in drawn
        for attempt in recorded[name]
        if attempt.key.task_id in drawn[name] and attempt.status is AttemptStatus.COMPLETED
    ]
    lacking = [one for one in found if one.again is None]
    if lacking:
        why = f"{len(lacking)} of {len(found)} attempts got no verdict: {lacking[0].problem}"
        checks.append(Check("verdicts", "executed again", "unchecked", why))
    return [one for one in found if one.again is not None], checks


def _recorded(home: Home, run_id: str, plan: RunPlan) -> tuple[dict[str, list[AttemptSummary]], list[Check]]:
    """The attempts of each benchmark that can be executed again; and why others cannot."""
    found: dict[str, list[AttemptSummary]] = {}
    checks: list[Check] = []
    queries = LocalQueries(open_database(home.database, read_only=True))
    try:
        reader = Reader(queries)
        for part in plan.benchmarks:
            kind = find_benchmark(part.name)
            if kind is None:
                checks.append(Check("verdicts", part.name, "unchecked", "this version knows no such benchmark"))
            elif isinstance(kind, SpeedBenchmark):
                checks.append(Check("verdicts", part.name, "unchecked", "speed cannot be measured again from answers"))
            else:
                found[part.name] = reader.summaries(run_id, part.name)
    finally:
        queries.close()
    return found, checks


async def _run(
    home: Home, run_id: str, plan: RunPlan, drawn: Mapping[str, Mapping[str, str]]
) -> dict[AttemptKey, AttemptSummary]:
    """The attempts at the drawn tasks, made again."""
    samples, keys = (None, {}) if plan.samples_file is None else _samples(home, run_id, plan, drawn)
    if samples is None:
        settings = replay_settings(Settings(model=f"replay:{run_id}"), {})
        made = plan_benchmarks(list(drawn), settings)
        parts = tuple(part.model_copy(update={"sample_ids": tuple(drawn[part.name])}) for part in made.benchmarks)
        made = made.model_copy(update={"benchmarks": parts})
    else:
        part = BenchmarkPlan(name=plan.benchmarks[0].name, options=plan.benchmarks[0].options)
        settings = plan.settings.model_copy(update={"baseline": ""})
        made = RunPlan(suite="verify", settings=settings, benchmarks=(part,), samples_file=str(samples.path))
    outcome = await run_plan(home, made, samples=samples)
    if outcome.problem:
        raise StackbenchError(outcome.problem)
    queries = LocalQueries(open_database(home.database, read_only=True))
    try:
        reader = Reader(queries)
        found = [one for name in drawn for one in reader.summaries(outcome.run_id, name)]
    finally:
        queries.close()
    return {keys.get(one.key, one.key): one for one in found}


def _samples(
    home: Home, run_id: str, plan: RunPlan, drawn: Mapping[str, Mapping[str, str]]
) -> tuple[SampleFile, dict[AttemptKey, AttemptKey]]:
    """The recorded programs of a run that scored a file of samples, and which attempt each is of."""
    (name,) = drawn
    assert isinstance(create_benchmark(name, plan.benchmarks[0].options), CodeBenchmark)
    programs: dict[AttemptKey, str] = {}
    queries = LocalQueries(open_database(home.database, read_only=True))
    try:
        reader = Reader(queries)
        for summary in reader.summaries(run_id, name):
            detail = reader.attempt(run_id, summary.key) if summary.key.task_id in drawn[name] else None
            if detail is not None and detail.program is not None:
                programs[summary.key] = detail.program
    finally:
        queries.close()
    counts: dict[str, int] = defaultdict(int)
    renamed: dict[AttemptKey, AttemptKey] = {}
    for key in programs:
        renamed[replace(key, attempt=counts[key.task_id], seed=0)] = key
        counts[key.task_id] += 1
    texts = [programs[key] for key in renamed.values()]
    digest = hashlib.sha256("\0".join(texts).encode("utf-8", "backslashreplace")).hexdigest()
    samples = {key: Sample(text, whole=True) for key, text in zip(renamed, texts, strict=True)}
    lines = (b"{}",) * len(texts)  # rows that verdicts are written back to, in a scratch folder
    path = Path(plan.samples_file or run_id).name
    file = SampleFile(home.path / path, digest, lines, tuple(renamed), samples, missing=(), uneven=None, fenced=())
    return file, renamed


def _compare(recorded: AttemptSummary, again: AttemptSummary | None, stratum: str) -> Reexecuted:
    key = recorded.key
    problem = ""
    if again is None or again.status is not AttemptStatus.COMPLETED:
        problem = "the attempt could not be made again"
    elif (recorded.passed, recorded.score) != (again.passed, again.score) and not _depends_on_speed(recorded, again):
        problem = f"recorded as {_verdict(recorded)}, executed again it is {_verdict(again)}"
    return Reexecuted(
        key.benchmark,
        key.task_id,
        key.attempt,
        key.seed,
        stratum,
        recorded.passed,
        again.passed if again is not None and again.status is AttemptStatus.COMPLETED else None,
        problem,
    )


def _depends_on_speed(recorded: AttemptSummary, again: AttemptSummary) -> bool:
    return bool(recorded.metrics.get("near_limit") or again.metrics.get("near_limit"))


def _verdict(attempt: AttemptSummary) -> str:
    word = "passed" if attempt.passed else "failed"
    return word if attempt.score in (0.0, 1.0) else f"{word} with score {attempt.score}"
