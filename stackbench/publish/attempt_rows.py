"""Reads the attempts of runs one after the other, with the sampling of their calls; an agent's with their turns."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping
from itertools import groupby
from typing import Any

from stackbench.store import Queries

__all__ = ["Key", "Turn", "attempt_rows", "transcripts"]

ATTEMPTS = """
SELECT a.run_id, a.benchmark, a.task_id, a.attempt, a.seed, a.category, a.status, a.score, a.passed, a.error, a.reason,
    a.prompt, a.completion, a.thought, a.program, a.finish_reason, a.prompt_tokens, a.completion_tokens, a.latency_s,
    a.metrics, c.sampling
FROM attempts a LEFT JOIN (
    SELECT benchmark, task_id, attempt, seed, list(payload -> '$.sent' ORDER BY seq) AS sampling FROM events
    WHERE run_id = '{run}' AND kind = 'model_call' GROUP BY ALL
) c ON c.benchmark = a.benchmark AND c.task_id = a.task_id AND c.attempt = a.attempt AND c.seed = a.seed
WHERE a.run_id = '{run}' ORDER BY a.benchmark, a.task_id, a.seed, a.attempt
"""
TURNS = """
SELECT benchmark, task_id, attempt, seed, kind, payload FROM events
WHERE run_id = '{run}' AND kind IN ('agent_start', 'model_call', 'tool_result')
    AND (benchmark, task_id, attempt, seed) IN (
        SELECT (benchmark, task_id, attempt, seed) FROM events WHERE run_id = '{run}' AND kind = 'agent_start'
    )
ORDER BY benchmark, task_id, attempt, seed, seq
"""
Key = tuple[str, str, int, int]
Turn = tuple[str, Mapping[str, Any]]


def attempt_rows(queries: Queries, run_id: str) -> Iterator[dict[str, Any]]:
    """Every attempt of a run as JSON values; `sampling` is a list with what each call of the model was sent."""
    yield from _rows(queries, ATTEMPTS, run_id)


def transcripts(queries: Queries, run_id: str) -> Iterator[tuple[Key, list[Turn]]]:
    """The events of each attempt that an agent made: its start, the model's turns, the tools' results."""
    rows = _rows(queries, TURNS, run_id)
    for key, turns in groupby(rows, key=lambda row: (row["benchmark"], row["task_id"], row["attempt"], row["seed"])):
        yield key, [(row["kind"], row["payload"] or {}) for row in turns]


def _rows(queries: Queries, sql: str, run_id: str) -> Iterator[dict[str, Any]]:
    with tempfile.TemporaryFile() as file:
        queries.user_query(sql.format(run=run_id.replace("'", "''")), "jsonl", file)
        file.seek(0)
        for line in file:
            yield json.loads(line)
