"""The only writer of the database: one thread that takes rows from a queue and commits them in batches."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import asdict, astuple, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar, cast

import duckdb

from stackbench.errors import ErrorKind, StoreError, UsageError, one_line
from stackbench.store.chain import ChainWriter, evidence_sha256
from stackbench.store.database import keep_log_private, open_database
from stackbench.store.deletion import delete_rows
from stackbench.store.documents import document, hash_text, text
from stackbench.store.insertion import insert_rows, names_of, typed_columns
from stackbench.store.results import MissingMetric
from stackbench.store.rows import BenchmarkRow, attempt_row, benchmark_row, event_row, metric_row, tool_call_row
from stackbench.types import AttemptKey, AttemptRecord, AttemptStatus, EventRecord, Metric, RunStatus, ToolCallRecord

__all__ = ["ATTEMPT_COLUMNS", "ResourceRow", "RunRow", "Writer"]

T = TypeVar("T")

BATCH_WITHIN_S = 0.1
BATCH_ROWS = 2000
REMEMBERED_TEXTS = 50_000
"""Hashes of texts that are known to be stored: the database is not asked for these again."""
ROW_AT_FAULT = (
    duckdb.DataError, duckdb.InvalidInputException, duckdb.InvalidTypeException, UnicodeError, TypeError, ValueError,
    OverflowError,
)  # fmt: skip
"""What a value that a column does not take raises, in one version of DuckDB or another."""

INSERT_RUN = "INSERT INTO runs VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
KEY = "run_id VARCHAR, benchmark VARCHAR, task_id VARCHAR, attempt INTEGER, seed BIGINT"
ATTEMPTS = typed_columns(f"""
{KEY}, category VARCHAR, status VARCHAR, score DOUBLE, passed BOOLEAN, error VARCHAR, prompt VARCHAR,
completion VARCHAR, prompt_tokens INTEGER, completion_tokens INTEGER, started_at TIMESTAMP, latency_s DOUBLE,
metrics JSON, thought VARCHAR, program VARCHAR, finish_reason VARCHAR, reason VARCHAR, error_kind VARCHAR
""")
"""In the order of `attempt_row`."""
ATTEMPT_COLUMNS = names_of(ATTEMPTS)
EVENTS = typed_columns(f"{KEY}, seq BIGINT, ts TIMESTAMP, kind VARCHAR, payload JSON")
TEXTS = typed_columns("sha256 VARCHAR, text VARCHAR")
TOOL_CALLS = typed_columns(f"""
{KEY}, step INTEGER, tool VARCHAR, arguments JSON, valid BOOLEAN, result VARCHAR, error VARCHAR, duration_ms DOUBLE
""")
INSERT_METRICS = """
INSERT INTO metrics (run_id, benchmark, category, name, value, stderr, ci_low, ci_high, n, low, high, interval_kind,
    position) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
INSERT_RESOURCES = """
INSERT INTO resources (run_id, ts, gpu, gpu_util, vram_used, vram_total, cpu, rss, kv_cache, tokens_per_s, running,
    waiting, prefix_queries, prefix_hits, preemptions) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
INSERT_BENCHMARKS = """
INSERT OR REPLACE INTO run_benchmarks (run_id, benchmark, position, tasks_available, tasks_planned, attempts_planned,
    task_ids, selection, datasets, skipped) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
