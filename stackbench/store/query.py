"""Reading the database with SQL: our own typed reads, and the user's queries, which can do nothing else."""

from __future__ import annotations

import contextlib
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import duckdb

from stackbench.errors import StoreError, UsageError, one_line
from stackbench.store.rendering import FORMATS, render, result_file
from stackbench.store.statements import reading_statement

__all__ = ["FORMATS", "FreshQueries", "LocalQueries", "Queries", "run_user_query"]

INTERRUPT_EVERY_S = 0.1
INTERRUPTS = 50


class Queries(Protocol):
    """Something that answers SQL: a connection of ours, or a running engine on its socket."""

    at_rest: bool
    """No engine has the database open: what is recorded as running was killed."""

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Our own typed reads; timestamps come as ISO text or datetime."""
        ...

    def user_query(self, sql: str, format: str, to: BinaryIO, most_rows: int | None = None) -> None:
        """Writes the rendered rows of a user's query; `table` is JSON: {"columns": [...], "rows": [[...]]},
        and ends after `most_rows`."""
        ...

    def close(self) -> None: ...


class LocalQueries:
    """Answers from a connection in this process."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, *, at_rest: bool = False) -> None:
        self.at_rest = at_rest
        self._connection = connection

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        try:
            return self._connection.execute(sql, list(parameters)).fetchall()
        except duckdb.Error as error:
            raise StoreError(f"the database cannot be read: {one_line(error)}") from error

    def user_query(self, sql: str, format: str, to: BinaryIO, most_rows: int | None = None) -> None:
        with result_file(self._connection) as path:
            _interruptibly(self._connection, lambda: run_user_query(self._connection, sql, format, path, (), most_rows))
            with path.open("rb") as file:
                shutil.copyfileobj(file, to)

    def beside(self) -> LocalQueries:
        """A connection of its own to the same open database, for another thread."""
        return LocalQueries(self._connection.cursor(), at_rest=self.at_rest)

    def interrupt(self) -> None:
        """Ends what runs at this moment, from another thread; does nothing before a query has begun."""
        self._connection.interrupt()

    def close(self) -> None:
        self._connection.close()


class FreshQueries:
    """Answers each read on a connection of its own, so that several threads may read at once."""

    at_rest = False

    def __init__(self, connect: Callable[[], duckdb.DuckDBPyConnection]) -> None:
        self._connect = connect

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        with self._opened() as queries:
            return queries.rows(sql, parameters)

    def user_query(self, sql: str, format: str, to: BinaryIO, most_rows: int | None = None) -> None:
        with self._opened() as queries:
            queries.user_query(sql, format, to, most_rows)

    def close(self) -> None:
        """Holds nothing."""

    @contextlib.contextmanager
    def _opened(self) -> Iterator[LocalQueries]:
        queries = LocalQueries(self._connect())
        try:
            yield queries
        finally:
            queries.close()


def _interruptibly(connection: duckdb.DuckDBPyConnection, work: Callable[[], None]) -> None:
    """Does the work in a thread: DuckDB looks at no signal while it runs, and Ctrl-C is to end a query."""
    done: Future[None] = Future()

    def run() -> None:
        try:
            work()
        except BaseException as error:
            done.set_exception(error)
        else:
            done.set_result(None)

    thread = threading.Thread(target=run, name="query", daemon=True)
    try:
        thread.start()  # Ctrl-C may come in here too, with the thread under way
        done.result()
    finally:
        for _ in range(INTERRUPTS):
            if not thread.is_alive():
                break
            if not done.done():
                with contextlib.suppress(duckdb.Error):  # what ended the query is the one to tell
                    connection.interrupt()
            thread.join(INTERRUPT_EVERY_S)


def run_user_query(
    connection: duckdb.DuckDBPyConnection,
    sql: str,
    format: str,
    path: Path,
    parameters: Sequence[Any] = (),
    most_rows: int | None = None,
) -> None:
    """Runs one reading statement in a read-only transaction and renders its rows into a file (see `result_file`).

    The rows are written as they come: memory does not grow with their number.

    Raises:
        UsageError: it is not one reading statement, or DuckDB refuses it.
    """
    if format not in FORMATS:
        raise UsageError(f'unknown format "{format}"; formats: {", ".join(FORMATS)}')
    statement = reading_statement(connection, sql)
    try:
        connection.execute("BEGIN TRANSACTION READ ONLY")
        try:
            render(connection, statement, format, path, parameters, most_rows)
        finally:
            with contextlib.suppress(duckdb.Error):  # the error that broke the transaction is the one to tell
                connection.execute("ROLLBACK")
    except (duckdb.Error, OSError, UnicodeError) as error:
        raise UsageError(f"the query failed: {one_line(error, 400)}") from error
