"""The Docker engine that all pools of a run share: launches containers, and waits for an engine that went away."""

# docker has partial types.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false
from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from stackbench.errors import DockerNotAvailableError, OutageError, SandboxError
from stackbench.outage import Outage
from stackbench.sandbox.docker import connect
from stackbench.sandbox.launch import Launched, launch
from stackbench.sandbox.spec import SandboxSpec

if TYPE_CHECKING:
    import docker

__all__ = ["ENGINE", "DockerEngine"]

ENGINE = "the Docker engine"


class DockerEngine:
    """Connects at the first launch. Once a container has been made, an engine that is gone is waited for."""

    def __init__(self, say: Callable[[str], None] = lambda _: None, outage: Outage | None = None) -> None:
        self.outages = 0
        """How often the Docker engine was found gone."""
        self.served = False
        """Whether a container came to run."""
        self._outage = outage or Outage(say=say)
        self._client: docker.DockerClient | None = None
        self._connecting = asyncio.Lock()
        self._returning = asyncio.Lock()
        self._closed = False

    async def launch(self, spec: SandboxSpec) -> Launched:
        """A launched container.

        Raises:
            SandboxError: it could not be launched, or this is closed.
            DockerNotAvailableError: no engine answers.
        """
        from docker.errors import APIError, DockerException

        loop = asyncio.get_running_loop()
        while True:
            self._check_open()
            try:
                return await loop.run_in_executor(None, launch, await self._connect(), spec)
            except APIError as error:
                if error.is_server_error() and self.served and not await self._answers():
                    await self._wait_for_return()
                    continue
                raise SandboxError(
                    f"Docker could not start a sandbox from image {spec.image}: {error.explanation or error}"
                ) from error
            except (DockerException, DockerNotAvailableError, OSError) as error:
                if not self.served or await self._answers():
                    if isinstance(error, DockerNotAvailableError):
                        raise
                    raise SandboxError(f"Docker could not start a sandbox: {error}") from error
                await self._wait_for_return()

    def stop_waiting(self) -> None:
        """Whoever waits for the engine, or asks for a container from now on, gets a SandboxError."""
        self._closed = True

    def close(self) -> None:
        """Closes the connection."""
        self._closed = True
        if self._client is not None:
            self._client.close()

    def _check_open(self) -> None:
        if self._closed:
            raise SandboxError("the sandbox pool is closed")

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

    async def _wait_for_return(self) -> None:
        async with self._returning:
            if await self._answers():
                return
            self.outages += 1

            async def answers() -> bool:
                self._check_open()
                return await self._answers()

            try:
                back = await self._outage.wait(ENGINE, answers)
            except OutageError as error:
                raise DockerNotAvailableError(str(error)) from error
            if not back:
                raise DockerNotAvailableError("the run ends while the Docker engine does not answer")