UPDATE_BENCHMARK = "UPDATE run_benchmarks SET lower_bounds = ?, missing_metrics = ? WHERE run_id = ? AND benchmark = ?"
PLAN_MORE = "UPDATE run_benchmarks SET attempts_planned = attempts_planned + ? WHERE run_id = ? AND benchmark = ?"
SKIP_BENCHMARK = """
UPDATE run_benchmarks SET skipped = ?, tasks_planned = 0, attempts_planned = 0, task_ids = []
WHERE run_id = ? AND benchmark = ?
"""
DELETE_METRICS = "DELETE FROM metrics WHERE run_id = ?"
UPDATE_STATUS = "UPDATE runs SET status = ?, finished_at = ? WHERE run_id = ?"
FINISH_RUN = """
UPDATE runs SET status = ?, finished_at = ?, environment = coalesce(?, environment) WHERE run_id = ?
"""
FIRST_ENVIRONMENT = """
UPDATE runs SET environment = ?, git_commit = ? WHERE run_id = ? AND environment ->> '$.stackbench' IS NULL
"""
LEAVE_QUEUE = """
UPDATE runs SET status = ?, finished_at = ?, environment = ? WHERE run_id = ? AND status = 'queued'
"""
STALE_RUNS = "UPDATE runs SET status = 'interrupted' WHERE status IN ('running', 'queued')"
DELETE_ERROR_EVENTS = """
DELETE FROM events USING attempts
WHERE events.run_id = ? AND attempts.run_id = events.run_id AND attempts.benchmark = events.benchmark
    AND attempts.task_id = events.task_id AND attempts.attempt = events.attempt AND attempts.status = 'error'
    AND events.seed = attempts.seed
"""
DELETE_ERROR_CALLS = """
DELETE FROM tool_calls USING attempts
WHERE tool_calls.run_id = ? AND attempts.run_id = tool_calls.run_id AND attempts.benchmark = tool_calls.benchmark
    AND attempts.task_id = tool_calls.task_id AND attempts.attempt = tool_calls.attempt
    AND attempts.seed = tool_calls.seed AND attempts.status = 'error'
"""
DELETE_ATTEMPT = """
DELETE FROM attempts WHERE run_id = ? AND benchmark = ? AND task_id = ? AND attempt = ? AND seed = ?
"""
DELETE_ATTEMPT_CALLS = """
DELETE FROM tool_calls WHERE run_id = ? AND benchmark = ? AND task_id = ? AND attempt = ? AND seed = ?
"""
DELETE_ATTEMPT_EVENTS = """
DELETE FROM events WHERE run_id = ? AND benchmark = ? AND task_id = ? AND attempt = ? AND seed = ?
"""
DELETE_ERRORS = "DELETE FROM attempts WHERE run_id = ? AND status = 'error'"


@dataclass(frozen=True, slots=True)
class RunRow:
    """A row of `runs` as it is when the run starts."""

    run_id: str
    suite: str
    created_at: datetime
    model: str
    config: Mapping[str, Any]
    seeds: Sequence[int]
    git_commit: str | None
    environment: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ResourceRow:
    """A row of `resources`; bytes, shares 0 to 1; None for what is not known."""

    ts: datetime
    gpu: int | None = None
    gpu_util: float | None = None
    vram_used: int | None = None
    vram_total: int | None = None
    cpu: float | None = None
    rss: int | None = None
    """Of this process and, where it is ours, the model's server."""
    kv_cache: float | None = None
    tokens_per_s: float | None = None
    running: int | None = None
    waiting: int | None = None
    prefix_queries: int | None = None
    """Prompt tokens looked up in the prefix cache since the server's start."""
    prefix_hits: int | None = None
    preemptions: int | None = None


@dataclass(slots=True)
class _Batch:
    attempts: list[tuple[Any, ...]] = field(default_factory=list[tuple[Any, ...]])
    evidence: list[str] = field(default_factory=list[str])
    """Of each attempt, the hash of its events and tool calls."""
    events: list[tuple[Any, ...]] = field(default_factory=list[tuple[Any, ...]])
    tool_calls: list[tuple[Any, ...]] = field(default_factory=list[tuple[Any, ...]])
    texts: dict[str, str] = field(default_factory=dict[str, str])
    calls: list[tuple[Callable[[duckdb.DuckDBPyConnection], Any], Future[Any]]] = field(
        default_factory=list[tuple[Callable[[duckdb.DuckDBPyConnection], Any], "Future[Any]"]]
    )


