"""Takes a run out of the database with everything that belongs to it."""

from __future__ import annotations

import duckdb

__all__ = ["delete_rows"]

DELETIONS = (
    "DELETE FROM events WHERE run_id = ?",
    "DELETE FROM tool_calls WHERE run_id = ?",
    "DELETE FROM attempts WHERE run_id = ?",
    "DELETE FROM metrics WHERE run_id = ?",
    "DELETE FROM ranges WHERE run_id = ?",
    "DELETE FROM resources WHERE run_id = ?",
    "DELETE FROM run_benchmarks WHERE run_id = ?",
    "DELETE FROM runs WHERE run_id = ?",
)


def delete_rows(connection: duckdb.DuckDBPyConnection, run_id: str) -> None:
    """All rows of a run, within the caller's transaction."""
    for statement in DELETIONS:
        connection.execute(statement, [run_id])
