"""Converts records to database rows and values to the types of their columns."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stackbench.store.documents import document, document_of_text, text
from stackbench.types import AttemptKey, AttemptRecord, EventRecord, Metric, ToolCallRecord

__all__ = ["BenchmarkRow", "attempt_row", "benchmark_row", "event_row", "metric_row", "tool_call_row"]


@dataclass(frozen=True, slots=True)
class BenchmarkRow:
    """A row of `run_benchmarks` as it is when the run starts; see `PlannedBenchmark`."""

    benchmark: str
    tasks_available: int
    tasks_planned: int
    attempts_planned: int
    task_ids: Sequence[str]
    selection: Mapping[str, Any]
    datasets: Mapping[str, str]
    skipped: str | None = None


MOST_INTEGER = 2**31 - 1


def attempt_row(run_id: str, record: AttemptRecord) -> tuple[Any, ...]:
    """A row of `attempts`."""
    key = record.key
    return (
        run_id,
        key.benchmark,
        key.task_id,
        key.attempt,
        key.seed,
        text(record.category),
        record.status.value,
        _real(record.score),
        None if record.passed is None else bool(record.passed),
        text(record.error),
        text(record.prompt),
        text(record.completion),
        _count(record.prompt_tokens),
        _count(record.completion_tokens),
        record.started_at,
        _real(record.latency_s),
        document(record.metrics),
        text(record.thought),
        text(record.program),
        None if record.finish_reason is None else record.finish_reason.value,
        text(record.reason),
        record.error_kind,
    )


def event_row(run_id: str, event: EventRecord) -> tuple[Any, ...]:
    """A row of `events`."""
    where = (run_id, event.benchmark, event.task_id, event.attempt, event.seed, event.seq)
    return (*where, event.ts, event.kind, document(event.payload))


def tool_call_row(run_id: str, key: AttemptKey, call: ToolCallRecord) -> tuple[Any, ...]:
    """A row of `tool_calls`, in the order that the writer names its columns."""
    where = (run_id, key.benchmark, key.task_id, key.attempt, key.seed, call.step, text(call.tool))
    outcome = (text(call.result), text(call.error))
    return (*where, document_of_text(call.arguments), bool(call.valid), *outcome, _real(call.duration_ms))


def metric_row(run_id: str, benchmark: str, position: int, metric: Metric) -> tuple[Any, ...]:
    """A row of `metrics`; `position` is the metric's place among those of its benchmark."""
    kind = "range" if metric.low is not None else "confidence" if metric.ci_low is not None else None
    where = (run_id, benchmark, metric.category, metric.name)
    numbers = (metric.value, metric.stderr, metric.ci_low, metric.ci_high, metric.n, metric.low, metric.high)
    return (*where, *numbers, kind, position)


def _count(value: Any) -> int | None:
    """A count that a column of 32 bits holds; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= MOST_INTEGER:
        return None
    return int(value)


def _real(value: Any) -> float | None:
    """A number as a float; None for one that is none."""
    try:
        found = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return None if math.isnan(found) else found


def benchmark_row(run_id: str, position: int, row: BenchmarkRow) -> tuple[Any, ...]:
    """A row of `run_benchmarks`; `position` is the benchmark's place in the plan."""
    counts = (row.tasks_available, row.tasks_planned, row.attempts_planned)
    how = (document(row.selection), document(row.datasets), row.skipped)
    return (run_id, row.benchmark, position, *counts, list(row.task_ids), *how)
