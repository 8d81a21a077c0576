"""Runs the attempts of a benchmark with bounded concurrency and records each; errors are distinct from failures."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from stackbench.benchmarks import SpeedBenchmark
from stackbench.control.messages import AttemptFinished, AttemptQueued, Notice
from stackbench.engine.attempt_tracker import attempt_ref
from stackbench.engine.executor import MOST_OUTAGES, AttemptResult, Executor, failed_record, wait_out
from stackbench.engine.plan import RunPlan
from stackbench.engine.resources import RunResources
from stackbench.engine.run_order import utc_now
from stackbench.engine.time_shares import TimeShares
from stackbench.engine.work import AttemptSpec, LoadedBenchmark
from stackbench.errors import (
    AttemptError,
    DockerNotAvailableError,
    ErrorKind,
    ModelUnreachableError,
    RunFailedError,
    StackbenchError,
    StoreError,
    one_line,
)
from stackbench.models import Model, Watched
from stackbench.types import AttemptKey, AttemptRecord, AttemptStatus, FinishReason

__all__ = ["AttemptRunner", "BenchmarkCounts", "RunCounts", "model_slots"]

GRACE_S = 3.0
SAME_ERRORS_AT_LEAST = 50
MOST_AGAIN = 2
"""Times that an attempt is made again after errors of the infrastructure."""


@dataclass(slots=True)
class RunCounts:
    """Attempts ended so far, over this part of the run."""

    errors_in_a_row: int = 0
    last_error: str = ""
    made_again: int = 0
    """Times that an attempt was put back behind the others, for an error of the infrastructure."""


@dataclass(slots=True)
class BenchmarkCounts:
    """Attempts at one benchmark."""

    total: int
    before: int
    """Made by an earlier part of the run."""
    passed: int
    """Those of earlier parts included."""
    done: int = 0
    errors: int = 0
    tokens: int = 0


@dataclass(slots=True)
class AttemptRunner:
    """Makes the attempts of one benchmark; `counts` grows as it goes."""

    run_id: str
    plan: RunPlan
    item: LoadedBenchmark
    executor: Executor
    resources: RunResources
    counts: RunCounts
    progress: BenchmarkCounts
    shares: TimeShares = field(default_factory=TimeShares)
    """Those of the benchmarks that share the model with this one."""
    part: Callable[[], float] = lambda: 1.0
    """The part of the model's servers that it has, 0 to 1."""
    all_begun: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once nothing of it is queued: what is optional may begin."""
    cancelled: list[AttemptSpec] = field(default_factory=list[AttemptSpec])
    """Attempts that the operator had left out."""
    failed: dict[AttemptKey, AttemptSpec] = field(default_factory=dict[AttemptKey, AttemptSpec])
    """Those that ended in errors."""
    _hit: Counter[AttemptKey] = field(default_factory=Counter[AttemptKey])
    """Attempts that an outage interrupted, with how often."""
    _made_again: Counter[AttemptKey] = field(default_factory=Counter[AttemptKey])
    """Attempts that failed by no fault of their own, with how often they were put back."""
    _told: set[ErrorKind] = field(default_factory=set[ErrorKind])
    _queue: deque[AttemptSpec] = field(default_factory=deque[AttemptSpec])
    _speed: bool = False
    _changed: asyncio.Event = field(default_factory=asyncio.Event)
    _workers: set[asyncio.Task[None]] = field(default_factory=set["asyncio.Task[None]"])
    _under_way: dict[AttemptKey, asyncio.Task[Any]] = field(default_factory=dict[AttemptKey, "asyncio.Task[Any]"])

    async def run_all(self, left: Sequence[AttemptSpec]) -> None:
        """Keeps attempts under way until none is left, the run ends or errors pile up.

        Raises:
            RunFailedError: attempt after attempt ended in an error.
            StoreError: the database failed.
            ModelLostError: the model is gone.
            OutageError: endpoint or Docker engine stayed away.
        """
        self._queue.extend(left)
        self._speed = isinstance(self.item.benchmark, SpeedBenchmark)
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
            self.all_begun.set()
            tasks: list[asyncio.Task[Any]] = [*self._workers, stopped]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _employ(self) -> None:
        """Starts as many workers as there is work and room for; a worker ends when it finds no work, or no room."""
        if not self.resources.controls.ending:
            for _ in range(min(self._most_at_once() - len(self._workers), len(self._queue))):
                self._workers.add(asyncio.create_task(self._worker()))

    async def _worker(self) -> None:
        controls = self.resources.controls
        while self._queue and len(self._workers) <= self._most_at_once():
            if controls.phase != "running" and not await controls.admit():
                return
            if not self._queue:
                return
            spec = self._queue.popleft()
            if not self._queue:
                self.all_begun.set()
            if controls.is_cancelled(spec.key):
                self.cancelled.append(spec)
                continue
            try:
                await self._attempt(spec)
            except (ModelUnreachableError, DockerNotAvailableError) as gone:
                if not await self._wait_out(spec, gone):
                    return
                continue
            await asyncio.sleep(0)  # answers that are there at once would keep the loop from everything else
            if self.counts.errors_in_a_row and self.counts.errors_in_a_row >= self._give_up():
                raise RunFailedError(
                    f"{self._give_up()} attempts in a row ended in errors; the last: {self.counts.last_error}"
                )

    async def _wait_out(self, spec: AttemptSpec, gone: StackbenchError) -> bool:
        """Puts back an attempt that was under way when something went away, and waits until that answers again; False
        when the operator ends the run first. Raises OutageError."""
        self._hit[spec.key] += 1
        if self._hit[spec.key] > MOST_OUTAGES:
            why = f"error: {gone} (in {self._hit[spec.key]} tries of this attempt)"
            kind = gone.kind if isinstance(gone, AttemptError) else ErrorKind.FAULT
            record = failed_record(spec.key, spec.category, why, utc_now(), kind)
            self._count(spec, self._recorded(AttemptResult(record)))
            self.resources.tracker.finish(
                spec.key, AttemptFinished(attempt=attempt_ref(spec.key), passed=None, reason=why)
            )
        else:
            self.requeue([spec])
        return await wait_out(gone, self.resources)

    # -- what the operator asks

    def cancel(self, task_id: str = "") -> int:
        """Gives up attempts under way at a task, or at every task; how many. What is queued is left out at once."""
        left_out = [spec for spec in self._queue if not task_id or spec.key.task_id == task_id]
        if left_out:
            self._queue = deque(spec for spec in self._queue if task_id and spec.key.task_id != task_id)
            self.cancelled += left_out
            if not self._queue:
                self.all_begun.set()
        found = [task for key, task in self._under_way.items() if not task_id or key.task_id == task_id]
        for task in found:
            task.cancel()
        return len(found)

    def requeue(self, specs: Sequence[AttemptSpec]) -> None:
        """Puts attempts back into the queue, before the others."""
        for spec in reversed(specs):
            self._queue.appendleft(spec)
            self.resources.publish(AttemptQueued(attempt=attempt_ref(spec.key)))
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
        if self._speed:
            return 1
        slots = max(1, round(self.resources.controls.slots.size * self.part()))
        if not self.item.benchmark.uses_sandbox or self.plan.samples_file is not None:
            return slots
        return slots + (max(2, slots // 2) if slots > 1 else 0)

    def _give_up(self) -> int:
        return max(SAME_ERRORS_AT_LEAST, 2 * self._most_at_once())

    # -- one attempt

    async def _attempt(self, spec: AttemptSpec) -> None:
        key, resources = spec.key, self.resources
        finished: AttemptFinished | None = None
        task = asyncio.current_task()
        assert task is not None
        self._under_way[key] = task
        resources.tracker.start(key)
        began = self.shares.begin(key.benchmark)
        try:
            result = await self.executor.execute(spec)
            if self._puts_back(spec, result.record):
                return
            record = self._recorded(result)
            self._count(spec, record)
            finished = AttemptFinished(
                attempt=attempt_ref(key),
                passed=record.passed,
                reason=record.error or "",
                completion_tokens=_count_of(record.completion_tokens),
                cut=record.finish_reason is FinishReason.LENGTH,
            )
        except asyncio.CancelledError:
            if resources.controls.is_cancelled(key):
                self.cancelled.append(spec)
            raise
        finally:
            self._under_way.pop(key, None)
            self.shares.end(key.benchmark, began, counted=finished is not None)
            resources.tracker.finish(key, finished)

    def _puts_back(self, spec: AttemptSpec, record: AttemptRecord) -> bool:
        """Whether the attempt is made again, behind the others: what failed was neither its own nor the model's."""
        kind = None if record.error_kind is None else ErrorKind(record.error_kind)
        if kind is None or not kind.of_infrastructure or self.resources.controls.ending:
            return False
        if self._made_again[spec.key] >= MOST_AGAIN:
            return False
        self._made_again[spec.key] += 1
        self.counts.errors_in_a_row += 1
        self.counts.last_error = (record.error or "").removeprefix("error: ")
        self.counts.made_again += 1
        if kind not in self._told:
            self._told.add(kind)
            line = f"{spec.key.benchmark}: {self.counts.last_error} ({kind}); such attempts are made again at the end"
            self.resources.publish(Notice(text=line))
        self._queue.append(spec)
        self.resources.publish(AttemptQueued(attempt=attempt_ref(spec.key)))
        self._changed.set()
        return True

    def _recorded(self, result: AttemptResult) -> AttemptRecord:
        """Records the attempt; one that cannot be recorded as it is becomes an error: nothing that one attempt holds
        ends the run. Raises StoreError."""
        record = result.record
        try:
            self.resources.writer.attempt(self.run_id, record, result.events, result.tool_calls, result.texts)
        except StoreError:
            raise
        except Exception as problem:
            why = f"error: the attempt cannot be recorded: {one_line(repr(problem))}"
            record = failed_record(record.key, record.category, why, record.started_at)
            self.resources.writer.attempt(self.run_id, record)
        return record

    def _count(self, spec: AttemptSpec, record: AttemptRecord) -> None:
        counts, progress = self.counts, self.progress
        if record.status is AttemptStatus.ERROR:
            counts.errors_in_a_row += 1
            counts.last_error = (record.error or "").removeprefix("error: ")
            self.failed[spec.key] = spec
        else:
            counts.errors_in_a_row = 0
        progress.tokens += _count_of(record.completion_tokens)
        progress.done += 1
        progress.errors += record.status is AttemptStatus.ERROR
        progress.passed += record.passed is True


def _count_of(tokens: object) -> int:
    """A benchmark of somebody else's may have put anything there."""
    return tokens if isinstance(tokens, int) else 0


def model_slots(plan: RunPlan, model: Model) -> int:
    """Requests to have at the model at once: those that it works on, and those that a server keeps waiting."""
    asked = plan.settings.concurrency or model.concurrency
    return asked + (model.backlog if isinstance(model, Watched) else 0)
