"""What is said of a run that no engine carries out any more: how it ended, when, and what can be done with it."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from stackbench.cli.history import opened
from stackbench.config import Home
from stackbench.engine.home_lock import holder_of
from stackbench.errors import StoreError
from stackbench.store import Reader, RunInfo
from stackbench.types import RunStatus

__all__ = ["ended_document", "ended_line", "find_ended"]

LIVE = (RunStatus.RUNNING, RunStatus.QUEUED)


def find_ended(home: Home, name: str | None) -> RunInfo | None:
    """The run of that name, or the newest, where it has ended; None where it goes on or that cannot be told.

    Raises:
        UsageError: no run, or several, are named so.
    """
    if not home.database.exists():
        return None
    try:
        with opened(home) as queries:
            if queries.at_rest and holder_of(home.lock) is not None:
                return None  # an engine begins or ends at this moment
            reader = Reader(queries)
            newest = reader.runs(1)
            if name is None and not newest:
                return None
            run = newest[0] if name is None else reader.run(name)
    except StoreError:
        return None
    return None if run.status in LIVE else run


def ended_line(run: RunInfo, home: Path | None = None) -> str:
    """In one line; `home` is the option that the command was given."""
    option = f" --home {shlex.quote(str(home))}" if home else ""
    if run.finished_at is None:
        return (
            f"run {run.run_id} was cut off: asked for at {run.created_at} UTC, it is {run.status} before its end; "
            f"to go on: stackbench eval --resume {run.run_id}{option}"
        )
    why = f" ({run.problem})" if run.problem else ""
    ended = f"run {run.run_id} has ended: {run.status} at {run.finished_at} UTC{why}"
    if run.status == RunStatus.COMPLETED:
        return f"{ended}; see it: stackbench show {run.run_id}{option}"
    return f"{ended}; to go on: stackbench eval --resume {run.run_id}{option}"


def ended_document(run: RunInfo) -> dict[str, Any]:
    """For `--json`."""
    return {
        "run_id": run.run_id,
        "phase": "ended",
        "status": run.status,
        "created_at": run.created_at,
        "finished_at": run.finished_at,
        **({"problem": run.problem} if run.problem else {}),
        "attempts": [],
    }
