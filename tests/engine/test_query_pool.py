from __future__ import annotations

import asyncio
import io
import json
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from stackbench.control.messages import Command, Hello, Query, Welcome
from stackbench.engine import query_pool as module
from stackbench.engine.control_server import ControlServer
from stackbench.engine.event_stream import EventStream
from stackbench.engine.query_pool import QueryPool
from stackbench.engine.run_order import utc_now
from stackbench.errors import StoreError, UsageError
from stackbench.store import Reader, RemoteQueries, RunRow, Writer, open_queries

ENDLESS = "SELECT count(*) FROM range(1000000000) a, range(1000) b WHERE (a.range + b.range) % 7 = 3"


class Door:
    """An engine that answers queries alone."""

    def __init__(self, writer: Writer) -> None:
        self.pool = QueryPool(writer)
        self.result = self.pool.result

    def welcome(self) -> Welcome:
        return Welcome(version="1", pid=1, home="/h", started_at="t", seq=1)

    async def command(self, command: Command) -> None:
        raise UsageError("no verbs here")


class Served:
    """An engine's server on a database of its own."""

    def __init__(self, folder: Path) -> None:
        self.database = folder / "db.duckdb"
        self.socket = folder / "engine.sock"
        self.writer = Writer(self.database)
        self.door = Door(self.writer)
        self.server = ControlServer(self.socket, self.door, EventStream())

    async def close(self) -> None:
        await self.server.close()
        self.door.pool.close()
        self.writer.close()

    def results(self) -> list[Path]:
        return list(self.database.with_name("db.duckdb.tmp").glob("result-*"))

    def ask(self, sql: str, format: str = "json") -> bytes:
        queries, answer = RemoteQueries(self.socket), io.BytesIO()
        try:
            queries.user_query(sql, format, answer)
        finally:
            queries.close()
        return answer.getvalue()

    def begin(self, sql: str) -> socket.socket:
        """Asks and does not wait for the answer."""
        client = socket.socket(socket.AF_UNIX)
        client.connect(str(self.socket))
        for message in (Hello(), Query(id=1, sql=sql)):
            client.sendall(message.model_dump_json().encode() + b"\n")
        return client

    async def until(self, results: int) -> None:
        """Waits for so many queries to be under way or answered."""
        while len(self.results()) != results:
            await asyncio.sleep(0.01)


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    made = Served(tmp_path)
    assert await made.server.start() is None
    yield made
    await made.close()


async def test_queries_are_answered_and_nothing_is_left(served: Served) -> None:
    assert served.socket.stat().st_mode & 0o777 == 0o600
    assert json.loads(await asyncio.to_thread(served.ask, "SELECT 7 AS n")) == [{"n": 7}]
    long = await asyncio.to_thread(served.ask, "SELECT range AS n, repeat('x', 1000) AS x FROM range(5000)", "csv")
    assert len(long) > 5_000_000
    await served.until(0)


async def test_every_typed_read_goes_through_the_engine(served: Served) -> None:
    served.writer.start_run(RunRow("r1", "eval", utc_now(), "oracle", {}, (0,), None, {}))

    def read() -> list[object]:
        queries = open_queries(served.database, served.socket)
        reader = Reader(queries)
        try:
            return [
                reader.run("last").run_id, reader.run("r").run_id, len(reader.unfinished()), reader.done("r1"),
                reader.summaries("r1", "mmlu"), reader.results("r1"), reader.last_seq("r1"), reader.unpassed("r1"),
                reader.verdicts("r1"), list(reader.answers("r1")), list(reader.model_calls("r1")),
            ]  # fmt: skip
        finally:
            queries.close()

    assert await asyncio.to_thread(read) == ["r1", "r1", 1, set(), [], [], 0, [], {}, [], []]


async def test_a_query_through_the_engine_only_reads(served: Served, tmp_path: Path) -> None:
    for sql in (
        f"EXPLAIN ANALYZE COPY runs TO '{tmp_path / 'x'}'",
        "FROM read_text('/etc/hostname')",
        "DELETE FROM runs",
    ):
        with pytest.raises(UsageError, match="queries only read"):
            await asyncio.to_thread(served.ask, sql)
        queries = await asyncio.to_thread(RemoteQueries, served.socket)
        with pytest.raises(UsageError, match="queries only read"):
            await asyncio.to_thread(queries.rows, sql)
        queries.close()
    assert not (tmp_path / "x").exists()


async def test_a_client_that_leaves_ends_its_query(served: Served) -> None:
    clients = [served.begin(ENDLESS) for _ in range(module.QUERIES_AT_ONCE + 2)]
    await served.until(len(clients))
    for client in clients:
        client.close()
    await served.until(0)
    assert json.loads(await asyncio.to_thread(served.ask, "SELECT 7 AS n")) == [{"n": 7}]


async def test_the_end_of_a_run_ends_queries(served: Served) -> None:
    client = served.begin(ENDLESS)
    await served.until(1)
    await served.close()
    assert served.results() == []
    with client.makefile("rb") as lines:
        assert [json.loads(line)["kind"] for line in lines] == ["welcome"]
    client.close()
    assert not served.socket.exists()


async def test_a_query_that_cannot_be_interrupted_does_not_keep_the_run(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One call of a function over 30 million elements: DuckDB looks for interrupts between batches of rows only."""
    monkeypatch.setattr(module, "CLOSE_WITHIN_S", 0.2)
    monkeypatch.setattr(module, "LOOK_EVERY_S", 0.1)
    client = served.begin("SELECT len(list_sort(list_reverse(range(30000000))))")
    await served.until(1)
    await served.close()
    queries = open_queries(served.database, served.socket)
    assert queries.rows("SELECT count(*) FROM runs") == [(0,)]
    queries.close()
    client.close()


async def test_a_result_has_a_largest_size(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LARGEST_RESULT", 1 << 20)
    with pytest.raises(UsageError, match="larger than"):
        await asyncio.to_thread(served.ask, "SELECT repeat('x', 1000) FROM range(1000000000)", "jsonl")
    await served.until(0)


async def test_memory_is_given_back_for_the_writer(served: Served) -> None:
    asking = asyncio.create_task(asyncio.to_thread(served.ask, ENDLESS))
    await served.until(1)
    await asyncio.to_thread(served.writer.make_room)
    with pytest.raises((UsageError, StoreError), match="(?i)interrupt"):
        await asking
