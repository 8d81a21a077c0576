from __future__ import annotations

import hashlib
import json
import threading
from dataclasses import replace
from datetime import datetime
from importlib import resources
from pathlib import Path

import duckdb
import pytest

from stackbench.errors import StoreError, StoreLockedError
from stackbench.store import SCHEMA_VERSION, LocalQueries, Reader, RunRow, Writer, open_database
from stackbench.store.documents import hash_text
from stackbench.store.writer import ResourceRow
from stackbench.types import AttemptKey, AttemptRecord, AttemptStatus, EventRecord, Metric, RunStatus, ToolCallRecord

NOW = datetime(2026, 1, 2, 3, 4, 5)
RUN = RunRow("r1", "smoke", NOW, "oracle", {"a": 1}, (0, 7), "abc", {"cpu": "x"})


def record(task: str, *, status: AttemptStatus = AttemptStatus.COMPLETED, passed: bool = True, **more: object):
    completed = status is AttemptStatus.COMPLETED
    values = {
        "key": AttemptKey("humaneval", task, 0, 0),
        "category": "",
        "status": status,
        "score": 1.0 if completed else None,
        "passed": passed if completed else None,
        "error": None,
        "prompt": "p",
        "completion": "c",
        "prompt_tokens": 3,
        "completion_tokens": 4,
        "started_at": NOW,
        "latency_s": 0.5,
        "metrics": {"exec_s": 0.1},
    }
    return AttemptRecord(**{**values, **more})


def event(task: str, seq: int, seed: int = 0) -> EventRecord:
    return EventRecord("humaneval", task, 0, seed, seq, NOW, "model_call", {"n": seq})


@pytest.fixture
def writer(tmp_path: Path):
    made = Writer(tmp_path / "db.duckdb")
    made.start_run(RUN)
    yield made
    made.close()


def test_why_a_run_failed_in_the_queue_is_kept_until_it_goes_on(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "db.duckdb")
    writer.start_run(replace(RUN, environment={}, git_commit=None), status=RunStatus.QUEUED)
    writer.leave_queue("r1", RunStatus.FAILED, NOW, "no data")
    found = writer.change(lambda connection: Reader(LocalQueries(connection)).run("r1"))
    assert (found.status, found.problem, found.finished_at) == ("failed", "no data", str(NOW))
    writer.resume_run("r1", environment={"stackbench": "1"}, git_commit="abc")
    found = writer.change(lambda connection: Reader(LocalQueries(connection)).run("r1"))
    assert (found.status, found.problem, found.environment) == ("running", "", {"stackbench": "1"})
    writer.close()


def test_what_is_written_is_read_back(writer: Writer) -> None:
    writer.attempt("r1", record("t/1"), [event("t/1", 1), event("t/1", 2)])
    writer.resources("r1", ResourceRow(NOW, cpu=0.5, rss=1024, tokens_per_s=10.0, running=2, waiting=0))
    metric = Metric("pass@1", 1.0, 0.0, 0.2, 1.0, 1)
    writer.finish_run("r1", RunStatus.COMPLETED, NOW, {"humaneval": [metric]}, {"gpu": "none"})
    reader = Reader(LocalQueries(writer.cursor()))
    run = reader.run("r1")
    assert (run.status, run.model, run.seeds, run.config) == ("completed", "oracle", (0, 7), {"a": 1})
    assert run.environment == {"gpu": "none"}
    (result,) = reader.results("r1")
    assert (result.tasks, result.attempts, result.errors, result.metrics) == (1, 1, 0, (metric,))
    (attempt,) = reader.sample("r1", "humaneval/t/1")
    assert [payload["n"] for _, payload in attempt.events] == [1, 2]
    assert reader.last_seq("r1") == 2


def test_the_range_of_repeats_is_kept_apart_from_confidence_intervals(writer: Writer) -> None:
    writer.attempt("r1", record("t/1"))
    metric = Metric.of_repeats("output_tok_s", [30.0, 10.0, 20.0], "c8")
    for _ in range(2):  # the second time in place of the first, as when a run is resumed
        writer.finish_run("r1", RunStatus.COMPLETED, NOW, {"humaneval": [metric]})
    queries = LocalQueries(writer.cursor())
    assert Reader(queries).results("r1")[0].metrics == (metric,)
    assert (metric.value, metric.low, metric.high, metric.n) == (20.0, 10.0, 30.0, 3)
    columns = "stderr, ci_low, ci_high, low, high, interval_kind"
    assert queries.rows(f"SELECT {columns} FROM metrics") == [(None, None, None, 10.0, 30.0, "range")]


