"""The engine's socket: what it answers, and what garbage, crowds and slow readers do to it."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import duckdb
import pytest

from stackbench.control.client import connect
from stackbench.control.messages import PROTOCOL, Command, Event, Hello, Notice, Refusal, Welcome
from stackbench.engine import control_server
from stackbench.engine.control_server import ControlServer
from stackbench.engine.event_stream import EventStream
from stackbench.errors import EngineUnreachableError, StoreError, UsageError
from stackbench.store import open_queries

HELLO = Hello().model_dump_json().encode() + b"\n"


class Door:
    """An engine that answers without doing anything."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "result"
        self.interrupted = asyncio.Event()
        self.asked = asyncio.Event()

    def welcome(self) -> Welcome:
        return Welcome(version="1", pid=1, home="/h", started_at="t", seq=1)

    async def command(self, command: Command) -> Any:
        if command.verb == "fail":
            raise UsageError("no such thing; name another")
        if command.verb == "fault":
            raise KeyError("oops")
        return {"verb": command.verb, "arguments": command.arguments}

    @asynccontextmanager
    async def result(
        self, sql: str, format: str, parameters: tuple[Any, ...] = (), most_rows: int | None = None
    ) -> AsyncIterator[Path]:
        if sql == "slow":
            self.asked.set()
            try:
                await asyncio.sleep(600)
            except asyncio.CancelledError:
                self.interrupted.set()
                raise
        if sql == "broken":
            raise StoreError("the disk is full")
        self.file.write_bytes(sql.encode() * 3)
        yield self.file


class Served:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.door = Door(path.parent)
        self.stream = EventStream()
        self.server = ControlServer(path, self.door, self.stream)

    async def raw(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_unix_connection(str(self.path))


@pytest.fixture
async def served(tmp_path: Path):
    made = Served(tmp_path / "engine.sock")
    assert await made.server.start() is None
    yield made
    await made.server.close()


async def refusal(reader: asyncio.StreamReader) -> str:
    reply = json.loads(await reader.readline())
    assert reply["kind"] == "refusal"
    return reply["error"]


async def test_the_socket_is_for_this_user_alone_and_goes_with_the_server(served: Served) -> None:
    assert served.path.stat().st_mode & 0o777 == 0o600
    await served.server.close()
    assert not served.path.exists()


async def test_requests_are_answered_side_by_side(served: Served) -> None:
    client = await connect(served.path)
    slow = asyncio.create_task(client.query("slow"))
    await served.door.asked.wait()
    assert await client.command("look", a=1) == {"verb": "look", "arguments": {"a": 1}}
    assert await client.query("SELECT") == b"SELECTSELECTSELECT"
    slow.cancel()
    await asyncio.gather(slow, return_exceptions=True)
    await client.close()


async def test_errors_come_back_as_what_they_were(served: Served) -> None:
    client = await connect(served.path)
    with pytest.raises(UsageError, match="no such thing; name another"):
        await client.command("fail")
    with pytest.raises(StoreError, match="the disk is full"):
        await client.query("broken")
    with pytest.raises(StoreError, match="fault in the engine: KeyError"):
        await client.command("fault")
    assert (await client.command("look"))["verb"] == "look"
    await client.close()


async def test_a_client_that_leaves_interrupts_its_query(served: Served) -> None:
    client = await connect(served.path)
    asking = asyncio.create_task(client.query("slow"))
    await served.door.asked.wait()
    await client.close()
    async with asyncio.timeout(5):
        await served.door.interrupted.wait()
    with pytest.raises(EngineUnreachableError):
        await asking


async def test_events_reach_every_subscriber(served: Served) -> None:
    clients = [await connect(served.path) for _ in range(3)]
    found: list[list[str]] = [[] for _ in clients]

    async def watch(number: int) -> None:
        async for event in clients[number].events():
            assert isinstance(event, Event) and isinstance(event.what, Notice)
            found[number].append(event.what.text)
            if len(found[number]) == 2:
                return

    tasks = [asyncio.create_task(watch(number)) for number in range(3)]
    while len(served.stream._subscriptions) < 3:
        await asyncio.sleep(0.005)
    served.stream.publish("r", Notice(text="a"))
    served.stream.publish("r", Notice(text="b\n\x00é"))
    async with asyncio.timeout(5):
        await asyncio.gather(*tasks)
    assert found == [["a", "b\n\x00é"]] * 3
    for client in clients:
        await client.close()


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"\n", "not a message of this protocol"),
        (b"garbage\n", "not a message of this protocol"),
        (b"\xff\xfe\x00\n", "not a message of this protocol"),
        (b"[]\n", "not a message of this protocol"),
        (b'{"kind": "nothing"}\n', "not a message of this protocol"),
        (b'{"kind": "query", "id": "x"}\n', "not a message of this protocol"),
        (b"[" * 100_000 + b"\n", "not a message of this protocol"),
        (b'{"op": "rows", "sql": "SELECT 1", "parameters": []}\n', "not a message of this protocol"),
        (b'{"kind": "command", "id": 1, "verb": "stop"}\n', "the first message of a connection is a hello"),
    ],
)
async def test_garbage_is_refused_in_one_line_and_the_connection_closed(served: Served, line: bytes, why: str) -> None:
    reader, writer = await served.raw()
    writer.write(line)
    error = await refusal(reader)
    assert why in error and "\n" not in error
    assert await reader.read() == b""
    writer.close()
    client = await connect(served.path)
    assert (await client.command("look"))["verb"] == "look"
    await client.close()


