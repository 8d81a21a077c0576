"""The client's end of the engine's socket: ask, command, watch."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from stackbench.control.messages import (
    PROTOCOL,
    Answer,
    Command,
    Event,
    Hello,
    Missed,
    Query,
    Refusal,
    Subscribe,
    Welcome,
    reply_adapter,
)
from stackbench.control.peer import stopped_engine
from stackbench.errors import EngineUnreachableError, StackbenchError, StoreError, UsageError

__all__ = ["EngineClient", "connect"]

LONGEST_LINE = 64 << 20
ANSWER_WITHIN_S = 10.0
EVENTS_HELD = 10_000
AT_ONCE = 100
"""After so many messages that were there already, the others of the event loop get their turn."""
AGAIN_EVERY_S = 0.02

FAULTS: dict[str, type[StackbenchError]] = {
    "usage": UsageError,
    "store": StoreError,
    "protocol": EngineUnreachableError,
}


async def connect(path: Path, client: str = "", *, within_s: float | None = None) -> EngineClient:
    """A connection to the engine at this socket.

    Raises:
        EngineUnreachableError: no engine answers there within `within_s` (10), or it speaks another protocol.
    """
    made: EngineClient | None = None
    try:
        async with asyncio.timeout(ANSWER_WITHIN_S if within_s is None else within_s):
            reader, writer = await _open(path, client)
            made = EngineClient(reader, writer)
            if stopped := stopped_engine(writer.get_extra_info("socket")):
                raise EngineUnreachableError(stopped)
            await made.handshake()
            greeted = made
            made = None
    except TimeoutError as error:
        raise EngineUnreachableError(
            f'the engine at {path} does not answer; is it hung? "stackbench ctl why" tells what it last did'
        ) from error
    except OSError as error:
        raise EngineUnreachableError(f"no engine answers at {path} ({error.strerror or error})") from error
    finally:
        if made is not None:
            await made.close()
    return greeted


async def _open(path: Path, client: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection over which hello was sent.

    Both are done by hand. While more programs connect than the kernel lets wait, asyncio takes the refusal (EAGAIN,
    which Unix sockets give at once) for a connection that is being made. And where the engine has closed the connection
    already, an asyncio transport drops the engine's reason unread when it fails to write.
    """
    hello = Hello(protocol=PROTOCOL, client=client).model_dump_json().encode() + b"\n"
    while True:
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.setblocking(False)
            connection.connect(str(path))
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                connection.send(hello)  # a new connection's buffer has room for it
        except BlockingIOError:
            connection.close()
        except BaseException:
            connection.close()
            raise
        else:
            return await asyncio.open_unix_connection(sock=connection, limit=LONGEST_LINE)
        await asyncio.sleep(AGAIN_EVERY_S)


class EngineClient:
    """One connection. Requests may be under way side by side; events come to one reader."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.welcome = Welcome(version="", pid=0, home="", started_at="", seq=0)
        """How the engine introduced itself."""
        self._reader = reader
        self._writer = writer
        self._ids = itertools.count(1)
        self._asked: dict[int, asyncio.Future[tuple[Any, bytes]]] = {}
        self._events: asyncio.Queue[Event | Missed | None] = asyncio.Queue(EVENTS_HELD)
        self._reading: asyncio.Task[None] | None = None

    async def handshake(self) -> None:
        """Takes the answer to hello. Raises EngineUnreachableError where the engine will not talk."""
        line = await self._reader.readline()
        if not line:
            raise EngineUnreachableError("the engine ended as it was asked")
        try:
            reply = reply_adapter.validate_json(line)
        except ValidationError as error:
            raise EngineUnreachableError(
                "the engine speaks another protocol: use the same version of stackbench for both, "
                "or wait until the engine has ended"
            ) from error
        if isinstance(reply, Refusal):
            raise EngineUnreachableError(reply.error)
        if not isinstance(reply, Welcome):
            raise EngineUnreachableError("the engine did not introduce itself")
        self.welcome = reply
        self._reading = asyncio.create_task(self._read())

    @property
    def alive(self) -> bool:
        """Whether the engine has not ended the connection."""
        return self._reading is not None and not self._reading.done()

    async def command(
        self, verb: str, *, who: str = "", dry_run: bool = False, within_s: float | None = None, **arguments: Any
    ) -> Any:
        """Carries a verb out and gives its answer.

        Raises:
            UsageError, StoreError: the engine refused it.
            EngineUnreachableError: the engine ended, or has not answered within `within_s` seconds.
        """
        command = Command(id=next(self._ids), verb=verb, arguments=arguments, dry_run=dry_run, who=who)
        try:
            async with asyncio.timeout(within_s):
                value, _ = await self._ask(command)
        except TimeoutError as error:
            raise EngineUnreachableError(
                f"the engine (process {self.welcome.pid}) does not answer; is it hung?"
            ) from error
        return value

    async def query(self, sql: str, format: str = "json") -> bytes:
        """The rendered result of a read-only statement. Raises as `command`."""
        _, body = await self._ask(Query(id=next(self._ids), sql=sql, format=format))
        return body

    async def events(
        self, *, since: int | None = None, run_id: str | None = None, text: bool = True
    ) -> AsyncIterator[Event | Missed]:
        """Events as they happen, until the engine ends. Call it once for a connection."""
        await self._ask(Subscribe(id=next(self._ids), since=since, run_id=run_id, text=text))
        given = 0
        while (event := await self._events.get()) is not None:
            yield event
            given += 1
            if given % AT_ONCE == 0:
                await asyncio.sleep(0)

    async def close(self) -> None:
        # first, since whoever closes may be cancelled while it waits; nothing that is still unsent is worth waiting for
        self._writer.transport.abort()
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()

    async def _ask(self, request: Command | Query | Subscribe) -> tuple[Any, bytes]:
        if not self.alive:
            raise EngineUnreachableError("the engine ended")
        answer: asyncio.Future[tuple[Any, bytes]] = asyncio.get_running_loop().create_future()
        self._asked[request.id] = answer
        try:
            self._writer.write(request.model_dump_json().encode() + b"\n")
            await self._writer.drain()
            return await answer
        except ConnectionError as error:
            raise EngineUnreachableError("the engine ended") from error
        finally:
            self._asked.pop(request.id, None)

    async def _read(self) -> None:
        count = 0
        try:
            while line := await self._reader.readline():
                count += 1
                if count % AT_ONCE == 0:
                    await asyncio.sleep(0)
                try:
                    reply = reply_adapter.validate_json(line)
                except ValidationError:
                    continue  # of a newer engine: an event of a kind that is not known here
                if isinstance(reply, Event | Missed):
                    await self._events.put(reply)
                elif isinstance(reply, Answer):
                    body = await self._reader.readexactly(reply.size) if reply.size else b""
                    self._settle(reply.id, (reply.value, body))
                elif isinstance(reply, Refusal):
                    self._settle(reply.id, FAULTS[reply.fault](reply.error))
        except (ConnectionError, ValueError, asyncio.IncompleteReadError):
            pass
        finally:
            for answer in self._asked.values():
                if not answer.done():
                    answer.set_exception(EngineUnreachableError("the engine ended before it answered"))
            if self._events.full():
                self._events.get_nowait()
            self._events.put_nowait(None)

    def _settle(self, number: int | None, result: tuple[Any, bytes] | StackbenchError) -> None:
        answer = self._asked.get(number) if number is not None else None
        if answer is None or answer.done():
            return
        if isinstance(result, StackbenchError):
            answer.set_exception(result)
        else:
            answer.set_result(result)
