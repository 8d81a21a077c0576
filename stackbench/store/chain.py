"""The hash chain over a run's committed attempts: each entry's hash covers all entries before it.

An entry is made in the transaction that stores what it is of. `chain_sha256` is the sha256 of four lines: the chain's
hash before (64 zeros at first), the position, the kind, the entry's `row_sha256`. Kinds, and what that is of:

- `begin`: the run's id;
- `attempt`: the attempt's row, with the events and tool calls that were committed with it;
- `removed`: the row that was taken back, to be made again (errors of a run that is resumed, what an operator requeued);
- `end`: the run's row, its benchmarks and its metrics, each time they are summed up.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

import duckdb

from stackbench.store.insertion import insert_rows, names_of, typed_columns

__all__ = [
    "CHAIN_COLUMNS",
    "GENESIS",
    "HEAD",
    "SEALED",
    "ChainEntry",
    "ChainWriter",
    "attempt_sha256",
    "evidence_sha256",
    "link",
    "row_sha256",
    "run_seal",
]

GENESIS = "0" * 64
COLUMNS = typed_columns("""
run_id VARCHAR, position BIGINT, kind VARCHAR, benchmark VARCHAR, task_id VARCHAR, attempt INTEGER, seed BIGINT,
row_sha256 VARCHAR, chain_sha256 VARCHAR
""")
CHAIN_COLUMNS = names_of(COLUMNS)
HEAD = "SELECT position, chain_sha256 FROM attempt_chain WHERE run_id = ? ORDER BY position DESC LIMIT 1"
LAST_ROWS = """
SELECT benchmark, task_id, attempt, seed, arg_max(row_sha256, position) FROM attempt_chain
SEMI JOIN (
    SELECT unnest(?::VARCHAR[]) AS benchmark, unnest(?::VARCHAR[]) AS task_id, unnest(?::INTEGER[]) AS attempt,
        unnest(?::BIGINT[]) AS seed
) AS asked USING (benchmark, task_id, attempt, seed)
WHERE run_id = ? AND kind = 'attempt' GROUP BY ALL
"""
ERRORS = "SELECT benchmark, task_id, attempt, seed FROM attempts WHERE run_id = ? AND status = 'error' ORDER BY rowid"
SEALED = (
    "SELECT run_id, suite, status, created_at, finished_at, model, config, seeds, git_commit, environment FROM runs "
    "WHERE run_id = ?",
    "SELECT benchmark, position, tasks_available, tasks_planned, attempts_planned, task_ids, selection, datasets, "
    "skipped, lower_bounds, missing_metrics FROM run_benchmarks WHERE run_id = ? ORDER BY position",
    "SELECT benchmark, category, name, value, stderr, ci_low, ci_high, n, low, high, interval_kind, position "
    "FROM metrics WHERE run_id = ? ORDER BY benchmark, position",
)
Key = tuple[str, str, int, int]


class ChainEntry(NamedTuple):
    """A row of `attempt_chain`, in the order of its columns."""

    run_id: str
    position: int
    kind: str
    benchmark: str | None
    task_id: str | None
    attempt: int | None
    seed: int | None
    row_sha256: str
    chain_sha256: str


@dataclass(frozen=True, slots=True)
class _Head:
    position: int
    sha256: str


def row_sha256(values: Iterable[Any], evidence: str = "") -> str:
    """Of a row's values, and of the evidence behind it.

    The values stand one after the other: a text as its number of characters, a colon and the text; anything else as
    Python writes it, timestamps as ISO text, and a semicolon. Then a line break and the evidence; all in UTF-8.
    """
    return hashlib.sha256(f"{_spelled(values)}\n{evidence}".encode()).hexdigest()


def attempt_sha256(row: Sequence[Any], evidence: str = "") -> str:
    """`row_sha256` of an attempt. Its last column, `error_kind`, counts where it is set: rows of versions before it was
    there keep their hash."""
    return row_sha256(row if row[-1] is not None else row[:-1], evidence)


def evidence_sha256(events: Iterable[tuple[int, str, str]], tool_calls: Iterable[Sequence[Any]]) -> str:
    """Of an attempt's events (seq, kind, payload) and tool calls, each in the order they were recorded; empty for none.

    A tool call is step, tool, arguments, valid, result, error, duration_ms. Each row is spelled as in `row_sha256`.
    """
    parts = [_spelled(row) for row in (*events, *tool_calls)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest() if parts else ""


def _spelled(values: Iterable[Any]) -> str:
    return "".join(
        [
            f"{len(one)}:{one}"
            if one.__class__ is str
            else f"{one.isoformat()};"
            if one.__class__ is datetime
            else f"{one!r};"
            for one in values
        ]
    )


def link(before: str, position: int, kind: str, row: str) -> str:
    """The chain's hash after an entry."""
    return hashlib.sha256(f"{before}\n{position}\n{kind}\n{row}".encode()).hexdigest()


