"""Makes one attempt from its specification: the only place where a benchmark's code runs."""

from __future__ import annotations

import errno
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Protocol

from stackbench.benchmarks import AgentBenchmark, CodeBenchmark, SpeedBenchmark
from stackbench.engine.context import AttemptContext
from stackbench.engine.plan import RunPlan
from stackbench.engine.resources import AttemptResources, RunResources
from stackbench.engine.work import AttemptSpec, LoadedBenchmark
from stackbench.errors import (
    AttemptError,
    DockerNotAvailableError,
    ErrorKind,
    ModelLostError,
    ModelUnreachableError,
    SandboxError,
    StackbenchError,
    StoreError,
    one_line,
)
from stackbench.models import Remote
from stackbench.sandbox.docker_engine import ENGINE
from stackbench.slots import Slots
from stackbench.types import (
    AttemptKey,
    AttemptRecord,
    AttemptStatus,
    EventRecord,
    FinishReason,
    Scored,
    Task,
    ToolCallRecord,
)

__all__ = ["MOST_OUTAGES", "AttemptResult", "Executor", "LocalExecutor", "failed_record", "kind_of", "wait_out"]

LONGEST_FAULT = 2000
NO_SPACE = "no space left on device"
"""As the Docker engine tells of it."""
MOST_OUTAGES = 5
"""Outages that an attempt may meet before it counts as an error: it may be what takes the endpoint down."""


@dataclass(frozen=True, slots=True)
class AttemptResult:
    """An attempt that has ended, as data. Its events are numbered within the run."""

    record: AttemptRecord
    events: tuple[EventRecord, ...] = ()
    tool_calls: tuple[ToolCallRecord, ...] = ()
    texts: Mapping[str, str] = field(default_factory=dict[str, str])
    """What the events' requests refer to beside the record's prompt, by sha256."""


class Executor(Protocol):
    """Makes attempts, in this process or elsewhere."""

    async def execute(self, spec: AttemptSpec) -> AttemptResult:
        """The attempt's result; an error of its own is one too.

        Raises:
            ModelLostError: the model is gone.
            ModelUnreachableError, DockerNotAvailableError: they are gone for now, and the attempt is to be made again.
            StoreError: the database failed.
        """
        ...


class LocalExecutor:
    """Makes the attempts of one benchmark in this process."""

    def __init__(
        self,
        plan: RunPlan,
        item: LoadedBenchmark,
        resources: AttemptResources,
        next_seq: Callable[[], int],
        now: Callable[[], datetime],
    ) -> None:
        self._plan = plan
        self._item = item
        self._resources = resources
        self._next_seq = next_seq
        self._now = now
        # to ask what kind of benchmark it is takes 40 us (runtime_checkable protocols): not once for every attempt
        self._speed = isinstance(item.benchmark, SpeedBenchmark)
        self._agent = isinstance(item.benchmark, AgentBenchmark)
        self._code = item.benchmark if isinstance(item.benchmark, CodeBenchmark) else None
        self._tasks = {task.task_id: task for task in item.tasks}

    async def execute(self, spec: AttemptSpec) -> AttemptResult:
        context = AttemptContext(
            spec.key,
            self._plan,
            self._item.plan,
            self._resources,
            Slots(1) if self._speed else self._resources.controls.slots,
            self._next_seq,
            self._now,
            agent=self._agent,
        )
        started_at = self._now()
        kind: ErrorKind | None = None
        try:
            scored = await self._make(spec, self._tasks[spec.key.task_id], context)
            status, error = AttemptStatus.COMPLETED, None if scored.passed else scored.reason or None
        except (StoreError, ModelLostError):
            raise
        except Exception as problem:  # a fault in one benchmark's code must not lose the other attempts
            await self._raise_outage(problem)
            kind = await self._kind(problem)
            known = isinstance(problem, AttemptError)
            text = str(problem) if known else f"fault in {spec.key.benchmark}: {one_line(repr(problem), LONGEST_FAULT)}"
            scored, status, error = context.failed(), AttemptStatus.ERROR, f"error: {text}"
        finally:
            context.end()
        if kind is None or not kind.of_infrastructure:
            context.drop_checkpoint()
        record = _record(spec, scored, status, error, started_at, cut=context.cut, kind=kind)
        return AttemptResult(record, tuple(context.events), tuple(context.tool_calls), context.texts(record.prompt))

    async def _raise_outage(self, problem: Exception) -> None:
        """Raises what tells that something went away under the attempt, where that is why it failed."""
        if isinstance(problem, DockerNotAvailableError):
            raise problem
        if isinstance(problem, ModelUnreachableError) and isinstance(self._resources.model, Remote):
            raise problem
        if isinstance(problem, SandboxError) and not await self._resources.sandbox.engine_answers():
            raise DockerNotAvailableError(str(problem)) from problem

    async def _kind(self, problem: Exception) -> ErrorKind:
        """What kept the attempt from being made."""
        kind = kind_of(problem)
        if kind is ErrorKind.CONTAINER and await self._resources.sandbox.ran_out_of_memory(problem):
            return ErrorKind.MEMORY
        return kind

    async def _make(self, spec: AttemptSpec, task: Task, context: AttemptContext) -> Scored:
        if spec.sample is None:
            return await self._item.benchmark.attempt(task, context)
        assert self._code is not None
        scored = await self._code.score(task, spec.sample, context)
        return replace(scored, completion=spec.sample.text)


