"""The engine's Unix socket: speaks stackbench.control.messages with programs of the same user."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, Protocol

import duckdb
from pydantic import BaseModel, ValidationError

from stackbench.control.messages import (
    PROTOCOL,
    Answer,
    Command,
    Hello,
    Query,
    Refusal,
    Request,
    Rows,
    Subscribe,
    Welcome,
    request_adapter,
)
from stackbench.control.peer import peer_of
from stackbench.engine.event_stream import EventStream, Subscription
from stackbench.errors import StackbenchError, StoreError, one_line

__all__ = ["ControlServer", "Door"]

LONGEST_LINE = 8 << 20
MOST_CONNECTIONS = 256
HELLO_WITHIN_S = 10.0
CHUNK = 1 << 20


class Door(Protocol):
    """What the server asks of the engine behind it."""

    def welcome(self) -> Welcome: ...

    async def command(self, command: Command) -> Any:
        """Carries a verb out. Raises StackbenchError."""
        ...

    def result(
        self, sql: str, format: str, parameters: Sequence[Any] = (), most_rows: int | None = None
    ) -> AbstractAsyncContextManager[Path]:
        """The file with a query's rows, for the length of the block; ended when cancelled. Raises StackbenchError."""
        ...


class ControlServer:
    """Serves one socket. A connection that sends garbage is refused and closed; none can end or slow the engine."""

    def __init__(self, path: Path, door: Door, stream: EventStream) -> None:
        self._path = path
        self._door = door
        self._stream = stream
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    async def start(self) -> str | None:
        """Opens the socket, for this user only (mode 0600); what keeps it from opening is returned, since a run can do
        without. The caller holds the home's lock, so that an existing socket is stale."""
        try:
            with contextlib.suppress(FileNotFoundError):
                self._path.unlink()
            before = os.umask(0o177)
            try:
                self._server = await asyncio.start_unix_server(self._accept, str(self._path), limit=LONGEST_LINE)
            finally:
                os.umask(before)
        except OSError as error:
            return f"other programs cannot follow or query this engine: {self._path}: {error.strerror or error}"
        return None

    async def close(self) -> None:
        """Closes the socket; subscribers get what waits for them, for a moment, then all connections end."""
        if self._server is None:
            return
        self._server.close()
        self._stream.close()
        if self._connections:
            await asyncio.wait(self._connections, timeout=0.5)
        for task in list(self._connections):
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        with contextlib.suppress(FileNotFoundError):
            self._path.unlink()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            await _Connection(reader, writer, self._door, self._stream).serve(
                crowded=len(self._connections) > MOST_CONNECTIONS
            )
        except (ConnectionError, TimeoutError, asyncio.CancelledError):
            pass
        finally:
            self._connections.discard(task)
            writer.close()


class _Connection:
    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, door: Door, stream: EventStream
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._door = door
        self._stream = stream
        self._sending = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._subscriptions: list[Subscription] = []

    async def serve(self, *, crowded: bool) -> None:
        try:
            if not _same_user(self._writer):
                await self._refuse(None, "this engine belongs to another user", "protocol")
                return
            if crowded:
                await self._refuse(
                    None, f"this engine has {MOST_CONNECTIONS} connections already; try again", "protocol"
                )
                return
            if await self._greeted():
                await self._requests()
        finally:
            for subscription in self._subscriptions:
                subscription.end()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _greeted(self) -> bool:
        """Whether the client said hello in a protocol that is spoken here."""
        async with asyncio.timeout(HELLO_WITHIN_S):
            request = await self._next()
        if request is None:
            return False
        if not isinstance(request, Hello):
            await self._refuse(request.id, "the first message of a connection is a hello", "protocol")
            return False
        if request.protocol != PROTOCOL:
            await self._refuse(
                request.id,
                f"this engine speaks protocol {PROTOCOL}, the client {request.protocol}: use the same version of "
                "stackbench for both, or wait until the engine has ended",
                "protocol",
            )
            return False
        await self._send(self._door.welcome().model_copy(update={"id": request.id}))
        return True

    async def _requests(self) -> None:
        while (request := await self._next()) is not None:
            if isinstance(request, Hello):
                await self._refuse(request.id, "hello was said already", "protocol")
            elif isinstance(request, Subscribe):
                subscription = self._stream.subscribe(since=request.since, run_id=request.run_id, text=request.text)
                self._subscriptions.append(subscription)
                await self._send(Answer(id=request.id, value={"next_seq": self._stream.next_seq}))
                self._begin(self._pump(subscription))
            else:
                self._begin(self._answer(request))

    async def _next(self) -> Request | None:
        """The next request; None at the end of the connection, or after garbage."""
        try:
            line = await self._reader.readline()
        except ValueError:
            await self._refuse(None, f"a message is one line of at most {LONGEST_LINE} bytes", "protocol")
            return None
        if not line:
            return None
        try:
            return request_adapter.validate_json(line)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            await self._refuse(None, f"not a message of this protocol: {where} {one_line(first['msg'])}", "protocol")
            return None

    def _begin(self, work: Any) -> None:
        task: asyncio.Task[None] = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, request: Query | Rows | Command) -> None:
        try:
            if isinstance(request, Command):
                await self._send(Answer(id=request.id, value=await self._door.command(request)))
            elif isinstance(request, Query):
                async with self._door.result(request.sql, request.format, (), request.most_rows) as path:
                    await self._send_file(request.id, path)
            else:
                async with self._door.result(request.sql, "table", request.parameters) as path:
                    await self._send_file(request.id, path)
        except ConnectionError:
            pass
        except StoreError as error:
            await self._refuse(request.id, str(error), "store")
        except StackbenchError as error:
            await self._refuse(request.id, str(error), "usage")
        except duckdb.Error as error:
            await self._refuse(request.id, one_line(error, 400), "store")
        except Exception as error:  # a fault in one answer must not close the connection of a watcher
            await self._refuse(request.id, f"fault in the engine: {one_line(repr(error))}", "store")

    async def _pump(self, subscription: Subscription) -> None:
        with contextlib.suppress(ConnectionError):
            while (lines := await subscription.take()) is not None:
                async with self._sending:
                    self._writer.write(lines)
                    await self._writer.drain()

    async def _refuse(self, to: int | None, error: str, fault: Any) -> None:
        with contextlib.suppress(ConnectionError):
            await self._send(Refusal(id=to, error=error, fault=fault))

    async def _send(self, message: BaseModel) -> None:
        async with self._sending:
            self._writer.write(message.model_dump_json().encode() + b"\n")
            await self._writer.drain()

    async def _send_file(self, to: int, path: Path) -> None:
        """An answer whose bytes are a file's, sent as they are read."""
        with path.open("rb") as file:
            async with self._sending:
                answer = Answer(id=to, size=os.fstat(file.fileno()).st_size)
                self._writer.write(answer.model_dump_json().encode() + b"\n")
                while chunk := await asyncio.to_thread(file.read, CHUNK):
                    self._writer.write(chunk)
                    await self._writer.drain()


def _same_user(writer: asyncio.StreamWriter) -> bool:
    """Whether the client runs as this user."""
    peer = peer_of(writer.get_extra_info("socket"))
    return peer is not None and peer.uid == os.geteuid()
