"""Rows that are inserted by columns are read back as they were given."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from stackbench.store.database import open_database
from stackbench.store.insertion import TypedColumns, insert_rows

COLUMNS: TypedColumns = (
    ("name", "VARCHAR"),
    ("small", "INTEGER"),
    ("large", "BIGINT"),
    ("real", "DOUBLE"),
    ("truth", "BOOLEAN"),
    ("moment", "TIMESTAMP"),
    ("doc", "JSON"),
)
DRAWN: tuple[tuple[Any, ...], ...] = (
    ("", "a\0b", "NULL", "None", "nan", "'; --", "é\U0001f600\u202e", "x" * 100_000, " 5"),
    (0, -(2**31), 2**31 - 1),
    (0, -(2**63), 2**63 - 1),
    (0.1, -0.0, 5e-324, 1.7976931348623157e308, 1 / 3, float("inf")),
    (True, False),
    (datetime(1, 1, 1), datetime(2026, 2, 28, 23, 59, 59, 999_999), datetime(9999, 12, 31)),
    ('{"a": [1, null, "\\u0000"]}', "null", "[]", '"text"'),
)


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    connection = open_database(tmp_path / "db.duckdb")
    connection.execute("CREATE TABLE t (name VARCHAR, small INTEGER, large BIGINT, real DOUBLE, truth BOOLEAN,"
                       " moment TIMESTAMP, doc JSON)")  # fmt: skip
    yield connection
    connection.close()


def test_rows_come_back_as_they_were_given(connection: duckdb.DuckDBPyConnection) -> None:
    draw = random.Random(3)
    given: list[tuple[Any, ...]] = []
    for size in (1, 2, 3, 1500, 2500):
        for gaps in (0.0, 0.5, 0.999, 1.0):
            constant = draw.randrange(len(COLUMNS))
            base = [draw.choice(values) for values in DRAWN]
            rows = [
                tuple(
                    None if draw.random() < gaps else base[at] if at == constant else draw.choice(values)
                    for at, values in enumerate(DRAWN)
                )
                for _ in range(size)
            ]
            insert_rows(connection, "t", COLUMNS, rows)
            given += rows
    insert_rows(connection, "t", COLUMNS, [])
    found = connection.execute("SELECT * FROM t ORDER BY rowid").fetchall()
    assert [repr(row) for row in found] == [repr(row) for row in given]


@pytest.mark.parametrize(
    ("column", "value"),
    [(1, 2**31), (1, "five"), (2, 2**63), (3, "x"), (4, "perhaps"), (5, "yesterday"), (6, "{no json"), (0, "\ud800")],
)
def test_a_value_that_a_column_does_not_take_leaves_nothing(
    connection: duckdb.DuckDBPyConnection, column: int, value: Any
) -> None:
    right = (*(values[0] for values in DRAWN[:5]), datetime(2026, 1, 1) + timedelta(days=1), "[]")
    wrong = (*right[:column], value, *right[column + 1 :])
    for rows in ([wrong], [right, wrong], [right] * 1200 + [wrong]):
        with pytest.raises((duckdb.Error, ValueError, OverflowError, UnicodeError)):
            insert_rows(connection, "t", COLUMNS, rows)
    assert connection.execute("SELECT count(*) FROM t").fetchall() == [(0,)]
    insert_rows(connection, "t", COLUMNS, [right])
    assert connection.execute("SELECT count(*) FROM t").fetchall() == [(1,)]
