"""Reads what a report says of one benchmark of a run: outcomes, seeds, times, settings, examples. Texts stay behind."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any

from stackbench.natural_order import natural
from stackbench.report.results_model import CategoryCounts, Example, Latency, PassAtK, SeedScore, Stage, TaskOutcome
from stackbench.stats import pass_at_k_estimate, share
from stackbench.store import Queries
from stackbench.visible_text import visible

__all__ = ["AS_AGENT", "AskedAs", "BenchmarkRows", "attempts_per_task", "category_counts", "pass_at_k_curve"]

TASKS = """
SELECT task_id, any_value(category), count(*), count(*) FILTER (status = 'completed'),
    count(*) FILTER (status = 'completed' AND passed), count(*) FILTER (status = 'error'),
    avg(score) FILTER (status = 'completed')
FROM attempts WHERE run_id = ? AND benchmark = ? GROUP BY task_id
"""
SEEDS = """
SELECT seed, task_id, count(*), count(*) FILTER (passed) FROM attempts
WHERE run_id = ? AND benchmark = ? AND status = 'completed' GROUP BY seed, task_id ORDER BY seed, task_id
"""
TIMES = """
SELECT count(*), quantile_cont(latency_s, [0.5, 0.9, 0.99]), max(latency_s), coalesce(sum(prompt_tokens), 0)::BIGINT,
    coalesce(sum(completion_tokens), 0)::BIGINT
FROM attempts WHERE run_id = ? AND benchmark = ? AND status = 'completed' AND latency_s IS NOT NULL
"""
STAGES = """
SELECT sum((e.payload ->> '$.ttft_s')::DOUBLE) FILTER (e.kind = 'model_call'),
    sum((e.payload ->> '$.latency_s')::DOUBLE - coalesce((e.payload ->> '$.ttft_s')::DOUBLE, 0))
        FILTER (e.kind = 'model_call'),
    sum((e.payload ->> '$.wall_s')::DOUBLE) FILTER (e.kind = 'sandbox'),
    sum((e.payload ->> '$.duration_ms')::DOUBLE / 1000) FILTER (e.kind = 'tool_result')
FROM events e JOIN attempts a ON a.run_id = e.run_id AND a.benchmark = e.benchmark AND a.task_id = e.task_id
    AND a.attempt = e.attempt AND a.seed = e.seed
WHERE e.run_id = ? AND e.benchmark = ? AND e.kind IN ('model_call', 'sandbox', 'tool_result') AND a.status = 'completed'
"""
SAMPLING = """
SELECT DISTINCT json_merge_patch(payload -> '$.sent', '{"seed": null}')::VARCHAR FROM events
WHERE run_id = ? AND benchmark = ? AND kind = 'model_call' AND json_type(payload -> '$.sent') = 'OBJECT'
ORDER BY ALL LIMIT 20
"""
FIRST_CALL = """
SELECT to_json(payload -> '$.request.messages[*].role')::VARCHAR, json_exists(payload, '$.request.messages'),
    json_exists(payload, '$.request.prompt'), json_exists(payload, '$.choices')
