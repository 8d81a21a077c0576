"""Records of any content become rows, or an error of that one attempt: none of them fails a batch, or the run."""

from __future__ import annotations

import math
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stackbench.errors import StoreError
from stackbench.store import RunRow, Writer
from stackbench.types import AttemptKey, AttemptRecord, AttemptStatus, EventRecord, ToolCallRecord

NOW = datetime(2026, 1, 2, 3, 4, 5)


def record(task: str, **more: Any) -> AttemptRecord:
    values: dict[str, Any] = {
        "key": AttemptKey("humaneval", task, 0, 0), "category": "", "status": AttemptStatus.COMPLETED, "score": 1.0,
        "passed": True, "error": None, "prompt": "p", "completion": "c", "prompt_tokens": 3, "completion_tokens": 4,
        "started_at": NOW, "latency_s": 0.5, "metrics": {},
    }  # fmt: skip
    return AttemptRecord(**{**values, **more})


@pytest.fixture
def writer(tmp_path: Path):
    made = Writer(tmp_path / "db.duckdb")
    made.start_run(RunRow("r1", "smoke", NOW, "oracle", {}, (0,), "abc", {}))
    yield made
    made.close()


def stored(writer: Writer, columns: str, task: str = "odd") -> tuple[Any, ...]:
    writer.flush()
    rows = writer.cursor().execute(f"SELECT {columns} FROM attempts WHERE task_id = ?", [task]).fetchall()
    assert len(rows) == 1
    return rows[0]


ODD_TEXTS = ["a\x00b", "\ud800", "\udfff x", "\U0010ffff", "x" * 2_000_000, "\x1b[31m", "", "'; DROP TABLE runs; --"]


@pytest.mark.parametrize("text", ODD_TEXTS)
def test_texts_of_any_content_are_stored(writer: Writer, text: str) -> None:
    odd = record("odd", prompt=text, completion=text, thought=text, program=text, error=text, category=text)
    event = EventRecord("humaneval", "odd", 0, 0, 1, NOW, "model_call", {text: text})
    call = ToolCallRecord(1, text, text, True, text, text, 1.0)
    writer.attempt("r1", odd, [event], [call])
    writer.attempt("r1", record("plain"))
    assert stored(writer, "status", "plain") == ("completed",)
    status, completion = stored(writer, "status, completion")
    assert status == "completed"
    assert completion == text.encode("utf-8", "backslashreplace").decode()


@pytest.mark.parametrize(
    ("number", "count", "real"),
    [
        (2**31 - 1, 2**31 - 1, float(2**31 - 1)),
        (2**31, None, float(2**31)),
        (2**63, None, float(2**63)),
        (10**400, None, None),
        (-1, None, -1.0),
        (math.nan, None, None),
        (math.inf, None, math.inf),
        ("7", None, 7.0),
        ("many", None, None),
        (None, None, None),
        (True, None, 1.0),
        ([], None, None),
        ({}, None, None),
        (np.float64(2.0), 2, 2.0),
    ],
)
def test_numbers_of_any_size_and_type(writer: Writer, number: Any, count: int | None, real: float | None) -> None:
    odd = record("odd", prompt_tokens=number, completion_tokens=number, latency_s=number, score=number)
    writer.attempt("r1", odd, [], [ToolCallRecord(1, "t", "{}", True, None, None, number)])
    assert stored(writer, "prompt_tokens, completion_tokens, latency_s, score") == (count, count, real, real)


@pytest.mark.parametrize(
    "metrics",
    [{"a": math.nan}, {"a": np.float64(1.5)}, {"a": {1, 2}}, {"a": b"x"}, {("a", 1): 2}, {1: 2}, {"a": object()},
     {"a": 10**400}, {"a": -math.inf, "b": [{"c": math.nan}]}],
)  # fmt: skip
def test_metrics_of_any_type_are_stored(writer: Writer, metrics: dict[Any, Any]) -> None:
    writer.attempt("r1", record("odd", metrics=metrics))
    assert stored(writer, "status") == ("completed",)


@pytest.mark.parametrize("change", [{"prompt": 7}, {"error": ["x"]}, {"thought": None}, {"completion": {"a": 1}}])
def test_values_of_a_wrong_type_are_stored_as_text(writer: Writer, change: dict[str, Any]) -> None:
    writer.attempt("r1", record("odd", **change))
    assert stored(writer, "status") == ("completed",)


@pytest.mark.parametrize("change", [{"started_at": "never"}, {"started_at": 7}])
def test_an_attempt_that_cannot_be_stored_is_an_error_of_its_own(writer: Writer, change: dict[str, Any]) -> None:
    """The database's own refusal: the other rows of the batch are stored."""
    for number in range(5):
        writer.attempt("r1", record(f"before/{number}"))
    odd = record("odd", **change)
    writer.attempt("r1", odd)
    for number in range(5):
        writer.attempt("r1", record(f"after/{number}"))
    try:
        writer.flush()
    except StoreError:
        pytest.fail("one row failed the writer")
    count = "SELECT count(*) FROM attempts WHERE status = 'completed'"
    assert writer.cursor().execute(count).fetchone() == (10,)
    assert writer.failure is None


def test_an_event_that_cannot_be_stored_costs_its_attempt_only(writer: Writer) -> None:
    bad = EventRecord("humaneval", "odd", 0, 0, 2**70, NOW, "model_call", {})
    writer.attempt("r1", record("odd"), [bad])
    writer.attempt("r1", record("plain"), [EventRecord("humaneval", "plain", 0, 0, 1, NOW, "model_call", {})])
    assert stored(writer, "status", "plain") == ("completed",)
    status, error = stored(writer, "status, error")
    assert status == "error" and error.startswith("error: the attempt cannot be recorded: ")


def test_a_call_with_a_fault_reaches_who_waits_and_the_writer_goes_on(writer: Writer) -> None:
    def fault(connection: Any) -> None:
        raise TypeError("a fault")

    with pytest.raises(StoreError, match="a fault"):
        writer._call(fault)
    writer.attempt("r1", record("plain"))
    assert stored(writer, "status", "plain") == ("completed",)


def test_a_fault_that_nobody_expected_is_told_and_not_waited_for_without_end(writer: Writer) -> None:
    def fault(connection: Any) -> None:
        raise ZeroDivisionError("a fault")

    with pytest.raises(StoreError, match="a fault"):
        writer._call(fault)
    with pytest.raises(StoreError):
        writer.flush()
