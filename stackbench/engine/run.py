"""Runs a plan: work out, done under limits, recorded, summed up."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import secrets
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, TypeVar

from stackbench.benchmarks import Benchmark
from stackbench.config import Home
from stackbench.datasets import DatasetStore
from stackbench.engine.context import AttemptContext, Preparation, utc_now
from stackbench.engine.environment import git_commit, machine_environment
from stackbench.engine.events import (
    AttemptFinished,
    BenchmarkFinished,
    BenchmarkSkipped,
    BenchmarkStarted,
    Listener,
    Notice,
    RunStarted,
)
from stackbench.engine.lazy_sandbox import LazySandbox
from stackbench.engine.monitor import Monitor
from stackbench.engine.outcome import RunOutcome, check_gates
from stackbench.engine.plan import RunPlan
from stackbench.engine.replay import create_run_model
from stackbench.engine.samples import SampleFile
from stackbench.engine.server import EngineServer
from stackbench.engine.work import LoadedBenchmark, Work, list_work, load_benchmarks
from stackbench.errors import AttemptError, RunFailedError, StackbenchError, StoreError
from stackbench.models import Model
from stackbench.store import BenchmarkResult, LocalQueries, Reader, RunRow, Writer
from stackbench.types import AttemptKey, AttemptRecord, AttemptStatus, Metric, RunStatus

__all__ = ["Engine"]

T = TypeVar("T")

GRACE_S = 3.0
SAME_ERRORS_AT_LEAST = 50


@dataclass(slots=True)
class Tally:
    """Attempts ended so far, over this part of the run."""

    errors_in_a_row: int = 0
    last_error: str = ""
    tokens: int = 0
    running: int = 0


@dataclass(frozen=True, slots=True)
class Rooms:
    """What the engine holds while it runs."""

    writer: Writer
    reader: Reader
    model: Model
    sandbox: LazySandbox


class Engine:
    """Runs one plan in this process. `stop` may be called from a signal handler."""

    def __init__(
        self,
        home: Home,
        plan: RunPlan,
        listener: Listener = lambda event: None,
        *,
        resume: str | None = None,
        samples: SampleFile | None = None,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self.run_id = resume or f"{now():%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"
        self.home = home
        self.plan = plan
        self._tally = Tally()
        self._listener = listener
        self._resume = resume is not None
        self._samples = samples
        self._now = now
        self._stopping = asyncio.Event()
        self._seq: Iterator[int] = itertools.count(1)

    @property
    def stopping(self) -> bool:
        """Whether `stop` was called."""
        return self._stopping.is_set()

    def stop(self) -> None:
        """Asks for no more attempts; those under way get a few seconds."""
        self._stopping.set()

    async def run(self) -> RunOutcome:
        """Runs to the end, to `stop`, or to an error that leaves the run resumable.

        Raises:
            StackbenchError: the run could not start, or the database failed under it.
        """
        started = time.monotonic()
        writer = await asyncio.to_thread(Writer, self.home.database)
        server = EngineServer(self.home.socket, writer)
        try:
            async with contextlib.AsyncExitStack() as stack:
                model = create_run_model(self.plan, self.home, writer)
                sandbox = LazySandbox(self.plan.settings, self.run_id, self._say)
                stack.push_async_callback(sandbox.close)
                stack.push_async_callback(model.close)
                problem = await server.start()
                if problem:
                    self._say(problem)
                rooms = Rooms(writer, Reader(LocalQueries(writer.cursor())), model, sandbox)
                return await self._run(rooms, started)
        finally:
            await server.close()
            await asyncio.to_thread(writer.close)

    async def _run(self, rooms: Rooms, started: float) -> RunOutcome:
        rooms.writer.mark_stale_runs()
        data = DatasetStore(self.home.data, self.home.data_extra)
        loading = asyncio.to_thread(load_benchmarks, self.plan, data, self._samples)
        found = await self._unless_stopped(loading)
        if found is None:
            return self._not_begun(rooms, started)
        loaded, skipped = found
        for name, reason in skipped.items():
            self._listener(BenchmarkSkipped(name, reason))
        if not await self._make_ready(rooms, loaded):
            return self._not_begun(rooms, started)
        self._record_start(rooms)
        self._listener(RunStarted(self.run_id, rooms.model.name))
        monitor = Monitor(rooms.writer, self.run_id, lambda: (self._tally.tokens, self._tally.running), self._now)
        watchers = [asyncio.create_task(monitor.watch()), asyncio.create_task(self._stop_at_deadline())]
        problem = ""
        try:
            for item in loaded:
                if self.stopping:
                    break
                await self._run_benchmark(item, rooms)
        except StoreError:
            raise
        except StackbenchError as error:
            problem = str(error)
        finally:
            for watcher in watchers:
                watcher.cancel()
            await asyncio.gather(*watchers, return_exceptions=True)
        return self._finish(rooms, [item.benchmark for item in loaded], skipped, started, problem)

    async def _make_ready(self, rooms: Rooms, loaded: Sequence[LoadedBenchmark]) -> bool:
        """Model and sandboxes, side by side; False when stopped meanwhile. What cannot be had ends the run here."""
        parts: list[Awaitable[None]] = [rooms.model.start(self._say)]
        if any(item.benchmark.uses_sandbox for item in loaded):
            parts.append(rooms.sandbox.ready())
        return await self._unless_stopped(asyncio.gather(*parts)) is not None

    async def _unless_stopped(self, work: Awaitable[T]) -> T | None:
        """The work's result; None when the operator stops the run first, in which case the work is let go."""
        task = asyncio.ensure_future(work)
        stopped = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait({task, stopped}, return_when=asyncio.FIRST_COMPLETED)
            return task.result() if task.done() else None
        finally:
            for future in (task, stopped):
                future.cancel()
            await asyncio.gather(task, stopped, return_exceptions=True)

    # -- start and end

    def _record_start(self, rooms: Rooms) -> None:
        if self._resume:
            self._seq = itertools.count(rooms.reader.last_seq(self.run_id) + 1)
            rooms.writer.resume_run(self.run_id)
            return
        rooms.writer.start_run(
            RunRow(
                run_id=self.run_id,
                suite=self.plan.suite,
                created_at=self._now(),
                model=rooms.model.name,
                config=self.plan.model_dump(mode="json"),
                seeds=self.plan.settings.seeds,
                git_commit=git_commit(),
                environment=machine_environment() | {"model": dict(rooms.model.describe())},
            )
        )

    def _not_begun(self, rooms: Rooms, started: float) -> RunOutcome:
        seconds = time.monotonic() - started
        return RunOutcome(self.run_id, RunStatus.INTERRUPTED, rooms.model.name, seconds, recorded=self._resume)

    def _finish(
        self, rooms: Rooms, benchmarks: Sequence[Benchmark], skipped: Mapping[str, str], started: float, problem: str
    ) -> RunOutcome:
        metrics = {benchmark.name: self._metrics(rooms.reader, benchmark) for benchmark in benchmarks}
        # The benchmark's own order of metrics: its headline comes first.
        results = tuple(
            BenchmarkResult(r.benchmark, r.tasks, r.attempts, r.errors, tuple(metrics.get(r.benchmark, ())))
            for r in rooms.reader.results(self.run_id)
        )
        outcome = RunOutcome(
            run_id=self.run_id,
            status=RunStatus.COMPLETED,
            model=rooms.model.name,
            seconds=time.monotonic() - started,
            results=results,
            gates=check_gates(self.plan.gates, results),
            skipped=skipped,
            problem=problem,
            last_error=self._tally.last_error,
        )
        if self.stopping and not problem:
            status = RunStatus.INTERRUPTED
        elif problem or outcome.error_rate > self.plan.settings.max_error_rate:
            status = RunStatus.FAILED
        else:
            status = RunStatus.COMPLETED
        rooms.writer.finish_run(self.run_id, status, self._now(), metrics)
        return replace(outcome, status=status)

    def _metrics(self, reader: Reader, benchmark: Benchmark) -> list[Metric]:
        summaries = reader.summaries(self.run_id, benchmark.name)
        return benchmark.metrics([s for s in summaries if s.status is AttemptStatus.COMPLETED])

    # -- one benchmark

    async def _run_benchmark(self, item: LoadedBenchmark, rooms: Rooms) -> None:
        name = item.plan.name
        work = list_work(self.plan, item, self._samples)
        done = rooms.reader.done(self.run_id) if self._resume else set[AttemptKey]()
        left = [one for one in work if one.key not in done]
        before = [s for s in rooms.reader.summaries(self.run_id, name) if s.passed] if self._resume else []
        if left:
            preparation = Preparation(self.home.path / "cache", rooms.sandbox, self._say)
            wanted = {one.key.task_id: one.task for one in left}
            if await self._unless_stopped(_done(item.benchmark.prepare(list(wanted.values()), preparation))) is None:
                return
        self._listener(BenchmarkStarted(name, len(work), len(work) - len(left), len(before)))
        await self._work_off(left, item, rooms)
        await asyncio.to_thread(rooms.writer.flush)
        counts = {result.benchmark: result for result in rooms.reader.results(self.run_id)}
        if name in counts:
            r = counts[name]
            metrics = tuple(self._metrics(rooms.reader, item.benchmark))
            self._listener(BenchmarkFinished(BenchmarkResult(r.benchmark, r.tasks, r.attempts, r.errors, metrics)))

    # -- the workers

    async def _work_off(self, left: Sequence[Work], item: LoadedBenchmark, rooms: Rooms) -> None:
        """Keeps `concurrency` attempts under way until the work is done, `stop` is called or errors pile up."""
        queue = iter(left)
        size = min(self.plan.settings.concurrency or rooms.model.concurrency, len(left))
        give_up = max(SAME_ERRORS_AT_LEAST, 2 * size)

        async def worker() -> None:
            for work in queue:
                if self.stopping:
                    return
                await self._attempt(work, item, rooms)
                if self._tally.errors_in_a_row >= give_up:
                    raise RunFailedError(
                        f"{give_up} attempts in a row ended in errors; the last: {self._tally.last_error}"
                    )

        workers = [asyncio.create_task(worker()) for _ in range(size)]
        if not workers:
            return
        stopped = asyncio.create_task(self._stopping.wait())
        try:
            pending: set[asyncio.Task[Any]] = set(workers)
            while pending and not stopped.done():
                ended, pending = await asyncio.wait({*pending, stopped}, return_when=asyncio.FIRST_COMPLETED)
                pending.discard(stopped)
                for task in ended - {stopped}:
                    task.result()
            if pending:
                await asyncio.wait(pending, timeout=GRACE_S)
        finally:
            helpers: list[asyncio.Task[Any]] = [*workers, stopped]
            for task in helpers:
                task.cancel()
            await asyncio.gather(*helpers, return_exceptions=True)

    async def _attempt(self, work: Work, item: LoadedBenchmark, rooms: Rooms) -> None:
        tally = self._tally
        context = AttemptContext(
            work.key, self.plan, item.plan, rooms.model, rooms.sandbox, lambda: next(self._seq), self._now
        )
        started_at = self._now()
        tally.running += 1
        try:
            scored = await work.make(context)
            status, error = AttemptStatus.COMPLETED, scored.reason or None
            tally.errors_in_a_row = 0
        except StoreError:
            raise
        except Exception as problem:  # a fault in one benchmark's code must not lose the other attempts
            text = str(problem) if isinstance(problem, AttemptError) else f"fault in {item.plan.name}: {problem!r}"
            scored, status, error = context.failed(), AttemptStatus.ERROR, f"error: {text}"
            tally.errors_in_a_row += 1
            tally.last_error = text
        finally:
            tally.running -= 1
        completed = status is AttemptStatus.COMPLETED
        rooms.writer.attempt(
            self.run_id,
            AttemptRecord(
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
            ),
            context.events,
        )
        tally.tokens += scored.completion_tokens
        passed = scored.passed if completed else None
        self._listener(
            AttemptFinished(work.key.benchmark, work.key.task_id, passed, error or "", scored.completion_tokens)
        )

    async def _stop_at_deadline(self) -> None:
        if self.plan.settings.max_hours is not None:
            await asyncio.sleep(self.plan.settings.max_hours * 3600)
            self._say(f"stopping after {self.plan.settings.max_hours:g} hours, as asked")
            self.stop()

    def _say(self, line: str) -> None:
        self._listener(Notice(line))


async def _done(work: Awaitable[None]) -> bool:
    await work
    return True
