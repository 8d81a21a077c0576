"""Clean, warm containers, made ahead and handed out one tenant each."""

# docker has partial types.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false
from __future__ import annotations

import asyncio
import uuid
from collections import deque
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from stackbench.errors import DockerNotAvailableError, OutageError, SandboxError
from stackbench.outage import Outage
from stackbench.sandbox.container import Container
from stackbench.sandbox.docker import connect
from stackbench.sandbox.launch import ContainerSpec, HeadStart, Launched, launch
from stackbench.sandbox.session import Session
from stackbench.sandbox.sizing import default_size
from stackbench.slots import Slots

if TYPE_CHECKING:
    import docker

__all__ = ["ENGINE", "SandboxPool"]

BUILD_TRIES = 4
ENGINE = "the Docker engine"
ENGINE_POLL_S = 0.5


class SandboxPool:
    """Hands out containers that had no tenant before; `size` at most are out at once, `spare` more wait ready.

    A container that was handed back is removed, not cleaned: nothing of a tenant can reach the next one.
    """

    def __init__(
        self,
        spec: ContainerSpec,
        *,
        size: int | None = None,
        spare: int = 0,
        prepare: bool = False,
        head_start: HeadStart | None = None,
        say: Callable[[str], None] = lambda _: None,
        outage: Outage | None = None,
    ) -> None:
        self.spec = replace(spec, labels={"stackbench.pool": uuid.uuid4().hex[:12], **spec.labels})
        self.size = size or default_size(spec.memory_mib)
        self.image_id = ""
        """Of the image that containers are made from, a digest of its content; known with the first container."""
        self.outages = 0
        """How often the Docker engine was found gone."""
        self._spare = spare
        self._prepare = prepare
        self._head_start = head_start
        self._say = say
        self._outage = outage or Outage(say=say)
        self._client: docker.DockerClient | None = None
        self._connecting = asyncio.Lock()
        self._returning = asyncio.Lock()
        self._room = Slots(self.size)
        self._ready: deque[Container] = deque()
        self._out: set[Container] = set()
        self._building = 0
        self._tasks: set[asyncio.Task[Any]] = set()
        self._served = False
        self._closed = False

    def resize(self, size: int) -> None:
        """Changes how many containers may be out at once; those that are out stay out until they are handed back."""
        self.size = size
        self._room.resize(size)

    async def warm_up(self) -> None:
        """Makes the spare containers now.

        Raises:
            SandboxError, DockerNotAvailableError: one could not be made.
        """
        wanted = self._spare - len(self._ready) - self._building
        self._ready.extend(await asyncio.gather(*(self._build() for _ in range(wanted))))

    @asynccontextmanager
    async def lease(self) -> AsyncGenerator[Session]:
        """A clean container for one tenant; waits while `size` are out. It is removed afterwards.

        Raises:
            SandboxError, DockerNotAvailableError: none could be made.
        """
        container = await self.take()
        try:
            yield Session(container)
        finally:
            self.give_back(container)

    async def take(self) -> Container:
        """A clean container, to be handed back with `give_back`. Raises as `lease`."""
        await self._room.acquire()
        try:
            container = None
            while self._ready and container is None:
                found = self._ready.popleft()
                container = found if found.alive else None
            if container is None:
                container = await self._build()
        except BaseException:
            self._room.release()
            raise
        self._out.add(container)
        if not self._closed:
            self._refill()
        return container

    def give_back(self, container: Container) -> None:
        """Ends a tenancy; the container is removed in the background."""
        self._out.discard(container)
        self._room.release()
        container.close()
        self._in_background(_stop(container))

    async def close(self) -> None:
        """Stops and removes every container."""
        self._closed = True
        containers = [*self._ready, *self._out]
        self._ready.clear()
        self._out.clear()
        for container in containers:
            container.close()
        await asyncio.gather(*(_stop(container) for container in containers))
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)
        for held in (self._head_start, self._client):
            if held is not None:
                held.close()

    # -- making containers

    def _refill(self) -> None:
        while len(self._ready) + self._building < self._spare:
            self._building += 1
            self._in_background(self._add_spare())

    async def _add_spare(self) -> None:
        try:
            container = await self._build()
        except SandboxError as error:
            # Whoever needs a container next makes one, and is told what is wrong.
            if not self._closed:
                self._say(f"a spare sandbox could not be made: {error}")
            return
        finally:
            self._building -= 1
        self._ready.append(container)

    async def _build(self) -> Container:
        from docker.errors import APIError

        last: Exception | None = None
        for turn in range(BUILD_TRIES):
            if turn:
                await asyncio.sleep(ENGINE_POLL_S * turn)
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
            self._served = True
            self.image_id = container.container.attrs["Image"]
            return container
        raise SandboxError(f"no sandbox could be made in {BUILD_TRIES} tries; the last: {last}") from last

    async def _launch(self) -> Launched:
        """A launched container. Where the engine was there before and is gone, waits for it to come back."""
        from docker.errors import APIError, DockerException

        loop = asyncio.get_running_loop()
        head_start = self._head_start
        future = None if head_start is None else head_start.take()
        if head_start is not None and future is not None:
            try:
                return await asyncio.wrap_future(future)
            except Exception:  # then from here, with the error told
                head_start.close()
        while True:
            if self._closed:
                raise SandboxError("the sandbox pool is closed")
            try:
                return await loop.run_in_executor(None, launch, await self._connect(), self.spec)
            except APIError as error:
                if error.is_server_error() and self._served and not await self._answers():
                    await self._wait_for_engine()
                    continue
                raise SandboxError(
                    f"Docker could not start a sandbox from image {self.spec.image}: {error.explanation or error}"
                ) from error
            except (DockerException, DockerNotAvailableError, OSError) as error:
                if not self._served or await self._answers():
                    if isinstance(error, DockerNotAvailableError):
                        raise
                    raise SandboxError(f"Docker could not start a sandbox: {error}") from error
                await self._wait_for_engine()

    async def _connect(self) -> docker.DockerClient:
        async with self._connecting:
            if self._client is None:
                client = await asyncio.get_running_loop().run_in_executor(None, connect)
                self._client = client
                return client
            return self._client

    async def _answers(self) -> bool:
        from docker.errors import DockerException

        try:
            client = await self._connect()
            await asyncio.get_running_loop().run_in_executor(None, client.ping)
        except (DockerException, DockerNotAvailableError, OSError):
            return False
        return True

    async def _wait_for_engine(self) -> None:
        async with self._returning:
            if await self._answers():
                return
            self.outages += 1

            async def answers() -> bool:
                if self._closed:
                    raise SandboxError("the sandbox pool is closed")
                return await self._answers()

            try:
                back = await self._outage.wait(ENGINE, answers)
            except OutageError as error:
                raise DockerNotAvailableError(str(error)) from error
            if not back:
                raise DockerNotAvailableError("the run ends while the Docker engine does not answer")

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
