"""One running container with our program in it: frames go to it, answers and events come back."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from stackbench.errors import SandboxError
from stackbench.sandbox.bundle import bundle, frame_bytes
from stackbench.sandbox.launch import Launched, remove
from stackbench.sandbox.types import CodeJob, CodeResult, Outcome
from stackbench.sandbox.verdict import job_frame, job_result

if TYPE_CHECKING:
    from docker.models.containers import Container as DockerContainer

__all__ = ["Container", "ContainerLostError"]

READY_WITHIN_S = 60.0
PING_EVERY_S = 10.0
ANSWERS_WITHIN_S = 60.0

LONGEST_PROGRAM = 4 << 20
LONGEST_FRAME = 256 << 20

Frame = dict[str, Any]


class ContainerLostError(SandboxError):
    """The container died, or stopped answering, with work in it."""

    container_id = ""
    """Docker's, so that it can be asked why."""


class Container(asyncio.Protocol):
    """Speaks with one container; `alive` turns False for good when its stream closes or it stops answering."""

    def __init__(self, container: DockerContainer) -> None:
        self.container = container
        self.alive = False
        self._transport: asyncio.Transport | None = None
        self._raw = bytearray()
        self._frames = bytearray()
        self._outbox = bytearray()
        self._stderr = bytearray()
        self._ids = itertools.count(1)
        self._asked: dict[int, asyncio.Future[Frame]] = {}
        self._listeners: dict[int, Callable[[Frame], None]] = {}
        self._ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._watch: asyncio.Task[None] | None = None
        self._problem = ""

    @classmethod
    async def handshake(cls, launched: Launched) -> Container:
        """Sends a launched container its program and waits until it answers.

        Raises:
            SandboxError: it did not; the container is removed.
        """
        session = cls(launched.container)
        await asyncio.get_running_loop().create_connection(lambda: session, sock=launched.stream)
        if not launched.program_sent:
            session._send(bundle())
        try:
            await asyncio.wait_for(session._ready, READY_WITHIN_S)
        except (TimeoutError, SandboxError) as error:
            await session.stop()
            detail = session._last_words() or str(error) or "no answer"
            raise SandboxError(f"the sandbox program did not start in its container: {detail}") from error
        except BaseException:
            session.close()
            raise
        session._watch = asyncio.create_task(session._keep_watch())
        return session

    @property
    def outstanding(self) -> int:
        return len(self._asked)

    async def prepare(self) -> None:
        """Has the container ready to start its first sample. Raises SandboxError."""
        await self.ask({"op": "prepare"})

    async def run(self, job: CodeJob) -> CodeResult:
        """Runs one code job.

        Raises:
            ContainerLostError: the container died.
            SandboxError: it refused the job.
        """
        length = sum(len(section.code) for section in job.sections if not section.trusted)
        if length > LONGEST_PROGRAM:
            reason = f"failed: the program is longer than {LONGEST_PROGRAM >> 20} Mi characters"
            return CodeResult(Outcome.FAILED, reason, checks=(False,) * len(job.checks))
        return job_result(await self.ask(job_frame(job)), job)

    def next_id(self) -> int:
        """A number for a frame that others will name."""
        return next(self._ids)

    async def ask(
        self, frame: Frame, listener: Callable[[Frame], None] | None = None, *, number: int | None = None
    ) -> Frame:
        """Sends a frame and waits for its answer; `listener` is called with each event that comes before it.

        Raises:
            SandboxError: the container died, or refused what was asked.
        """
        if not self.alive:
            raise self._lost()
        number = number or next(self._ids)
        answer: asyncio.Future[Frame] = asyncio.get_running_loop().create_future()
        self._asked[number] = answer
        if listener is not None:
            self._listeners[number] = listener
        self._queue({**frame, "id": number})
        try:
            return await answer
        except asyncio.CancelledError:
            if self.alive:
                self._queue({"op": "cancel", "id": number})
            raise
        finally:
            self._asked.pop(number, None)
            self._listeners.pop(number, None)

    def tell(self, frame: Frame) -> None:
        """Sends a frame that has no answer. What a stopped container is told is lost."""
        if self.alive:
            self._queue(frame)

    def close(self) -> None:
        """Closes the stream, at which the container ends and the engine removes it."""
        self.alive = False
        if self._watch is not None:
            self._watch.cancel()
        if self._transport is not None:
            self._transport.close()

    async def stop(self) -> None:
        """Closes the stream and waits until the container is removed. Raises SandboxError."""
        self.close()
        await asyncio.get_running_loop().run_in_executor(None, remove, self.container)

    # -- the stream (asyncio.Protocol)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self.alive = True

    def data_received(self, data: bytes) -> None:
        """Takes Docker's multiplexed stream apart: 1 byte stream, 3 zero bytes, 4 bytes length, payload."""
        raw = self._raw
        raw += data
        while len(raw) >= 8:
            size = int.from_bytes(raw[4:8], "big")
            if len(raw) < 8 + size:
                break
            if raw[0] == 1:
                self._frames += raw[8 : 8 + size]
            else:
                self._stderr = (self._stderr + raw[8 : 8 + size])[-8192:]
            del raw[: 8 + size]
        frames = self._frames
        try:
            while len(frames) >= 4:
                size = int.from_bytes(frames[:4], "big")
                if size > LONGEST_FRAME:
                    raise ValueError(f"a frame of {size} bytes")
                if len(frames) < 4 + size:
                    break
                message = json.loads(bytes(frames[4 : 4 + size]))
                del frames[: 4 + size]
                self._on_message(message)
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            self._problem = f"the sandbox container sent what nobody can read ({error})"
            if self._transport is not None:
                self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self.alive = False
        self._problem = (
            self._problem or f"the sandbox container stopped: {self._last_words() or exc or 'stream closed'}"
        )
        error = self._lost()
        for waiting in (self._ready, *self._asked.values()):
            if not waiting.done():
                waiting.set_exception(error)
        if self._ready.done() and not self._ready.cancelled():
            self._ready.exception()
        if self._watch is not None:
            self._watch.cancel()

    def _lost(self) -> ContainerLostError:
        error = ContainerLostError(self._problem or "the sandbox container has stopped")
        error.container_id = self.container.id or ""
        return error

    def _on_message(self, message: Frame) -> None:
        op = message["op"]
        if op == "ready":
            if not self._ready.done():
                self._ready.set_result(None)
            return
        if op == "event":
            listener = self._listeners.get(message["id"])
            if listener is not None:
                listener(message)
            return
        answer = self._asked.get(message["id"])
        if answer is None or answer.done():
            return
        if op == "refused":
            answer.set_exception(SandboxError(f"the sandbox refused: {message['error']}"))
        else:
            answer.set_result(message)

    async def _keep_watch(self) -> None:
        """Asks a container with work for a sign of life now and then; one that gives none is given up."""
        while True:
            await asyncio.sleep(PING_EVERY_S)
            if not self._asked:
                continue
            try:
                await asyncio.wait_for(self.ask({"op": "ping"}), ANSWERS_WITHIN_S)
            except SandboxError:
                return
            except TimeoutError:
                self._problem = f"the sandbox container did not answer for {ANSWERS_WITHIN_S:.0f} s"
                if self._transport is not None:
                    self._transport.abort()
                return

    def _queue(self, message: Frame) -> None:
        """What is queued in one turn of the event loop travels together: each write wakes Docker's relays."""
        if not self._outbox:
            asyncio.get_running_loop().call_soon(self._flush)
        self._outbox += frame_bytes(message)

    def _flush(self) -> None:
        data, self._outbox = bytes(self._outbox), bytearray()
        self._send(data)

    def _send(self, data: bytes) -> None:
        assert self._transport is not None
        self._transport.write(data)

    def _last_words(self) -> str:
        lines = self._stderr.decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else ""
