"""What a run's operator was told and did, and the run's status as it is recorded."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from stackbench.store.query import Queries
from stackbench.store.reader import PROBLEM

__all__ = ["LoggedEvent", "RecordedStatus", "read_log", "read_status"]

LOG = """
SELECT ts, kind, payload FROM events WHERE run_id = ? AND kind IN ('notice', 'operator') ORDER BY seq DESC LIMIT ?
"""
STATUS = f"SELECT status, suite, model, {PROBLEM} FROM runs WHERE run_id = ?"


@dataclass(frozen=True, slots=True)
class LoggedEvent:
    """A notice to the operator, or a verb of the operator's."""

    ts: str
    kind: str
    payload: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class RecordedStatus:
    """As it stands in the database: `running` also where the engine was killed."""

    status: str
    suite: str
    model: str
    problem: str = ""
    """Why it failed, as `RunInfo.problem`."""


def read_log(queries: Queries, run_id: str, last: int) -> list[LoggedEvent]:
    """The last ones, the oldest first."""
    rows = queries.rows(LOG, [run_id, last])
    return [LoggedEvent(str(ts), kind, json.loads(payload or "{}")) for ts, kind, payload in reversed(rows)]


def read_status(queries: Queries, run_id: str) -> RecordedStatus | None:
    """None for a run that is not recorded."""
    rows = queries.rows(STATUS, [run_id])
    return RecordedStatus(*rows[0]) if rows else None
