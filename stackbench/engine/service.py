"""The engine of one home: its lock, its only database writer, its socket, and its queue of runs."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter

from stackbench import __version__
from stackbench.config import Home
from stackbench.control.messages import Command, EventKind, Notice, RunFinished, RunQueued, Welcome
from stackbench.engine.control_server import ControlServer
from stackbench.engine.detached import start_engine
from stackbench.engine.event_stream import EventStream
from stackbench.engine.home_lock import HomeLock
from stackbench.engine.notifications import Notifier
from stackbench.engine.operations import Operations
from stackbench.engine.outcome import RunOutcome, summary_line
from stackbench.engine.plan import RunPlan
from stackbench.engine.query_pool import QueryPool
from stackbench.engine.run_log_file import RunLogFile
from stackbench.engine.run_order import RunOrder, new_run_id, utc_now
from stackbench.engine.samples import SampleFile, read_plan_samples, write_results
from stackbench.engine.trace_file import TraceFile
from stackbench.errors import StackbenchError, StoreLockedError, UsageError
from stackbench.sandbox.head_start import HeadStart
from stackbench.store import FreshQueries, Reader, RunRow, Writer, label_run
from stackbench.types import RunStatus

if TYPE_CHECKING:
    from stackbench.engine.run import RunExecution

__all__ = ["EngineService", "Listener", "SubmittedRun", "foreground_engine", "outcome_adapter", "run_plan"]

BEAT_S = 0.5
READERS_LEAVE_WITHIN_S = 5.0
TRY_AGAIN_S = 0.1

Listener = Callable[[str, EventKind], None]
"""Is told the run and what happened, in the engine's own process."""

outcome_adapter: TypeAdapter[RunOutcome] = TypeAdapter(RunOutcome)


def _quiet(run_id: str, what: EventKind) -> None:
    """Nobody listens in this process."""


async def _run_execution() -> type[RunExecution]:
    """Loaded with the first run, and not on the event loop: an engine can be reached before."""

    def load() -> type[RunExecution]:
        from stackbench.engine.run import RunExecution

        return RunExecution

    return await asyncio.to_thread(load)


@dataclass(eq=False)
class SubmittedRun:
    """A run in the queue, under way or ended."""

    order: RunOrder
    execution: RunExecution | None = None
    last: bool = False
    """Whether the engine carries out no further run after it (one in the foreground of a terminal)."""
    stop_asked: bool = False
    ended: asyncio.Future[RunOutcome] = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    @property
    def run_id(self) -> str:
        return self.order.run_id

    @property
    def stopping(self) -> bool:
        """Whether it was asked to stop."""
        return self.stop_asked or (self.execution is not None and self.execution.controls.stopping.is_set())

    def stop(self) -> None:
        """Asks for no more attempts; those under way get a few seconds. May be called from a signal handler."""
        self.stop_asked = True
        if self.execution is not None:
            self.execution.controls.stop()

    async def outcome(self) -> RunOutcome:
        """Waits for its end.

        Raises:
            StackbenchError: it could not be run, or the database failed under it.
        """
        return await asyncio.shield(self.ended)