FROM events WHERE run_id = ? AND benchmark = ? AND kind = 'model_call' ORDER BY seq LIMIT 1
"""
AGENT = "SELECT 1 FROM events WHERE run_id = ? AND benchmark = ? AND kind = 'agent_start' LIMIT 1"
EXAMPLE = """
SELECT attempt, seed, passed, coalesce(reason, error, ''), coalesce(prompt, ''), coalesce(completion, '') FROM attempts
WHERE run_id = ? AND benchmark = ? AND task_id = ? AND status = 'completed' AND passed = ?
ORDER BY seed, attempt LIMIT 1
"""
PROMPT_SHOWN = 1000
ANSWER_SHOWN = 1600
MOST_K = 100
AS_AGENT = "agent with tools"


@dataclass(frozen=True, slots=True)
class AskedAs:
    """How the model was asked."""

    form: str
    sampling: Mapping[str, Any]


class BenchmarkRows:
    """Reads of one benchmark of one run."""

    def __init__(self, queries: Queries, run_id: str, benchmark: str) -> None:
        self._queries = queries
        self._key = [run_id, benchmark]

    def tasks(self) -> list[TaskOutcome]:
        """In natural order of their ids."""
        rows = sorted(self._queries.rows(TASKS, self._key), key=lambda row: natural(row[0]))
        return [
            TaskOutcome(
                task_id=task,
                category=category,
                attempts=made,
                completed=done,
                passed=passed,
                errors=errors,
                score=score,
            )
            for task, category, made, done, passed, errors, score in rows
        ]

    def seeds(self) -> tuple[list[SeedScore], float | None]:
        """The share passed of each seed, and the standard deviation of these; nothing for one seed."""
        by_seed: dict[int, list[tuple[int, int]]] = defaultdict(list)
        for seed, _, made, passed in self._queries.rows(SEEDS, self._key):
            by_seed[seed].append((made, passed))
        if len(by_seed) < 2:
            return [], None
        found: list[SeedScore] = []
        for seed, counts in by_seed.items():
            made = [n for n, _ in counts]
            estimate = share([c / n for n, c in counts], attempts=made)
            found.append(
                SeedScore(
                    seed=seed,
                    tasks=estimate.n,
                    attempts=sum(made),
                    value=estimate.value,
                    low=estimate.ends[0],
                    high=estimate.ends[1],
                )
            )
        return found, stdev(one.value for one in found)

    def latency(self) -> Latency | None:
        """None where no attempt was timed."""
        n, quantiles, most, prompt, completion = self._queries.rows(TIMES, self._key)[0]
        if not n:
            return None
        sums = self._queries.rows(STAGES, self._key)[0]
        names = ("first token", "rest of the answer", "code execution", "tools")
        stages = [Stage(name=name, mean_s=total / n) for name, total in zip(names, sums, strict=True) if total]
        p50, p90, p99 = quantiles
        return Latency(
            n=n,
            p50_s=p50,
            p90_s=p90,
            p99_s=p99,
            max_s=most,
            stages=tuple(stages),
            prompt_tokens=prompt,
            completion_tokens=completion,
        )

    def asked_as(self) -> AskedAs:
        """Of the first call of the model; the sampling of all calls."""
        calls = self._queries.rows(FIRST_CALL, self._key)
        agent = bool(self._queries.rows(AGENT, self._key))
        if not calls:
            return AskedAs(f"{AS_AGENT}, no call of the model ended" if agent else "no call of a model is recorded", {})
        roles, chat, text, choices = calls[0]
        turns: list[str] = json.loads(roles or "[]")
        form = "chat" if chat else "text to continue" if text else "not recorded"
        if turns.count("assistant"):
            form = "chat with examples as turns"
        if agent:
            form = AS_AGENT
        if choices:
            form += ", log-probabilities of the choices"
        return AskedAs(form, _merged([json.loads(row[0]) for row in self._queries.rows(SAMPLING, self._key)]))

    def example(self, task_id: str, *, passed: bool) -> Example | None:
        """The first attempt at a task with that outcome; control characters are made visible."""
        rows = self._queries.rows(EXAMPLE, [*self._key, task_id, passed])
        if not rows:
            return None
        attempt, seed, right, reason, prompt, answer = rows[0]
        return Example(
            task_id=task_id,
            attempt=attempt,
            seed=seed,
            passed=right,
            reason=visible(reason),
            prompt=visible(_cut(prompt, PROMPT_SHOWN)),
            prompt_characters=len(prompt),
            answer=visible(_cut(answer, ANSWER_SHOWN)),
            answer_characters=len(answer),
        )


def pass_at_k_curve(tasks: Sequence[TaskOutcome]) -> list[PassAtK]:
    """pass@k from 1 to the attempts that every task has, `MOST_K` at most; empty where that is one."""
    pairs = [(task.completed, task.passed) for task in tasks if task.completed]
    least = min((n for n, _ in pairs), default=0)
    found: list[PassAtK] = []
    for k in _ks(min(least, MOST_K)) if least > 1 else ():
        estimate = pass_at_k_estimate(pairs, k)
        if estimate is not None:
            low, high = estimate.ends
            found.append(PassAtK(k=k, value=estimate.value, low=low, high=high, n=estimate.n))
    return found


def category_counts(tasks: Sequence[TaskOutcome]) -> list[CategoryCounts]:
    """Empty where the benchmark has no categories."""
    groups: dict[str, list[TaskOutcome]] = defaultdict(list)
    for task in tasks:
        if task.category:
            groups[task.category].append(task)
    return [_category(name, members) for name, members in sorted(groups.items())]


def _category(name: str, members: Sequence[TaskOutcome]) -> CategoryCounts:
    made = [task.completed for task in members if task.completed]
    shares = [task.passed / task.completed for task in members if task.completed]
    estimate = share(shares, attempts=made) if shares else None
    return CategoryCounts(
        category=name,
        tasks=len(members),
        attempts=sum(made),
        passed=sum(task.passed for task in members),
        errors=sum(task.errors for task in members),
        value=estimate.value if estimate else None,
        low=estimate.ends[0] if estimate else None,
        high=estimate.ends[1] if estimate else None,
    )


def attempts_per_task(tasks: Sequence[TaskOutcome], seeds: int) -> float:
    """The mean over tasks, of one seed."""
    return fmean(task.attempts for task in tasks) / max(seeds, 1) if tasks else 0.0


def _ks(most: int) -> list[int]:
    """1 to 10, then steps of about a tenth."""
    found = {*range(1, min(most, 10) + 1), most}
    k = 10
    while k < most:
        found.add(k)
        k = max(k + 1, k * 11 // 10)
    return sorted(found)


def _merged(documents: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """One mapping; values that differ become a list."""
    names = dict.fromkeys(name for document in documents for name in document)
    found: dict[str, Any] = {}
    for name in names:
        values: list[Any] = []
        for document in documents:
            if document.get(name) not in values:
                values.append(document.get(name))
        found[name] = values[0] if len(values) == 1 else values
    return found


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most]}\n[... {len(text) - most:,} more characters]"
