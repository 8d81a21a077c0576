"""The engine's Unix socket: read-only queries of the database while a run holds it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import duckdb

from stackbench.errors import StackbenchError, UsageError
from stackbench.store import Writer, result_file, run_user_query

__all__ = ["EngineServer"]

LONGEST_REQUEST = 4 << 20
QUERIES_AT_ONCE = 4
LARGEST_RESULT = 4 << 30
CHUNK = 1 << 20
LOOK_EVERY_S = 0.2
CLOSE_WITHIN_S = 5.0


class EngineServer:
    """Serves `engine.sock`; see `stackbench.store.remote` for the protocol's other end.

    Queries have threads of their own. One whose client has gone is interrupted, as is every one when the run ends.
    """

    def __init__(self, path: Path, writer: Writer) -> None:
        self._path = path
        self._writer = writer
        self._server: asyncio.Server | None = None
        self._pool = ThreadPoolExecutor(QUERIES_AT_ONCE, thread_name_prefix="query")
        self._clients: set[asyncio.Task[None]] = set()
        self._running: set[_Query] = set()
        writer.make_room = self._interrupt_all

    async def start(self) -> str | None:
        """Opens the socket, for this user only; what keeps it from opening is returned, since a run can do without."""
        try:
            with contextlib.suppress(FileNotFoundError):
                self._path.unlink()
            before = os.umask(0o177)
            try:
                self._server = await asyncio.start_unix_server(self._serve, str(self._path), limit=LONGEST_REQUEST)
            finally:
                os.umask(before)
        except OSError as error:
            return f"queries from other processes will not be answered during this run: {self._path}: {error.strerror}"
        return None

    async def close(self) -> None:
        """Ends queries and connections; one that DuckDB cannot interrupt is left behind after a few seconds."""
        if self._server is not None:
            self._server.close()
            with contextlib.suppress(FileNotFoundError):
                self._path.unlink()
        for client in self._clients:
            client.cancel()
        if self._clients:
            await asyncio.wait(self._clients, timeout=CLOSE_WITHIN_S)
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _interrupt_all(self) -> None:
        """From the writer's thread: returns when they have ended, or after some seconds."""
        for query in list(self._running):
            for _ in range(int(CLOSE_WITHIN_S / LOOK_EVERY_S)):
                query.interrupt()  # again and again: between two statements there is nothing to interrupt
                if query.ended.wait(LOOK_EVERY_S):
                    break

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._clients.add(task)
        try:
            line = await reader.readline()
            while line:
                following = asyncio.ensure_future(reader.readline())  # a client that leaves ends its stream
                try:
                    await self._answer(line, writer, following)
                    line = await following
                finally:
                    following.cancel()
        except (OSError, ValueError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the client left, or the run ends
        finally:
            self._clients.discard(task)
            writer.close()

    async def _answer(self, line: bytes, writer: asyncio.StreamWriter, following: asyncio.Future[bytes]) -> None:
        try:
            query = _Query(self._writer, json.loads(line))
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            await _send(writer, {"error": f"not a request of this protocol: {error!r}", "kind": "usage"})
            return
        except StackbenchError as error:
            await _send(writer, _refusal(error))
            return
        with contextlib.ExitStack() as stack:
            stack.callback(query.close)
            try:
                await self._finish(query, following)
                file = stack.enter_context(query.path.open("rb"))
                await _send(writer, {"bytes": query.path.stat().st_size})
                while chunk := await asyncio.to_thread(file.read, CHUNK):
                    writer.write(chunk)
                    await writer.drain()
            except StackbenchError as error:
                await _send(writer, _refusal(error))
            except duckdb.Error as error:
                await _send(writer, {"error": str(error).splitlines()[0], "kind": "store"})

    async def _finish(self, query: _Query, following: asyncio.Future[bytes]) -> None:
        """Waits for a query's end, which comes early when its client leaves or its result grows without bound."""
        self._running.add(query)
        done = asyncio.wrap_future(self._pool.submit(query.run))
        done.add_done_callback(lambda future: future.cancelled() or future.exception())  # told, or nobody is there
        try:
            while not done.done():
                waited = {done} if following.done() else {done, following}
                await asyncio.wait(waited, timeout=LOOK_EVERY_S, return_when=asyncio.FIRST_COMPLETED)
                if following.done() and not following.result():
                    raise ConnectionResetError("the client has gone")
                if query.size() > LARGEST_RESULT:
                    raise UsageError(
                        f"the query's result is larger than {LARGEST_RESULT >> 30} GiB; ask for less of it"
                    )
            done.result()
        finally:
            await _end(query, done)
            self._running.discard(query)


class _Query:
    """One request: its cursor, and the file for its rows.

    Raises:
        KeyError, TypeError, UsageError: it is no request of the protocol.
        StoreError: the run has ended, or the file cannot be made.
    """

    def __init__(self, writer: Writer, request: Any) -> None:
        self._sql = str(request["sql"])
        operation = request["op"]
        if operation not in ("rows", "query"):
            raise UsageError(f"unknown operation {operation!r}")
        self._format = "table" if operation == "rows" else str(request["format"])
        self._parameters: Sequence[Any] = list(request["parameters"]) if operation == "rows" else ()
        self._interrupted = False
        self.ended = threading.Event()
        self._cursor = writer.cursor()
        self._stack = contextlib.ExitStack()
        self._stack.callback(self._cursor.close)
        try:
            self.path = self._stack.enter_context(result_file(self._cursor))
        except BaseException:
            self._stack.close()
            raise

    def run(self) -> None:
        try:
            if self._interrupted:
                raise UsageError("the query was interrupted")
            run_user_query(self._cursor, self._sql, self._format, self.path, self._parameters)
        finally:
            self.ended.set()

    def interrupt(self) -> None:
        self._interrupted = True
        self._cursor.interrupt()

    def size(self) -> int:
        try:
            return self.path.stat().st_size
        except OSError:
            return 0

    def close(self) -> None:
        """Gives cursor and file back; those of a query that goes on in spite of all stay, since closing would wait."""
        if self.ended.is_set():
            self._stack.close()


async def _end(query: _Query, done: asyncio.Future[None]) -> None:
    """Interrupts a query until it has ended, or for some seconds: between two batches of rows DuckDB does not look."""
    for _ in range(int(CLOSE_WITHIN_S / LOOK_EVERY_S)):
        if done.done():
            return
        query.interrupt()  # again and again: before a query has begun there is nothing to interrupt
        await asyncio.wait({done}, timeout=LOOK_EVERY_S)


async def _send(writer: asyncio.StreamWriter, head: dict[str, Any]) -> None:
    writer.write(json.dumps(head).encode() + b"\n")
    await writer.drain()


def _refusal(error: StackbenchError) -> dict[str, Any]:
    return {"error": str(error), "kind": "usage" if isinstance(error, UsageError) else "store"}
