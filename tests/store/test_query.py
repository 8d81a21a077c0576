from __future__ import annotations

import csv
import io
import json
import os
import re
import socket
import subprocess
import sys
import threading
from pathlib import Path

import duckdb
import pytest

from stackbench.control.messages import Welcome
from stackbench.errors import StoreError, UsageError
from stackbench.store import LocalQueries, Writer, open_database, open_queries
from stackbench.store.remote import RemoteQueries

INSERT = "INSERT INTO metrics (run_id, benchmark, category, name, value, stderr, ci_low, ci_high, n, position) VALUES"


@pytest.fixture
def connection(tmp_path: Path):
    made = open_database(tmp_path / "db.duckdb")
    made.execute(f"{INSERT} ('r', 'b', '', 'pass@1', 0.5, 0.1, 0.4, 0.6, 10, 0)")
    yield made
    made.close()


def ask(connection: duckdb.DuckDBPyConnection, sql: str, format: str) -> bytes:
    answer = io.BytesIO()
    LocalQueries(connection).user_query(sql, format, answer)
    return answer.getvalue()


def test_rows_come_in_every_format(connection, tmp_path: Path) -> None:
    sql = "SELECT benchmark, value FROM metrics; -- both"
    assert json.loads(ask(connection, sql, "table")) == {"columns": ["benchmark", "value"], "rows": [["b", 0.5]]}
    assert json.loads(ask(connection, sql, "json")) == [{"benchmark": "b", "value": 0.5}]
    assert json.loads(ask(connection, sql, "jsonl")) == {"benchmark": "b", "value": 0.5}
    assert ask(connection, sql, "csv") == b"benchmark,value\nb,0.5\n"
    parquet = tmp_path / "x.parquet"
    parquet.write_bytes(ask(connection, sql, "parquet"))
    assert duckdb.sql(f"SELECT * FROM '{parquet}'").fetchall() == [("b", 0.5)]


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 1 AS a, 2 AS a", "VALUES (1, 'x')", "FROM metrics", "TABLE metrics", "DESCRIBE metrics",
        "SHOW TABLES", "SUMMARIZE metrics", "WITH t AS (SELECT 1 AS x) FROM t", "SELECT 1 -- a comment",
        "SELECT 'é;' AS é /* ; */ ; -- ;", "EXPLAIN SELECT 1",
        "EXPLAIN ANALYZE SELECT * FROM metrics", "SELECT * FROM range(3), unnest([1, 2])",
        "SELECT * FROM duckdb_tables()", "FROM pragma_table_info('metrics')",
        f"SELECT {'+'.join(['1'] * 400)}", """SELECT '"type":"TABLE_FUNCTION"' AS text""",
    ],
)  # fmt: skip
def test_what_reads_is_allowed(connection, sql: str) -> None:
    assert json.loads(ask(connection, sql, "table"))["rows"]
    if not sql.startswith("EXPLAIN"):
        assert ask(connection, sql, "csv").count(b"\n") > 1


