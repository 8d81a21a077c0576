"""A run's attempts in the order they were committed, in pages reached by key: no page costs more than another.

The key is DuckDB's own row number, which grows with every commit. One statement finds the keys that pages begin at,
and how many rows there are; a page is then a range of keys. Nothing is reached by counting rows off (OFFSET).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from stackbench.store.query import Queries
from stackbench.types import AttemptKey

__all__ = [
    "NO_END",
    "AttemptFilter",
    "AttemptLine",
    "Outcome",
    "PageIndex",
    "read_index",
    "read_neighbour",
    "read_page",
    "read_since",
]

Outcome = Literal["all", "passed", "failed", "errors", "not passed", "cut"]

PAGE_ROWS = 200
REASON_SHOWN = 300

OUTCOMES: dict[str, str] = {
    "all": "",
    "passed": " AND passed",
    "failed": " AND status = 'completed' AND NOT passed",
    "not passed": " AND NOT coalesce(passed, false)",
    "errors": " AND status = 'error'",
    "cut": " AND finish_reason = 'length'",
}
BENCHMARK = " AND benchmark = ?"
WHY = "coalesce(reason, error)"
"""Runs of older versions have no reason, only an error where an attempt did not pass."""
TEXT = f" AND (contains(task_id, ?) OR contains({WHY}, ?) OR contains(category, ?))"
TEXT_ANY_CASE = f" AND (contains(lower(task_id), ?) OR contains(lower({WHY}), ?) OR contains(lower(category), ?))"
ANY_CASE = f" AND (task_id ILIKE ? OR {WHY} ILIKE ? OR category ILIKE ?)"
"""As TEXT_ANY_CASE in two thirds of the time, for a text without characters that mean something to LIKE."""
INDEX = """
WITH fitting AS MATERIALIZED (SELECT rowid AS key FROM attempts WHERE run_id = ?{conditions})
SELECT key, place FROM (SELECT key, row_number() OVER (ORDER BY key) AS place FROM fitting) WHERE place % ? = 1
UNION ALL SELECT coalesce(max(key), -1), -count(*) FROM fitting ORDER BY place
"""
LINES = """
SELECT rowid, benchmark, task_id, attempt, seed, status, passed, left(coalesce(reason, error), ?),
    completion_tokens, latency_s, finish_reason, started_at
FROM attempts WHERE run_id = ? AND rowid >= ? AND rowid < ?{conditions} ORDER BY rowid LIMIT ?
"""
NO_END = 2**62

PLACE = "SELECT rowid FROM attempts WHERE run_id = ? AND benchmark = ? AND task_id = ? AND attempt = ? AND seed = ?"
NEXT = """
SELECT benchmark, task_id, attempt, seed FROM attempts
WHERE run_id = ? AND rowid > ?{conditions} ORDER BY rowid LIMIT 1
"""
BEFORE = """
SELECT benchmark, task_id, attempt, seed FROM attempts
WHERE run_id = ? AND rowid < ?{conditions} ORDER BY rowid DESC LIMIT 1
"""


@dataclass(frozen=True, slots=True)
class AttemptFilter:
    """Which attempts are wanted. A text in small letters fits in any case, in task, reason and category."""

    outcome: Outcome = "all"
    benchmark: str = ""
    text: str = ""

    def conditions(self) -> tuple[str, list[Any]]:
        """What is added to a WHERE, with its parameters."""
        sql, parameters = OUTCOMES[self.outcome], list[Any]()
        if self.benchmark:
            sql += BENCHMARK
            parameters.append(self.benchmark)
        if self.text:
            any_case = self.text == self.text.lower()
            if any_case and not any(char in self.text for char in "%_\\"):
                sql += ANY_CASE
                parameters += [f"%{self.text}%"] * 3
            else:
                sql += TEXT_ANY_CASE if any_case else TEXT
                parameters += [self.text] * 3
        return sql, parameters


@dataclass(frozen=True, slots=True)
class AttemptLine:
    """An attempt as a list shows it."""

    row: int
    """Its key in the order of commits."""
    key: AttemptKey
    status: str
    passed: bool | None
    reason: str
    """Why it passed or did not, cut."""
    completion_tokens: int
    latency_s: float
    finish_reason: str | None
    started_at: str


@dataclass(frozen=True, slots=True)
class PageIndex:
    """Where the pages of a filtered list begin."""

    starts: tuple[int, ...]
    total: int
    last: int
    """The key of the last row; -1 where there is none."""


def read_index(queries: Queries, run_id: str, wanted: AttemptFilter, page_rows: int = PAGE_ROWS) -> PageIndex:
    """The keys that pages begin at, and how many rows there are."""
    conditions, parameters = wanted.conditions()
    (last, total), *starts = queries.rows(INDEX.format(conditions=conditions), [run_id, *parameters, page_rows])
    return PageIndex(tuple(row[0] for row in starts), -total, last)


def read_page(
    queries: Queries,
    run_id: str,
    wanted: AttemptFilter,
    start: int,
    page_rows: int = PAGE_ROWS,
    *,
    end: int = NO_END,
) -> Sequence[AttemptLine]:
    """The rows from a key on, up to the key that the next page begins at, where that is known: DuckDB then looks at
    no other rows."""
    conditions, parameters = wanted.conditions()
    sql = LINES.format(conditions=conditions)
    return [_line(row) for row in queries.rows(sql, [REASON_SHOWN, run_id, start, end, *parameters, page_rows])]


def read_since(
    queries: Queries, run_id: str, wanted: AttemptFilter, last: int, most: int = 20 * PAGE_ROWS
) -> Sequence[AttemptLine]:
    """The rows that were committed after a key, the first of them at most."""
    return read_page(queries, run_id, wanted, last + 1, most)


def read_neighbour(
    queries: Queries, run_id: str, wanted: AttemptFilter, key: AttemptKey, *, forward: bool
) -> AttemptKey | None:
    """The next or the previous attempt that fits, in the order of commits; None where there is none."""
    place = queries.rows(PLACE, [run_id, key.benchmark, key.task_id, key.attempt, key.seed])
    if not place:
        return None
    conditions, parameters = wanted.conditions()
    sql = (NEXT if forward else BEFORE).format(conditions=conditions)
    found = queries.rows(sql, [run_id, place[0][0], *parameters])
    return AttemptKey(*found[0]) if found else None


def _line(row: tuple[Any, ...]) -> AttemptLine:
    return AttemptLine(
        row[0],
        AttemptKey(*row[1:5]),
        status=row[5],
        passed=row[6],
        reason=row[7] or "",
        completion_tokens=row[8] or 0,
        latency_s=row[9] or 0.0,
        finish_reason=row[10],
        started_at=str(row[11])[:19].replace("T", " "),
    )
