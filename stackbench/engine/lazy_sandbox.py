"""The sandboxes of a run, made when the first benchmark needs them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from stackbench.config import SandboxSettings
from stackbench.errors import UsageError
from stackbench.sandbox import CodeJob, CodeResult
from stackbench.sandbox.docker import runtimes
from stackbench.sandbox.hygiene import remove_leftovers
from stackbench.sandbox.image import ensure_image
from stackbench.sandbox.launch import HeadStart, container_spec
from stackbench.sandbox.pool import SandboxPool
from stackbench.sandbox.scorer import Scorer
from stackbench.sandbox.session import Session
from stackbench.sandbox.sizing import default_size

__all__ = ["LazySandbox"]

AGENTS_PER_PROCESSOR = 4
MOST_SPARE = 4


class LazySandbox:
    """Implements `Sandbox`, and leases containers to agents.

    The first job waits for the image, for leftovers to be removed and for the containers.
    A job that names an image of its own runs in containers of that image.
    """

    def __init__(
        self, settings: SandboxSettings, run_id: str, say: Callable[[str], None], head_start: HeadStart | None = None
    ) -> None:
        self._settings = settings
        self._run_id = run_id
        self._say = say
        self._head_start = head_start
        self._scorers: dict[str | None, asyncio.Task[Scorer]] = {}
        self._default: Scorer | None = None
        self._for_agents: SandboxPool | None = None
        self._leased: asyncio.Task[SandboxPool] | None = None
        self._image: asyncio.Task[str] | None = None
        self._clearing: asyncio.Task[None] | None = None
        self._closing: asyncio.Task[None] | None = None

    async def ready(self) -> None:
        """Waits until the containers run.

        Raises:
            DockerNotAvailableError, SandboxError: they cannot be had.
        """
        self._default = await self._scorer(None)

    async def run(self, job: CodeJob) -> CodeResult:
        if job.image is None and self._default is not None:
            return await self._default.run(job)
        return await (await self._scorer(job.image)).run(job)

    async def ready_to_lease(self) -> None:
        """Waits until containers for agents run. Raises as `ready`."""
        self._for_agents = await self._lease_pool()

    @asynccontextmanager
    async def lease(self) -> AsyncGenerator[Session]:
        """A clean container of one's own, removed afterwards; waits while all are out.

        Raises:
            DockerNotAvailableError, SandboxError: none can be had.
        """
        pool = await self._lease_pool()
        async with pool.lease() as session:
            yield session

    def resize(self, size: int) -> None:
        """Changes the number of containers for samples and for agents; those that are in use are let finish."""
        self._settings = self._settings.model_copy(update={"sandboxes": size})
        for task in self._scorers.values():
            if task.done() and not task.cancelled() and task.exception() is None:
                task.result().resize(size)
        if self._for_agents is not None:
            self._for_agents.resize(size)

    def describe(self) -> Mapping[str, str]:
        """The image that samples run in, by name and content; empty while none has been needed."""
        pool = self._for_agents if self._default is None else self._default.pool
        if pool is None:
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
        begun = [*self._scorers.values(), self._leased, self._image, self._clearing]
        tasks: list[asyncio.Task[Any]] = [task for task in begun if task is not None]
        for task in tasks:
            if not task.done():
                task.cancel()
        for made in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(made, Scorer | SandboxPool):
                await made.close()
        if self._head_start is not None:
            self._head_start.close()

    async def _scorer(self, image: str | None) -> Scorer:
        task = self._scorers.get(image)
        if task is None:
            task = self._scorers[image] = asyncio.create_task(self._start(image))
        return await asyncio.shield(task)

    async def _lease_pool(self) -> SandboxPool:
        if self._leased is None:
            self._leased = asyncio.create_task(self._start_leasing())
        return await asyncio.shield(self._leased)

    async def _start_leasing(self) -> SandboxPool:
        """Containers for agents: more than for samples, since an agent mostly waits for its model."""
        settings = self._settings
        await self._check_runtime()
        image = settings.sandbox_image or await self._own_image()
        size = settings.sandboxes or AGENTS_PER_PROCESSOR * default_size(settings.sandbox_memory_mib)
        spec = container_spec(settings, image, self._run_id)
        pool = SandboxPool(spec, size=size, spare=min(size, MOST_SPARE), say=self._say)
        await self._warm(pool)
        return pool

    async def _start(self, wanted: str | None) -> Scorer:
        settings = self._settings
        await self._check_runtime()
        head_start = self._head_start if wanted is None else None
        image = wanted or settings.sandbox_image
        if image is None and head_start is not None and await asyncio.wrap_future(head_start.found):
            image = head_start.spec.image
        pool = SandboxPool(
            container_spec(settings, image or await self._own_image(), self._run_id),
            size=settings.sandboxes,
            spare=(settings.sandboxes or 2) if settings.sandbox_scope == "sample" else 0,
            prepare=True,
            head_start=head_start,
            say=self._say,
        )
        scorer = Scorer(pool, scope=settings.sandbox_scope, say=self._say)
        await self._warm(scorer)
        return scorer

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

    # -- once for samples and agents

    async def _own_image(self) -> str:
        """The sandbox image; whoever else asks while it is made waits for the same one."""
        if self._image is None:
            self._image = asyncio.create_task(asyncio.to_thread(ensure_image, self._say))
        return await asyncio.shield(self._image)

    async def _without_leftovers(self) -> None:
        if self._clearing is None:
            self._clearing = asyncio.create_task(self._remove_leftovers())
        await asyncio.shield(self._clearing)

    async def _remove_leftovers(self) -> None:
        removed = await asyncio.to_thread(remove_leftovers)
        if removed:
            self._say(f"removed {removed} sandbox containers that a killed run had left")
