"""Reads recorded attempts as rows, to be recorded again in another run: shards of one run are merged so."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from stackbench.store.query import Queries
from stackbench.store.writer import ATTEMPT_COLUMNS
from stackbench.types import AttemptKey

__all__ = ["CopiedAttempt", "read_copies"]

COLUMNS = ATTEMPT_COLUMNS.partition(",")[2]
"""The writer's, but for the first: the run's id."""
ATTEMPTS = f"SELECT {COLUMNS} FROM attempts WHERE run_id = ? ORDER BY rowid"
WHERE = "WHERE run_id = ? AND benchmark = ? AND task_id = ? AND attempt = ? AND seed = ?"
EVENTS = f"SELECT ts, kind, payload FROM events {WHERE} ORDER BY seq"
CALLS = f"""
SELECT step, tool, arguments, valid, result, error, duration_ms FROM tool_calls {WHERE} ORDER BY rowid
"""
TEXTS = "SELECT sha256, text FROM texts WHERE sha256 IN (SELECT unnest(from_json(?::VARCHAR, '[\"VARCHAR\"]')))"
REFERENCE = re.compile(r"\b[0-9a-f]{64}\b")


@dataclass(frozen=True, slots=True)
class CopiedAttempt:
    """An attempt with all that was recorded of it, without the id of its run."""

    key: AttemptKey
    completed: bool
    row: tuple[Any, ...]
    events: list[tuple[Any, ...]]
    """Time, kind, payload."""
    tool_calls: list[tuple[Any, ...]]
    texts: dict[str, str]
    """What the events' requests refer to, by sha256."""


def read_copies(queries: Queries, run_id: str) -> Iterator[CopiedAttempt]:
    """The attempts of a run, in the order in which they were recorded."""
    for row in queries.rows(ATTEMPTS, [run_id]):
        key = AttemptKey(*row[:4])
        where = [run_id, key.benchmark, key.task_id, key.attempt, key.seed]
        events = queries.rows(EVENTS, where)
        named = {digest for *_, payload in events for digest in REFERENCE.findall(payload or "")}
        texts = dict(queries.rows(TEXTS, [json.dumps(sorted(named))])) if named else {}
        yield CopiedAttempt(key, row[5] == "completed", row, events, queries.rows(CALLS, where), texts)
