"""Where the attempts of a run are made: in this process, or on the nodes of a cluster."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Protocol

from stackbench.benchmarks import AgentBenchmark, Conditional, OwnImages
from stackbench.config import Home
from stackbench.engine.context import Preparation
from stackbench.engine.executor import Executor, LocalExecutor
from stackbench.engine.fitting import fit_to_window
from stackbench.engine.plan import RunPlan
from stackbench.engine.resources import AttemptResources, RunSandboxes
from stackbench.engine.run_waits import RunWaits
from stackbench.engine.work import LoadedBenchmark
from stackbench.models import Model, Reloadable
from stackbench.types import Task, Variant

__all__ = ["LocalSite", "Site"]


class Site(Protocol):
    """Model, sandboxes and executors of a run."""

    @property
    def model(self) -> Model: ...

    @property
    def sandbox(self) -> RunSandboxes: ...

    async def ready(self, loaded: Sequence[LoadedBenchmark]) -> None:
        """Starts the model, and the sandboxes that these benchmarks need.

        Raises:
            StackbenchError: they cannot be had.
        """
        ...

    async def fit(self, loaded: Sequence[LoadedBenchmark]) -> list[LoadedBenchmark]:
        """The benchmarks with the tasks that the model's window holds. Raises UsageError where none does."""
        ...

    async def prepare(self, item: LoadedBenchmark, tasks: Sequence[Task]) -> None:
        """Makes a benchmark ready for attempts at these tasks; none where it has none left to make."""
        ...

    async def unavailable(self, item: LoadedBenchmark, tasks: Sequence[Task]) -> str:
        """Why a benchmark that is prepared is to be left out beside others; empty where nothing is amiss."""
        ...

    def executor(self, item: LoadedBenchmark) -> Executor:
        """What makes the attempts of a benchmark."""
        ...


class LocalSite:
    """A model and sandboxes of this process."""

    def __init__(
        self,
        plan: RunPlan,
        home: Home,
        resources: AttemptResources,
        next_seq: Callable[[], int],
        now: Callable[[], datetime],
        say: Callable[[str], None],
        waits: RunWaits | None = None,
    ) -> None:
        self._plan = plan
        self._home = home
        self._resources = resources
        self._next_seq = next_seq
        self._now = now
        self._say = say
        self._waits = waits or RunWaits()

    @property
    def model(self) -> Model:
        return self._resources.model

    @property
    def sandbox(self) -> RunSandboxes:
        return self._resources.sandbox

    async def ready(self, loaded: Sequence[LoadedBenchmark]) -> None:
        sandbox = self._resources.sandbox
        parts: list[Awaitable[None]] = [self._named("the model to be ready", self.model.start(self._say))]
        agents = [item for item in loaded if isinstance(item.benchmark, AgentBenchmark)]
        if agents:
            parts.append(self._named("the agents' containers", sandbox.ready_to_lease()))
        others = [item for item in loaded if item not in agents and not isinstance(item.benchmark, OwnImages)]
        if any(item.benchmark.uses_sandbox for item in others):
            parts.append(self._named("the containers for samples", sandbox.ready()))
        await asyncio.gather(*parts)

    async def fit(self, loaded: Sequence[LoadedBenchmark]) -> list[LoadedBenchmark]:
        return await fit_to_window(loaded, self._plan, self.model, self._say)

    async def prepare(self, item: LoadedBenchmark, tasks: Sequence[Task]) -> None:
        if tasks:
            await item.benchmark.prepare(tasks, self._preparation())
        if isinstance(self.model, Reloadable):  # a benchmark of speed may have left it served in another way
            await self.model.reload(Variant())

    async def _named(self, what: str, work: Awaitable[None]) -> None:
        with self._waits.waiting(what):
            await work

    async def unavailable(self, item: LoadedBenchmark, tasks: Sequence[Task]) -> str:
        if not isinstance(item.benchmark, Conditional):
            return ""
        return await item.benchmark.unavailable(tasks, self._preparation())

    def _preparation(self) -> Preparation:
        return Preparation(self._home.path / "cache", self._resources.sandbox, self._say)

    def executor(self, item: LoadedBenchmark) -> Executor:
        return LocalExecutor(self._plan, item, self._resources, self._next_seq, self._now)
