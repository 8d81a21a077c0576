"""The node's side of a run on a cluster: a model and sandboxes of its own, and attempts made with them.

What travels between engine and node is data. Results stay on the node until the engine says that they are in its
database, so that they outlive an engine that is killed.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stackbench import __version__
from stackbench.config import Home
from stackbench.control.messages import AttemptFinished, AttemptQueued, AttemptStarted, EventKind
from stackbench.datasets import DatasetStore
from stackbench.engine.attempt_tracker import AttemptTracker
from stackbench.engine.attempts import model_slots
from stackbench.engine.controls import RunControls
from stackbench.engine.executor import MOST_OUTAGES, AttemptResult, Executor, failed_record, wait_out
from stackbench.engine.plan import RunPlan
from stackbench.engine.replays import model_traits
from stackbench.engine.resources import AttemptResources
from stackbench.engine.run_model import create_run_model
from stackbench.engine.run_order import utc_now
from stackbench.engine.site import LocalSite
from stackbench.engine.work import AttemptSpec, LoadedBenchmark, load_benchmarks
from stackbench.errors import (
    DockerNotAvailableError,
    ModelUnreachableError,
    StackbenchError,
    UsageError,
    one_line,
)
from stackbench.models import Templated
from stackbench.outage import Outage
from stackbench.sandbox.memory_budget import default_size
from stackbench.sandbox.sandboxes import Sandboxes
from stackbench.types import AttemptKey

__all__ = ["Node", "NodeFacts", "NodeNews", "NodeOrder", "NodeWishes"]

LONGEST_POLL_S = 1.0
MOST_RESULTS = 256
"""In one answer to the engine."""
MOST_EVENTS = 5000
"""Kept for watchers until the engine asks next."""
OF_THE_ENGINE = (AttemptStarted, AttemptFinished, AttemptQueued)
"""Events that the engine itself publishes."""


@dataclass(frozen=True, slots=True)
class NodeOrder:
    """What a node needs to know to make attempts of a run."""

    run_id: str
    plan: RunPlan
    task_ids: Mapping[str, tuple[str, ...]]
    """The tasks that the run selected, by benchmark."""
    datasets: Mapping[str, Mapping[str, str]]
    """sha256 of the files that the engine read them from, by benchmark."""
    data: Path | None
    """The engine's extra dataset folder; used where the node sees it too."""
    processors: int
    """As many code samples at once, unless the run says how many."""
    version: str = __version__


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """What the engine must know of a node before it gives it attempts."""

    host: str
    model: Mapping[str, Any]
    """`Model.describe`."""
    traits: Mapping[str, Any]
    """What benchmarks look at before they ask."""
    gpus: int
    has_speed: bool
    window: int | None
    chat_templates: tuple[str, ...]
    slots: int
    """Attempts that keep it busy."""
    sandbox: Mapping[str, str]
    under_way: tuple[AttemptKey, ...]
    """Given by an engine before this one."""
    kept: int = 0
    """Results that no engine has acknowledged."""


@dataclass(frozen=True, slots=True)
class NodeNews:
    """What a node has to tell."""

    results: tuple[AttemptResult, ...] = ()
    events: tuple[EventKind, ...] = ()
    lines: tuple[str, ...] = ()
    """For the operator."""
    problem: str = ""
    """Why the node can make no more attempts; its model is gone, say."""


@dataclass(frozen=True, slots=True)
class NodeWishes:
    """What the operator of the run has set, as of now."""

    held: bool = False
    timeout_s: float | None = None
    watched: bool = False
    """Whether somebody follows the run's events."""


@dataclass(slots=True)
class _Outbox:
    """Results until they are acknowledged."""

    kept: dict[AttemptKey, AttemptResult] = field(default_factory=dict[AttemptKey, AttemptResult])
    sent: set[AttemptKey] = field(default_factory=set[AttemptKey])

    def put(self, result: AttemptResult) -> None:
        self.kept[result.record.key] = result

    def drop(self, keys: Sequence[AttemptKey]) -> None:
        for key in keys:
            self.kept.pop(key, None)
            self.sent.discard(key)

    def fresh(self) -> list[AttemptResult]:
        return list(itertools.islice((one for key, one in self.kept.items() if key not in self.sent), MOST_RESULTS))

    @property
    def has_fresh(self) -> bool:
        return len(self.kept) > len(self.sent)


