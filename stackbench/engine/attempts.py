"""Makes the attempts of a benchmark: so many at once, each recorded when it ends, errors told apart from failures."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from stackbench.benchmarks import AgentBenchmark, SpeedBenchmark
from stackbench.control.messages import AttemptFinished, AttemptQueued, EventKind
from stackbench.engine.attempt_tracker import AttemptTracker, attempt_ref
from stackbench.engine.context import AttemptContext
from stackbench.engine.controls import RunControls
from stackbench.engine.lazy_sandbox import LazySandbox
from stackbench.engine.plan import RunPlan
from stackbench.engine.slots import Slots
from stackbench.engine.work import LoadedBenchmark, Work
from stackbench.errors import AttemptError, ModelLostError, RunFailedError, StoreError
from stackbench.models import Model, Watched
from stackbench.store import Reader, Writer
from stackbench.types import AttemptKey, AttemptRecord, AttemptStatus, Scored

__all__ = ["AttemptRunner", "BenchmarkProgress", "RunCounts", "RunResources", "model_slots"]

GRACE_S = 3.0
SAME_ERRORS_AT_LEAST = 50


@dataclass(slots=True)
class RunCounts:
    """Attempts ended so far, over this part of the run."""

    errors_in_a_row: int = 0
    last_error: str = ""
    tokens: int = 0


@dataclass(slots=True)
class BenchmarkProgress:
    """Attempts at one benchmark."""

    total: int
    before: int
    """Made by an earlier part of the run."""
    passed: int
    """Those of earlier parts included."""
    done: int = 0
    errors: int = 0
    tokens: int = 0


@dataclass(frozen=True, slots=True)
class RunResources:
    """What a run works with."""

    writer: Writer
    reader: Reader
    model: Model
    sandbox: LazySandbox
    controls: RunControls
    tracker: AttemptTracker
    publish: Callable[[EventKind], None]
    """Tells whoever watches the run."""


@dataclass(slots=True)
class AttemptRunner:
    """Makes the attempts of one benchmark; `counts` grows as it goes."""

    run_id: str
    plan: RunPlan
    item: LoadedBenchmark
    resources: RunResources
    counts: RunCounts
    progress: BenchmarkProgress
    seq: Iterator[int]
    """Numbers of events, unique within the run."""
    now: Callable[[], datetime]
    cancelled: list[Work] = field(default_factory=list[Work])
    """Attempts that the operator had left out."""
    failed: dict[AttemptKey, Work] = field(default_factory=dict[AttemptKey, Work])
    """Those that ended in errors."""
    _queue: deque[Work] = field(default_factory=deque[Work])
    _changed: asyncio.Event = field(default_factory=asyncio.Event)
    _workers: set[asyncio.Task[None]] = field(default_factory=set["asyncio.Task[None]"])
    _under_way: dict[AttemptKey, asyncio.Task[Any]] = field(default_factory=dict[AttemptKey, "asyncio.Task[Any]"])

    async def run_all(self, left: Sequence[Work]) -> None:
        """Keeps attempts under way until none is left, the run ends or errors pile up.

        Raises:
            RunFailedError: attempt after attempt ended in an error.
            StoreError: the database failed.
            ModelLostError: the model is gone.
        """
        self._queue.extend(left)
        stopped = asyncio.create_task(self.resources.controls.stopping.wait())
        try:
            self._employ()
            while self._workers and not stopped.done():
                self._changed.clear()
                changed = asyncio.create_task(self._changed.wait())
                ended, _ = await asyncio.wait({*self._workers, stopped, changed}, return_when=asyncio.FIRST_COMPLETED)
                changed.cancel()
                for task in ended & self._workers:
                    self._workers.discard(task)
                    if not task.cancelled():
                        task.result()
                self._employ()
            if self._workers:
                await asyncio.wait(self._workers, timeout=GRACE_S)
        finally:
            tasks: list[asyncio.Task[Any]] = [*self._workers, stopped]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _employ(self) -> None:
        """Starts as many workers as there is work and room for; a worker ends when it finds no work, or no room."""
        if not self.resources.controls.ending:
            for _ in range(min(self._most_at_once() - len(self._workers), len(self._queue))):
                self._workers.add(asyncio.create_task(self._work()))

    async def _work(self) -> None:
        controls = self.resources.controls
        while self._queue and len(self._workers) <= self._most_at_once():
            if controls.phase != "running" and not await controls.admit():
                return
            if not self._queue:
                return
            work = self._queue.popleft()
            if controls.is_cancelled(work.key):
                self.cancelled.append(work)
                continue
            await self._attempt(work)
            if self.counts.errors_in_a_row >= self._give_up():
                raise RunFailedError(
                    f"{self._give_up()} attempts in a row ended in errors; the last: {self.counts.last_error}"
                )

    # -- what the operator asks

    def cancel(self, task_id: str = "") -> int:
        """Gives up attempts under way at a task, or at every task; how many. What is queued is left out in its turn."""
        found = [task for key, task in self._under_way.items() if not task_id or key.task_id == task_id]
        for task in found:
            task.cancel()
        return len(found)

    def requeue(self, works: Sequence[Work]) -> None:
        """Puts attempts back into the queue, before the others."""
        for work in reversed(works):
            self._queue.appendleft(work)
            self.resources.publish(AttemptQueued(attempt=attempt_ref(work.key)))
        self._changed.set()

    def wake(self) -> None:
        """Limits have changed."""
        self._changed.set()

    @property
    def queued(self) -> int:
        return len(self._queue)

    @property
    def under_way(self) -> Sequence[AttemptKey]:
        return tuple(self._under_way)

    # -- how many at once

    def _most_at_once(self) -> int:
        """Attempts to have under way: as many as there are places at the model, and some beside them whose code is
        executed meanwhile, so that scoring leaves no place empty."""
        if isinstance(self.item.benchmark, SpeedBenchmark):
            return 1
        slots = self.resources.controls.slots.size
        if not self.item.benchmark.uses_sandbox or self.plan.samples_file is not None:
            return slots
        return slots + (max(2, slots // 2) if slots > 1 else 0)

    def _give_up(self) -> int:
        return max(SAME_ERRORS_AT_LEAST, 2 * self._most_at_once())

    # -- one attempt

    async def _attempt(self, work: Work) -> None:
        counts, progress, resources = self.counts, self.progress, self.resources
        key = work.key
        slots = Slots(1) if isinstance(self.item.benchmark, SpeedBenchmark) else resources.controls.slots
        context = AttemptContext(
            key,
            self.plan,
            self.item.plan,
            resources,
            slots,
            lambda: next(self.seq),
            self.now,
            agent=isinstance(self.item.benchmark, AgentBenchmark),
        )
        started_at = self.now()
        finished: AttemptFinished | None = None
        resources.tracker.start(key)
        task = asyncio.current_task()
        assert task is not None
        self._under_way[key] = task
        try:
            try:
                scored = await work.make(context)
                status, error = AttemptStatus.COMPLETED, scored.reason or None
                counts.errors_in_a_row = 0
            except (StoreError, ModelLostError):
                raise
            except Exception as problem:  # a fault in one benchmark's code must not lose the other attempts
                text = str(problem) if isinstance(problem, AttemptError) else f"fault in {key.benchmark}: {problem!r}"
                scored, status, error = context.failed(), AttemptStatus.ERROR, f"error: {text}"
                counts.errors_in_a_row += 1
                counts.last_error = text
                self.failed[key] = work
            resources.writer.attempt(
                self.run_id, _record(work, scored, status, error, started_at), context.events, context.tool_calls
            )
            counts.tokens += scored.completion_tokens
            progress.tokens += scored.completion_tokens
            progress.done += 1
            progress.errors += status is AttemptStatus.ERROR
            progress.passed += status is AttemptStatus.COMPLETED and scored.passed
            finished = AttemptFinished(
                attempt=attempt_ref(key),
                passed=scored.passed if status is AttemptStatus.COMPLETED else None,
                reason=error or "",
                completion_tokens=scored.completion_tokens,
                latency_s=scored.latency_s,
                finish_reason=None if scored.finish_reason is None else scored.finish_reason.value,
            )
        except asyncio.CancelledError:
            if resources.controls.is_cancelled(key):
                self.cancelled.append(work)
            raise
        finally:
            self._under_way.pop(key, None)
            context.end()
            resources.tracker.finish(key, finished)


def model_slots(plan: RunPlan, model: Model) -> int:
    """Requests to have at the model at once: those that it works on, and those that a server keeps waiting."""
    asked = plan.settings.concurrency or model.concurrency
    return asked + (model.backlog if isinstance(model, Watched) else 0)


def _record(
    work: Work, scored: Scored, status: AttemptStatus, error: str | None, started_at: datetime
) -> AttemptRecord:
    completed = status is AttemptStatus.COMPLETED
    return AttemptRecord(
        key=work.key,
        category=work.task.category,
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
        finish_reason=scored.finish_reason,
    )
