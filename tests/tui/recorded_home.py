"""A home with recorded runs of fixed ids and times, written by the program's own writer."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from stackbench.config import Home, Settings
from stackbench.engine import BenchmarkPlan, RunPlan
from stackbench.store import BenchmarkRow, RunRow, Writer
from stackbench.types import AttemptKey, AttemptRecord, AttemptStatus, EventRecord, FinishReason, Metric, RunStatus

__all__ = ["BEGAN", "CLOCK", "make_home", "record_run"]

SELECTION = {"by": "limit", "stratified": False, "seed": 0}
BEGAN = datetime(2026, 11, 26, 9, 0, 0)
CLOCK = 1_795_690_800.0
"""10:20 of that day."""


def make_home(path: Path) -> Home:
    """A home with three runs: completed, failed, and one whose engine was killed."""
    path.mkdir(parents=True, exist_ok=True)
    home = Home(path)
    writer = Writer(home.database)
    try:
        record_run(writer, "20261126-090000-aaaaaa", "openai:coder-7b@http://127.0.0.1:8000/v1", tasks=8)
        record_run(
            writer, "20261126-091000-bbbbbb", "hf:qwen2.5-coder-0.5b-instruct", tasks=5, passes=1, minutes=10,
            status=RunStatus.FAILED,
        )  # fmt: skip
        record_run(writer, "20261126-092000-cccccc", "oracle", tasks=6, passes=6, minutes=20, status=None, planned=12)
    finally:
        writer.close()
    return home


def record_run(
    writer: Writer,
    run_id: str,
    model: str,
    *,
    tasks: int,
    passes: int | None = None,
    minutes: int = 0,
    status: RunStatus | None = RunStatus.COMPLETED,
    planned: int | None = None,
    prompt: str = "def add(a, b):\n",
    completion: str = "    return a + b\n",
    error: str = "failed: AssertionError: add(1, 2) == 4",
    task_prefix: str = "HumanEval/",
    events: Sequence[tuple[str, dict[str, Any]]] = (),
) -> None:
    """One run of humaneval; every fourth attempt fails unless `passes` says how many pass. No `status`: it goes on."""
    began = BEGAN + timedelta(minutes=minutes)
    plan = RunPlan(
        suite="eval", settings=Settings(model=model), benchmarks=(BenchmarkPlan(name="humaneval"),)
    )  # fmt: skip
    ids = tuple(f"{task_prefix}{number}" for number in range(planned or tasks))
    writer.start_run(
        RunRow(run_id, "eval", began, model, plan.model_dump(mode="json"), (0,), None, {"cpus": 2}),
        [BenchmarkRow("humaneval", 164, len(ids), len(ids), ids, SELECTION, {}, None)],
    )
    good = 0
    for number in range(tasks):
        passed = number < passes if passes is not None else number % 4 != 3
        broken = passes is None and number == 6
        good += passed and not broken
        key = AttemptKey("humaneval", ids[number], 0, 0)
        started = began + timedelta(seconds=3 * number)
        writer.attempt(
            run_id,
            AttemptRecord(
                key=key,
                category="",
                status=AttemptStatus.ERROR if broken else AttemptStatus.COMPLETED,
                score=None if broken else float(passed),
                passed=None if broken else passed,
                error="error: the endpoint answered 503" if broken else None if passed else error,
                prompt=prompt,
                completion=completion,
                prompt_tokens=32,
                completion_tokens=14 + number,
                started_at=started,
                latency_s=1.25 + number / 8,
                metrics={},
                program=prompt + completion,
                finish_reason=FinishReason.STOP,
                reason="error: the endpoint answered 503" if broken else "passed" if passed else error,
            ),
            [
                EventRecord(
                    key.benchmark, key.task_id, 0, 0, 2 * number + 1 + index, started, kind, {"seed": 0, **payload}
                )
                for index, (kind, payload) in enumerate(events or _events(passed, error, prompt + completion))
            ],
        )
    writer.flush()
    if status is not None:
        scored = max(1, tasks - (passes is None and tasks > 6))
        metric = Metric(
            "pass@1", good / scored, 0.17, max(0.0, good / scored - 0.3), min(1.0, good / scored + 0.2), scored
        )
        writer.finish_run(run_id, status, began + timedelta(minutes=4), {"humaneval": [metric]})


def _events(passed: bool, error: str, code: str) -> list[tuple[str, dict[str, Any]]]:
    call = {"temperature": 0.0, "max_tokens": 512, "finish_reason": "stop", "prompt_tokens": 32, "latency_s": 1.1}
    run = {"code": code, "result": "passed" if passed else error, "duration_s": 0.12, "output": ""}
    return [("model_call", call), ("sandbox", run)]
