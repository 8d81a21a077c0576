"""Runs written to a home by the program's own writer, without running anything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from stackbench.benchmarks import create_benchmark
from stackbench.config import Home, Settings
from stackbench.engine import BenchmarkPlan, RunPlan
from stackbench.engine.completeness import sum_up
from stackbench.store import BenchmarkRow, LocalQueries, Reader, RunRow, Writer
from stackbench.types import AttemptKey, AttemptRecord, AttemptStatus, RunStatus

__all__ = ["NOW", "write_run"]

NOW = datetime(2026, 11, 26, 9, 0, 0)


def write_run(
    path: Path,
    run_id: str,
    scores: Mapping[str, Sequence[bool]],
    *,
    benchmark: str = "gsm8k",
    model: str = "openai:m@http://127.0.0.1:9/v1",
    datasets: Mapping[str, str] | None = None,
    answers: Mapping[str, Sequence[str]] | None = None,
    settings: Mapping[str, Any] | None = None,
    seeds: Sequence[int] = (0,),
    minutes: int = 0,
    planned: int | None = None,
    details: Mapping[str, Any] | None = None,
) -> Home:
    """One completed run; `scores` holds the verdicts of each task's attempts, with several seeds those of each seed in
    turn. Metrics are the benchmark's own."""
    home, began = Home(path), NOW + timedelta(minutes=minutes)
    path.mkdir(parents=True, exist_ok=True)
    attempts = max(len(found) for found in scores.values()) // len(seeds)
    plan = RunPlan(
        suite="eval",
        settings=Settings(model=model, seeds=tuple(seeds), samples=attempts, **(settings or {})),
        benchmarks=(BenchmarkPlan(name=benchmark),),
    )
    writer = Writer(home.database)
    try:
        writer.start_run(
            RunRow(run_id, "eval", began, model, plan.model_dump(mode="json"), tuple(seeds), None, {"cpus": 2}),
            [
                BenchmarkRow(
                    benchmark, len(scores), len(scores), planned or sum(map(len, scores.values())), list(scores),
                    {"by": "all"}, dict(datasets or {"test.jsonl": "a" * 64}),
                )
            ],
        )  # fmt: skip
        for task, verdicts in scores.items():
            for number, passed in enumerate(verdicts):
                answer = (answers or {}).get(task, [f"answer {number}"] * len(verdicts))[number]
                key = AttemptKey(benchmark, task, number % attempts, seeds[number // attempts])
                found = {"robust": passed, "flexible": passed, "strict": passed, **(details or {})}
                writer.attempt(run_id, _record(key, passed, answer, began, found))
        writer.flush()
        reader = Reader(LocalQueries(writer.cursor()))
        figures = sum_up(create_benchmark(benchmark, {}), reader.summaries(run_id, benchmark), {}, "")
        ended = began + timedelta(minutes=5)
        writer.finish_run(run_id, RunStatus.COMPLETED, ended, {benchmark: figures.metrics})
    finally:
        writer.close()
    return home


def _record(
    key: AttemptKey, passed: bool, answer: str, started_at: datetime, details: Mapping[str, Any]
) -> AttemptRecord:
    return AttemptRecord(
        key=key,
        category="",
        status=AttemptStatus.COMPLETED,
        score=float(passed),
        passed=passed,
        error=None if passed else "failed: answered 1, not 2",
        prompt="How many?",
        completion=answer,
        prompt_tokens=20,
        completion_tokens=5,
        started_at=started_at,
        latency_s=0.5,
        metrics=details,
        reason="passed" if passed else "failed: answered 1, not 2",
    )
