"""How long earlier runs took, benchmark by benchmark: recorded as an event of each run, read to estimate the next."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stackbench.errors import StoreError
from stackbench.store.query import Queries

__all__ = ["TIMING", "BenchmarkTiming", "RunTiming", "read_tasks_available", "read_timings", "timing_payload"]

TIMING = "timing"
"""The kind of the event."""
TIMINGS = f"""
SELECT events.payload FROM events JOIN runs USING (run_id)
WHERE events.kind = '{TIMING}' AND runs.model = ? ORDER BY events.ts DESC LIMIT ?
"""
TASKS_AVAILABLE = """
SELECT benchmark, max(tasks_available) FROM run_benchmarks WHERE skipped IS NULL GROUP BY benchmark
"""


@dataclass(frozen=True, slots=True)
class BenchmarkTiming:
    """One benchmark in one part of a run."""

    attempts: int
    """Those that ended."""
    share_s: float
    """Its share of the time in which attempts were under way (`stackbench.engine.time_shares`)."""
    longest_s: float
    """Its longest attempt."""
    prepare_s: float = 0.0
    """Before its first attempt."""
    servers: int = 1
    """Model servers that it had."""


@dataclass(frozen=True, slots=True)
class RunTiming:
    """One part of a run that was not resumed and ended with its work done."""

    setup_s: float
    """From its start to its first benchmark: model, images, data."""
    finish_s: float
    """From the last attempt to the end."""
    seconds: float
    """All of it."""
    slots: int
    """Requests at the model at once."""
    benchmarks: Mapping[str, BenchmarkTiming]


def timing_payload(timing: RunTiming, estimated_s: float | None) -> dict[str, Any]:
    """The event's payload; `estimated_s` is what the run was expected to take."""
    benchmarks = {
        name: {
            "attempts": one.attempts,
            "share_s": round(one.share_s, 3),
            "longest_s": round(one.longest_s, 3),
            "prepare_s": round(one.prepare_s, 3),
            "servers": one.servers,
        }
        for name, one in timing.benchmarks.items()
    }
    return {
        "setup_s": round(timing.setup_s, 3),
        "finish_s": round(timing.finish_s, 3),
        "seconds": round(timing.seconds, 3),
        "estimated_s": None if estimated_s is None else round(estimated_s, 3),
        "slots": timing.slots,
        "benchmarks": benchmarks,
    }


def read_timings(queries: Queries, model: str, most: int = 20) -> list[RunTiming]:
    """Those of the newest runs of a model; empty where the database has none, or is of an older version."""
    try:
        rows: Sequence[tuple[Any, ...]] = queries.rows(TIMINGS, [model, most])
    except StoreError:
        return []
    return [_timing(json.loads(payload)) for (payload,) in rows]


def read_tasks_available(queries: Queries) -> dict[str, int]:
    """How many tasks each benchmark had in earlier runs."""
    try:
        return dict(queries.rows(TASKS_AVAILABLE))
    except StoreError:
        return {}


def _timing(payload: Mapping[str, Any]) -> RunTiming:
    benchmarks = {name: BenchmarkTiming(**fields) for name, fields in payload["benchmarks"].items()}
    return RunTiming(payload["setup_s"], payload["finish_s"], payload["seconds"], payload["slots"], benchmarks)
