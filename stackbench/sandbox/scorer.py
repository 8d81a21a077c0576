"""Runs code jobs, many at once, on containers that may die: every job is kept to its end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Literal

from stackbench.errors import DockerNotAvailableError, SandboxError
from stackbench.sandbox.container import Container
from stackbench.sandbox.pool import SandboxPool
from stackbench.sandbox.types import CodeJob, CodeResult

__all__ = ["Scope", "Scorer"]

TRIES = 3
# Enough queued in a container that it never waits for us, few enough that a neighbour's death redoes little.
QUEUED_PER_CONTAINER = 32

Scope = Literal["container", "sample"]


class Scorer:
    """Implements `Sandbox` over a pool: with long-lived containers, or (scope `sample`) a container per job."""

    def __init__(
        self, pool: SandboxPool, *, scope: Scope = "container", say: Callable[[str], None] = lambda _: None
    ) -> None:
        self.pool = pool
        self._scope = scope
        self._say = say
        self._slots: list[Container | None] = [None] * pool.size
        self._starting = [asyncio.Lock() for _ in range(pool.size)]
        self._loads = [0] * pool.size
        self._room = asyncio.Semaphore(pool.size * (QUEUED_PER_CONTAINER if scope == "container" else 1))
        self._closed = False

    @property
    def containers(self) -> list[Container]:
        """The containers that jobs share now."""
        return [container for container in self._slots if container is not None]

    async def warm_up(self) -> None:
        """Makes every container now, so that the first jobs find them ready.

        Raises:
            SandboxError, DockerNotAvailableError: one could not be made.
        """
        if self._scope == "sample":
            await self.pool.warm_up()
        else:
            await asyncio.gather(*(self._container(slot) for slot in range(self.pool.size)))

    async def run(self, job: CodeJob) -> CodeResult:
        """Runs one job, on another container when one dies under it.

        Raises:
            SandboxError: containers died under this job `TRIES` times, or none could be made.
        """
        async with self._room:
            last: SandboxError | None = None
            tries = 0
            while tries < TRIES:
                outages = self.pool.outages
                try:
                    return await self._run_once(job)
                except DockerNotAvailableError:
                    raise
                except SandboxError as error:
                    if self._closed:
                        raise
                    last = error
                    # A container that died with its engine says nothing about the job. The outage is counted when
                    # the next container is asked for, so one death more is allowed than that.
                    tries += 1 if self.pool.outages == outages else 0
            raise SandboxError(f"the sandbox failed {TRIES} times under one sample; last: {last}") from last

    async def close(self) -> None:
        """Stops and removes every container."""
        self._closed = True
        self._slots = [None] * self.pool.size
        await self.pool.close()

    async def _run_once(self, job: CodeJob) -> CodeResult:
        if self._scope == "sample":
            async with self.pool.lease() as session:
                return await session.container.run(job)
        slot = self._loads.index(min(self._loads))
        self._loads[slot] += 1
        try:
            container = self._slots[slot]
            if container is None or not container.alive:
                container = await self._container(slot)
            return await container.run(job)
        finally:
            self._loads[slot] -= 1

    async def _container(self, slot: int) -> Container:
        async with self._starting[slot]:
            container = self._slots[slot]
            if container is not None and container.alive:
                return container
            if self._closed:
                raise SandboxError("the sandbox is closed")
            if container is not None:
                self._say(f"sandbox container {slot} died; another takes its place")
                self._slots[slot] = None
                self.pool.give_back(container)
            started = await self.pool.take()
            if self._closed:
                self.pool.give_back(started)
                raise SandboxError("the sandbox is closed")
            self._slots[slot] = started
            return started