def _record(
    spec: AttemptSpec,
    scored: Scored,
    status: AttemptStatus,
    error: str | None,
    started_at: datetime,
    *,
    cut: bool,
    kind: ErrorKind | None = None,
) -> AttemptRecord:
    completed = status is AttemptStatus.COMPLETED
    return AttemptRecord(
        key=spec.key,
        category=spec.category,
        status=status,
        score=scored.score if completed else None,
        passed=scored.passed if completed else None,
        error=error,
        prompt=scored.prompt,
        completion=scored.completion,
        prompt_tokens=scored.prompt_tokens,
        completion_tokens=scored.completion_tokens,
        started_at=started_at,
        latency_s=scored.latency_s,
        metrics=scored.metrics,
        thought=scored.thought,
        program=scored.program,
        finish_reason=FinishReason.LENGTH if cut else scored.finish_reason,
        reason=(scored.reason or None) if completed else error,
        error_kind=None if completed else kind,
    )


def failed_record(
    key: AttemptKey, category: str, why: str, started_at: datetime, kind: ErrorKind = ErrorKind.FAULT
) -> AttemptRecord:
    """The record of an attempt that ended in an error and left nothing else."""
    spec, nothing = AttemptSpec(key, category), Scored(0.0, False)
    return _record(spec, nothing, AttemptStatus.ERROR, why, started_at, cut=False, kind=kind)


def kind_of(problem: BaseException) -> ErrorKind:
    """What kept an attempt from being made; a full disk is looked for behind whatever was raised because of it."""
    behind: BaseException | None = problem
    while behind is not None:
        if isinstance(behind, OSError) and behind.errno in (errno.ENOSPC, errno.EDQUOT):
            return ErrorKind.DISK
        if isinstance(behind, SandboxError) and NO_SPACE in str(behind).lower():
            return ErrorKind.DISK
        behind = behind.__cause__ or behind.__context__
    if isinstance(problem, MemoryError):
        return ErrorKind.MEMORY
    return problem.kind if isinstance(problem, AttemptError) else ErrorKind.FAULT


async def wait_out(gone: StackbenchError, resources: AttemptResources | RunResources) -> bool:
    """Waits until what went away under an attempt answers again; False when the operator ends the run first.

    Raises OutageError.
    """
    model, outage = resources.model, resources.controls.outage
    if isinstance(gone, ModelUnreachableError) and isinstance(model, Remote):
        return await outage.wait(model.name, model.answers, str(gone))
    return await outage.wait(ENGINE, resources.sandbox.engine_answers)
