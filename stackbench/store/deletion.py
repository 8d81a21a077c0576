"""Removes a run from the database."""

from __future__ import annotations

import duckdb

__all__ = ["delete_rows"]

TABLES_OF_RUNS = """
SELECT DISTINCT t.table_name FROM duckdb_tables() t JOIN duckdb_columns() c USING (table_oid)
WHERE c.column_name = 'run_id' ORDER BY t.table_name
"""
DELETE_OF_RUN = 'DELETE FROM "{table}" WHERE run_id = ?'
"""The table's name comes from the database's own catalogue."""

UNUSED_TEXTS = """
DELETE FROM texts WHERE sha256 NOT IN (
    SELECT unnest(regexp_extract_all(payload::VARCHAR, '[0-9a-f]{64}')) FROM events
    WHERE kind IN ('model_call', 'model_call_failed')
    UNION SELECT unnest(regexp_extract_all(environment::VARCHAR, '[0-9a-f]{64}')) FROM runs
)
"""
"""Requests and environments name their texts by sha256."""


def delete_rows(connection: duckdb.DuckDBPyConnection, run_id: str) -> None:
    """All rows of a run in every table, and texts that no other run refers to, within the caller's transaction."""
    for (table,) in connection.execute(TABLES_OF_RUNS).fetchall():
        connection.execute(DELETE_OF_RUN.format(table=table), [run_id])
    connection.execute(UNUSED_TEXTS)