def test_metrics_keep_their_benchmarks_order_and_name_their_interval(writer: Writer) -> None:
    writer.attempt("r1", record("t/1"))
    names = ["pass@1", "base_pass@1", "a", "Z"]
    found = [Metric(name, 0.5, 0.1, 0.4, 0.6, 10) for name in names] + [Metric("bare", 1.0, None, None, None, 1)]
    writer.finish_run("r1", RunStatus.COMPLETED, NOW, {"humaneval": found})
    queries = LocalQueries(writer.cursor())
    assert [metric.name for metric in Reader(queries).results("r1")[0].metrics] == [*names, "bare"]
    rows = queries.rows("SELECT name, interval_kind, position FROM metrics ORDER BY position")
    assert rows == [*((name, "confidence", n) for n, name in enumerate(names)), ("bare", None, 4)]


def test_texts_that_repeat_are_stored_once(writer: Writer) -> None:
    shots = "Question: 1 + 1\n" * 200
    for number, content in enumerate((shots, shots, "own \ud800", shots)):
        digest, kept = hash_text(content)
        writer.attempt("r1", record(f"t/{number}"), texts={digest: kept})
        writer.flush()
    writer.texts([shots, "a template"])
    writer.flush()
    queries = LocalQueries(writer.cursor())
    found = dict(queries.rows("SELECT text, sha256 FROM texts"))
    assert set(found) == {shots, "own \\ud800", "a template"}
    assert all(hashlib.sha256(text.encode()).hexdigest() == digest for text, digest in found.items())
    assert Reader(queries).texts([found[shots], "0" * 64]) == {found[shots]: shots}


def test_an_attempt_cannot_be_recorded_twice(writer: Writer) -> None:
    writer.attempt("r1", record("t/1"))
    writer.flush()
    writer.attempt("r1", record("t/1"))
    with pytest.raises(StoreError, match="cannot be written"):
        writer.flush()
    with pytest.raises(StoreError):
        writer.attempt("r1", record("t/2"))
    assert writer.cursor().execute("SELECT count(*) FROM attempts").fetchone() == (1,)


def test_attempt_and_events_are_committed_together_or_not_at_all(writer: Writer) -> None:
    writer.attempt("r1", record("t/1"))
    writer.flush()
    writer.attempt("r1", record("t/1"), [event("t/1", 9)])
    with pytest.raises(StoreError):
        writer.flush()
    assert writer.cursor().execute("SELECT count(*) FROM events").fetchone() == (0,)


def test_resuming_takes_errors_back_and_keeps_the_rest(writer: Writer) -> None:
    writer.attempt("r1", record("good"), [event("good", 1)])
    writer.attempt("r1", record("bad", status=AttemptStatus.ERROR), [event("bad", 2)])
    writer.flush()
    writer.resume_run("r1")
    reader = Reader(LocalQueries(writer.cursor()))
    assert reader.done("r1") == {AttemptKey("humaneval", "good", 0, 0)}
    assert writer.cursor().execute("SELECT task_id FROM events").fetchall() == [("good",)]
    writer.attempt("r1", record("bad"))
    writer.flush()


def test_tool_calls_come_and_go_with_their_attempt(writer: Writer) -> None:
    call = ToolCallRecord(1, "read", '{"path": "a"}', True, "text", None, 1.5)
    writer.attempt("r1", record("good"), [], [call, replace(call, step=2)])
    writer.attempt("r1", record("bad", status=AttemptStatus.ERROR), [], [call])
    writer.flush()
    writer.resume_run("r1")
    found = writer.cursor().execute(
        "SELECT benchmark, task_id, seed, step, tool, arguments ->> '$.path', valid, result, error FROM tool_calls"
    )
    assert found.fetchall() == [("humaneval", "good", 0, n, "read", "a", True, "text", None) for n in (1, 2)]


@pytest.mark.parametrize(
    "arguments", ['{"path": ', "", "NaN", '{"a": NaN}', "[" * 100_000, "lone \ud800 surrogate", "\0"]
)
def test_arguments_that_are_no_json_are_kept_as_text(writer: Writer, arguments: str) -> None:
    call = ToolCallRecord(1, "read\0", arguments, False, None, "malformed \ud800", 0.0)
    writer.attempt("r1", record("t/1"), [], [call])
    writer.flush()
    ((kept,),) = writer.cursor().execute("SELECT arguments FROM tool_calls").fetchall()
    assert json.loads(kept) == arguments.encode("utf-8", "backslashreplace").decode()


