"""Records as the database's rows, column by column."""

from __future__ import annotations

from typing import Any

from stackbench.store.documents import document, document_of_text, text
from stackbench.types import AttemptKey, AttemptRecord, EventRecord, ToolCallRecord

__all__ = ["attempt_row", "event_row", "tool_call_row"]


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
