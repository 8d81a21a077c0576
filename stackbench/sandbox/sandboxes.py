"""The sandboxes of a run: code jobs are run and containers leased, from pools that share one memory budget."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from stackbench.config import SandboxSettings
from stackbench.errors import UsageError
from stackbench.outage import Outage
from stackbench.sandbox.container import ContainerLostError
from stackbench.sandbox.docker import engine_answers, ran_out_of_memory, runtimes
from stackbench.sandbox.docker_engine import DockerEngine
from stackbench.sandbox.head_start import HeadStart
from stackbench.sandbox.hygiene import remove_leftovers
from stackbench.sandbox.image_store import ImageStore
from stackbench.sandbox.images import Images
from stackbench.sandbox.memory_budget import MemoryBudget, budget_mib, default_size
from stackbench.sandbox.pool import SandboxPool
from stackbench.sandbox.recipe import DockerfileRecipe, ImageLimits, ImageRecipe, PulledImage, ReadyImage
from stackbench.sandbox.scorer import Scorer
from stackbench.sandbox.session import Session
from stackbench.sandbox.spec import SandboxSpec, agent_spec, sample_spec
from stackbench.sandbox.types import CodeJob, CodeResult
from stackbench.slots import Slots

__all__ = ["Sandboxes"]

AGENTS_PER_PROCESSOR = 4
MOST_SPARE = 4


class Sandboxes:
    """Implements `Sandbox`, and leases containers; what is needed is made when it is first asked for.

    There is a scorer for each image that jobs name, and a pool for each spec that leases name.
    """

    def __init__(
        self,
        settings: SandboxSettings,
        run_id: str,
        say: Callable[[str], None],
        head_start: HeadStart | None = None,
        outage: Outage | None = None,
    ) -> None:
        self.budget = MemoryBudget(budget_mib(settings))
        self.images = Images(say)
        self._settings = settings
        self._labels = {"stackbench.run": run_id}
        self._run_id = run_id
        self._say = say
        self._head_start = head_start
        self._engine = DockerEngine(say, outage)
        self._leases = Slots(settings.sandboxes or AGENTS_PER_PROCESSOR * default_size(settings.sandbox_memory_mib))
        """Containers leased at once, of all pools together."""
        self._scorers: dict[str | None, asyncio.Task[Scorer]] = {}
        self._default: Scorer | None = None
        self._pools: dict[SandboxSpec, asyncio.Task[SandboxPool]] = {}
        self._lessees: Counter[SandboxSpec] = Counter()
        """Who has, or waits for, a container of a pool."""
        self._for_agents: SandboxPool | None = None
        self._image_stores: dict[ImageLimits, ImageStore] = {}
        self._making_images = asyncio.Semaphore(os.cpu_count() or 1)
        self._clearing: asyncio.Task[None] | None = None
        self._closing: asyncio.Task[None] | None = None
        self._tell_what_fits(settings.sandboxes or 0)

    async def ready(self) -> None:
        """Waits until the containers for samples run.

        Raises:
            DockerNotAvailableError, SandboxError: they cannot be had.
        """
        self._default = await self._scorer(None)

    async def run(self, job: CodeJob) -> CodeResult:
        """Runs a job in a container of the image that it names, or of the run's own."""
        if job.image is None and self._default is not None:
            return await self._default.run(job)
        return await (await self._scorer(job.image)).run(job)

    async def ready_to_lease(self) -> None:
        """Waits until containers for agents run. Raises as `ready`."""
        self._for_agents = await self._pool(agent_spec(self._settings))

    @asynccontextmanager
    async def lease(self, spec: SandboxSpec | None = None) -> AsyncGenerator[Session]:
        """A clean container of one's own (None: one for an agent), removed afterwards; waits while all are out, or
        there is no memory for it. Code jobs may be run meanwhile; to ask for a second lease could wait for ever.

        Raises:
            DockerNotAvailableError, SandboxError: none can be had; it asks for more memory than all may have.
        """
        wanted = spec or agent_spec(self._settings)
        self._lessees[wanted] += 1
        try:
            async with (await self._pool(wanted)).lease() as session:
                yield session
        finally:
            self._lessees[wanted] -= 1
            await self._drop_unused(wanted)

    async def image(self, wanted: ImageRecipe | DockerfileRecipe | PulledImage, limits: ImageLimits) -> ReadyImage:
        """An image that is there until it is handed back; as many are made at once as there are processors.

        Raises:
            DockerNotAvailableError, SandboxError: it can be neither pulled nor built.
        """
        async with self._making_images:
            return await asyncio.to_thread(self._image_store(limits).ready, wanted)

    def release_image(self, image: ReadyImage, limits: ImageLimits) -> None:
        """Hands an image back."""
        self._image_store(limits).release(image.name)

    def _image_store(self, limits: ImageLimits) -> ImageStore:
        return self._image_stores.setdefault(limits, ImageStore(limits, self._say))

    async def engine_answers(self) -> bool:
        """Whether the Docker engine answers."""
        return await asyncio.to_thread(engine_answers)

    async def ran_out_of_memory(self, problem: BaseException) -> bool:
        """Whether a container was lost because the kernel killed in it for want of memory, by its cgroup's counter."""
        lost = problem
        while not isinstance(lost, ContainerLostError):
            if (behind := lost.__cause__) is None:
                return False
            lost = behind
        return await asyncio.to_thread(ran_out_of_memory, lost.container_id)

    def resize(self, size: int) -> None:
        """Changes the number of containers for samples and of leased ones; those that are in use are let finish."""
        self._settings = self._settings.model_copy(update={"sandboxes": size})
        self._tell_what_fits(size)
        self._leases.resize(size)
        for task in self._scorers.values():
            if task.done() and not task.cancelled() and task.exception() is None:
                task.result().resize(size)

    def describe(self) -> Mapping[str, str]:
        """The image that samples run in, by name and content; empty while none has been needed."""
        pool = self._for_agents if self._default is None else self._default.pool
        if pool is None or pool.spec.image is None:
            return {}
        return {"image": pool.spec.image, "id": pool.image_id}

    def begin_closing(self) -> asyncio.Task[None]:
        """Has every container removed; `close` waits for the end of it."""
        if self._closing is None:
            self._closing = asyncio.create_task(self._close())
        return self._closing

    async def close(self) -> None:
        """Removes every container."""
        await asyncio.shield(self.begin_closing())

    async def _close(self) -> None:
        self._engine.stop_waiting()
        self.images.close()
        await asyncio.gather(*(asyncio.to_thread(store.close) for store in self._image_stores.values()))
        begun = [*self._scorers.values(), *self._pools.values(), self._clearing]
        tasks: list[asyncio.Task[Any]] = [task for task in begun if task is not None]
        for task in tasks:
            if not task.done():
                task.cancel()
        for made in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(made, Scorer | SandboxPool):
                await made.close()
        if self._head_start is not None:
            self._head_start.close()
        self._engine.close()

    # -- scorers and pools

    async def _scorer(self, image: str | None) -> Scorer:
        task = self._scorers.get(image)
        if task is None or _failed(task):
            task = self._scorers[image] = asyncio.create_task(self._start_scorer(image))
        return await asyncio.shield(task)

    async def _start_scorer(self, wanted: str | None) -> Scorer:
        settings = self._settings
        await self._check_runtime()
        head_start = self._head_start if wanted is None else None
        image = wanted or settings.sandbox_image
        if head_start is not None and await asyncio.wrap_future(head_start.found):
            image = head_start.spec.image
        else:
            image = await self.images.ready(image)
        spec = sample_spec(settings, image or "", self._run_id)
        self.budget.kept_for_jobs_mib = spec.memory_mib
        pool = SandboxPool(
            spec,
            size=settings.sandboxes,
            spare=(settings.sandboxes or 2) if settings.sandbox_scope == "sample" else 0,
            prepare=True,
            for_jobs=True,
            budget=self.budget,
            engine=self._engine,
            head_start=head_start,
            say=self._say,
        )
        scorer = Scorer(pool, scope=settings.sandbox_scope, say=self._say)
        await self._warm(scorer)
        return scorer

    async def _pool(self, spec: SandboxSpec) -> SandboxPool:
        task = self._pools.get(spec)
        if task is None or (task.done() and (task.cancelled() or task.exception() is not None)):
            task = self._pools[spec] = asyncio.create_task(self._start_pool(spec))
        return await asyncio.shield(task)

    async def _start_pool(self, spec: SandboxSpec) -> SandboxPool:
        """Agents get warm containers: theirs is the one image that every attempt of a benchmark uses."""
        settings = self._settings
        await self._check_runtime()
        image = await self.images.ready(spec.image or settings.sandbox_image)
        if spec.writable:
            await self.images.ready()  # of the helper that makes the root writable
        pool = SandboxPool(
            replace(spec, image=image, labels=self._labels, runtime=spec.runtime or settings.sandbox_runtime or ""),
            slots=self._leases,
            spare=min(self._leases.size, MOST_SPARE) if spec.image is None else 0,
            budget=self.budget,
            engine=self._engine,
            say=self._say,
        )
        await self._warm(pool)
        return pool

    async def _drop_unused(self, spec: SandboxSpec) -> None:
        """Forgets a pool that keeps nothing warm and that nobody uses: there may be one per task."""
        if spec.image is None or self._lessees[spec] or self._closing is not None:
            return
        del self._lessees[spec]
        (made,) = await asyncio.gather(self._pools.pop(spec), return_exceptions=True)
        if isinstance(made, SandboxPool):
            await made.close()

    async def _warm(self, containers: SandboxPool | Scorer) -> None:
        """Makes the containers, beside the clearing up; closes them when one fails."""
        try:
            await asyncio.gather(containers.warm_up(), self._without_leftovers())
        except BaseException:
            await containers.close()
            raise

    async def _check_runtime(self) -> None:
        wanted = self._settings.sandbox_runtime
        if wanted and wanted not in (have := await asyncio.to_thread(runtimes)):
            raise UsageError(
                f"the Docker engine has no runtime {wanted!r} (it has {', '.join(sorted(have))}); "
                "install it and name it in the engine's daemon.json, or leave --sandbox-runtime out"
            )

    def _tell_what_fits(self, size: int) -> None:
        memory_mib, total_mib = self._settings.sandbox_memory_mib, self.budget.total_mib or 0
        if size > 1 and size * memory_mib > total_mib:
            self._say(
                f"{size} sandboxes of {memory_mib} MiB do not fit {total_mib} MiB: as many samples run as do; "
                "sandbox_memory_mib and sandbox_budget_mib change that"
            )

    # -- once for all

    async def _without_leftovers(self) -> None:
        if self._clearing is None:
            self._clearing = asyncio.create_task(self._remove_leftovers())
        await asyncio.shield(self._clearing)

    async def _remove_leftovers(self) -> None:
        removed = await asyncio.to_thread(remove_leftovers)
        if removed:
            self._say(f"removed {removed} sandbox containers that a killed run had left")


def _failed(task: asyncio.Task[Any]) -> bool:
    """Whether what it made cannot be had; who asks later tries again."""
    return task.done() and (task.cancelled() or task.exception() is not None)