@pytest.mark.parametrize("text", ["lone \ud800 surrogate", "\\ud800 \udfff", "pair \U0001f389", "\\", "\0", "\\\\ud8"])
def test_any_text_can_stand_in_an_event_and_in_metrics(writer: Writer, text: str) -> None:
    recorded = replace(event("t/1", 1), payload={"code": text, "seed": 0, "odd": [float("nan")]})
    writer.attempt("r1", record("t/1", metrics={"answer": text, "wall_s": float("inf")}), [recorded])
    writer.flush()
    ((payload, metrics),) = writer.cursor().execute("SELECT payload, metrics FROM events, attempts").fetchall()
    assert json.loads(payload)["code"] == text.encode("utf-8", "backslashreplace").decode()
    assert json.loads(payload)["odd"] == [None]
    assert json.loads(metrics)["wall_s"] is None


@pytest.mark.parametrize("text", ["nul \x00 byte", "lone \ud800 surrogate", "emoji 🎉", "", "x" * 10_000_000])
def test_any_text_can_be_stored(writer: Writer, text: str) -> None:
    writer.attempt("r1", record("t/1", completion=text, error=text), [])
    writer.flush()
    ((completion,),) = writer.cursor().execute("SELECT completion FROM attempts").fetchall()
    assert completion == text.encode("utf-8", "backslashreplace").decode()


