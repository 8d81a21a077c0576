"""Attempts on the nodes of a Ray cluster: each node has a model and sandboxes of its own, and the engine records.

An attempt is given to one node at a time, and again to another when that one is lost; whichever result comes first is
recorded, once. A node keeps its results until they are in the database.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from stackbench.benchmarks import SpeedBenchmark
from stackbench.config import Home
from stackbench.control.messages import EventKind
from stackbench.engine.attempt_tracker import AttemptTracker
from stackbench.engine.cluster_model import ClusterModel, ClusterSandboxes
from stackbench.engine.controls import RunControls
from stackbench.engine.executor import AttemptResult, Executor
from stackbench.engine.node import NodeFacts, NodeNews, NodeOrder, NodeWishes
from stackbench.engine.node_link import NodeLink
from stackbench.engine.plan import RunPlan
from stackbench.engine.ray_cluster import ClusterNode, NodeLostError, NodeRestartingError, RayCluster
from stackbench.engine.replays import replayed_run
from stackbench.engine.work import AttemptSpec, LoadedBenchmark
from stackbench.errors import OutageError, StackbenchError, StoreError, UsageError
from stackbench.store import Writer
from stackbench.types import AttemptKey, Task

__all__ = ["RaySite"]

LOOKS_FOR_NODES_S = 5.0
OTHERS_WITHIN_S = 120.0
"""How long a run waits for further nodes once the first is ready; later ones join it."""
MOST_LOSSES = 3
"""Times that our process on a node may be lost for good, while Ray holds the node for alive."""
ACKNOWLEDGES_S = 1.0
CLUSTER = "the Ray cluster"


@dataclass(slots=True)
class _Wanted:
    """An attempt whose result is waited for."""

    spec: AttemptSpec
    alone: bool
    """A measurement of speed: all of a benchmark's on one node."""
    result: asyncio.Future[AttemptResult]
    link: NodeLink | None = None