class Node:
    """Makes attempts of one run. Belongs to one event loop; every method may be called again, and then does nothing
    twice: whoever calls it may not have heard the answer."""

    def __init__(self, order: NodeOrder) -> None:
        self._order = order
        self._starting: asyncio.Task[None] | None = None
        self._site: LocalSite | None = None
        self._resources: AttemptResources
        self._loaded: dict[str, LoadedBenchmark] = {}
        self._preparing: dict[str, asyncio.Task[None]] = {}
        self._executors: dict[str, Executor] = {}
        self._under_way: dict[AttemptKey, asyncio.Task[None]] = {}
        self._outbox = _Outbox()
        self._changed = asyncio.Event()
        self._numbers: Iterator[int] = itertools.count(1)
        self._events: list[EventKind] = []
        self._lines: list[str] = []
        self._problem = ""
        self._watched = False
        self._asked_at = time.monotonic()
        settings = order.plan.settings
        if settings.sandboxes is None:
            size = min(order.processors, default_size(settings.sandbox_memory_mib))
            settings = settings.model_copy(update={"sandboxes": max(1, size)})
        self._plan = order.plan.model_copy(update={"settings": settings})

    @property
    def unasked_s(self) -> float:
        """Seconds since the engine was last heard of."""
        return time.monotonic() - self._asked_at

    async def start(self) -> NodeFacts:
        """Loads tasks and model, and starts the sandboxes.

        Raises:
            StackbenchError: they cannot be had here, or the node is not what the engine is.
        """
        self._asked_at = time.monotonic()
        if self._starting is None or (self._starting.done() and self._starting.exception() is not None):
            self._starting = asyncio.create_task(self._start())
        await asyncio.shield(self._starting)
        assert self._site is not None
        model = self._site.model
        return NodeFacts(
            host=socket.gethostname(),
            model=dict(model.describe()),
            traits=model_traits(model),
            gpus=model.gpus,
            has_speed=model.has_speed,
            window=model.window,
            chat_templates=tuple(model.chat_templates) if isinstance(model, Templated) else (),
            slots=self._resources.controls.slots.size,
            sandbox=dict(self._site.sandbox.describe()),
            under_way=tuple(self._under_way),
            kept=len(self._outbox.kept),
        )

    async def _start(self) -> None:
        order, settings = self._order, self._plan.settings
        if order.version != __version__:
            raise UsageError(f"stackbench is {order.version} at the engine and {__version__} here; install one version")
        home = await asyncio.to_thread(_own_home, order.data)
        controls = RunControls(timeout_s=settings.timeout_s, outage=Outage(settings.give_up_after_s, self._say))
        model = create_run_model(self._plan, home, None, home.run(order.run_id))
        sandbox = Sandboxes(settings, order.run_id, self._say, None, controls.outage)
        tracker = AttemptTracker(self._publish, lambda: self._watched)
        self._resources = AttemptResources(model, sandbox, controls, tracker, self._publish)
        site = LocalSite(self._plan, home, self._resources, lambda: next(self._numbers), utc_now, self._say)
        try:
            loaded = await asyncio.to_thread(self._load, home)
            await site.ready(loaded)
            loaded = await site.fit(loaded)
        except BaseException:
            await model.close()
            await controls.outage.close()
            await sandbox.close()
            raise
        controls.slots.resize(model_slots(self._plan, model))
        self._loaded = {item.plan.name: item for item in loaded}
        self._site = site

    def _load(self, home: Home) -> list[LoadedBenchmark]:
        order = self._order
        parts = tuple(part for part in self._plan.benchmarks if part.name in order.task_ids)
        plan = self._plan.model_copy(update={"benchmarks": parts})
        loaded, lacking = load_benchmarks(plan, DatasetStore.of_home(home), None, order.task_ids)
        for name, reason in lacking.items():
            raise UsageError(f"{name}: {reason}")
        for item in loaded:
            if dict(item.datasets) != dict(order.datasets[item.plan.name]):
                raise UsageError(f"the data of {item.plan.name} differ from the engine's; bring the same files here")
        return loaded

    async def fit(self) -> dict[str, tuple[str, ...]]:
        """The tasks that the model's window holds, by benchmark."""
        return {name: tuple(task.task_id for task in item.tasks) for name, item in self._loaded.items()}

    async def prepare(self, benchmark: str, task_ids: Sequence[str]) -> None:
        """Makes a benchmark ready for attempts at these tasks.

        Raises:
            StackbenchError: it cannot be made ready here.
        """
        self._asked_at = time.monotonic()
        task = self._preparing.get(benchmark)
        if task is None or (task.done() and task.exception() is not None):
            task = self._preparing[benchmark] = asyncio.create_task(self._prepare(benchmark, task_ids))
        await asyncio.shield(task)

    async def _prepare(self, benchmark: str, task_ids: Sequence[str]) -> None:
        assert self._site is not None, "the node is not started"
        item, wanted = self._loaded[benchmark], set(task_ids)
        await self._site.prepare(item, [task for task in item.tasks if task.task_id in wanted])
        self._executors[benchmark] = self._site.executor(item)

    # -- attempts

    async def give(self, specs: Sequence[AttemptSpec]) -> None:
        """Makes these attempts. One that is under way, or whose result waits to be taken, is not made twice."""
        self._asked_at = time.monotonic()
        for spec in specs:
            key = spec.key
            if key in self._under_way:
                continue
            if key in self._outbox.kept:
                if key not in self._outbox.sent:
                    continue
                self._outbox.drop([key])  # the engine has that result and wants another one
            self._under_way[key] = asyncio.create_task(self._make(spec))

    async def take(self, acknowledged: Sequence[AttemptKey], wishes: NodeWishes, *, again: bool = False) -> NodeNews:
        """Waits for results, at most `LONGEST_POLL_S`. They are kept until they are acknowledged; `again` gives all
        that are kept once more, to an engine that did not hear of them."""
        self._asked_at = time.monotonic()
        self._outbox.drop(acknowledged)
        if again:
            self._outbox.sent.clear()
        self._wish(wishes)
        if not (self._outbox.has_fresh or self._problem or self._lines):
            self._changed.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(LONGEST_POLL_S):
                    await self._changed.wait()
        results = self._outbox.fresh()
        self._outbox.sent.update(one.record.key for one in results)
        news = NodeNews(tuple(results), tuple(self._events), tuple(self._lines), self._problem)
        self._events, self._lines = [], []
        return news

    async def cancel(self, keys: Sequence[AttemptKey]) -> None:
        """Gives attempts up that are under way."""
        for key in keys:
            task = self._under_way.get(key)
            if task is not None:
                task.cancel()

    async def close(self) -> None:
        """Gives everything up and frees what the node holds."""
        tasks = [*self._under_way.values(), *self._preparing.values()]
        if self._starting is not None:
            tasks.append(self._starting)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._site is not None:
            await self._site.model.close()
            await self._resources.controls.outage.close()
            await self._site.sandbox.close()
            self._site = None

    async def _make(self, spec: AttemptSpec) -> None:
        key, tracker = spec.key, self._resources.tracker
        tracker.start(key)
        try:
            result = await self._result(spec)
            if result is not None:
                self._outbox.put(result)
        except StackbenchError as problem:  # the node's model is gone, or what it depends on stayed away
            self._problem = str(problem)
        except Exception as fault:
            self._problem = f"fault in stackbench: {one_line(repr(fault))}"
        finally:
            tracker.finish(key, None)
            self._under_way.pop(key, None)
            self._changed.set()

    async def _result(self, spec: AttemptSpec) -> AttemptResult | None:
        """None where the run ends first."""
        for number in itertools.count(1):
            try:
                return await self._executors[spec.key.benchmark].execute(spec)
            except (ModelUnreachableError, DockerNotAvailableError) as gone:
                if number > MOST_OUTAGES:
                    why = f"error: {gone} (in {number} tries of this attempt)"
                    return AttemptResult(failed_record(spec.key, spec.category, why, utc_now(), gone.kind))
                if not await wait_out(gone, self._resources):
                    return None
        return None

    def _wish(self, wishes: NodeWishes) -> None:
        controls = self._resources.controls
        controls.timeout_s = wishes.timeout_s
        if wishes.held != controls.held:
            if wishes.held:
                controls.pause(now=True)
            else:
                controls.resume()
        self._watched = wishes.watched

    def _publish(self, what: EventKind) -> None:
        if self._watched and len(self._events) < MOST_EVENTS and not isinstance(what, OF_THE_ENGINE):
            self._events.append(what)

    def _say(self, line: str) -> None:
        self._lines.append(line)
        self._changed.set()


def _own_home(data: Path | None) -> Home:
    """This machine's own folder for models and logs; the engine's datasets where they are seen from here."""
    home = Home.find()
    if data is not None and os.access(data, os.R_OK):
        return Home(home.path, data, home.source)
    return home
