"""Reading the database with SQL: our own typed reads and the user's read-only queries."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import duckdb

from stackbench.errors import StoreError, UsageError, one_line

__all__ = ["FORMATS", "LocalQueries", "Queries", "run_user_query"]

FORMATS = ("table", "json", "jsonl", "csv", "parquet")
READ_ONLY_STATEMENTS = {"SELECT", "EXPLAIN", "PRAGMA", "CALL", "RELATION"}


class Queries(Protocol):
    """Something that answers SQL: a connection of ours, or a running engine on its socket."""

    at_rest: bool
    """No engine has the database open: what is recorded as running was killed."""

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Our own typed reads; timestamps come as ISO text or datetime."""
        ...

    def user_query(self, sql: str, format: str) -> bytes:
        """A user's query, rendered; `table` comes as JSON: {"columns": [...], "rows": [[...]]}."""
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
            raise StoreError(f"the database cannot be read: {str(error).splitlines()[0]}") from error

    def user_query(self, sql: str, format: str) -> bytes:
        return run_user_query(self._connection, sql, format)

    def close(self) -> None:
        self._connection.close()


def run_user_query(connection: duckdb.DuckDBPyConnection, sql: str, format: str) -> bytes:
    """Runs one read-only statement in a read-only transaction and renders it.

    Raises:
        UsageError: it is not one read-only statement, or DuckDB refuses it.
    """
    try:
        statements = connection.extract_statements(sql)
    except duckdb.Error as error:
        raise UsageError(f"the query is not SQL that DuckDB reads: {one_line(error, 400)}") from error
    if len(statements) != 1:
        raise UsageError(f"a query is one statement; this has {len(statements)}")
    kind = statements[0].type.name
    if kind not in READ_ONLY_STATEMENTS:
        raise UsageError(f"queries only read; {kind} is not allowed")
    try:
        connection.execute("BEGIN TRANSACTION READ ONLY")
        try:
            return _render(connection, statements[0], format)
        finally:
            connection.execute("ROLLBACK")
    except duckdb.Error as error:
        raise UsageError(f"the query failed: {one_line(error, 400)}") from error


def _render(connection: duckdb.DuckDBPyConnection, statement: duckdb.Statement, format: str) -> bytes:
    if format == "table" or (format == "json" and statement.type.name != "SELECT"):
        result = connection.execute(statement)
        columns = [column[0] for column in result.description or []]
        return json.dumps({"columns": columns, "rows": result.fetchall()}, default=str).encode()
    if format == "json":
        return _copy(connection, statement.query, "FORMAT json, ARRAY true")
    if format == "jsonl":
        return _copy(connection, statement.query, "FORMAT json, ARRAY false")
    if format == "csv":
        return _copy(connection, statement.query, "FORMAT csv, HEADER true")
    return _copy(connection, statement.query, "FORMAT parquet")


def _copy(connection: duckdb.DuckDBPyConnection, sql: str, options: str) -> bytes:
    handle, name = tempfile.mkstemp(prefix="stackbench-query-")
    os.close(handle)
    path = Path(name)
    try:
        connection.execute(f"COPY ({sql.strip().rstrip(';')}) TO '{name}' ({options})")
        return path.read_bytes()
    finally:
        path.unlink(missing_ok=True)
