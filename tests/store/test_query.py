from __future__ import annotations

import json
from pathlib import Path

import pytest

from stackbench.errors import StoreError, UsageError
from stackbench.store import open_database, open_queries, run_user_query


@pytest.fixture
def connection(tmp_path: Path):
    made = open_database(tmp_path / "db.duckdb")
    made.execute("INSERT INTO metrics VALUES ('r', 'b', '', 'pass@1', 0.5, 0.1, 0.4, 0.6, 10)")
    yield made
    made.close()


def test_rows_come_in_every_format(connection, tmp_path: Path) -> None:
    sql = "SELECT benchmark, value FROM metrics;"
    assert json.loads(run_user_query(connection, sql, "table")) == {
        "columns": ["benchmark", "value"],
        "rows": [["b", 0.5]],
    }
    assert json.loads(run_user_query(connection, sql, "json")) == [{"benchmark": "b", "value": 0.5}]
    assert run_user_query(connection, sql, "csv") == b"benchmark,value\nb,0.5\n"
    parquet = tmp_path / "x.parquet"
    parquet.write_bytes(run_user_query(connection, sql, "parquet"))
    assert connection.execute(f"SELECT * FROM '{parquet}'").fetchall() == [("b", 0.5)]


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM metrics",
        "INSERT INTO metrics SELECT * FROM metrics",
        "DROP TABLE metrics",
        "SELECT 1; DROP TABLE metrics",
        "ATTACH 'x.db'",
        "COPY metrics TO 'x.csv'",
        "WITH t AS (SELECT 1) UPDATE metrics SET value = 1",
    ],
)
def test_a_query_only_reads(connection, sql: str) -> None:
    with pytest.raises(UsageError):
        run_user_query(connection, sql, "table")
    assert connection.execute("SELECT value FROM metrics").fetchall() == [(0.5,)]


@pytest.mark.parametrize(
    ("sql", "said"), [("SELEC 1", "not SQL"), ("SELECT * FROM nothing", "nothing"), ("", "one statement")]
)
def test_a_bad_query_is_one_clear_line(connection, sql: str, said: str) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        run_user_query(connection, sql, "table")
    assert "\n" not in str(caught.value)


def test_no_database_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="run an evaluation first"):
        open_queries(tmp_path / "none.duckdb", tmp_path / "engine.sock")


def test_a_socket_left_by_a_killed_engine_is_passed_over(connection, tmp_path: Path) -> None:
    import socket

    connection.close()
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(tmp_path / "engine.sock"))
    queries = open_queries(tmp_path / "db.duckdb", tmp_path / "engine.sock")
    assert queries.rows("SELECT count(*) FROM metrics") == [(1,)]
    queries.close()
