"""Clean, warm containers, made ahead and handed out one tenant each."""

from __future__ import annotations

import asyncio
import uuid
from collections import deque
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from stackbench.errors import DockerNotAvailableError, SandboxError
from stackbench.outage import Outage
from stackbench.sandbox.container import Container
from stackbench.sandbox.docker_engine import DockerEngine
from stackbench.sandbox.head_start import HeadStart
from stackbench.sandbox.launch import Launched
from stackbench.sandbox.memory_budget import MemoryBudget, default_size
from stackbench.sandbox.session import Session
from stackbench.sandbox.spec import SandboxSpec
from stackbench.slots import Slots

__all__ = ["SandboxPool"]

BUILD_TRIES = 4
BUILD_PAUSE_S = 0.5


class SandboxPool:
    """Hands out containers of one spec that had no tenant before; `spare` of them wait ready.

    `size` at most are out at once, or as many as `slots` has places, which other pools may share. Their memory is
    taken from the budget, which may take back spare ones. A container that was handed back is removed, not cleaned:
    nothing of a tenant can reach the next one.
    """

    def __init__(
        self,
        spec: SandboxSpec,
        *,
        size: int | None = None,
        slots: Slots | None = None,
        spare: int = 0,
        prepare: bool = False,
        for_jobs: bool = False,
        budget: MemoryBudget | None = None,
        engine: DockerEngine | None = None,
        head_start: HeadStart | None = None,
        say: Callable[[str], None] = lambda _: None,
        outage: Outage | None = None,
    ) -> None:
        self.spec = replace(spec, labels={"stackbench.pool": uuid.uuid4().hex[:12], **spec.labels})
        self.for_jobs = for_jobs
        self.engine = engine or DockerEngine(say, outage)
        self.budget = budget or MemoryBudget()
        self.image_id = ""
        """Of the image that containers are made from, a digest of its content; known with the first container."""
        self._own_engine = engine is None
        self._spare = spare
        self._prepare = prepare
        self._head_start = head_start
        self._say = say
        self._slots = slots or Slots(size or default_size(spec.memory_mib))
        self._ready: deque[Container] = deque()
        self._out: set[Container] = set()
        self._building = 0
        self._tasks: set[asyncio.Task[Any]] = set()
        self._closed = False

    @property
    def size(self) -> int:
        """How many containers may be out at once."""
        return self._slots.size

    @property
    def idle_mib(self) -> int:
        """The memory of the containers that wait ready."""
        return len(self._ready) * self.spec.memory_mib

    def drop_idle(self) -> None:
        """Removes one container that waits ready."""
        self._remove(self._ready.pop())

    def can_grow(self) -> bool:
        """Whether the budget has memory for one more container."""
        return self.budget.can_take(self.spec.memory_mib, for_jobs=self.for_jobs)

    def resize(self, size: int) -> None:
        """Changes how many containers may be out at once; those that are out stay out until they are handed back."""
        self._slots.resize(size)

    async def warm_up(self) -> None:
        """Makes the spare containers now, as many as there is free memory for.

        Raises:
            SandboxError, DockerNotAvailableError: one could not be made.
        """
        self.budget.used(self)
        wanted = self._spare - len(self._ready) - self._building
        allowed = [one for one in range(wanted) if self._take_free_memory()]
        await asyncio.gather(*(self._add_ready() for _ in allowed))

    @asynccontextmanager
    async def lease(self) -> AsyncGenerator[Session]:
        """A clean container for one tenant; waits while `size` are out. It is removed afterwards.

        Raises:
            SandboxError, DockerNotAvailableError: none could be made.
        """
        container = await self.take()
        try:
            yield Session(container, self.spec.workdir)
        finally:
            self.give_back(container)

    async def take(self) -> Container:
        """A clean container, to be handed back with `give_back`. Raises as `lease`."""
        await self._slots.acquire()
        try:
            self.budget.used(self)
            container = self._take_ready()
            if container is None:
                await self.budget.take(self.spec.memory_mib, for_jobs=self.for_jobs)
                container = await self._build()
        except BaseException:
            self._slots.release()
            raise
        self._out.add(container)
        if not self._closed:
            self._refill()
        return container

    def give_back(self, container: Container) -> None:
        """Ends a tenancy; the container is removed in the background."""
        if container in self._out:
            self._out.discard(container)
            self._remove(container)
        self._slots.release()

    async def close(self) -> None:
        """Stops and removes every container."""
        self._closed = True
        if self._own_engine:
            self.engine.stop_waiting()
        self.budget.forget(self)
        for container in (*self._ready, *self._out):
            self._remove(container)
        self._ready.clear()
        self._out.clear()
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._head_start is not None:
            self._head_start.close()
        if self._own_engine:
            self.engine.close()

    # -- making containers

    def _take_ready(self) -> Container | None:
        while self._ready:
            found = self._ready.popleft()
            if found.alive:
                return found
            self._remove(found)
        return None

    def _take_free_memory(self) -> bool:
        return self.budget.take_free(self.spec.memory_mib, for_jobs=self.for_jobs)

    def _refill(self) -> None:
        while len(self._ready) + self._building < self._spare and self._take_free_memory():
            self._building += 1
            self._in_background(self._add_spare())

    async def _add_spare(self) -> None:
        try:
            await self._add_ready()
        except SandboxError as error:
            # Whoever needs a container next makes one, and is told what is wrong.
            if not self._closed:
                self._say(f"a spare sandbox could not be made: {error}")
        finally:
            self._building -= 1

    async def _add_ready(self) -> None:
        self._ready.append(await self._build())
        self.budget.became_idle()

    async def _build(self) -> Container:
        """A container in memory that was taken for it, which is given back where there is none."""
        try:
            return await self._try_to_build()
        except BaseException:
            self.budget.release(self.spec.memory_mib, for_jobs=self.for_jobs)
            raise

    async def _try_to_build(self) -> Container:
        from docker.errors import APIError

        last: SandboxError | None = None
        for turn in range(BUILD_TRIES):
            if turn:
                await asyncio.sleep(BUILD_PAUSE_S * turn)
            if self._closed:
                raise SandboxError("the sandbox pool is closed")
            try:
                container = await Container.handshake(await self._launch())
                if self._prepare:
                    await container.prepare()
            except DockerNotAvailableError:
                raise
            except SandboxError as error:
                cause = error.__cause__
                if isinstance(cause, APIError) and cause.is_client_error():
                    raise
                last = error
                continue
            if self._closed:
                await _stop(container)
                raise SandboxError("the sandbox pool is closed")
            self.engine.served = True
            self.image_id = container.container.attrs["Image"]
            return container
        kind = last.kind if last is not None else None
        raise SandboxError(f"no sandbox could be made in {BUILD_TRIES} tries; the last: {last}", kind=kind) from last

    async def _launch(self) -> Launched:
        head_start = self._head_start
        future = None if head_start is None else head_start.take()
        if head_start is not None and future is not None:
            try:
                return await asyncio.wrap_future(future)
            except Exception:  # then from here, with the error told
                head_start.close()
        return await self.engine.launch(self.spec)

    def _remove(self, container: Container) -> None:
        container.close()
        self.budget.leaving(self.spec.memory_mib, for_jobs=self.for_jobs)
        self._in_background(self._stop(container))

    async def _stop(self, container: Container) -> None:
        try:
            await _stop(container)
        finally:
            self.budget.left(self.spec.memory_mib, for_jobs=self.for_jobs)

    def _in_background(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _stop(container: Container) -> None:
    """Removes a container; where the engine cannot, it ends by itself, and the next start removes what is left."""
    try:
        await container.stop()
    except SandboxError:
        return
