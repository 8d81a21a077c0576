"""Takes a run out of the database with everything that belongs to it."""

from __future__ import annotations

import duckdb

__all__ = ["delete_rows"]

DELETIONS = (
    "DELETE FROM events WHERE run_id = ?",
    "DELETE FROM tool_calls WHERE run_id = ?",
    "DELETE FROM attempts WHERE run_id = ?",
    "DELETE FROM metrics WHERE run_id = ?",
    "DELETE FROM resources WHERE run_id = ?",
    "DELETE FROM run_benchmarks WHERE run_id = ?",
    "DELETE FROM runs WHERE run_id = ?",
)

UNUSED_TEXTS = """
DELETE FROM texts WHERE sha256 NOT IN (
    SELECT unnest(regexp_extract_all(payload::VARCHAR, '[0-9a-f]{64}')) FROM events
    WHERE kind IN ('model_call', 'model_call_failed')
    UNION SELECT unnest(regexp_extract_all(environment::VARCHAR, '[0-9a-f]{64}')) FROM runs
)
"""
"""Requests and environments name their texts by sha256."""


def delete_rows(connection: duckdb.DuckDBPyConnection, run_id: str) -> None:
    """All rows of a run, and texts that no other run refers to, within the caller's transaction."""
    for statement in DELETIONS:
        connection.execute(statement, [run_id])
    connection.execute(UNUSED_TEXTS)
