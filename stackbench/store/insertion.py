"""Inserts rows by one statement: DuckDB reads the columns of many where they lie, as arrays."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any

import duckdb

__all__ = ["TypedColumns", "insert_rows", "names_of", "typed_columns"]

TypedColumns = Sequence[tuple[str, str]]
"""Names of a table's columns with their types."""
BATCH = "rows_to_insert"
INTEGERS = {"INTEGER": "int32", "BIGINT": "int64"}
FEW = 64
"""So many rows go as parameters: to load NumPy takes 50 ms, a tenth of a short command."""


def typed_columns(listed: str) -> TypedColumns:
    """From a list as `CREATE TABLE` has it: `name TYPE, name TYPE`."""
    return tuple((name, kind) for name, kind in (column.split() for column in listed.split(",")))


def names_of(columns: TypedColumns) -> str:
    """Their names, as a statement lists them."""
    return ", ".join(name for name, _ in columns)


def insert_rows(
    connection: duckdb.DuckDBPyConnection,
    table: str,
    columns: TypedColumns,
    rows: Sequence[Sequence[Any]],
    *,
    known: bool = False,
) -> None:
    """Inserts rows whose values stand in the order of the columns; with `known` those that are there already are left.

    Lists as parameters, as few rows go, cost about four times as much: each value is made a value of DuckDB's first. A
    column that holds the same value throughout is one parameter.

    Raises:
        duckdb.Error, ValueError, TypeError, OverflowError: a column does not take a value.
    """
    if not rows:
        return
    into = f"{'INSERT OR IGNORE' if known else 'INSERT'} INTO {table} ({names_of(columns)}) SELECT"
    if len(rows) < FEW:
        lists = ", ".join(f"unnest(?::{_plain(kind)}[])::{kind}" for _, kind in columns)
        connection.execute(f"{into} {lists}", [list(values) for values in zip(*rows, strict=True)])
        return
    arrays: dict[str, Any] = {}
    constants: list[Any] = []
    selected: list[str] = []
    for at, (values, (_, kind)) in enumerate(zip(zip(*rows, strict=True), columns, strict=True)):
        if at and values.count(values[0]) == len(values):
            constants.append(values[0])
            selected.append(f"?::{kind}")
        else:
            arrays[f"c{at}"] = _array(values, kind)
            selected.append(f"c{at}::{kind}")
    connection.register(BATCH, arrays)
    try:
        connection.execute(f"{into} {', '.join(selected)} FROM {BATCH}", constants)
    finally:
        with contextlib.suppress(duckdb.Error):
            connection.unregister(BATCH)


def _plain(kind: str) -> str:
    return "VARCHAR" if kind == "JSON" else kind


def _array(values: Sequence[Any], kind: str) -> Any:
    """Integers without gaps as such; anything else as objects, which DuckDB reads as text (`pandas_analyze_sample` 0)
    and converts to the column's type."""
    import numpy as np

    if kind in INTEGERS and None not in values:
        return np.array(values, dtype=INTEGERS[kind])
    found = np.empty(len(values), dtype=object)
    found[:] = values
    return found
