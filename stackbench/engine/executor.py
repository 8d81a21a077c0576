"""Makes one attempt from its specification: the only place where a benchmark's code runs."""

from __future__ import annotations

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

__all__ = ["MOST_OUTAGES", "AttemptResult", "Executor", "LocalExecutor", "failed_record", "wait_out"]

LONGEST_FAULT = 2000
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
        try:
            scored = await self._make(spec, self._tasks[spec.key.task_id], context)
            status, error = AttemptStatus.COMPLETED, None if scored.passed else scored.reason or None
        except (StoreError, ModelLostError):
            raise
        except Exception as problem:  # a fault in one benchmark's code must not lose the other attempts
            await self._raise_outage(problem)
            known = isinstance(problem, AttemptError)
            text = str(problem) if known else f"fault in {spec.key.benchmark}: {one_line(repr(problem), LONGEST_FAULT)}"
            scored, status, error = context.failed(), AttemptStatus.ERROR, f"error: {text}"
        finally:
            context.end()
        record = _record(spec, scored, status, error, started_at, cut=context.cut)
        return AttemptResult(record, tuple(context.events), tuple(context.tool_calls), context.texts(record.prompt))

    async def _raise_outage(self, problem: Exception) -> None:
        """Raises what tells that something went away under the attempt, where that is why it failed."""
        if isinstance(problem, DockerNotAvailableError):
            raise problem
        if isinstance(problem, ModelUnreachableError) and isinstance(self._resources.model, Remote):
            raise problem
        if isinstance(problem, SandboxError) and not await self._resources.sandbox.engine_answers():
            raise DockerNotAvailableError(str(problem)) from problem

    async def _make(self, spec: AttemptSpec, task: Task, context: AttemptContext) -> Scored:
        benchmark = self._item.benchmark
        if spec.sample is None:
            return await benchmark.attempt(task, context)
        assert isinstance(benchmark, CodeBenchmark)
        scored = await benchmark.score(task, spec.sample, context)
        return replace(scored, completion=spec.sample.text)


def _record(
    spec: AttemptSpec, scored: Scored, status: AttemptStatus, error: str | None, started_at: datetime, *, cut: bool
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
    )


def failed_record(key: AttemptKey, category: str, why: str, started_at: datetime) -> AttemptRecord:
    """The record of an attempt that ended in an error and left nothing else."""
    return _record(AttemptSpec(key, category), Scored(0.0, False), AttemptStatus.ERROR, why, started_at, cut=False)


async def wait_out(gone: StackbenchError, resources: AttemptResources | RunResources) -> bool:
    """Waits until what went away under an attempt answers again; False when the operator ends the run first.

    Raises OutageError.
    """
    model, outage = resources.model, resources.controls.outage
    if isinstance(gone, ModelUnreachableError) and isinstance(model, Remote):
        return await outage.wait(model.name, model.answers, str(gone))
    return await outage.wait(ENGINE, resources.sandbox.engine_answers)
