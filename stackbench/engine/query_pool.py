"""Runs queries of the engine's database on worker threads; a query that no client waits for is interrupted."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncGenerator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from stackbench.errors import UsageError
from stackbench.store import Writer, result_file, run_user_query

__all__ = ["QueryPool"]

QUERIES_AT_ONCE = 4
LARGEST_RESULT = 4 << 30
LOOK_EVERY_S = 0.2
CLOSE_WITHIN_S = 5.0


class QueryPool:
    """Answers go to files, so that memory does not grow with them. No query keeps a run or the engine from ending."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._pool = ThreadPoolExecutor(QUERIES_AT_ONCE, thread_name_prefix="query")
        self._running: set[_Query] = set()
        writer.make_room = self._interrupt_all

    @asynccontextmanager
    async def result(
        self, sql: str, format: str, parameters: Sequence[Any] = (), most_rows: int | None = None
    ) -> AsyncGenerator[Path]:
        """The file with the rendered rows, for the length of the block; the query is interrupted when cancelled.

        Raises:
            UsageError: it is not one reading statement, or its result is too large.
            StoreError: the database is closed, or the file cannot be made.
        """
        query = _Query(self._writer, sql, format, parameters, most_rows)
        try:
            await self._finish(query)
            yield query.path
        finally:
            query.close()

    def close(self) -> None:
        """Interrupts what runs; a query that DuckDB cannot interrupt is left behind."""
        for query in list(self._running):
            query.interrupt()
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def _finish(self, query: _Query) -> None:
        self._running.add(query)
        done = asyncio.wrap_future(self._pool.submit(query.run))
        done.add_done_callback(lambda future: future.cancelled() or future.exception())  # told, or nobody is there
        try:
            while not done.done():
                await asyncio.wait({done}, timeout=LOOK_EVERY_S)
                if query.size() > LARGEST_RESULT:
                    raise UsageError(
                        f"the query's result is larger than {LARGEST_RESULT >> 30} GiB; ask for less of it"
                    )
            done.result()
        finally:
            await _end(query, done)
            self._running.discard(query)

    def _interrupt_all(self) -> None:
        """From the writer's thread: returns when they have ended, or after some seconds."""
        for query in list(self._running):
            for _ in range(int(CLOSE_WITHIN_S / LOOK_EVERY_S)):
                query.interrupt()  # again and again: between two statements there is nothing to interrupt
                if query.ended.wait(LOOK_EVERY_S):
                    break


class _Query:
    """One statement: its cursor, and the file for its rows. Raises StoreError when made after the run has ended."""

    def __init__(self, writer: Writer, sql: str, format: str, parameters: Sequence[Any], most_rows: int | None) -> None:
        self._sql = sql
        self._format = format
        self._parameters = parameters
        self._most_rows = most_rows
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
            run_user_query(self._cursor, self._sql, self._format, self.path, self._parameters, self._most_rows)
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
