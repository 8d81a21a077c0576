"""Records as the database's rows, column by column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stackbench.store.documents import document, document_of_text, text
from stackbench.types import AttemptKey, AttemptRecord, EventRecord, ToolCallRecord

__all__ = ["BenchmarkRow", "attempt_row", "benchmark_row", "event_row", "tool_call_row"]


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


def attempt_row(run_id: str, record: AttemptRecord) -> tuple[Any, ...]:
    """A row of `attempts`."""
    key = record.key
    return (
        run_id,
        key.benchmark,
        key.task_id,
        key.attempt,
        key.seed,
        record.category,
        record.status.value,
        record.score,
        record.passed,
        text(record.error),
        text(record.prompt),
        text(record.completion),
        record.prompt_tokens,
        record.completion_tokens,
        record.started_at,
        record.latency_s,
        document(record.metrics),
        text(record.thought),
        text(record.program),
        None if record.finish_reason is None else record.finish_reason.value,
    )


def event_row(run_id: str, event: EventRecord) -> tuple[Any, ...]:
    """A row of `events`."""
    where = (run_id, event.benchmark, event.task_id, event.attempt, event.seq)
    return (*where, event.ts, event.kind, document(event.payload))


def tool_call_row(run_id: str, key: AttemptKey, call: ToolCallRecord) -> tuple[Any, ...]:
    """A row of `tool_calls`, in the order that the writer names its columns."""
    where = (run_id, key.benchmark, key.task_id, key.attempt, key.seed, call.step, text(call.tool))
    told = (text(call.result), text(call.error))
    return (*where, document_of_text(call.arguments), call.valid, *told, call.duration_ms)


def benchmark_row(run_id: str, position: int, row: BenchmarkRow) -> tuple[Any, ...]:
    """A row of `run_benchmarks`; `position` is the benchmark's place in the plan."""
    counts = (row.tasks_available, row.tasks_planned, row.attempts_planned)
    how = (document(row.selection), document(row.datasets), row.skipped)
    return (run_id, row.benchmark, position, *counts, list(row.task_ids), *how)