class EngineService:
    """An asynchronous context manager, made on the event loop: inside it, this process is the home's engine.

    Raises on entry:
        HomeLockedError: another process is.
        StoreError: the database cannot be opened.
    """

    def __init__(self, home: Home, *, listener: Listener = _quiet, now: Callable[[], datetime] = utc_now) -> None:
        self.home = home
        self.stream = EventStream()
        self.queue: list[SubmittedRun] = []
        """Runs that wait, the next one first."""
        self.live: SubmittedRun | None = None
        self._listener = listener
        self._now = now
        self._lock = HomeLock(home.lock)
        self._started_at = now()
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self._writer: Writer | None = None
        self._server: ControlServer | None = None
        self._trace: TraceFile | None = None
        self._operations = Operations(self)
        self._worker: asyncio.Task[None] | None = None
        self._beating: asyncio.Task[None] | None = None
        self._arrived = asyncio.Event()
        self._queries: QueryPool | None = None
        self._log: RunLogFile | None = None
        self._notifier: Notifier | None = None

    async def __aenter__(self) -> EngineService:
        self._lock.acquire()
        try:
            self._writer = await self._open_writer()
            self._queries = QueryPool(self._writer)
            self._writer.mark_stale_runs()
        except BaseException:
            self._lock.release()
            raise
        self._server = ControlServer(self.home.socket, self, self.stream)
        problem = await self._server.start()
        if problem:
            self.say(problem)
        self._trace = TraceFile(self.home.trace, self._operations.trace)
        self._trace.start()
        self._worker = asyncio.create_task(self._work())
        self._beating = asyncio.create_task(self._beat())
        return self

    async def _open_writer(self) -> Writer:
        """The lock is ours, so that whoever has the database open only reads it, for a moment."""
        deadline = self._loop.time() + READERS_LEAVE_WITHIN_S
        while True:
            try:
                return await asyncio.to_thread(Writer, self.home.database)
            except StoreLockedError:
                if self._loop.time() > deadline:
                    raise
                await asyncio.sleep(TRY_AGAIN_S)

    async def __aexit__(self, *error: object) -> None:
        assert self._writer is not None and self._server is not None and self._trace is not None
        for task in (self._worker, self._beating):
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        await self._server.close()
        if self._notifier is not None:
            await asyncio.to_thread(self._notifier.close)
        if self._queries is not None:
            self._queries.close()
        await asyncio.to_thread(self._writer.close)
        self._trace.close()
        self._lock.release()

    @property
    def writer(self) -> Writer:
        assert self._writer is not None, "the engine is not open"
        return self._writer

    # -- runs

    def submit(
        self,
        plan: RunPlan,
        *,
        run_id: str | None = None,
        resume: str | None = None,
        samples: SampleFile | None = None,
        head_start: HeadStart | None = None,
        last: bool = False,
    ) -> SubmittedRun:
        """Puts a run at the end of the queue; with `resume`, the rest of that run.

        Raises:
            UsageError: that run is live or queued already.
        """
        taken = {run.run_id for run in (*self.queue, *([self.live] if self.live else []))}
        if resume is not None and resume in taken:
            raise UsageError(f'run {resume} goes on already; follow it with "stackbench attach {resume}"')
        name = resume or run_id or new_run_id(self._now)
        run = SubmittedRun(RunOrder(plan, name, resume is not None, samples, head_start), last=last)
        self.queue.append(run)
        if self.live is not None or len(self.queue) > 1:
            self.publish(name, RunQueued(suite=plan.suite, model=plan.settings.model, position=len(self.queue) - 1))
        self._arrived.set()
        return run

    async def submit_plan(self, plan: RunPlan, *, run_id: str | None, resume: str | None) -> SubmittedRun:
        """As `submit`, for a plan that came from another process: its samples are read here."""
        samples = await asyncio.to_thread(read_plan_samples, plan, self.home)
        if resume is None:  # recorded at once, so that it can be resumed whatever happens to this engine
            resume = run_id or new_run_id(self._now)
            row = RunRow(
                resume, plan.suite, self._now(), plan.settings.model, plan.model_dump(mode="json"),
                plan.settings.seeds, None, {},
            )  # fmt: skip
            if plan.name or plan.tags:
                label = partial(label_run, run_id=resume, name=plan.name, tags=plan.tags)
                await asyncio.to_thread(self.writer.change, label)
            await asyncio.to_thread(self.writer.start_run, row, status=RunStatus.QUEUED)
        return self.submit(plan, resume=resume, samples=samples)

    def stop_all(self) -> None:
        """Stops the live run and drops those that wait. May be called from a signal handler."""
        for run in list(self.queue):
            self.drop(run)
        if self.live is not None:
            self.live.stop()

    def find(self, run_id: str) -> SubmittedRun:
        """A live or queued run. Raises UsageError."""
        for run in (*([self.live] if self.live else []), *self.queue):
            if run.run_id == run_id:
                return run
        raise UsageError(f'run {run_id} is neither live nor queued; "stackbench runs" lists those that ended')

    def drop(self, run: SubmittedRun) -> None:
        """Takes a run out of the queue before it began."""
        self.queue.remove(run)
        outcome = RunOutcome(
            run.run_id, RunStatus.INTERRUPTED, run.order.plan.settings.model, 0.0, recorded=run.order.resume
        )
        self._end(run, outcome, "")

    def hand_over(self) -> list[dict[str, Any]]:
        """Takes what waits out of the queue, as orders for another engine: a foreground engine ends with its own run.

        Those runs are not reported as ended: their watchers look for the next engine.
        """
        orders = [
            {
                "run_id": run.run_id,
                "plan": run.order.plan.model_dump(mode="json"),
                "resume": run.order.resume,
            }
            for run in self.queue
        ]
        self.queue.clear()
        return orders

    async def idle(self) -> None:
        """Waits until no run is live or queued."""
        while self.live is not None or self.queue:
            run = self.live or self.queue[0]
            await asyncio.wait({run.ended})
            await asyncio.sleep(0)

    async def _work(self) -> None:
        while True:
            while self.queue:
                execution = await _run_execution()  # the run waits in the queue meanwhile: a live one can be operated
                if not self.queue:
                    break
                run = self.queue.pop(0)
                await self._carry_out(run, execution)
                if run.last:
                    return
            self._arrived.clear()
            await self._arrived.wait()

    async def _carry_out(self, run: SubmittedRun, make: type[RunExecution]) -> None:
        self.live = run
        self._log = RunLogFile(self.home.run(run.run_id), run.run_id, self._now, self.say)
        try:
            self._notifier = Notifier(self.say)
        except StackbenchError as error:
            self._end(run, error, str(error))
            return
        execution = make(
            self.home,
            run.order,
            self.writer,
            lambda what: self.publish(run.run_id, what),
            watched=lambda: self.stream.watched,
            now=self._now,
            alert=self._notifier.send,
        )
        run.execution = execution
        if run.stop_asked:
            execution.controls.stop()
        try:
            outcome = await execution.run()
        except asyncio.CancelledError:
            self._end(run, StackbenchError("the engine ended"), "the engine ended")
            raise
        except StackbenchError as error:
            self._end(run, error, str(error))
        except Exception as error:  # a fault in one run must not take the queue with it
            self._end(run, error, f"fault in stackbench: {error!r}")
        else:
            self._end(run, outcome, "")

    def _end(self, run: SubmittedRun, result: RunOutcome | Exception, error: str) -> None:
        if isinstance(result, RunOutcome):
            document = outcome_adapter.dump_python(result, mode="json")
            self.publish(run.run_id, RunFinished(status=result.status.value, outcome=document))
            status, text = result.status.value, result.problem or summary_line(result)
        else:
            code = result.exit_code if isinstance(result, StackbenchError) else StackbenchError.exit_code
            self.publish(run.run_id, RunFinished(status=RunStatus.FAILED.value, error=error, exit_code=code))
            status, text = RunStatus.FAILED.value, error
        if self._notifier is not None:
            self._notifier.send(f"stackbench: run {run.run_id} {status}", text)
        if self._log is not None:
            self._log.close()
            self._log = None
        if run.order.resume and self.writer.failure is None:
            if isinstance(result, RunOutcome):
                self.writer.leave_queue(run.run_id, RunStatus.INTERRUPTED)
            else:
                self.writer.leave_queue(run.run_id, RunStatus.FAILED, self._now(), error)
        if self.live is run:
            self.live = None
        if run.ended.done():
            return
        if isinstance(result, RunOutcome):
            run.ended.set_result(result)
        else:
            run.ended.set_exception(result)
            run.ended.exception()  # whoever submitted it may not wait for it

    # -- telling

    def publish(self, run_id: str, what: EventKind) -> None:
        """Tells this process's listener and whoever subscribed; from any thread."""
        if threading.get_ident() == self._thread:
            self.stream.publish(run_id, what)
        else:
            self._loop.call_soon_threadsafe(self.stream.publish, run_id, what)
        log, live = self._log, self.live  # another thread may end the run meanwhile
        if log is not None and live is not None and run_id in ("", live.run_id):
            log.take(what)
        with contextlib.suppress(Exception):  # a display that fails must not end a run
            self._listener(run_id, what)

    def say(self, line: str) -> None:
        """Tells the operator."""
        self.publish("", Notice(text=line))

    async def _beat(self) -> None:
        while True:
            assert self._trace is not None
            self._trace.beat()
            await asyncio.sleep(BEAT_S)

    # -- what the socket asks (control_server.Door)

    def welcome(self) -> Welcome:
        return Welcome(
            version=__version__,
            pid=os.getpid(),
            home=str(self.home.path),
            started_at=self._started_at.isoformat(),
            seq=self.stream.next_seq,
        )

    async def command(self, command: Command) -> Any:
        return await self._operations.carry_out(command)

    def result(
        self, sql: str, format: str, parameters: Sequence[Any] = (), most_rows: int | None = None
    ) -> AbstractAsyncContextManager[Path]:
        assert self._queries is not None, "the engine is not open"
        return self._queries.result(sql, format, parameters, most_rows)