class Writer:
    """Takes rows from any thread; an attempt and its events are committed together or not at all.

    After a failure (a full disk, say) nothing more is taken: `failure` is set, and every later call raises StoreError.
    """

    def __init__(self, path: Path) -> None:
        self._connection = open_database(path)
        self._path = path
        self._chain = ChainWriter()
        """Of the writer's thread."""
        self._queue: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.failure: StoreError | None = None
        self._taking = threading.Lock()
        self._ending = False
        """Nothing is queued once the thread has been told to end."""
        self._opening = threading.Lock()  # a connection cannot be closed while another thread takes a cursor of it
        self._closed = False
        self._stored_texts: set[str] = set()
        """Of the writer's thread."""
        self.make_room: Callable[[], None] = _no_room
        """Called from the writer's thread when a commit finds no memory, before it is tried again: ends queries."""
        self._thread = threading.Thread(target=self._work, name="store-writer", daemon=True)
        self._thread.start()

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """A connection for reading on another thread; it sees what is committed. Raises StoreError once closed."""
        with self._opening:
            if self._closed:
                raise StoreError("the database is closed: the run that held it has ended")
            return self._connection.cursor()

    def attempt(
        self,
        run_id: str,
        record: AttemptRecord,
        events: Iterable[EventRecord] = (),
        tool_calls: Iterable[ToolCallRecord] = (),
        texts: Mapping[str, str] | None = None,
    ) -> None:
        """Queues an attempt with its events and tool calls; it is done when committed (`flush`).

        `texts` are those that the events refer to, by sha256; what the database has already is not stored again.

        Raises StoreError after a failure.
        """
        key = record.key
        self._put(
            (
                attempt_row(run_id, record),
                [event_row(run_id, event) for event in events],
                [tool_call_row(run_id, key, call) for call in tool_calls],
                texts or {},
            )
        )

    def copy_attempt(
        self,
        row: tuple[Any, ...],
        events: list[tuple[Any, ...]],
        tool_calls: list[tuple[Any, ...]],
        texts: Mapping[str, str],
    ) -> None:
        """As `attempt`, for rows that another run recorded (`stackbench.store.copying`), with this run's id."""
        self._put((row, events, tool_calls, texts))

    def texts(self, contents: Iterable[str]) -> None:
        """Queues texts of the run itself."""
        self._put((None, [], [], dict(map(hash_text, contents))))

    def event(self, run_id: str, event: EventRecord) -> None:
        """Queues an event that belongs to no attempt."""
        self._put((None, [event_row(run_id, event)], [], {}))

    def start_run(
        self, run: RunRow, benchmarks: Sequence[BenchmarkRow] = (), *, status: RunStatus = RunStatus.RUNNING
    ) -> None:
        """Records a run with what it sets out to do, in one transaction, and waits for the commit."""
        row = (run.run_id, run.suite, status.value, run.created_at, None, run.model, document(run.config))
        row = (*row, list(run.seeds), run.git_commit, document(run.environment))
        planned = [benchmark_row(run.run_id, *one) for one in enumerate(benchmarks)]

        def work(connection: duckdb.DuckDBPyConnection) -> None:
            connection.execute(INSERT_RUN, row)
            self._chain.begin(connection, run.run_id)
            if planned:
                connection.executemany(INSERT_BENCHMARKS, planned)

        self._call(work)

    def resume_run(
        self,
        run_id: str,
        benchmarks: Sequence[BenchmarkRow] = (),
        *,
        environment: Mapping[str, Any] | None = None,
        git_commit: str | None = None,
    ) -> None:
        """Marks a run as running again and takes back its errors, so that they are attempted anew.

        What it sets out to do is recorded where an older version did not. A run that was recorded while it waited in a
        queue gets the environment of the process that begins it.
        """
        recorded = None if environment is None else document(environment)
        planned = [benchmark_row(run_id, *one) for one in enumerate(benchmarks)]

        def work(connection: duckdb.DuckDBPyConnection) -> None:
            self._chain.errors_removed(connection, run_id)
            connection.execute(DELETE_ERROR_EVENTS, [run_id])
            connection.execute(DELETE_ERROR_CALLS, [run_id])
            connection.execute(DELETE_ERRORS, [run_id])
            connection.execute(UPDATE_STATUS, [RunStatus.RUNNING.value, None, run_id])
            if recorded is not None:
                connection.execute(FIRST_ENVIRONMENT, [recorded, git_commit, run_id])
            if planned:
                connection.executemany(INSERT_BENCHMARKS, planned)

        self._call(work)

    def skip_benchmark(self, run_id: str, benchmark: str, reason: str) -> None:
        """Records that a benchmark which was planned is left out."""
        self._call(lambda connection: connection.execute(SKIP_BENCHMARK, [reason, run_id, benchmark]))

    def plan_more(self, run_id: str, benchmark: str, attempts: int) -> None:
        """Records that a benchmark gets so many attempts more than it set out with."""
        self._call(lambda connection: connection.execute(PLAN_MORE, [attempts, run_id, benchmark]))

    def take_back(self, run_id: str, keys: Sequence[AttemptKey]) -> None:
        """Removes recorded attempts with their events and tool calls, so that they can be made again."""

        def work(connection: duckdb.DuckDBPyConnection) -> None:
            self._chain.removed(connection, run_id, [(k.benchmark, k.task_id, k.attempt, k.seed) for k in keys])
            for key in keys:
                row = [run_id, key.benchmark, key.task_id, key.attempt, key.seed]
                connection.execute(DELETE_ATTEMPT_EVENTS, row)
                connection.execute(DELETE_ATTEMPT_CALLS, row)
                connection.execute(DELETE_ATTEMPT, row)

        self._call(work)

    def delete_run(self, run_id: str) -> None:
        """Removes a run with everything that belongs to it, in one transaction."""

        def work(connection: duckdb.DuckDBPyConnection) -> None:
            delete_rows(connection, run_id)
            self._stored_texts.clear()

        self._call(work)

    def leave_queue(self, run_id: str, status: RunStatus, ended: datetime | None = None, problem: str = "") -> None:
        """The status of a run that ended before it began, when and why; one that had begun keeps its own."""
        environment = document({"problem": problem} if problem else {})
        self._call(lambda connection: connection.execute(LEAVE_QUEUE, [status.value, ended, environment, run_id]))

    def mark_stale_runs(self) -> None:
        """Marks runs whose status is `running` although no engine held the database: they were killed."""
        self._call(lambda connection: connection.execute(STALE_RUNS))

    def resources(self, run_id: str, row: ResourceRow) -> None:
        """Queues a reading of the machine's load."""
        values = (run_id, *astuple(row))

        def work(connection: duckdb.DuckDBPyConnection) -> None:
            connection.execute(INSERT_RESOURCES, values)

        self._put(work)

    def finish_run(
        self,
        run_id: str,
        status: RunStatus,
        finished_at: datetime,
        metrics: Mapping[str, Sequence[Metric]],
        environment: Mapping[str, Any] | None = None,
        *,
        lower_bounds: Mapping[str, Mapping[str, float]] | None = None,
        missing: Mapping[str, Sequence[MissingMetric]] | None = None,
    ) -> None:
        """Records metrics by benchmark, in place of earlier ones, and the run's end, in one transaction.

        `environment`, where it is given, takes the place of what was recorded at the start. `lower_bounds` and
        `missing` are by benchmark too.
        """
        recorded = None if environment is None else document(environment)
        rows = [
            metric_row(run_id, name, position, metric)
            for name, found in metrics.items()
            for position, metric in enumerate(found)
        ]

        def work(connection: duckdb.DuckDBPyConnection) -> None:
            if rows:
                connection.execute(DELETE_METRICS, [run_id])
                connection.executemany(INSERT_METRICS, rows)
            for name in metrics:
                lacking = [asdict(one) for one in (missing or {}).get(name, ())]
                bounds = (lower_bounds or {}).get(name, {})
                connection.execute(UPDATE_BENCHMARK, [document(bounds), document(lacking), run_id, name])
            connection.execute(FINISH_RUN, [status.value, finished_at, recorded, run_id])
            self._chain.end(connection, run_id)

        self._call(work)

    def change(self, work: Callable[[duckdb.DuckDBPyConnection], T]) -> T:
        """Does further work in the writer's thread, in one transaction; what it returns, once that is committed.

        Raises:
            UsageError: the work's own, which it raises before it changes anything.
        """
        found: list[T | UsageError] = []

        def guarded(connection: duckdb.DuckDBPyConnection) -> None:
            try:
                found.append(work(connection))
            except UsageError as error:
                found.append(error)

        self._call(guarded)
        if isinstance(found[-1], UsageError):
            raise found[-1]
        return found[-1]

    def flush(self) -> None:
        """Waits until everything queued so far is committed. Raises StoreError when it could not be."""
        self._call(lambda connection: None)

    def close(self) -> None:
        """Commits what is queued and closes the file; nothing is taken from now on."""
        with self._taking:
            self._ending = True
            self._queue.put(None)
        self._thread.join()
        with self._opening:
            self._closed = True
            with contextlib.suppress(duckdb.Error):  # refused while a query goes on that cannot be interrupted
                self._connection.close()

    # -- the thread

    def _put(self, item: Any) -> None:
        with self._taking:
            if self.failure is not None:
                raise self.failure
            if self._ending:
                raise StoreError("the database is closed: the run that held it has ended")
            self._queue.put(item)

    def _call(self, work: Callable[[duckdb.DuckDBPyConnection], Any]) -> None:
        done: Future[Any] = Future()
        self._put((work, done))
        done.result()

    def _work(self) -> None:
        while True:
            items, more = self._take_batch()
            if self.failure is None:
                self._commit(items)
            else:
                _refuse(items, self.failure)
            if not more:
                return

    def _take_batch(self) -> tuple[list[Any], bool]:
        """Waits for a row, then gathers until the batch is full, the time is up or somebody waits for the commit."""
        items: list[Any] = []
        deadline = 0.0
        while len(items) < BATCH_ROWS:
            try:
                item = self._queue.get(timeout=max(0.0, deadline - time.monotonic())) if items else self._queue.get()
            except queue.Empty:
                break
            if item is None:
                return items, False
            if not items:
                deadline = time.monotonic() + BATCH_WITHIN_S
            items.append(item)
            if _waiter(item) is not None:
                break
        return items, True

    def _commit(self, items: list[Any]) -> None:
        try:
            try:
                self._store(items)
            except duckdb.OutOfMemoryException:
                self.make_room()
                self._store(items)
            except ROW_AT_FAULT:
                self._store_apart(items)
        except BaseException as error:  # whatever it was: who waits must hear of it, and the thread must go on
            self.failure = StoreError(f"{self._path} cannot be written: {one_line(error)}")
            _refuse(items, self.failure)

    def _store(self, items: list[Any]) -> None:
        """Stores all in one transaction, or nothing."""
        batch = _sort(items)
        connection = self._connection
        texts = {digest: content for digest, content in batch.texts.items() if digest not in self._stored_texts}
        keep_log_private(self._path)
        connection.begin()
        try:
            insert_rows(connection, "texts", TEXTS, list(texts.items()), known=True)
            insert_rows(connection, "attempts", ATTEMPTS, batch.attempts)
            self._chain.attempts(connection, batch.attempts, batch.evidence)
            insert_rows(connection, "events", EVENTS, batch.events)
            insert_rows(connection, "tool_calls", TOOL_CALLS, batch.tool_calls)
            for work, _ in batch.calls:
                work(connection)
            connection.commit()
        except BaseException:
            self._chain.rollback()
            with contextlib.suppress(duckdb.Error):
                connection.rollback()
            raise
        self._chain.commit()
        if len(self._stored_texts) > REMEMBERED_TEXTS:
            self._stored_texts.clear()
        self._stored_texts.update(texts)
        for _, done in batch.calls:
            done.set_result(None)

    def _store_apart(self, items: list[Any]) -> None:
        """Stores one by one what could not be stored together: an attempt with a value that a column does not take
        becomes an error, anything else with one is left out."""
        for item in items:
            try:
                self._store([item])
            except ROW_AT_FAULT as error:
                waiter = _waiter(item)
                if waiter is not None:
                    waiter.set_exception(StoreError(f"{self._path} does not take a value: {one_line(error)}"))
                elif not callable(item) and item[0] is not None:
                    self._store([(_error_row(item[0], error), [], [], {})])