READ = "queries only read"


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("DELETE FROM metrics", READ),
        ("INSERT INTO metrics SELECT * FROM metrics", READ),
        ("DROP TABLE metrics", READ),
        ("SELECT 1; DROP TABLE metrics", "one statement"),
        ("WITH t AS (SELECT 1) UPDATE metrics SET value = 1", READ),
        ("CREATE TEMP TABLE t AS SELECT 1", READ),
        ("CREATE TEMP MACRO m() AS 1", READ),
        ("PREPARE p AS SELECT 1", READ),
        ("CHECKPOINT", READ),
        ("VACUUM", READ),
        ("BEGIN", READ),
        ("ATTACH 'OUT/x.db'", READ),
        ("ATTACH ':memory:' AS m", READ),
        ("COPY metrics TO 'OUT/x.csv'", READ),
        ("COPY (SELECT 1) TO 'OUT/x.csv'", READ),
        ("EXPLAIN COPY metrics TO 'OUT/x.csv'", READ),
        ("EXPLAIN ANALYZE COPY metrics TO 'OUT/x.csv'", READ),
        ("explain  analyze\ncopy metrics to 'OUT/x.csv'", READ),
        ("EXPLAIN/**/ANALYZE/**/COPY metrics TO 'OUT/x.csv'", "EXPLAIN is written as"),
        ("EXPLAIN (ANALYZE) COPY metrics TO 'OUT/x.csv'", READ),
        ("EXPLAIN ANALYZE DELETE FROM metrics", READ),
        ("EXPORT DATABASE 'OUT'", READ),
        ("IMPORT DATABASE 'OUT'", READ),
        ("CALL enable_logging(storage = 'file', storage_path = 'OUT')", READ),
        ("SELECT * FROM enable_logging(storage = 'file', storage_path = 'OUT')", "enable_logging"),
        ("SELECT * FROM query('SELECT * FROM enable_logging()')", '"query"'),
        ("PRAGMA enable_profiling", READ),
        ("PRAGMA profiling_output = 'OUT/x'", READ),
        ("SET threads = 1", READ),
        ("RESET memory_limit", READ),
        ("SET enable_external_access = true", READ),
        ("INSTALL httpfs", READ),
        ("LOAD httpfs", READ),
        ("SELECT getenv('HOME')", "getenv"),
        ("SELECT * FROM read_csv('OUT/secret.csv')", "read_csv"),
        ("SELECT * FROM system.main.read_text('OUT/secret.csv')", "read_text"),
        ("WITH t AS (FROM read_blob('OUT/secret.csv')) SELECT count(*) FROM t", "read_blob"),
        ("SELECT (SELECT count(*) FROM glob('/etc/*'))", "glob"),
        ("SELECT * FROM sniff_csv('OUT/secret.csv')", "sniff_csv"),
        ("FROM 'OUT/secret.csv'", "disabled by configuration"),
        ("SELECT * FROM 'OUT/secret.parquet'", "disabled by configuration"),
        ("FROM arrow_scan(0, 0, 0)", "arrow_scan"),
        ("UPDATE texts SET text = ''", READ),
        ("INSERT INTO texts VALUES ('x', 'y')", READ),
        ("MERGE INTO metrics USING metrics m ON false WHEN NOT MATCHED THEN INSERT VALUES (1)", READ),
        ("ALTER TABLE metrics ADD COLUMN x INTEGER", READ),
        ("CREATE OR REPLACE VIEW metrics AS SELECT 1", READ),
        ("WITH t AS (DELETE FROM metrics RETURNING *) SELECT * FROM t", "the query failed"),
        ("COPY metrics FROM 'OUT/secret.csv'", READ),
        ("FORCE INSTALL httpfs", READ),
        ("INSTALL httpfs FROM community", READ),
        ("LOAD 'OUT/secret.duckdb_extension'", READ),
        ("UPDATE EXTENSIONS", READ),
        ("SELECT * FROM read_parquet('OUT/secret.csv')", "read_parquet"),
        ("SELECT * FROM read_json_auto('OUT/secret.csv')", "read_json_auto"),
        ("SELECT * FROM 'https://localhost/secret.csv'", "disabled by configuration"),
        ("SELECT * FROM duckdb_extensions()", "duckdb_extensions"),
        ("SELECT * FROM duckdb_secrets()", "duckdb_secrets"),
        ("FROM checkpoint()", "checkpoint"),
        ("FROM connection", "connection"),
    ],
)
def test_a_query_only_reads_this_database(connection, tmp_path: Path, sql: str, said: str) -> None:
    secret = tmp_path / "secret.csv"
    secret.write_text("a,b\n1,2\n")
    before = sorted(tmp_path.rglob("*"))
    for kind in ("table", "json", "csv"):
        with pytest.raises(UsageError, match=re.escape(said)):
            ask(connection, sql.replace("OUT", str(tmp_path)), kind)
    assert sorted(tmp_path.rglob("*")) == before
    assert connection.execute("SELECT value FROM metrics").fetchall() == [(0.5,)]