@contextlib.asynccontextmanager
async def foreground_engine(home: Home, listener: Listener = _quiet) -> AsyncIterator[EngineService]:
    """An engine in this process for runs of its own; what others put into its queue meanwhile goes on in a new engine.

    Raises:
        HomeLockedError: another process is the home's engine.
        StoreError: the database cannot be opened.
    """
    left: list[dict[str, Any]] = []
    try:
        async with EngineService(home, listener=listener) as service:
            try:
                yield service
            finally:
                left += service.hand_over()
    finally:
        if left:
            start_engine(home, left)


async def run_plan(
    home: Home,
    plan: RunPlan,
    listener: Listener = _quiet,
    *,
    resume: str | None = None,
    samples: SampleFile | None = None,
    head_start: HeadStart | None = None,
    watching: Callable[[SubmittedRun], AbstractContextManager[object]] = contextlib.nullcontext,
) -> RunOutcome:
    """Runs one plan on an engine of its own, in this process; the command line and `stackbench.evaluate` both do.

    `watching` makes what is entered while the run goes on (signal handlers, a display). The verdicts on `samples` are
    written beside their file when the run is complete.

    Raises:
        HomeLockedError: another process is the home's engine.
        StackbenchError: the run could not start, or the database failed under it.
    """
    async with foreground_engine(home, listener) as service:
        run = service.submit(plan, resume=resume, samples=samples, head_start=head_start, last=True)
        with watching(run):
            outcome = await run.outcome()
        if samples is not None and outcome.status is RunStatus.COMPLETED:
            await asyncio.to_thread(write_results, samples, outcome.run_id, Reader(FreshQueries(service.writer.cursor)))
        return outcome