def run_seal(tables: Iterable[Iterable[Sequence[Any]]]) -> str:
    """The `row_sha256` of an `end` entry, from the rows of the three `SEALED` statements."""
    return row_sha256(["\n".join(map(_spelled, table)) for table in tables])


class ChainWriter:
    """Makes the entries; of the writer's thread. What a transaction staged holds once it is committed."""

    def __init__(self) -> None:
        self._heads: dict[str, _Head | None] = {}
        self._staged: dict[str, _Head | None] = {}

    def begin(self, connection: duckdb.DuckDBPyConnection, run_id: str) -> None:
        """The first entry of a run."""
        self._staged[run_id] = _Head(-1, GENESIS)
        self._insert(connection, [self._entry(connection, run_id, "begin", None, row_sha256([run_id]))])

    def attempts(
        self, connection: duckdb.DuckDBPyConnection, rows: Sequence[Sequence[Any]], evidence: Sequence[str]
    ) -> None:
        """Entries of attempts that are stored in this transaction, in their order."""
        digests = map(attempt_sha256, rows, evidence)
        self._insert(
            connection,
            [
                self._entry(connection, row[0], "attempt", (row[1], row[2], row[3], row[4]), digest)
                for row, digest in zip(rows, digests, strict=True)
            ],
        )

    def removed(self, connection: duckdb.DuckDBPyConnection, run_id: str, keys: Iterable[Key]) -> None:
        """Entries of attempts that are about to be taken back; those that the chain does not hold have none."""
        asked = list(dict.fromkeys(keys))
        if not asked:
            return
        columns = [list(column) for column in zip(*asked, strict=True)]
        found = connection.execute(LAST_ROWS, [*columns, run_id]).fetchall()
        last = {(row[0], row[1], row[2], row[3]): row[4] for row in found}
        entries = [self._entry(connection, run_id, "removed", key, last[key]) for key in asked if key in last]
        self._insert(connection, entries)

    def errors_removed(self, connection: duckdb.DuckDBPyConnection, run_id: str) -> None:
        """As `removed`, for all attempts of a run that ended in errors."""
        self.removed(
            connection, run_id, [(row[0], row[1], row[2], row[3]) for row in _rows(connection, ERRORS, run_id)]
        )

    def end(self, connection: duckdb.DuckDBPyConnection, run_id: str) -> None:
        """The entry of a run's end, after its row and its metrics are written."""
        if self._head(connection, run_id) is not None:
            sealed = run_seal([_rows(connection, sql, run_id) for sql in SEALED])
            self._insert(connection, [self._entry(connection, run_id, "end", None, sealed)])

    def commit(self) -> None:
        """What was staged is committed."""
        self._heads.update(self._staged)
        self._staged.clear()

    def rollback(self) -> None:
        """What was staged is not."""
        self._staged.clear()

    def _head(self, connection: duckdb.DuckDBPyConnection, run_id: str) -> _Head | None:
        """None for a run that an older version began: its attempts are in no chain."""
        for known in (self._staged, self._heads):
            if run_id in known:
                return known[run_id]
        found = _rows(connection, HEAD, run_id)
        head = _Head(*found[0]) if found else None
        self._staged[run_id] = head
        return head

    def _entry(
        self, connection: duckdb.DuckDBPyConnection, run_id: str, kind: str, key: Key | None, row: str
    ) -> ChainEntry | None:
        head = self._head(connection, run_id)
        if head is None:
            return None
        position = head.position + 1
        chain = link(head.sha256, position, kind, row)
        self._staged[run_id] = _Head(position, chain)
        return ChainEntry(run_id, position, kind, *(key or (None, None, None, None)), row, chain)

    def _insert(self, connection: duckdb.DuckDBPyConnection, entries: Iterable[ChainEntry | None]) -> None:
        insert_rows(connection, "attempt_chain", COLUMNS, [entry for entry in entries if entry is not None])


def _rows(connection: duckdb.DuckDBPyConnection, sql: str, run_id: str) -> list[tuple[Any, ...]]:
    return connection.execute(sql, [run_id]).fetchall()