class RaySite:
    """Implements `Site` and `LinkOwner`. Belongs to the engine's event loop."""

    def __init__(
        self,
        plan: RunPlan,
        home: Home,
        run_id: str,
        writer: Writer,
        controls: RunControls,
        tracker: AttemptTracker,
        publish: Callable[[EventKind], None],
        next_seq: Callable[[], int],
        say: Callable[[str], None],
        resize: Callable[[int], None],
    ) -> None:
        """`resize` sets how many attempts the run has under way at once."""
        self.model = ClusterModel(plan.settings.model, self._close)
        self.sandbox = ClusterSandboxes()
        self._plan = plan
        self._home = home
        self._run_id = run_id
        self._writer = writer
        self._controls = controls
        self._tracker = tracker
        self._publish = publish
        self._next_seq = next_seq
        self._say = say
        self._resize = resize
        self._size: int | None = None
        """Attempts under way at once, as this last set it."""
        self._cluster = RayCluster(plan.settings.address, str(home.path))
        self._connected = False
        self._order: NodeOrder | None = None
        self._links: dict[str, NodeLink] = {}
        """By node id, those that are attended to."""
        self._broken: dict[str, StackbenchError] = {}
        """Nodes that are there and make no attempts of this run any more."""
        self._losses: Counter[str] = Counter()
        self._attending: set[asyncio.Task[None]] = set()
        self._begun = False
        self._changed = asyncio.Event()
        """A node has joined or left."""
        self._wanted: dict[AttemptKey, _Wanted] = {}
        self._early: dict[AttemptKey, tuple[NodeLink, AttemptResult]] = {}
        """Results that nobody waits for yet: a node made them for an engine before this one."""
        self._delivered: set[AttemptKey] = set()
        """Attempts whose result this engine has taken."""
        self._held_by: dict[AttemptKey, NodeLink] = {}
        """Attempts that a node has under way for an engine before this one."""
        self._handed: list[tuple[NodeLink, AttemptKey]] = []
        """Given to the writer, and maybe not in the database yet."""
        self._prepared: dict[str, tuple[str, ...]] = {}
        self._tasks: list[asyncio.Task[None]] = []

    # -- Site

    async def ready(self, loaded: Sequence[LoadedBenchmark]) -> None:
        self._check_plan()
        await self._connect()
        self._order = NodeOrder(
            self._run_id,
            self._plan,
            {item.plan.name: tuple(task.task_id for task in item.tasks) for item in loaded},
            {item.plan.name: dict(item.datasets) for item in loaded},
            self._home.data_extra,
            processors=1,
        )
        ended = await self._cluster.end_others(self._order)
        if ended:
            self._say(f"ended {ended} node actors that another run of this home had left")
        await self._look_for_nodes()
        if not self._links:
            raise UsageError(
                'the Ray cluster has no node with processors; add one with "ray start --address HEAD:PORT"'
            )
        self._tasks = [asyncio.create_task(self._keep_looking()), asyncio.create_task(self._acknowledge())]
        await self._first_nodes()
        self._begun = True
        self.model.learn(self._facts())
        self.sandbox.described = self._facts()[0].sandbox

    async def fit(self, loaded: Sequence[LoadedBenchmark]) -> list[LoadedBenchmark]:
        link = next(link for link in self._links.values() if link.ready)
        fitting = {name: set(task_ids) for name, task_ids in (await link.fit()).items()}
        return [
            replace(item, tasks=tuple(task for task in item.tasks if task.task_id in fitting[item.plan.name]))
            for item in loaded
        ]

    async def prepare(self, item: LoadedBenchmark, tasks: Sequence[Task]) -> None:
        name = item.plan.name
        self._prepared[name] = task_ids = tuple(task.task_id for task in tasks)
        links = [link for link in self._links.values() if link.ready]
        found = await asyncio.gather(*(link.prepare(name, task_ids) for link in links), return_exceptions=True)
        problems = [problem for problem in found if isinstance(problem, BaseException)]
        if problems and len(problems) == len(links):
            raise problems[0]
        for link, problem in zip(links, found, strict=True):
            if isinstance(problem, StackbenchError) and not isinstance(problem, NodeLostError | NodeRestartingError):
                link.problem = problem

    async def unavailable(self, item: LoadedBenchmark, tasks: Sequence[Task]) -> str:
        return ""  # the nodes' machines are not this one

    def executor(self, item: LoadedBenchmark) -> Executor:
        return _RayExecutor(self, isinstance(item.benchmark, SpeedBenchmark))

    def _check_plan(self) -> None:
        settings = self._plan.settings
        if replayed_run(self._plan) is not None:
            raise UsageError("a recorded run is replayed where its database is; use --executor local")
        if settings.approve_calls != "never":
            raise UsageError("--approve-calls needs the agents in the engine's process; use --executor local")

    async def _connect(self) -> None:
        if not self._connected:
            await asyncio.to_thread(self._cluster.connect)  # Ray takes signals over where the main thread connects
            self._connected = True

    async def _close(self) -> None:
        for task in [*self._tasks, *self._attending]:
            task.cancel()
        await asyncio.gather(*self._tasks, *self._attending, return_exceptions=True)
        await asyncio.gather(*(link.close() for link in self._links.values()), return_exceptions=True)
        self._links.clear()
        if self._connected:
            await asyncio.to_thread(self._cluster.close)
            self._connected = False

    # -- attempts

    async def make(self, spec: AttemptSpec, *, alone: bool) -> AttemptResult:
        """The attempt's result, from whichever node. Raises OutageError when there is none for too long."""
        key = spec.key
        self._delivered.discard(key)  # the operator may want it again
        if key in self._early:
            link, result = self._early.pop(key)
            self._delivered.add(key)
        else:
            wanted = self._wanted[key] = _Wanted(spec, alone, asyncio.get_running_loop().create_future())
            try:
                self._place(wanted)
                result = await wanted.result
            except asyncio.CancelledError:
                if wanted.link is not None:
                    wanted.link.cancel(key)
                raise
            finally:
                self._wanted.pop(key, None)
            link = wanted.link
        if link is not None:
            self._handed.append((link, key))  # the caller gives it to the writer before anything else runs
        self._tracker.tokens += result.record.completion_tokens
        return replace(result, events=tuple(replace(event, seq=self._next_seq()) for event in result.events))

    def _place(self, wanted: _Wanted) -> None:
        """Gives it to the node with the least to do; one that waits for a node is placed when one joins."""
        ready = [link for link in self._links.values() if link.ready]
        held = self._held_by.pop(wanted.spec.key, None)
        if not ready:
            wanted.link = None
        elif wanted.alone:
            wanted.link = min(ready, key=lambda link: link.node.node_id)
        else:
            wanted.link = held if held is not None and held in ready else min(ready, key=lambda link: link.load)
        if wanted.link is not None:
            wanted.link.give(wanted.spec)

    async def _acknowledge(self) -> None:
        """Tells nodes which of their results are in the database."""
        while True:
            await asyncio.sleep(ACKNOWLEDGES_S)
            handed, self._handed = self._handed, []
            if not handed:
                continue
            try:
                await asyncio.to_thread(self._writer.flush)
            except StoreError:  # ends the run elsewhere; the nodes keep what they have
                return
            for link, key in handed:
                link.acknowledged.append(key)

    # -- LinkOwner

    def check(self, link: NodeLink, facts: NodeFacts) -> None:
        others = [other.facts for other in self._links.values() if other.facts is not None and other is not link]
        known = others[0].model.get("sha256") if others else None
        if known and facts.model.get("sha256") not in (None, known):
            raise UsageError(f"its files of {self.model.name} are others than those of {others[0].host}")
        if link.facts is None and (facts.under_way or facts.kept):
            self._say(
                f"node {link.node.host}: found as an engine before this one left it, with {len(facts.under_way)} "
                f"attempts under way and {facts.kept} results"
            )
        for key in facts.under_way:
            self._held_by[key] = link

    def prepared(self) -> Mapping[str, Sequence[str]]:
        return self._prepared

    def joined(self, link: NodeLink) -> None:
        self._changed.set()
        if self._begun:
            self._say(f"node {link.node.host} joins with {link.node.processors} processors")
            self._fit_size()
        for wanted in self._wanted.values():
            if wanted.link is None:
                self._place(wanted)

    def deliver(self, link: NodeLink, news: NodeNews) -> None:
        for line in news.lines:
            self._say(f"node {link.node.host}: {line}")
        for event in news.events:
            self._publish(event)
        for result in news.results:
            key = result.record.key
            link.keys.discard(key)
            wanted = self._wanted.get(key)
            if wanted is not None and not wanted.result.done():
                if wanted.link is not None and wanted.link is not link:
                    wanted.link.cancel(key)
                wanted.link = link
                wanted.result.set_result(result)
                self._delivered.add(key)
            elif key in self._delivered:  # two nodes made it, or it was heard of twice
                link.acknowledged.append(key)
            else:
                self._early[key] = (link, result)

    def left(self, link: NodeLink, why: StackbenchError, *, again: bool) -> None:
        self._held_by = {key: held for key, held in self._held_by.items() if held is not link}
        self._handed = [(other, key) for other, key in self._handed if other is not link]
        given, link.keys = link.keys, set()
        if not again:
            self._links.pop(link.node.node_id, None)
        self._changed.set()
        if self._begun:
            self._fit_size()
        redone = [wanted for key in given if (wanted := self._wanted.get(key)) is not None and wanted.link is link]
        what = "our process there ended, and Ray starts it again" if again else "it makes no more attempts"
        self._say(f"node {link.node.host}: {what} ({why}); {len(redone)} attempts are made again")
        for wanted in redone:
            self._place(wanted)

    def wishes(self) -> NodeWishes:
        return NodeWishes(self._controls.held, self._controls.timeout_s, self._tracker.watched)

    # -- nodes

    async def _look_for_nodes(self) -> None:
        assert self._order is not None
        for node in await asyncio.to_thread(self._cluster.nodes):
            if node.node_id in self._links or node.node_id in self._broken:
                continue
            order = replace(self._order, processors=node.processors)
            link = NodeLink(node, order, self._cluster, self, partial(self._say_of, node))
            self._links[node.node_id] = link
            task = asyncio.create_task(self._attend(link))
            self._attending.add(task)
            task.add_done_callback(self._attending.discard)

    async def _attend(self, link: NodeLink) -> None:
        node_id = link.node.node_id
        await link.attend()
        self._losses[node_id] += 1
        if link.problem is not None or self._losses[node_id] > MOST_LOSSES:
            self._broken[node_id] = link.problem or OutageError("our process there was lost again and again")
            await link.close()
        if not self._links:
            await self._without_nodes()

    def _say_of(self, node: ClusterNode, line: str) -> None:
        self._say(f"node {node.host}: {line}")

    def _facts(self) -> list[NodeFacts]:
        return [link.facts for link in self._links.values() if link.ready and link.facts is not None]

    def _fit_size(self) -> None:
        """As many attempts at once as the nodes that are there want, unless the operator has set how many."""
        slots = sum(facts.slots for facts in self._facts())
        if (
            self._plan.settings.concurrency is None
            and slots
            and self._controls.slots.size == (self._size or self.model.concurrency)
        ):
            self._size = slots
            self._resize(slots)

    async def _keep_looking(self) -> None:
        while True:
            await asyncio.sleep(LOOKS_FOR_NODES_S)
            await self._look_for_nodes()

    async def _first_nodes(self) -> None:
        """Waits until each node that is there is ready or has failed; at least one is to be ready."""
        loop = asyncio.get_running_loop()
        deadline: float | None = None
        while self._links and any(not link.ready for link in self._links.values()):
            if deadline is None and self._facts():
                deadline = loop.time() + OTHERS_WITHIN_S
            self._changed.clear()
            try:
                async with asyncio.timeout_at(deadline):
                    await self._changed.wait()
            except TimeoutError:
                break
        if not self._facts():
            raise next(iter(self._broken.values()), OutageError("every node of the Ray cluster is gone"))

    async def _without_nodes(self) -> None:
        """No node is left: attempts wait for one, unless those that are there cannot make any."""
        if self._broken:
            self._fail(OutageError(f"no node can make attempts: {next(iter(self._broken.values()))}"))
            return
        try:
            await self._controls.outage.wait(CLUSTER, self._has_nodes, "every node is gone")
        except OutageError as error:
            self._fail(error)

    async def _has_nodes(self) -> bool:
        return any(link.ready for link in self._links.values())

    def _fail(self, error: StackbenchError) -> None:
        for wanted in self._wanted.values():
            if not wanted.result.done():
                wanted.result.set_exception(error)


class _RayExecutor:
    """Implements `Executor`."""

    def __init__(self, site: RaySite, alone: bool) -> None:
        self._site = site
        self._alone = alone

    async def execute(self, spec: AttemptSpec) -> AttemptResult:
        return await self._site.make(spec, alone=self._alone)