def test_a_second_writer_is_refused_with_what_to_do(writer: Writer, tmp_path: Path) -> None:
    import subprocess
    import sys

    code = (
        f"from pathlib import Path; from stackbench.store import Writer; Writer(Path({str(tmp_path / 'db.duckdb')!r}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert StoreLockedError.__name__ in done.stderr
    assert "--home" in done.stderr


def test_a_killed_run_is_marked_interrupted_at_the_next_start(writer: Writer) -> None:
    writer.mark_stale_runs()
    assert Reader(LocalQueries(writer.cursor())).run("r1").status == "interrupted"


def test_schema_is_that_of_the_contract(writer: Writer) -> None:
    columns = writer.cursor().execute(
        "SELECT table_name, list(column_name ORDER BY column_index) FROM duckdb_columns() GROUP BY table_name"
    )
    found = dict(columns.fetchall())
    assert found["runs"] == [
        "run_id", "suite", "status", "created_at", "finished_at", "model", "config", "seeds", "git_commit",
        "environment",
    ]  # fmt: skip
    assert found["attempts"] == [
        "run_id", "benchmark", "task_id", "attempt", "seed", "category", "status", "score", "passed", "error", "prompt",
        "completion", "prompt_tokens", "completion_tokens", "started_at", "latency_s", "metrics",
        "thought", "program", "finish_reason", "reason", "error_kind",
    ]  # fmt: skip
    assert found["events"] == ["run_id", "benchmark", "task_id", "attempt", "seed", "seq", "ts", "kind", "payload"]
    assert found["tool_calls"] == [
        "run_id", "task_id", "attempt", "step", "tool", "arguments", "valid", "result", "error", "duration_ms",
        "benchmark", "seed",
    ]  # fmt: skip
    assert found["metrics"] == [
        "run_id", "benchmark", "category", "name", "value", "stderr", "ci_low", "ci_high", "n", "low", "high",
        "interval_kind", "position",
    ]  # fmt: skip
    assert found["texts"] == ["sha256", "text"]
    assert found["resources"] == [
        "run_id", "ts", "gpu", "gpu_util", "vram_used", "vram_total", "cpu", "rss", "kv_cache", "tokens_per_s",
        "running", "waiting", "prefix_queries", "prefix_hits", "preemptions",
    ]  # fmt: skip


def test_a_database_whose_maker_was_killed_at_once_says_so(tmp_path: Path) -> None:
    duckdb.connect(str(tmp_path / "db.duckdb")).close()
    with pytest.raises(StoreError, match="was killed as it started"):
        open_database(tmp_path / "db.duckdb", read_only=True)
    open_database(tmp_path / "db.duckdb").close()
    open_database(tmp_path / "db.duckdb", read_only=True).close()


def test_a_database_of_a_newer_schema_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "db.duckdb"
    open_database(path).close()
    with duckdb.connect(str(path)) as connection:
        connection.execute("INSERT INTO schema_version VALUES (99, now())")
    with pytest.raises(StoreError, match="schema 99.*upgrade"):
        open_database(path)


def test_opening_again_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "db.duckdb"
    for _ in range(2):
        connection = open_database(path)
        assert connection.execute("SELECT max(version) FROM schema_version").fetchone() == (SCHEMA_VERSION,)
        connection.close()


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "db.duckdb"
    path.write_bytes(b"hello" * 1000)
    with pytest.raises(StoreError, match="cannot be opened"):
        open_database(path)


def open_until_refused(writer: Writer, problems: list[Exception]) -> None:
    while True:
        try:
            writer.cursor().close()
        except Exception as problem:
            problems.append(problem)
            return


def test_closing_waits_for_those_who_open_and_refuses_the_rest(tmp_path: Path) -> None:
    for number in range(20):
        writer = Writer(tmp_path / f"{number}.duckdb")
        problems: list[Exception] = []
        readers = [threading.Thread(target=open_until_refused, args=(writer, problems)) for _ in range(4)]
        for reader in readers:
            reader.start()
        writer.close()
        for reader in readers:
            reader.join()
        assert [str(problem) for problem in problems] == ["the database is closed: the run that held it has ended"] * 4
        assert all(isinstance(problem, StoreError) for problem in problems)


def test_a_database_of_the_first_schema_is_brought_up_to_date(tmp_path: Path) -> None:
    path = tmp_path / "db.duckdb"
    first = resources.files("stackbench.store").joinpath("schema", "0001_initial.sql").read_text(encoding="utf-8")
    with duckdb.connect(str(path)) as connection:
        connection.execute(first)
        connection.execute("CREATE TABLE schema_version (version INTEGER PRIMARY KEY, applied_at TIMESTAMP)")
        connection.execute("INSERT INTO schema_version VALUES (1, now())")
        connection.execute("INSERT INTO resources (run_id, ts, cpu) VALUES ('old', now(), 0.5)")
    connection = open_database(path)
    assert connection.execute("SELECT run_id, cpu, prefix_hits FROM resources").fetchone() == ("old", 0.5, None)
    connection.close()


def test_whatever_fails_in_the_writers_thread_reaches_who_waits(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "db.duckdb")
    writer.start_run(RUN)

    def refuse(connection: object) -> None:
        raise RecursionError("no row of this kind")

    writer._put(refuse)
    with pytest.raises(StoreError, match=r"cannot be written: .*no row of this kind"):
        writer.flush()
    with pytest.raises(StoreError, match="no row of this kind"):
        writer.attempt("r1", record("t/2"))
    assert writer.failure is not None
    writer.close()


def test_a_closed_writer_refuses_instead_of_waiting(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "db.duckdb")
    writer.start_run(RUN)
    writer.attempt("r1", record("t/1"))
    writer.close()
    for work in (writer.flush, lambda: writer.attempt("r1", record("t/2")), lambda: writer.resume_run("r1")):
        with pytest.raises(StoreError, match="the database is closed"):
            work()
    writer.close()
    with duckdb.connect(str(tmp_path / "db.duckdb"), read_only=True) as after:
        assert after.execute("SELECT task_id FROM attempts").fetchall() == [("t/1",)]


def test_a_commit_without_memory_ends_queries_and_is_tried_again(
    writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    from stackbench.store import writer as module

    calls: list[str] = []

    def short_of_memory(path: Path) -> None:
        if "made room" not in calls:
            calls.append("full")
            raise duckdb.OutOfMemoryException("no memory")

    monkeypatch.setattr(module, "keep_log_private", short_of_memory)
    writer.make_room = lambda: calls.append("made room")
    writer.attempt("r1", record("t/1"))
    writer.flush()
    assert calls == ["full", "made room"]
    assert writer.cursor().execute("SELECT count(*) FROM attempts").fetchall() == [(1,)]


def test_a_run_is_deleted_with_its_rows_and_texts_that_no_other_run_refers_to(writer: Writer) -> None:
    (own, _), (shared, _), (again, _) = hash_text("own"), hash_text("shared"), hash_text("template")
    texts = {own: "own", shared: "shared", again: "template"}
    writer.start_run(replace(RUN, run_id="r2", environment={"model": {"chat_template": again}}))
    for run_id, digests in (("r1", [own, shared, again]), ("r2", [shared])):
        asked = replace(event("t/1", 1), payload={"request": {"messages": digests}})
        writer.attempt(run_id, record("t/1"), [asked], texts=texts)
    writer.finish_run("r1", RunStatus.COMPLETED, NOW, {"humaneval": [Metric("pass@1", 1.0, 0.0, 0.2, 1.0, 1)]}, {})
    writer.delete_run("r1")
    cursor = writer.cursor()
    tables = [
        name
        for (name,) in cursor.execute("SELECT table_name FROM duckdb_columns() WHERE column_name = 'run_id'").fetchall()
    ]
    assert "attempts" in tables
    for table in tables:
        assert cursor.execute(f"SELECT count(*) FROM {table} WHERE run_id = 'r1'").fetchone() == (0,)
    assert cursor.execute("SELECT text FROM texts ORDER BY text").fetchall() == [("shared",), ("template",)]
    writer.attempt(
        "r2", record("t/2"), [replace(event("t/2", 2), payload={"request": {"messages": [own]}})], texts=texts
    )
    writer.flush()
    assert ("own",) in cursor.execute("SELECT text FROM texts").fetchall()
