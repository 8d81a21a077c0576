"""The engine's side of one node: gives it attempts, takes its results, and tells when it is gone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from stackbench.engine.node import NodeFacts, NodeNews, NodeOrder, NodeWishes
from stackbench.engine.ray_cluster import ClusterNode, NodeLostError, NodeRestartingError, RayCluster
from stackbench.engine.work import AttemptSpec
from stackbench.errors import OutageError, StackbenchError
from stackbench.types import AttemptKey

__all__ = ["LinkOwner", "NodeLink"]

TRY_AGAIN_S = 1.0
SAY_EVERY_S = 60.0


class LinkOwner(Protocol):
    """Whom a link tells."""

    def check(self, link: NodeLink, facts: NodeFacts) -> None:
        """Raises UsageError for a node that does not fit the others."""
        ...

    def prepared(self) -> Mapping[str, Sequence[str]]:
        """The tasks of each benchmark that has begun."""
        ...

    def joined(self, link: NodeLink) -> None:
        """It may be given attempts."""
        ...

    def deliver(self, link: NodeLink, news: NodeNews) -> None: ...

    def left(self, link: NodeLink, why: StackbenchError, *, again: bool) -> None:
        """What was given to it is to be given to others; `again`: Ray starts it again."""
        ...

    def wishes(self) -> NodeWishes: ...


class NodeLink:
    """One node, from its placing to its end."""

    def __init__(
        self,
        node: ClusterNode,
        order: NodeOrder,
        cluster: RayCluster,
        owner: LinkOwner,
        say: Callable[[str], None],
    ) -> None:
        self.node = node
        self.facts: NodeFacts | None = None
        self.ready = False
        self.keys: set[AttemptKey] = set()
        """Given to it, and not heard of since."""
        self.actor: Any = None
        self.acknowledged: list[AttemptKey] = []
        """In the database, and not told to the node yet."""
        self.problem: StackbenchError | None = None
        """Why the engine gives it no more attempts; set by whoever finds that out."""
        self._order = order
        self._cluster = cluster
        self._owner = owner
        self._say = say
        self._to_give: list[AttemptSpec] = []
        self._to_cancel: list[AttemptKey] = []
        self._changed = asyncio.Event()

    @property
    def load(self) -> float:
        """Attempts given to it, as a share of those that keep it busy."""
        slots = self.facts.slots if self.facts is not None else 1
        return len(self.keys) / max(1, slots)

    def give(self, spec: AttemptSpec) -> None:
        self.keys.add(spec.key)
        self._to_give.append(spec)
        self._changed.set()

    def cancel(self, key: AttemptKey) -> None:
        self.keys.discard(key)
        self._to_give = [spec for spec in self._to_give if spec.key != key]
        self._to_cancel.append(key)
        self._changed.set()

    async def attend(self) -> None:
        """Returns when the node is gone, or makes no more attempts (`problem`)."""
        try:
            self.actor = await asyncio.to_thread(self._cluster.place, self.node, self._order)
            while True:
                try:
                    await self._start()
                    await self._exchange()
                except NodeRestartingError as why:
                    self._forget(why, again=True)
                    await asyncio.sleep(TRY_AGAIN_S)
        except StackbenchError as why:
            if not isinstance(why, NodeLostError):
                self.problem = why
            self._forget(why, again=False)

    async def prepare(self, benchmark: str, task_ids: Sequence[str]) -> None:
        """Raises as `Node.prepare`, NodeLostError and NodeRestartingError."""
        await self._cluster.answer(self.actor.prepare.remote(benchmark, tuple(task_ids)))

    async def fit(self) -> dict[str, tuple[str, ...]]:
        """The tasks that its model's window holds, by benchmark."""
        return await self._cluster.answer(self.actor.fit.remote())

    async def close(self) -> None:
        if self.actor is not None:
            await self._cluster.end(self.actor)

    async def _start(self) -> None:
        facts = await self._told(self._cluster.answer(self.actor.start.remote()))
        self._owner.check(self, facts)
        self.facts = facts
        for benchmark, task_ids in self._owner.prepared().items():
            await self.prepare(benchmark, task_ids)
        self.ready = True
        self._owner.joined(self)

    async def _told(self, work: Any) -> NodeFacts:
        """The node's facts; says now and then that they are waited for: another program may have its processors."""
        task = asyncio.ensure_future(work)
        try:
            while True:
                done, _ = await asyncio.wait({task}, timeout=SAY_EVERY_S)
                if done:
                    return task.result()
                self._say("not ready yet: it loads the model, or other work of the cluster has its processors")
        finally:
            task.cancel()

    async def _exchange(self) -> None:
        giving = asyncio.create_task(self._give())
        taking: asyncio.Task[NodeNews] | None = None
        first = True
        try:
            while self.problem is None:
                acknowledged, self.acknowledged = self.acknowledged, []
                asked = self.actor.take.remote(acknowledged, self._owner.wishes(), again=first)
                taking = asyncio.create_task(self._cluster.answer(asked))
                await asyncio.wait({taking, giving}, return_when=asyncio.FIRST_COMPLETED)
                if not taking.done():
                    giving.result()  # raises: it ends in no other way
                news = taking.result()
                self._owner.deliver(self, news)
                first = False
                if news.problem:
                    self.problem = OutageError(news.problem)
            raise self.problem
        finally:
            tasks: list[asyncio.Task[Any]] = [giving, *([taking] if taking is not None else [])]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _give(self) -> None:
        """What came together goes together."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            specs, self._to_give = self._to_give, []
            cancelled, self._to_cancel = self._to_cancel, []
            if cancelled:
                await self._cluster.answer(self.actor.cancel.remote(cancelled))
            if specs:
                await self._cluster.answer(self.actor.give.remote(specs))

    def _forget(self, why: StackbenchError, *, again: bool) -> None:
        self.ready = False
        self._to_give, self._to_cancel = [], []
        self._owner.left(self, why, again=again)