def _sort(items: list[Any]) -> _Batch:
    batch = _Batch()
    for item in items:
        if callable(item):
            batch.calls.append((item, Future()))
        elif _waiter(item) is not None:
            batch.calls.append(item)
        else:
            attempt, events, tool_calls, texts = item
            if attempt is not None:
                batch.attempts.append(attempt)
                batch.evidence.append(
                    evidence_sha256(((row[5], row[7], row[8]) for row in events), (row[5:] for row in tool_calls))
                )
            batch.events.extend(events)
            batch.tool_calls.extend(tool_calls)
            batch.texts.update(texts)
    return batch


def _error_row(row: tuple[Any, ...], error: Exception) -> tuple[Any, ...]:
    """The row of an attempt that cannot be stored as it is: its key, and why."""
    why = f"error: the attempt cannot be recorded: {one_line(error)}"
    started_at = row[14] if isinstance(row[14], datetime) else datetime.now(UTC).replace(tzinfo=None)
    texts = (text(why), "", "", 0, 0, started_at, 0.0, "{}", "", None, None, text(why), ErrorKind.FAULT.value)
    rest = ("", AttemptStatus.ERROR.value, None, None, *texts)
    return (*row[:5], *rest)


def _no_room() -> None:
    """No queries share the memory."""


def _waiter(item: Any) -> Future[Any] | None:
    return cast("Future[Any]", item[1]) if isinstance(item, tuple) and isinstance(item[1], Future) else None


def _refuse(items: list[Any], failure: StoreError) -> None:
    for item in items:
        waiter = _waiter(item)
        if waiter is not None and not waiter.done():
            waiter.set_exception(failure)