def test_the_connection_itself_refuses_files_and_settings(connection, tmp_path: Path) -> None:
    """Behind the check of the statement: what a way round it would meet."""
    for sql in (
        f"COPY metrics TO '{tmp_path / 'x.csv'}'",
        f"ATTACH '{tmp_path / 'x.db'}'",
        "FROM read_text('/etc/hostname')",
        "CALL enable_logging()",
        "SET enable_external_access = true",
        "SET memory_limit = '1TB'",
    ):
        with pytest.raises(duckdb.Error, match="disabled by configuration|has been locked"):
            connection.execute(sql)


def test_database_log_and_temporary_files_are_the_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "home" / "db.duckdb"
    made = open_database(path)
    for name in ("a", "b"):
        made.execute(f"{INSERT} (?, 'b', '', 'pass@1', 0.5, 0.1, 0.4, 0.6, 10, 0)", [name])
        found = {p.name: oct(p.stat().st_mode & 0o777) for p in (path.parent, *path.parent.iterdir())}
        assert found == {"home": "0o700", "db.duckdb": "0o600", "db.duckdb.wal": "0o600", "db.duckdb.tmp": "0o700"}
    made.close()
    path.chmod(0o644)
    open_database(path).close()
    assert path.stat().st_mode & 0o777 == 0o600


FORMULAS = ["=1+1", "+1", "-1+2", "@SUM(1)", "\tx", "\rx", "\nx", "-5", "\uff1d1"]


def test_cells_that_begin_like_a_formula_are_text(connection) -> None:
    for value in FORMULAS:
        connection.execute(f"{INSERT} (?, 'b', '', 'x', -0.5, NULL, 0.4, 0.6, -10, 0)", [value])
    sql = """
    SELECT run_id, value, n, [run_id] AS l, run_id AS "=name", '-3'::JSON AS j FROM metrics WHERE n < 0 ORDER BY rowid
    """
    rows = list(csv.reader(io.StringIO(ask(connection, sql, "csv").decode(), newline="")))
    assert rows[0] == ["run_id", "value", "n", "l", "'=name", "j"]
    assert [row[0] for row in rows[1:]] == [f"'{value}" for value in FORMULAS]
    assert {tuple(row[1:3]) for row in rows[1:]} == {("-0.5", "-10")}
    assert {row[5] for row in rows[1:]} == {"-3"}
    exact = [json.loads(line)["run_id"] for line in ask(connection, sql, "jsonl").splitlines()]
    assert exact == FORMULAS


@pytest.mark.parametrize(
    ("sql", "said"), [("SELEC 1", "not SQL"), ("SELECT * FROM nothing", "nothing"), ("", "one statement")]
)
def test_a_bad_query_is_one_clear_line(connection, sql: str, said: str) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        ask(connection, sql, "table")
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


def test_an_engine_that_lets_go_of_its_database_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "stackbench.duckdb"
    Writer(path).close()
    holds = (
        "import sys; from pathlib import Path; from stackbench.store import Writer; "
        "writer = Writer(Path(sys.argv[1])); print('held', flush=True); sys.stdin.readline(); writer.close()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", holds, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdin is not None and holder.stdout is not None and holder.stdout.readline() == "held\n"
        ends = threading.Timer(0.5, lambda: (holder.stdin.write("\n"), holder.stdin.close()))
        ends.start()
        queries = open_queries(path, tmp_path / "engine.sock")
        assert queries.rows("SELECT count(*) FROM runs") == [(0,)]
        queries.close()


def test_an_engine_that_dies_leaves_no_socket_open(tmp_path: Path) -> None:
    path = tmp_path / "engine.sock"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()

        def greet_and_die() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(1 << 16)
                welcome = Welcome(version="", pid=os.getpid(), home="", started_at="", seq=0)
                connection.sendall(welcome.model_dump_json().encode() + b"\n")

        thread = threading.Thread(target=greet_and_die)
        thread.start()
        queries = RemoteQueries(path)
        thread.join()
    with pytest.raises(StoreError, match="did not answer the query"):
        queries.rows("SELECT 1", ["x" * (1 << 20)])
    queries.close()  # what the engine did not take is not written now either
