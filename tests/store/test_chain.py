"""Every committed attempt has its entry in the hash chain of its run, and the chain can be computed again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest

from stackbench.store import RunRow, Writer
from stackbench.store.chain import (
    CHAIN_COLUMNS,
    GENESIS,
    SEALED,
    ChainEntry,
    attempt_sha256,
    evidence_sha256,
    link,
    run_seal,
)
from stackbench.store.writer import ATTEMPT_COLUMNS
from stackbench.types import AttemptKey, AttemptRecord, AttemptStatus, EventRecord, Metric, RunStatus, ToolCallRecord

NOW = datetime(2026, 1, 2, 3, 4, 5, 678)
RUN = RunRow("r1", "eval", NOW, "oracle", {"a": 1}, (0, 7), "abc", {"cpu": "x"})


def record(task: str, *, status: AttemptStatus = AttemptStatus.COMPLETED, **more: Any) -> AttemptRecord:
    values: dict[str, Any] = {
        "key": AttemptKey("humaneval", task, 0, 0), "category": "c", "status": status, "score": 1 / 3, "passed": True,
        "error": None, "prompt": "pé\n", "completion": "a;b:c", "prompt_tokens": 3, "completion_tokens": 4,
        "started_at": NOW, "latency_s": 0.1, "metrics": {"exec_s": 0.1, "é": "ü"}, "program": "x = 1",
    }  # fmt: skip
    return AttemptRecord(**{**values, **more})


def events(task: str) -> list[EventRecord]:
    return [EventRecord("humaneval", task, 0, 0, seq, NOW, "model_call", {"text": f"ä{seq}"}) for seq in (1, 2)]


CALL = ToolCallRecord(1, "exec", '{"command": "ls"}', True, "a.txt", None, 1.25)


@pytest.fixture
def writer(tmp_path: Path):
    made = Writer(tmp_path / "db.duckdb")
    made.start_run(RUN)
    yield made
    made.close()


def entries(cursor: duckdb.DuckDBPyConnection) -> list[ChainEntry]:
    rows = cursor.execute(f"SELECT {CHAIN_COLUMNS} FROM attempt_chain ORDER BY position").fetchall()
    return [ChainEntry(*row) for row in rows]


def linked(found: Sequence[ChainEntry]) -> bool:
    before = GENESIS
    for place, entry in enumerate(found):
        before = link(before, place, entry.kind, entry.row_sha256)
        if (entry.position, entry.chain_sha256) != (place, before):
            return False
    return True


def test_entries_are_in_the_order_of_commits_and_linked(writer: Writer) -> None:
    for task in ("t/2", "t/1", "t/3"):
        writer.attempt("r1", record(task))
    writer.flush()
    writer.attempt("r1", record("t/0"))
    writer.finish_run("r1", RunStatus.COMPLETED, NOW, {"humaneval": [Metric("pass@1", 1.0, 0.0, 0.2, 1.0, 4)]})
    found = entries(writer.cursor())
    assert [(one.kind, one.task_id) for one in found] == [
        ("begin", None), *(("attempt", task) for task in ("t/2", "t/1", "t/3", "t/0")), ("end", None),
    ]  # fmt: skip
    assert linked(found)


def test_an_entry_is_computed_again_from_the_stored_row_and_its_evidence(writer: Writer) -> None:
    writer.attempt("r1", record("t/1"), events("t/1"), [CALL])
    writer.attempt("r1", record("t/2", score=None, passed=None, completion="\ud800", metrics={}))
    writer.flush()
    cursor = writer.cursor()
    rows = cursor.execute(f"SELECT {ATTEMPT_COLUMNS} FROM attempts ORDER BY rowid").fetchall()
    made = cursor.execute("SELECT seq, kind, payload FROM events ORDER BY seq").fetchall()
    columns = "step, tool, arguments, valid, result, error, duration_ms"
    calls = cursor.execute(f"SELECT {columns} FROM tool_calls").fetchall()
    hashes = [attempt_sha256(rows[0], evidence_sha256(made, calls)), attempt_sha256(rows[1])]
    assert [one.row_sha256 for one in entries(cursor) if one.kind == "attempt"] == hashes


def test_what_is_taken_back_has_an_entry_and_its_second_making_another(writer: Writer) -> None:
    writer.attempt("r1", record("t/1", status=AttemptStatus.ERROR, score=None, passed=None, error="error: no"))
    writer.attempt("r1", record("t/2"))
    writer.resume_run("r1")
    writer.attempt("r1", record("t/1"))
    writer.take_back("r1", [AttemptKey("humaneval", "t/2", 0, 0)])
    writer.attempt("r1", record("t/2", passed=False))
    writer.flush()
    found = entries(writer.cursor())
    assert [(one.kind, one.task_id) for one in found[1:]] == [
        ("attempt", "t/1"), ("attempt", "t/2"), ("removed", "t/1"), ("attempt", "t/1"), ("removed", "t/2"),
        ("attempt", "t/2"),
    ]  # fmt: skip
    assert found[3].row_sha256 == found[1].row_sha256 and found[5].row_sha256 == found[2].row_sha256
    assert linked(found)


def test_the_chain_goes_on_in_another_process_of_the_run(tmp_path: Path) -> None:
    path = tmp_path / "db.duckdb"
    for task in ("t/1", "t/2"):
        writer = Writer(path)
        if task == "t/1":
            writer.start_run(RUN)
        writer.attempt("r1", record(task))
        writer.close()
    with duckdb.connect(str(path)) as connection:
        found = entries(connection)
    assert [one.task_id for one in found] == [None, "t/1", "t/2"]
    assert linked(found)


def test_the_end_seals_the_run_its_benchmarks_and_its_metrics(writer: Writer) -> None:
    writer.attempt("r1", record("t/1"))
    writer.finish_run("r1", RunStatus.COMPLETED, NOW, {"humaneval": [Metric("pass@1", 1.0, 0.0, 0.2, 1.0, 1)]})
    cursor = writer.cursor()

    def sealed() -> str:
        return run_seal([cursor.execute(sql, ["r1"]).fetchall() for sql in SEALED])

    (end,) = [one for one in entries(cursor) if one.kind == "end"]
    assert end.row_sha256 == sealed()
    writer.change(lambda connection: connection.execute("UPDATE metrics SET ci_high = 0.99"))
    assert end.row_sha256 != sealed()


def test_a_transaction_that_fails_leaves_no_entry(writer: Writer) -> None:
    """An attempt that a column does not take becomes an error, with one entry."""
    writer.attempt("r1", record("t/0"))
    writer.attempt("r1", replace(record("t/1"), started_at="never"))  # type: ignore[arg-type]
    writer.attempt("r1", record("t/2"))
    writer.flush()
    found = entries(writer.cursor())
    assert [one.task_id for one in found] == [None, "t/0", "t/1", "t/2"]
    assert linked(found)


def test_a_run_of_an_older_version_gets_no_chain(tmp_path: Path) -> None:
    path = tmp_path / "db.duckdb"
    writer = Writer(path)
    writer.start_run(RUN)
    writer.close()
    with duckdb.connect(str(path)) as connection:
        connection.execute("DELETE FROM attempt_chain")
    writer = Writer(path)
    writer.resume_run("r1")
    writer.attempt("r1", record("t/1"))
    writer.finish_run("r1", RunStatus.COMPLETED, NOW, {})
    assert entries(writer.cursor()) == []
    writer.close()


def test_a_run_is_deleted_with_its_chain(writer: Writer) -> None:
    writer.attempt("r1", record("t/1"))
    writer.delete_run("r1")
    assert entries(writer.cursor()) == []