async def test_another_protocol_is_named_with_what_to_do(served: Served) -> None:
    reader, writer = await served.raw()
    writer.write(Hello(protocol=PROTOCOL + 1).model_dump_json().encode() + b"\n")
    error = await refusal(reader)
    assert f"speaks protocol {PROTOCOL}, the client {PROTOCOL + 1}: use the same version" in error
    writer.close()


async def test_a_line_without_end_is_refused_within_bounds(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = await served.raw()
    writer.write(HELLO)
    await reader.readline()
    for _ in range(100):  # 100 MB
        if writer.transport.is_closing():
            break
        writer.write(b"x" * (1 << 20))
        try:
            await asyncio.wait_for(writer.drain(), 5)
        except (ConnectionError, TimeoutError):
            break
    try:
        received = await reader.read()
    except ConnectionError:  # it was closed while we still sent
        received = b""
    assert b"a message is one line of at most" in received or received == b""
    writer.close()
    client = await connect(served.path)
    await client.close()


async def test_a_crowd_is_turned_away_and_those_inside_go_on(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    inside = await connect(served.path)
    crowd = [await served.raw() for _ in range(1000)]
    reader, _ = crowd[-1]
    assert "connections already; try again" in await refusal(reader)
    assert (await inside.command("look"))["verb"] == "look"
    for _, writer in crowd:
        writer.close()
    await inside.close()


async def test_a_thousand_at_once_are_answered_and_watchers_miss_nothing(served: Served) -> None:
    inside = await connect(served.path)
    seen: list[str] = []

    async def watch() -> None:
        async for event in inside.events():
            assert isinstance(event, Event) and isinstance(event.what, Notice)
            seen.append(event.what.text)
            if len(seen) == 1000:
                return

    async def come(number: int) -> bool:
        """Whether there was room."""
        try:
            client = await connect(served.path)
        except EngineUnreachableError as error:
            assert "connections already; try again" in str(error)
            return False
        finally:
            served.stream.publish("r", Notice(text=str(number)))
        assert (await client.command("look"))["verb"] == "look"
        await client.close()
        return True

    watching = asyncio.create_task(watch())
    while not served.stream.watched:
        await asyncio.sleep(0.005)
    async with asyncio.timeout(60):
        answered = await asyncio.gather(*(come(number) for number in range(1000)))
        await watching
    assert sum(answered) >= control_server.MOST_CONNECTIONS - 1
    assert sorted(seen, key=int) == [str(number) for number in range(1000)]
    await inside.close()


async def test_a_connection_that_says_nothing_is_closed(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control_server, "HELLO_WITHIN_S", 0.05)
    reader, writer = await served.raw()
    async with asyncio.timeout(5):
        assert await reader.read() == b""
    writer.close()


async def test_a_watcher_that_stops_reading_slows_nobody(served: Served) -> None:
    reader, writer = await served.raw()
    writer.write(HELLO + b'{"kind": "subscribe", "id": 1}\n')
    await reader.readline()
    await reader.readline()
    writer.transport.pause_reading()
    other = await connect(served.path)
    for number in range(20_000):
        served.stream.publish("r", Notice(text="x" * 100 + str(number)))
        if number % 1000 == 0:
            await asyncio.sleep(0)
    async with asyncio.timeout(5):
        assert (await other.command("look"))["verb"] == "look"
    await other.close()
    writer.close()


async def test_a_refusal_is_read_from_a_connection_that_is_closed_already(tmp_path: Path) -> None:
    path, database = tmp_path / "full.sock", tmp_path / "held.duckdb"
    held = duckdb.connect(str(database))
    with socket.socket(socket.AF_UNIX) as full:
        full.bind(str(path))
        full.listen()

        def turn_away() -> None:
            connection, _ = full.accept()
            connection.sendall(Refusal(error="256 connections already", fault="protocol").model_dump_json().encode())
            connection.sendall(b"\n")
            connection.close()  # without a look at what the client said, which resets the connection

        turning = asyncio.to_thread(turn_away)
        with pytest.raises(EngineUnreachableError, match="256 connections already"):
            await asyncio.gather(connect(path), turning)
        turning = asyncio.to_thread(turn_away)
        with pytest.raises(StoreError, match="256 connections already"):
            await asyncio.gather(asyncio.to_thread(open_queries, database, path), turning)
    held.close()


async def test_no_engine_and_one_that_does_not_speak(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stackbench.control.client.ANSWER_WITHIN_S", 0.2)
    with pytest.raises(EngineUnreachableError, match="no engine answers at"):
        await connect(tmp_path / "nothing.sock")
    path = tmp_path / "deaf.sock"
    with socket.socket(socket.AF_UNIX) as deaf:  # as a stopped engine: the kernel accepts, nobody answers
        deaf.bind(str(path))
        deaf.listen()
        with pytest.raises(EngineUnreachableError, match=r"does not answer; is it hung\?"):
            await connect(path)
    with pytest.raises(EngineUnreachableError, match="no engine answers at"):
        await connect(path)  # left behind: nobody serves it
