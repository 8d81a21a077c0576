"""Runs code jobs, many at once, on containers that may die: every job is kept to its end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Literal

from stackbench.errors import DockerNotAvailableError, SandboxError
from stackbench.sandbox.container import Container, ContainerLostError
from stackbench.sandbox.pool import SandboxPool
from stackbench.sandbox.types import CodeJob, CodeResult, Outcome
from stackbench.slots import Slots

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
        self._reserved: int | None = None
        """The slot of a job that runs alone."""
        self._one_alone = asyncio.Lock()
        self._changed = asyncio.Event()
        self._queued = QUEUED_PER_CONTAINER if scope == "container" else 1
        self._room = Slots(pool.size * self._queued)
        self._closed = False
        self.for_jobs = True

    @property
    def containers(self) -> list[Container]:
        """The containers that jobs share now."""
        return [container for container in self._slots if container is not None]

    @property
    def idle_mib(self) -> int:
        """The memory of containers that run no job."""
        return len(self._idle()) * self.pool.spec.memory_mib

    def drop_idle(self) -> None:
        """Gives back one container that runs no job; one is made again when there are jobs for it."""
        slot = self._idle()[-1]
        container, self._slots[slot] = self._slots[slot], None
        if container is not None:
            self.pool.give_back(container)

    def _idle(self) -> list[int]:
        return [
            slot
            for slot, container in enumerate(self._slots)
            if container is not None and not self._loads[slot] and slot != self._reserved
        ]

    async def warm_up(self) -> None:
        """Makes every container now that there is memory for, so that the first jobs find them ready.

        Raises:
            SandboxError, DockerNotAvailableError: one could not be made.
        """
        if self._scope == "sample":
            await self.pool.warm_up()
        else:
            self.pool.budget.used(self)
            await asyncio.gather(*(self._warm(slot) for slot in range(self.pool.size)))

    async def _warm(self, slot: int) -> None:
        if slot == 0 or self.pool.can_grow():
            await self._container(slot)

    async def run(self, job: CodeJob) -> CodeResult:
        """Runs one job, on another container when one dies under it.

        Any of the samples in a container that dies may have killed it, so each is run again alone. One under which
        containers die also then has failed: it did that to itself. A container that dies with its engine says nothing.

        Raises:
            SandboxError: `TRIES` containers refused the job, or none could be made.
        """
        async with self._room.place():
            refusals = deaths = 0
            while True:
                outages = self.pool.engine.outages
                try:
                    return await (self._run_alone(job) if deaths else self._run_once(job))
                except DockerNotAvailableError:
                    raise
                except ContainerLostError as error:
                    if self._closed:
                        raise
                    # An outage is counted when the next container is asked for, so one death more is allowed than that.
                    deaths += 1 if self.pool.engine.outages == outages else 0
                    if deaths == TRIES:
                        return _killer(job, error)
                except SandboxError as error:
                    refusals += 1
                    if self._closed or refusals == TRIES:
                        raise SandboxError(
                            f"the sandbox failed {refusals} times under one sample; last: {error}", kind=error.kind
                        ) from error

    def resize(self, size: int) -> None:
        """Changes the number of containers; one too many goes when its jobs have ended."""
        more = size - len(self._slots)
        self._slots += [None] * more
        self._loads += [0] * more
        self._starting += [asyncio.Lock() for _ in range(more)]
        self.pool.resize(size)
        self._room.resize(size * self._queued)
        for slot in range(size, len(self._slots)):
            self._retire(slot)
        self._changed.set()

    async def close(self) -> None:
        """Stops and removes every container."""
        self._closed = True
        self.pool.budget.forget(self)
        self._slots = [None] * len(self._slots)
        await self.pool.close()

    async def _run_once(self, job: CodeJob) -> CodeResult:
        if self._scope == "sample":
            async with self.pool.lease() as session:
                return await session.container.run(job)
        while (slot := self._least_loaded(self._reserved)) is None:
            await self._change()
        return await self._run_in(slot, job)

    async def _run_alone(self, job: CodeJob) -> CodeResult:
        if self._scope == "sample":
            return await self._run_once(job)
        async with self._one_alone:
            slot = self._reserved = self._least_loaded() or 0
            try:
                while self._loads[slot]:
                    await self._change()
                return await self._run_in(slot, job)
            finally:
                self._reserved = None
                self._changed.set()

    def _least_loaded(self, reserved: int | None = None) -> int | None:
        """The slot with the fewest jobs, of those with a container or memory for one; None where that is reserved."""
        loads, held = self._loads, self._slots
        slots = [slot for slot in range(self.pool.size) if slot != reserved]
        if not slots:
            return None
        least = min(slots, key=lambda slot: (loads[slot], held[slot] is None))
        if held[least] is not None or loads[least] or self.pool.can_grow():
            return least
        used = [slot for slot in slots if held[slot] is not None or loads[slot]]
        if used:
            return min(used, key=loads.__getitem__)
        return least if reserved is None else None

    async def _run_in(self, slot: int, job: CodeJob) -> CodeResult:
        self._loads[slot] += 1
        self.pool.budget.used(self)
        try:
            container = self._slots[slot]
            if container is None or not container.alive:
                container = await self._container(slot)
            return await container.run(job)
        finally:
            self._loads[slot] -= 1
            self._retire(slot)
            self._changed.set()
            if not self._loads[slot]:
                self.pool.budget.became_idle()

    def _retire(self, slot: int) -> None:
        """Gives the container of a slot back that is one too many, once it is idle."""
        container = self._slots[slot]
        if slot >= self.pool.size and not self._loads[slot] and container is not None and not self._closed:
            self._slots[slot] = None
            self.pool.give_back(container)

    async def _change(self) -> None:
        self._changed.clear()
        await self._changed.wait()

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


def _killer(job: CodeJob, error: ContainerLostError) -> CodeResult:
    reason = (
        f"failed: {TRIES} sandbox containers died under it, the last {TRIES - 1} with nothing else in them ({error})"
    )
    return CodeResult(Outcome.FAILED, reason, checks=(False,) * len(job.checks))
