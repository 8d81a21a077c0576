"""The sandbox pool of a run, made when the first benchmark needs it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from stackbench.config import Settings
from stackbench.sandbox import CodeJob, CodeResult
from stackbench.sandbox.container import ContainerLimits
from stackbench.sandbox.hygiene import remove_leftovers
from stackbench.sandbox.image import ensure_image
from stackbench.sandbox.pool import SandboxPool

__all__ = ["LazySandbox"]


class LazySandbox:
    """Implements `Sandbox`; the first job waits for the image, for leftovers to be removed and for the containers."""

    def __init__(self, settings: Settings, run_id: str, say: Callable[[str], None]) -> None:
        self._settings = settings
        self._run_id = run_id
        self._say = say
        self._starting: asyncio.Task[SandboxPool] | None = None
        self._pool: SandboxPool | None = None

    async def ready(self) -> None:
        """Waits until the containers run.

        Raises:
            DockerNotAvailableError, SandboxError: they cannot be had.
        """
        await self._started()

    async def run(self, job: CodeJob) -> CodeResult:
        return await (self._pool or await self._started()).run(job)

    async def close(self) -> None:
        if self._starting is None:
            return
        if not self._starting.done():
            self._starting.cancel()
        (pool,) = await asyncio.gather(self._starting, return_exceptions=True)
        if isinstance(pool, SandboxPool):
            await pool.close()

    async def _started(self) -> SandboxPool:
        if self._starting is None:
            self._starting = asyncio.create_task(self._start())
        pool = await asyncio.shield(self._starting)
        self._pool = pool
        return pool

    async def _start(self) -> SandboxPool:
        settings = self._settings
        image = settings.sandbox_image or await asyncio.to_thread(ensure_image, self._say)
        removed = await asyncio.to_thread(remove_leftovers)
        if removed:
            self._say(f"removed {removed} sandbox containers that a killed run had left")
        pool = SandboxPool(
            image,
            size=settings.sandboxes,
            limits=ContainerLimits(memory_mib=settings.sandbox_memory_mib),
            labels={"stackbench.run": self._run_id},
            on_restart=self._say,
        )
        try:
            await pool.warm_up()
        except BaseException:
            await pool.close()
            raise
        return pool
