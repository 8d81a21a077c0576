"""Runs a plan: work out, done under limits, recorded, summed up."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import secrets
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, TypeVar

from stackbench.benchmarks import AgentBenchmark, SpeedBenchmark
from stackbench.config import Home
from stackbench.datasets import DatasetStore
from stackbench.engine.attempts import AttemptMaker, Rooms, Tally
from stackbench.engine.completeness import Figures, sum_up
from stackbench.engine.context import Preparation, utc_now
from stackbench.engine.environment import git_commit, machine_environment
from stackbench.engine.events import (
    BenchmarkFinished,
    BenchmarkSkipped,
    BenchmarkStarted,
    EngineEvent,
    Listener,
    Notice,
    RunStarted,
)
from stackbench.engine.lazy_sandbox import LazySandbox
from stackbench.engine.monitor import Monitor
from stackbench.engine.outcome import RunOutcome, check_gates
from stackbench.engine.plan import RunPlan
from stackbench.engine.replays import Replay, held_by, model_traits, take_plan
from stackbench.engine.run_model import check_same_model, create_run_model, sampling_not_set
from stackbench.engine.samples import SampleFile
from stackbench.engine.server import EngineServer
from stackbench.engine.stall_watch import StallWatch
from stackbench.engine.work import (
    LoadedBenchmark,
    list_work,
    load_benchmarks,
    planned_attempts,
    planned_rows,
    without_speed,
)
from stackbench.errors import StackbenchError, StoreError
from stackbench.models import Model, Reloadable
from stackbench.sandbox.launch import HeadStart
from stackbench.store import LocalQueries, Reader, RunRow, Writer
from stackbench.types import AttemptKey, EventRecord, RunStatus, Variant

__all__ = ["Engine"]

T = TypeVar("T")


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
        head_start: HeadStart | None = None,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self.run_id = resume or f"{now():%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"
        self.home = home
        self.plan = plan
        self._tally = Tally()
        self._listener = listener
        self._resume = resume is not None
        self._samples = samples
        self._head_start = head_start
        self._now = now
        self._stopping = asyncio.Event()
        self._seq: Iterator[int] = itertools.count(1)
        self._writer: Writer | None = None
        self._machine: dict[str, Any] = {}
        self._figures: dict[str, Figures] = {}
        self._replay: Replay | None = None

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
        watch = StallWatch(self._say, self._record_stall)
        watch.start()
        try:
            async with contextlib.AsyncExitStack() as stack:
                self._replay = await asyncio.to_thread(take_plan, self.plan, Reader(LocalQueries(writer.cursor())))
                self.plan = self._replay.plan if self._replay is not None else self.plan
                model = create_run_model(self.plan, self.home, writer, self.home.run(self.run_id))
                sandbox = LazySandbox(self.plan.settings, self.run_id, self._say, self._head_start)
                stack.push_async_callback(sandbox.close)
                stack.push_async_callback(model.close)
                problem = await server.start()
                if problem:
                    self._say(problem)
                rooms = Rooms(writer, Reader(LocalQueries(writer.cursor())), model, sandbox)
                return await self._run(rooms, started)
        finally:
            watch.close()
            await server.close()
            await asyncio.to_thread(writer.close)

    async def _run(self, rooms: Rooms, started: float) -> RunOutcome:
        rooms.writer.mark_stale_runs()
        data = DatasetStore(self.home.data, self.home.data_extra)
        recorded, first_tasks = self._selected(rooms.reader)
        loading = asyncio.to_thread(load_benchmarks, self.plan, data, self._samples, recorded, first_tasks=first_tasks)
        found = await self._unless_stopped(loading)
        if found is None:
            return self._not_begun(rooms, started)
        loaded, skipped = without_speed(*found, rooms.model)
        for name, reason in skipped.items():
            self._tell(BenchmarkSkipped(name, reason))
        if not await self._make_ready(rooms, loaded):
            return self._not_begun(rooms, started)
        self._record_start(rooms, loaded, skipped)
        self._writer = rooms.writer
        self._tell(RunStarted(self.run_id, rooms.model.name))
        for line in self._replay.overridden if self._replay is not None else ():
            self._say(f"not as run {self.plan.replays} was: {line}")
        monitor = Monitor(
            rooms.writer, self.run_id, rooms.model, lambda: (self._tally.tokens, self._tally.running), self._now
        )
        watchers = [asyncio.create_task(monitor.watch()), asyncio.create_task(self._stop_at_deadline())]
        problem = ""
        try:
            for item in loaded:
                if self.stopping:
                    break
                await self._run_benchmark(item, rooms, last=item is loaded[-1])
        except StoreError:
            raise
        except StackbenchError as error:
            problem = str(error)
        finally:
            for watcher in watchers:
                watcher.cancel()
            await asyncio.gather(*watchers, return_exceptions=True)
        rooms.sandbox.begin_closing()  # the stack waits for its end
        return await asyncio.to_thread(self._finish, rooms, loaded, skipped, started, problem)

    def _selected(self, reader: Reader) -> tuple[Mapping[str, Sequence[str]], bool]:
        """Tasks that are settled already, by benchmark; and whether a limit selects the first ones (old runs)."""
        if self._resume:
            recorded = reader.task_ids(self.run_id)
            return recorded, not recorded
        if self._replay is not None:
            return self._replay.task_ids, self._replay.first_tasks
        return {}, False

    async def _make_ready(self, rooms: Rooms, loaded: Sequence[LoadedBenchmark]) -> bool:
        """Model and sandboxes, side by side; False when stopped meanwhile. What cannot be had ends the run here."""
        parts: list[Awaitable[None]] = [rooms.model.start(self._say)]
        agents = [item for item in loaded if isinstance(item.benchmark, AgentBenchmark)]
        if agents:
            parts.append(rooms.sandbox.ready_to_lease())
        if any(item.benchmark.uses_sandbox for item in loaded if item not in agents):
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

    def _record_start(self, rooms: Rooms, loaded: Sequence[LoadedBenchmark], skipped: Mapping[str, str]) -> None:
        planned = planned_rows(self.plan, loaded, skipped, self._samples)
        if self._resume:
            check_same_model(rooms.reader.run(self.run_id), rooms.model.describe())
            self._seq = itertools.count(rooms.reader.last_seq(self.run_id) + 1)
            rooms.writer.resume_run(self.run_id, planned)
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
                environment=self._environment(rooms),
            ),
            planned,
        )

    def _environment(self, rooms: Rooms) -> dict[str, Any]:
        self._machine = self._machine or machine_environment()
        return self._machine | {
            "model": dict(rooms.model.describe()),
            "model_traits": model_traits(rooms.model),
            "sandbox": dict(rooms.sandbox.describe()),
        }

    def _not_begun(self, rooms: Rooms, started: float) -> RunOutcome:
        seconds = time.monotonic() - started
        return RunOutcome(self.run_id, RunStatus.INTERRUPTED, rooms.model.name, seconds, recorded=self._resume)

    def _finish(
        self,
        rooms: Rooms,
        loaded: Sequence[LoadedBenchmark],
        skipped: Mapping[str, str],
        started: float,
        problem: str,
    ) -> RunOutcome:
        figures = {item.plan.name: self._figures_of(rooms.reader, item, ended=bool(problem)) for item in loaded}
        # The benchmark's own order of metrics: its headline comes first.
        results = tuple(
            r.summed_up(found.metrics, found.lower_bounds, found.missing) if (found := figures.get(r.benchmark)) else r
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
            sampling_not_set=sampling_not_set(self.plan.settings.generation_config, rooms.model.describe()),
        )
        if self.stopping and not problem:
            status = RunStatus.INTERRUPTED
        elif problem or outcome.error_rate > self.plan.settings.max_error_rate:
            status = RunStatus.FAILED
        else:
            status = RunStatus.COMPLETED
        environment = self._environment(rooms)  # with what befell the model meanwhile
        rooms.writer.finish_run(
            self.run_id,
            status,
            self._now(),
            {name: found.metrics for name, found in figures.items()},
            environment,
            lower_bounds={name: found.lower_bounds for name, found in figures.items()},
            missing={name: found.missing for name, found in figures.items()},
        )
        return replace(outcome, status=status)

    def _figures_of(self, reader: Reader, item: LoadedBenchmark, *, ended: bool = False) -> Figures:
        """Computed once, when no more attempts at the benchmark come."""
        name = item.plan.name
        if name not in self._figures:
            planned = planned_attempts(self.plan, item, self._samples)
            to_come = "the run ended before the others" if ended else "the run was interrupted before the others"
            self._figures[name] = sum_up(item.benchmark, reader.summaries(self.run_id, name), planned, to_come)
        return self._figures[name]

    # -- one benchmark

    async def _run_benchmark(self, item: LoadedBenchmark, rooms: Rooms, *, last: bool) -> None:
        name = item.plan.name
        work = list_work(self.plan, item, self._samples)
        done = rooms.reader.done(self.run_id) if self._resume else set[AttemptKey]()
        left = [one for one in work if one.key not in done]
        left, lacking = held_by(rooms.model, left)
        if lacking:
            self._say(f"{name}: {lacking} attempts were not made in the replayed run and are left out")
        before = [s for s in rooms.reader.summaries(self.run_id, name) if s.passed] if self._resume else []
        if left:
            preparation = Preparation(self.home.path / "cache", rooms.sandbox, self._say)
            wanted = {one.key.task_id: one.task for one in left}
            if await self._unless_stopped(_done(item.benchmark.prepare(list(wanted.values()), preparation))) is None:
                return
        if await self._unless_stopped(_done(_serve_as_usual(rooms.model))) is None:
            return
        if self.plan.copies(item.plan) and self._samples is None and not isinstance(item.benchmark, SpeedBenchmark):
            self._say(
                f"{name}: attempts at temperature 0 are mostly copies of one another; intervals count tasks, so that "
                f"{self.plan.attempts(item.plan)} attempts at each say no more than one where they are"
            )
        self._tell(BenchmarkStarted(name, len(work), len(work) - len(left), len(before)))
        maker = AttemptMaker(
            self.run_id, self.plan, rooms, self._tally, self._tell, self._stopping, self._seq, self._now
        )
        await maker.work_off(left, item)
        if last:
            rooms.sandbox.begin_closing()  # beside the summing up
        await asyncio.to_thread(rooms.writer.flush)
        counts = {result.benchmark: result for result in rooms.reader.results(self.run_id)}
        if name in counts:
            figures = await asyncio.to_thread(self._figures_of, rooms.reader, item)
            self._tell(BenchmarkFinished(replace(counts[name], metrics=figures.metrics)))

    async def _stop_at_deadline(self) -> None:
        if self.plan.settings.max_hours is not None:
            await asyncio.sleep(self.plan.settings.max_hours * 3600)
            self._say(f"stopping after {self.plan.settings.max_hours:g} hours, as asked")
            self.stop()

    def _tell(self, event: EngineEvent) -> None:
        """Tells whoever watches; a display that fails takes nothing with it."""
        with contextlib.suppress(Exception):
            self._listener(event)

    def _say(self, line: str) -> None:
        """Tells the operator, and once the run is recorded, whoever reads it later. From any thread."""
        self._tell(Notice(line))
        self._record("notice", {"text": line})

    def _record_stall(self, seconds: float, stack: Sequence[str]) -> None:
        self._record("stall", {"seconds": round(seconds, 3), "stack": list(stack)})

    def _record(self, kind: str, payload: dict[str, Any]) -> None:
        if self._writer is not None and self._writer.failure is None:
            self._writer.event(self.run_id, EventRecord("", "", 0, next(self._seq), self._now(), kind, payload))


async def _serve_as_usual(model: Model) -> None:
    """A benchmark of speed may have left the model served in another way."""
    if isinstance(model, Reloadable):
        await model.reload(Variant())


async def _done(work: Awaitable[None]) -> bool:
    await work
    return True
