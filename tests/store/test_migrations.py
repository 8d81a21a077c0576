"""Databases of older versions are brought up to date when they are opened, and keep what they hold."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import duckdb
import pytest

from stackbench.store import SCHEMA_VERSION, LocalQueries, Reader, Writer, open_database
from stackbench.types import AttemptKey, Metric


def old_database(path: Path, version: int) -> duckdb.DuckDBPyConnection:
    """A database as the stackbench of that schema made it."""
    connection = duckdb.connect(str(path))
    connection.execute("CREATE TABLE schema_version (version INTEGER PRIMARY KEY, applied_at TIMESTAMP)")
    for item in sorted(resources.files("stackbench.store").joinpath("schema").iterdir(), key=lambda item: item.name):
        if item.name.endswith(".sql") and int(item.name[:4]) <= version:
            connection.execute(item.read_text(encoding="utf-8"))
            connection.execute("INSERT INTO schema_version VALUES (?, now())", [int(item.name[:4])])
    return connection


@pytest.mark.parametrize("read_only", [False, True])
def test_ranges_that_stood_as_confidence_intervals_become_ranges(tmp_path: Path, read_only: bool) -> None:
    path = tmp_path / "db.duckdb"
    with old_database(path, 4) as connection:
        connection.execute(
            "INSERT INTO metrics VALUES ('r', 'throughput', 'c1', 'ttft_ms_p50', 5, 1, 4, 6, 3),"
            "('r', 'humaneval', '', 'pass@1', 0.5, 0.1, 0.4, 0.6, 20)"
        )
    with open_database(path, read_only=read_only) as connection:
        columns = "benchmark, stderr, ci_low, ci_high, low, high, interval_kind"
        assert connection.execute(f"SELECT {columns} FROM metrics ORDER BY benchmark").fetchall() == [
            ("humaneval", 0.1, 0.4, 0.6, None, None, "confidence"),
            ("throughput", None, None, None, 4.0, 6.0, "range"),
        ]


@pytest.mark.parametrize("read_only", [False, True])
def test_a_home_of_the_schema_before_is_read_with_all_it_holds(tmp_path: Path, read_only: bool) -> None:
    path = tmp_path / "db.duckdb"
    with old_database(path, 6) as connection:
        connection.execute(
            "INSERT INTO runs VALUES ('r1', 'eval', 'completed', now(), now(), 'null', '{}', [0, 7], 'abc', '{}')"
        )
        connection.execute(
            "INSERT INTO attempts SELECT 'r1', 'gsm8k', 't', 0, seed, '', 'completed', 1, true, NULL, 'p', 'c', 1, 2, "
            "now(), 0.5, '{}', '', NULL, 'stop' FROM (VALUES (0), (7)) s(seed)"
        )
        connection.execute(
            "INSERT INTO events VALUES "
            "('r1', 'gsm8k', 't', 0, 1, now(), 'model_call', '{\"text\": \"a\", \"seed\": 0}'),"
            "('r1', 'gsm8k', 't', 0, 2, now(), 'model_call', '{\"text\": \"b\", \"seed\": 7}'),"
            "('r1', '', '', 0, 3, now(), 'notice', '{\"text\": \"hello\"}')"
        )
        for name in ("strict", "robust", "acc"):  # as the benchmark ordered them
            connection.execute("INSERT INTO metrics VALUES ('r1', 'gsm8k', '', ?, 0.5, 0.1, 0.4, 0.6, 2)", [name])
        connection.execute("INSERT INTO metrics VALUES ('r1', 'gsm8k', 'c1', 'speed', 5, NULL, NULL, NULL, 3)")
        connection.execute("INSERT INTO ranges VALUES ('r1', 'gsm8k', 'c1', 'speed', 4, 6)")
    connection = open_database(path, read_only=read_only)
    reader = Reader(LocalQueries(connection))
    assert reader.run("r1").git_commit == "abc"
    assert [(key.seed, payload["text"]) for key, payload in reader.model_calls("r1")] == [(0, "a"), (7, "b")]
    details = list(reader.sample("r1", "t"))
    assert [(one.key, [payload["text"] for _, payload in one.events], one.reason) for one in details] == [
        (AttemptKey("gsm8k", "t", 0, 0), ["a"], None),
        (AttemptKey("gsm8k", "t", 0, 7), ["b"], None),
    ]
    (result,) = reader.results("r1")
    assert [metric.name for metric in result.metrics] == ["strict", "robust", "acc", "speed"]
    assert result.metrics[-1] == Metric("speed", 5, None, None, None, 3, "c1", 4.0, 6.0)
    assert connection.execute("SELECT seed FROM events WHERE kind = 'notice'").fetchall() == [(None,)]
    connection.close()
    writer = Writer(path)  # and it goes on
    assert writer.cursor().execute("SELECT max(version) FROM schema_version").fetchone() == (SCHEMA_VERSION,)
    writer.resume_run("r1")
    writer.texts(["new"])
    writer.close()
