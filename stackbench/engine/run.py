"""Executes one run: plans its attempts, runs them within limits, records them, computes the metrics."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

from stackbench.benchmarks import SpeedBenchmark
from stackbench.config import Home
from stackbench.control.messages import (
    BenchmarkFinished,
    BenchmarkSkipped,
    BenchmarkStarted,
    EventKind,
    MetricValue,
    Notice,
    RunStarted,
)
from stackbench.datasets import DatasetStore
from stackbench.engine.attempt_tracker import AttemptTracker
from stackbench.engine.attempts import AttemptRunner, BenchmarkCounts, RunCounts, model_slots
from stackbench.engine.baseline_gates import with_known_baseline
from stackbench.engine.controls import RunControls
from stackbench.engine.gates import check_gate_categories
from stackbench.engine.lanes import RunLane, all_of, run_phases
from stackbench.engine.memory_pressure import MemoryPressure
from stackbench.engine.metrics_endpoint import BenchmarkState, MetricsEndpoint, RunState
from stackbench.engine.monitor import Monitor
from stackbench.engine.outcome import RunOutcome
from stackbench.engine.progress_watch import ProgressWatch
from stackbench.engine.replays import Replay, held_by, take_plan
from stackbench.engine.resources import AttemptResources, RunResources
from stackbench.engine.run_estimate import RunEstimate, estimate_run, unestimated
from stackbench.engine.run_model import create_run_model
from stackbench.engine.run_order import RunOrder, utc_now
from stackbench.engine.run_record import RunEnd, RunRecord, stall_payload
from stackbench.engine.run_waits import RunWaits
from stackbench.engine.shards import shard_of
from stackbench.engine.site import LocalSite, Site
from stackbench.engine.stall_watch import StallWatch
from stackbench.engine.work import (
    AttemptSpec,
    LoadedBenchmark,
    list_attempts,
    load_benchmarks,
    planned_attempts,
    without_speed,
)
from stackbench.errors import DataNotAvailableError, ModelNotAvailableError, StackbenchError, StoreError, UsageError
from stackbench.garbage_pauses import end_loading
from stackbench.outage import Outage
from stackbench.sandbox.memory_budget import samples_at_once
from stackbench.sandbox.sandboxes import Sandboxes
from stackbench.store import DoneAttempts, FreshQueries, Reader, Writer
from stackbench.types import Metric, RunStatus, Task

__all__ = ["RunExecution"]

T = TypeVar("T")


class RunExecution:
    """One run in this process. `controls` may be used by an operator from the moment it is made."""

    def __init__(
        self,
        home: Home,
        order: RunOrder,
        writer: Writer,
        publish: Callable[[EventKind], None],
        *,
        watched: Callable[[], bool] = lambda: True,
        now: Callable[[], datetime] = utc_now,
        alert: Callable[[str, str], None] = lambda title, text: None,
    ) -> None:
        """`alert` tells people who do not look: a title and a text."""
        settings = order.plan.settings
        self.home = home
        self.order = order
        self.run_id = order.run_id
        self.plan = order.plan
        self.controls = RunControls(
            timeout_s=settings.timeout_s,
            max_hours=settings.max_hours,
            outage=Outage(settings.give_up_after_s, self.say),
            approval=settings.approve_calls,
        )
        self.tracker = AttemptTracker(publish, watched)
        self.runners: dict[str, AttemptRunner] = {}
        """By benchmark, those whose attempts are being made."""
        self.counts = RunCounts()
        self._writer = writer
        self._publish = publish
        self._alert = alert
        self._now = now
        self._record = RunRecord(order, writer, now)
        self._replay: Replay | None = None
        self._monitor: Monitor | None = None
        self._progress: ProgressWatch | None = None
        self.waits = RunWaits()
        self._skipped: dict[str, str] = {}
        """Benchmarks that turned out not to be possible, with the reason."""
        self._left_out = False
        """Whether a replayed run has not made some attempts."""

    async def run(self) -> RunOutcome:
        """Runs to the end, to `controls.stop`, or to an error that leaves the run resumable.

        Raises:
            StackbenchError: the run could not start, or the database failed under it.
        """
        started = time.monotonic()
        watch = StallWatch(self.say, lambda seconds, stack: self.record("stall", stall_payload(seconds, stack)))
        watch.start()
        async with contextlib.AsyncExitStack() as stack:
            stack.callback(watch.close)
            self._progress = self._progress_watch()
            looking = asyncio.create_task(self._progress.watch())
            stack.callback(looking.cancel)
            if (port := self.plan.settings.metrics_port) is not None:
                endpoint = MetricsEndpoint(port, self._state)
                stack.push_async_callback(asyncio.to_thread, endpoint.close)
            reader = Reader(FreshQueries(self._writer.cursor))
            self._replay = await asyncio.to_thread(take_plan, self.plan, reader)
            self.plan = self._replay.plan if self._replay is not None else self.plan
            self.plan = await asyncio.to_thread(with_known_baseline, self.plan, reader)
            site = await self._site()
            model, sandbox = site.model, site.sandbox
            stack.push_async_callback(sandbox.close)
            stack.push_async_callback(self.controls.outage.close)
            stack.push_async_callback(model.close)
            resources = RunResources(self._writer, reader, model, sandbox, self.controls, self.tracker, self._publish)
            return await self._run(site, resources, started)

    async def _site(self) -> Site:
        if self.plan.settings.executor == "ray":
            from stackbench.engine.ray_site import RaySite

            return RaySite(
                self.plan, self.home, self.run_id, self._writer, self.controls, self.tracker, self._publish,
                self._record.next_seq, self.say, self.set_concurrency,
            )  # fmt: skip
        logs = self.home.run(self.run_id)
        model = await asyncio.to_thread(create_run_model, self.plan, self.home, self._writer, logs)
        sandbox = Sandboxes(self.plan.settings, self.run_id, self.say, self.order.head_start, self.controls.outage)
        resources = AttemptResources(
            model, sandbox, self.controls, self.tracker, self._publish, self.home.checkpoints(self.run_id)
        )
        return LocalSite(self.plan, self.home, resources, self._record.next_seq, self._now, self.say, self.waits)

    async def _run(self, site: Site, resources: RunResources, started: float) -> RunOutcome:
        data = DatasetStore.of_home(self.home)
        recorded, first_tasks = self._selected(resources.reader)
        loading = asyncio.to_thread(
            load_benchmarks, self.plan, data, self.order.samples, recorded, first_tasks=first_tasks
        )
        with self.waits.waiting("its tasks and data"):
            found = await self._unless_stopped(loading)
        if found is None:
            return self._not_begun(resources, started)
        loaded, skipped = without_speed(*found, resources.model)
        if self.plan.shard and not recorded:  # a resumed run selected them already
            loaded, elsewhere = shard_of(loaded, self.plan.shard)
            skipped = {**skipped, **elsewhere}
        if not loaded:
            raise UsageError("; ".join(f"{name}: {why}" for name, why in skipped.items()))
        for item in loaded:
            check_gate_categories(self.plan.gates, item.plan.name, item.benchmark, item.tasks)
        for name, reason in skipped.items():
            self._publish(BenchmarkSkipped(benchmark=name, reason=reason))
        if not await self._make_ready(site, loaded):
            return self._not_begun(resources, started)
        with self.waits.waiting("the model's window to be known"):
            fitted = await self._unless_stopped(site.fit(loaded))
        if fitted is None:
            return self._not_begun(resources, started)
        end_loading()
        slots = model_slots(self.plan, resources.model)
        estimate = await self._estimate(resources, fitted, started, slots)
        loaded = [item for item in fitted if item.plan.name not in estimate.cut]
        for name, why in estimate.cut.items():
            skipped = {**skipped, name: why}
            self._publish(BenchmarkSkipped(benchmark=name, reason=why))
        self.controls.slots.resize(slots)
        self.controls.sandboxes = self.plan.settings.sandboxes
        self.controls.resize_sandboxes = resources.sandbox.resize
        self._record.start(self.plan, resources, loaded, skipped)
        self._publish(RunStarted(suite=self.plan.suite, model=resources.model.name))
        for line in self._replay.overridden if self._replay is not None else ():
            self.say(f"not as run {self.plan.replays} was: {line}")
        monitor = Monitor(
            self._writer, self.run_id, resources.model, lambda: (self.tracker.tokens, len(self.tracker)), self._now,
            self._publish,
        )  # fmt: skip
        self._monitor = monitor
        watchers = [
            asyncio.create_task(watching)
            for watching in (
                monitor.watch(),
                self._stop_at_deadline(),
                self._memory_pressure().watch(),
            )
        ]
        problem = ""
        several = len(self.plan.benchmarks) > 1
        if several and estimate.known:
            self.say(estimate.beginning())
        estimate.set_up = time.monotonic()
        items = {item.plan.name: item for item in loaded}

        async def run_benchmark(name: str, lane: RunLane) -> None:
            await self._run_benchmark(items[name], site, resources, loaded, lane, estimate)

        try:
            optional = {name: item.plan.optional for name, item in items.items()}
            await run_phases(estimate.phases, resources.model, run_benchmark, optional, lambda: self.controls.ending)
            while not self.controls.ending and (again := [r for r in self.runners.values() if r.queued]):
                await all_of([self._run_again(runner, resources) for runner in again])
        except StoreError:
            raise
        except StackbenchError as error:
            problem = str(error)
        finally:
            for watcher in watchers:
                watcher.cancel()
            await asyncio.gather(*watchers, return_exceptions=True)
        resources.sandbox.begin_closing()  # the stack waits for its end
        skipped = {**skipped, **self._skipped}
        loaded = [item for item in loaded if item.plan.name not in self._skipped]
        if not loaded and not problem:
            problem = "; ".join(f"{name}: {why}" for name, why in self._skipped.items())
        left_out = self._left_out or any(runner.cancelled for runner in self.runners.values())
        unmade = self._left_unmade(len(loaded))
        if estimate.known and not (problem or unmade or left_out or self.order.resume):
            line = estimate.finish(self.record)
            if several:
                self.say(line)
        ended = RunEnd(
            started, skipped, problem, self.counts.last_error, unmade, left_out, self.counts.made_again
        )  # fmt: skip
        outcome = await asyncio.to_thread(self._record.finish, self.plan, resources, loaded, ended)
        if outcome.status is RunStatus.COMPLETED:
            await asyncio.to_thread(shutil.rmtree, self.home.checkpoints(self.run_id), ignore_errors=True)
        return outcome

    async def _estimate(
        self, resources: RunResources, loaded: Sequence[LoadedBenchmark], started: float, slots: int
    ) -> RunEstimate:
        if self.order.samples is not None:
            return unestimated([item.plan.name for item in loaded], started, slots)
        recorded = resources.reader.done(self.run_id) if self.order.resume else DoneAttempts()
        return await asyncio.to_thread(
            estimate_run,
            self.plan,
            self.home,
            resources.model,
            loaded,
            FreshQueries(self._writer.cursor),
            done=recorded.attempts,
            started=started,
            slots=slots,
        )

    def _memory_pressure(self) -> MemoryPressure:
        def wake() -> None:
            for runner in self.runners.values():
                runner.wake()

        def tell(line: str, payload: Mapping[str, Any]) -> None:
            self.say(line)
            self.record("memory_pressure", payload)

        return MemoryPressure(self.controls, samples_at_once(self.plan.settings), wake, tell)

    def _progress_watch(self) -> ProgressWatch:
        def tell(seconds: float, line: str) -> None:
            self.say(line)
            self.record("no_progress", {"seconds": round(seconds, 1), "text": line})
            self._alert(f"stackbench: run {self.run_id} makes no progress", line)

        def progress() -> tuple[float | None, ...]:
            ended = sum(runner.progress.done for runner in self.runners.values())
            served = self._monitor.latest.get("completion_tokens") if self._monitor is not None else None
            return ended, self.tracker.tokens, served

        def held() -> bool:
            return self.controls.phase != "running" or bool(self.controls.outage.waiting_for)

        period_s = self.plan.settings.stalled_after_s
        return ProgressWatch(period_s, progress, held, self.tracker.describe, tell, own=lambda: self.waits.words)

    def _state(self) -> RunState:
        """For `/metrics`; called from its thread."""
        benchmarks = {
            name: BenchmarkState(
                planned=runner.progress.total,
                done=runner.progress.before + runner.progress.done,
                passed=runner.progress.passed,
                errors=runner.progress.errors,
                queued=runner.queued,
                tokens=runner.progress.tokens,
            )
            for name, runner in tuple(self.runners.items())
        }
        monitor, progress = self._monitor, self._progress
        return RunState(
            run_id=self.run_id,
            suite=self.plan.suite,
            model=self.plan.settings.model,
            phase=self.controls.phase,
            running=len(self.tracker),
            idle_s=progress.idle_s if progress is not None else 0.0,
            benchmarks=benchmarks,
            load=monitor.latest if monitor is not None else {},
        )

    def _selected(self, reader: Reader) -> tuple[Mapping[str, Sequence[str]], bool]:
        """Tasks that are settled already, by benchmark; and whether a limit selects the first ones (old runs)."""
        if self.order.resume and reader.run(self.run_id).environment:  # empty while it only waited in a queue
            recorded = reader.task_ids(self.run_id)
            return recorded, not recorded
        if self._replay is not None:
            return self._replay.task_ids, self._replay.first_tasks
        return {}, False

    async def _make_ready(self, site: Site, loaded: Sequence[LoadedBenchmark]) -> bool:
        """Model and sandboxes, side by side; False when stopped meanwhile. What cannot be had ends the run here."""
        looking = asyncio.to_thread(self._record.look_at_machine)
        with contextlib.ExitStack() as waits:
            if self.plan.settings.executor == "ray":
                waits.enter_context(self.waits.waiting("a node of the cluster to be ready"))
            return await self._unless_stopped(asyncio.gather(site.ready(loaded), looking)) is not None

    @property
    def waiting_for(self) -> str:
        """What the run itself waits for, in words; empty where only its attempts do."""
        return "; ".join(part for part in (self.controls.outage.waiting_for, self.waits.words) if part)

    async def _unless_stopped(self, work: Awaitable[T]) -> T | None:
        """The work's result; None when the operator stops the run first, in which case the work is let go."""
        task = asyncio.ensure_future(work)
        stopped = asyncio.create_task(self.controls.stopping.wait())
        try:
            await asyncio.wait({task, stopped}, return_when=asyncio.FIRST_COMPLETED)
            return task.result() if task.done() else None
        finally:
            for future in (task, stopped):
                future.cancel()
            await asyncio.gather(task, stopped, return_exceptions=True)

    def _not_begun(self, resources: RunResources, started: float) -> RunOutcome:
        seconds = time.monotonic() - started
        return RunOutcome(self.run_id, RunStatus.INTERRUPTED, resources.model.name, seconds, recorded=self.order.resume)

    def _left_unmade(self, benchmarks: int) -> bool:
        """Whether the operator ended the run before its work was done."""
        if self.controls.stopping.is_set():
            return True
        begun = len(self.runners)
        return self.controls.ending and (begun < benchmarks or any(r.queued for r in self.runners.values()))

    # -- one benchmark

    async def _run_benchmark(
        self,
        item: LoadedBenchmark,
        site: Site,
        resources: RunResources,
        loaded: Sequence[LoadedBenchmark],
        lane: RunLane,
        estimate: RunEstimate,
    ) -> None:
        name, began = item.plan.name, time.monotonic()
        estimate.lanes[name] = lane
        total = sum(planned_attempts(self.plan, item, self.order.samples).values())
        done = resources.reader.done(self.run_id) if self.order.resume else DoneAttempts()
        left, lacking = held_by(resources.model, list_attempts(self.plan, item, self.order.samples, done))
        if lacking:
            self._left_out = True
            self.say(f"{name}: {lacking} attempts were not made in the replayed run and are left out")
        wanted = {spec.key.task_id for spec in left}
        tasks = [task for task in item.tasks if task.task_id in wanted]
        with self.waits.waiting(f"what {name} needs before its attempts"):
            why = await self._unless_stopped(_prepare(site, item, tasks, alone=len(loaded) == 1))
        if why is None:
            return
        if why and not (self.order.resume and done.attempts[name]):
            estimate.prepared[name] = time.monotonic() - began
            await self._skip(name, why)
            return
        if (
            self.plan.copies(item.plan)
            and self.order.samples is None
            and not isinstance(item.benchmark, SpeedBenchmark)
        ):
            self.say(
                f"{name}: attempts at temperature 0 are mostly copies of one another; intervals count tasks, so that "
                f"{self.plan.attempts(item.plan)} attempts at each say no more than one where they are"
            )
        progress = BenchmarkCounts(total=total, before=total - len(left), passed=done.passed[name])
        self._publish(
            BenchmarkStarted(benchmark=name, total=progress.total, done=progress.before, passed=progress.passed)
        )
        runner = AttemptRunner(
            self.run_id, self.plan, item, site.executor(item), resources, self.counts, progress,
            shares=lane.shares, part=lambda: lane.part, all_begun=lane.begun[name],
        )  # fmt: skip
        self.runners[name] = runner
        lane.queued[name] = lambda: runner.queued
        lane.wake.append(runner.wake)
        estimate.prepared[name] = time.monotonic() - began
        await runner.run_all(left)
        if len(self.plan.settings.seeds) > 1:
            from stackbench.engine.reruns import repeat_replicates

            await repeat_replicates(runner, self._publish, self.say, self.record)
        if len(loaded) == 1:
            resources.sandbox.begin_closing()  # beside the summing up
        await self._sum_up(item, resources)

    async def _skip(self, name: str, why: str) -> None:
        """Leaves a benchmark out that turns out not to be possible here."""
        self._skipped[name] = why
        await asyncio.to_thread(self._writer.skip_benchmark, self.run_id, name, why)
        self._publish(BenchmarkSkipped(benchmark=name, reason=why))

    async def _run_again(self, runner: AttemptRunner, resources: RunResources) -> None:
        """Makes attempts that the operator put back after their benchmark had ended."""
        await runner.run_all([])
        await self._sum_up(runner.item, resources)

    async def _sum_up(self, item: LoadedBenchmark, resources: RunResources) -> None:
        await asyncio.to_thread(self._writer.flush)
        name = item.plan.name
        counts = {result.benchmark: result for result in resources.reader.results(self.run_id)}
        if name in counts:
            r = counts[name]
            figures = await asyncio.to_thread(self._record.figures_of, self.plan, resources.reader, item, again=True)
            self._publish(
                BenchmarkFinished(
                    benchmark=name, tasks=r.tasks, attempts=r.attempts, errors=r.errors,
                    metrics=tuple(_value(metric) for metric in figures.metrics),
                )
            )  # fmt: skip

    async def requeue(self, works: Mapping[str, Sequence[AttemptSpec]]) -> None:
        """Makes recorded attempts again: their rows are taken back first, so that none is recorded twice."""
        for name, chosen in works.items():
            runner = self.runners[name]
            for work in chosen:
                self.controls.uncancel(name, work.key.task_id)
                if runner.failed.pop(work.key, None) is not None:
                    runner.progress.done -= 1
                    runner.progress.errors -= 1
            runner.cancelled = [work for work in runner.cancelled if work not in chosen]
            await asyncio.to_thread(self._writer.take_back, self.run_id, [work.key for work in chosen])
            runner.requeue(chosen)

    def set_concurrency(self, size: int) -> None:
        """Attempts to have under way at once, from now on."""
        self.controls.slots.resize(size)
        for runner in self.runners.values():
            runner.wake()

    async def _stop_at_deadline(self) -> None:
        hours = await self.controls.past_deadline()
        self.say(f"stopping after {hours:g} hours, as asked")
        self.controls.stop()

    def say(self, line: str) -> None:
        """Tells the operator, and once the run is recorded, whoever reads it later."""
        self._publish(Notice(text=line))
        self.record("notice", {"text": line})

    @property
    def recorded(self) -> bool:
        """Whether events of the run itself are kept by now."""
        return self._record.exists

    def record(self, kind: str, payload: Mapping[str, Any]) -> None:
        """Records an event of the run itself, once the run is recorded."""
        self._record.event(kind, payload)


def _value(metric: Metric) -> MetricValue:
    return MetricValue(
        name=metric.name,
        value=metric.value,
        stderr=metric.stderr,
        ci_low=metric.ci_low,
        ci_high=metric.ci_high,
        low=metric.low,
        high=metric.high,
        n=metric.n,
        category=metric.category,
    )


async def _prepare(site: Site, item: LoadedBenchmark, tasks: Sequence[Task], *, alone: bool) -> str:
    """Prepares a benchmark; why it is to be left out, where others can go on without it."""
    try:
        await site.prepare(item, tasks)
    except (DataNotAvailableError, ModelNotAvailableError) as error:
        if alone:
            raise
        return str(error)
    return "" if alone or not tasks else await site.unavailable(item, tasks)
