"""A pool of sandbox containers that takes many jobs at once and keeps every one of them to its end."""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from stackbench.errors import SandboxError
from stackbench.sandbox.container import Container, ContainerLimits
from stackbench.sandbox.docker import connect
from stackbench.sandbox.hygiene import owner_labels
from stackbench.sandbox.types import CodeJob, CodeResult

if TYPE_CHECKING:
    import docker

__all__ = ["SandboxPool", "default_size"]

TRIES = 3
# Enough queued in a container that it never waits for us, few enough that a neighbour's death redoes little.
QUEUED_PER_CONTAINER = 16


def default_size() -> int:
    """One container per processor: each executes one quick sample at a time."""
    return max(1, os.cpu_count() or 1)


class SandboxPool:
    """Implements `Sandbox` with `size` containers, started when first needed and replaced when they die."""

    def __init__(
        self,
        image: str,
        *,
        size: int | None = None,
        limits: ContainerLimits | None = None,
        labels: Mapping[str, str] | None = None,
        client: docker.DockerClient | None = None,
        on_restart: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.image = image
        self.size = size or default_size()
        self._limits = limits or ContainerLimits()
        self._labels = {**owner_labels(), "stackbench.pool": uuid.uuid4().hex[:12], **(labels or {})}
        self._client = client
        self._own_client = client is None
        self._on_restart = on_restart
        self._slots: list[Container | None] = [None] * self.size
        self._starting: list[asyncio.Lock] = [asyncio.Lock() for _ in range(self.size)]
        self._loads = [0] * self.size
        self._room = asyncio.Semaphore(self.size * QUEUED_PER_CONTAINER)
        self._closed = False

    async def warm_up(self) -> None:
        """Starts every container now, so that the first jobs find them ready.

        Raises:
            SandboxError, DockerNotAvailableError: a container could not be started.
        """
        await asyncio.gather(*(self._container(slot) for slot in range(self.size)))

    async def run(self, job: CodeJob) -> CodeResult:
        """Runs one job, on another container when one dies under it.

        Raises:
            SandboxError: containers died under this job `TRIES` times, or none could be started.
        """
        async with self._room:
            last: SandboxError | None = None
            for _ in range(TRIES):
                slot = self._loads.index(min(self._loads))
                self._loads[slot] += 1
                try:
                    container = await self._container(slot)
                    return await container.run(job)
                except SandboxError as error:
                    if self._closed:
                        raise
                    last = error
                finally:
                    self._loads[slot] -= 1
            raise SandboxError(f"the sandbox failed {TRIES} times under one sample; last: {last}") from last

    async def close(self) -> None:
        """Stops and removes every container."""
        self._closed = True
        containers = [container for container in self._slots if container is not None]
        self._slots = [None] * self.size
        await asyncio.gather(*(container.stop() for container in containers), return_exceptions=True)
        if self._client is not None and self._own_client:
            self._client.close()

    async def _container(self, slot: int) -> Container:
        container = self._slots[slot]
        if container is not None and container.alive:
            return container
        async with self._starting[slot]:
            container = self._slots[slot]
            if container is not None and container.alive:
                return container
            if self._closed:
                raise SandboxError("the sandbox pool is closed")
            if container is not None:
                self._on_restart(f"sandbox container {slot} died; starting another")
                await container.stop()
            if self._client is None:
                self._client = await asyncio.get_running_loop().run_in_executor(None, connect)
            started = await Container.start(
                self._client, self.image, labels=self._labels, limits=self._limits, slot=slot
            )
            if self._closed:
                await started.stop()
                raise SandboxError("the sandbox pool is closed")
            self._slots[slot] = started
            return started
