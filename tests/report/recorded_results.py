"""Runs of every shape that a report may meet, written by the program's own writer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from stackbench.benchmarks import find_benchmark
from stackbench.benchmarks.passes import pass_at_k_metrics
from stackbench.config import Home, Settings
from stackbench.engine import BenchmarkPlan, Gate, RunPlan
from stackbench.report.collect import collect_results
from stackbench.report.results_model import Results
from stackbench.store import BenchmarkRow, RunRow, Writer, open_queries
from stackbench.types import (
    AttemptKey,
    AttemptRecord,
    AttemptStatus,
    AttemptSummary,
    EventRecord,
    FinishReason,
    Metric,
    RunStatus,
)

__all__ = ["HOSTILE", "Part", "collected", "make_home", "record_run"]

BEGAN = datetime(2026, 11, 26, 9, 0, 0)
HOSTILE = '=HYPERLINK("x")\x1b[31m<script>alert(1)</script> | **a** `b` $x$ 漢字 \u202eabc #import "x" ~~~ \\'
ENVIRONMENT = {
    "stackbench": "0.1.0",
    "python": "3.11.7",
    "os": "Linux",
    "cpu": "test",
    "cpus": 2,
    "memory_bytes": 2**33,
    "gpus": [],
    "packages": {"torch": "2.13.0"},
    "model": {"sha256": "ab" * 32, "files": {"model.safetensors": "cd" * 32}, "sampling_not_set": "neutral"},
    "sandbox": {"image": "stackbench-sandbox:test", "id": "sha256:" + "ef" * 32},
}
LOADS = [
    Metric("output_tok_s", 40.0, None, None, None, 3, low=38.0, high=41.5),
    *(
        Metric.of_repeats(name, [scale * load, scale * load * 1.1, scale * load * 1.2], f"64x32/c{load}")
        for load in (1, 4)
        for name, scale in (
            ("output_tok_s", 11.0),
            ("e2el_ms_p50", 900.0),
            ("ttft_ms_p50", 90.0),
            ("e2el_ms_p99", 1200.0),
        )
    ),
]


@dataclass(frozen=True)
class Part:
    """One benchmark of a run."""

    name: str = "humaneval"
    tasks: int = 12
    attempts: int = 1
    seeds: tuple[int, ...] = (0,)
    available: int = 164
    errors: int = 0
    """The first so many attempts."""
    texts: str = "def add(a, b):"
    datasets: Mapping[str, str] = field(default_factory=lambda: {"humaneval/HumanEval.jsonl.gz": "b7" * 32})
    categories: tuple[str, ...] = ("",)
    planned: int | None = None
    """Tasks, where the run ended before all of them."""


def record_run(
    home: Home,
    run_id: str = "20261126-090000-aaaaaa",
    model: str = "hf:test-model",
    parts: Sequence[Part] = (Part(),),
    *,
    status: RunStatus = RunStatus.COMPLETED,
    gates: Sequence[Gate] = (),
    operator: Mapping[str, Any] | None = None,
    findings: Sequence[Mapping[str, str]] = (),
) -> str:
    """Records a run; which attempts pass is a fixed pattern."""
    plan = RunPlan(
        suite="eval",
        settings=Settings(model=model),
        benchmarks=tuple(BenchmarkPlan(name=part.name) for part in parts),
        gates=tuple(gates),
    )
    seeds = tuple(dict.fromkeys(seed for part in parts for seed in part.seeds))
    writer = Writer(home.database)
    try:
        rows = [
            BenchmarkRow(
                part.name, part.available, part.planned or part.tasks,
                (part.planned or part.tasks) * part.attempts * len(part.seeds),
                [f"{part.name}/{number}" for number in range(part.planned or part.tasks)],
                {"by": "limit", "stratified": False} if part.tasks < part.available else {"by": "all"}, part.datasets,
            )
            for part in parts
        ]  # fmt: skip
        writer.start_run(
            RunRow(run_id, "eval", BEGAN, model, plan.model_dump(mode="json"), seeds, "c0ffee", ENVIRONMENT), rows
        )
        metrics = {part.name: _record_part(writer, run_id, part) for part in parts}
        for number, finding in enumerate(findings):
            writer.event(run_id, EventRecord("", "", 0, None, 2 + number, BEGAN, "sanity", finding))
        if operator is not None:
            writer.event(run_id, EventRecord("", "", 0, None, 1, BEGAN, "operator", operator))
        writer.flush()
        if status is not RunStatus.RUNNING:
            writer.finish_run(run_id, status, BEGAN + timedelta(minutes=4), metrics)
    finally:
        writer.close()
    return run_id


def collected(home: Home, *runs: str) -> Results:
    """The document of runs."""
    queries = open_queries(home.database, home.socket)
    try:
        return collect_results(queries, runs or ["last"], lambda run, results: ((), None))
    finally:
        queries.close()


def make_home(path: Path) -> Home:
    path.mkdir(parents=True, exist_ok=True)
    return Home(path)


def _record_part(writer: Writer, run_id: str, part: Part) -> list[Metric]:
    summaries: list[AttemptSummary] = []
    made = 0
    for task in range(part.tasks):
        for seed in part.seeds:
            for attempt in range(part.attempts):
                passed = (task * 7 + attempt * 3 + seed) % 5 < 3
                broken = made < part.errors
                made += 1
                record = _attempt(part, task, attempt, seed, None if broken else passed)
                writer.attempt(run_id, record, _events(record, made))
                if not broken:
                    summaries.append(
                        AttemptSummary(
                            record.key, record.category, record.status, record.score, passed, record.latency_s, 20,
                            record.metrics,
                        )
                    )  # fmt: skip
    if part.name == "throughput":
        return LOADS
    kind = find_benchmark(part.name)
    if kind is None:
        return pass_at_k_metrics(summaries)
    return kind(kind.options_type()).metrics(summaries) if summaries else []


def _attempt(part: Part, task: int, attempt: int, seed: int, passed: bool | None) -> AttemptRecord:
    why = "passed" if passed else f"failed: AssertionError: {part.texts[:60]}"
    metrics = {"template": f"t{task // 3}", "difficulty": 1 + task % 3, "calls": 3, "malformed": 0, "repaired": 1}
    metrics |= {"rejected": 0, "steps": 4, "seconds": 2.0, "tool_call_accuracy": 0.5, "parameter_correctness": 0.25}
    metrics |= {"workflow_success": float(bool(passed)), "recovered": None, "efficiency": None, "refused": None}
    return AttemptRecord(
        key=AttemptKey(part.name, f"{part.name}/{task}", attempt, seed),
        category=part.categories[task % len(part.categories)],
        status=AttemptStatus.ERROR if passed is None else AttemptStatus.COMPLETED,
        score=None if passed is None else float(passed),
        passed=passed,
        error="error: the endpoint answered 503" if passed is None else None if passed else why,
        prompt=f"{part.texts} of {task}",
        completion=f"{part.texts}\n    return a + b",
        prompt_tokens=32,
        completion_tokens=20,
        started_at=BEGAN,
        latency_s=1.0 + task / 8,
        metrics=metrics if part.name == "tooluse" else {"robust": passed, "flexible": passed, "strict": False},
        finish_reason=FinishReason.STOP,
        reason=why,
    )


def _events(record: AttemptRecord, number: int) -> list[EventRecord]:
    key = record.key
    call = {
        "temperature": 0.8, "ttft_s": 0.25, "latency_s": record.latency_s, "finish_reason": "stop",
        "sent": {"temperature": 0.8, "top_p": 1.0, "max_tokens": 512, "seed": number},
        "request": {"messages": [{"role": "user", "content": ["aa"]}]},
    }  # fmt: skip
    kinds = [("model_call", call), ("sandbox", {"wall_s": 0.125, "result": "passed"})]
    if key.benchmark == "tooluse":
        asked = call | {
            "text": "",
            "tool_calls": [{"id": "c1", "name": "read", "arguments": '{"path": "a.txt", "lines": 3}'}],
        }
        kinds = [
            ("agent_start", {"system": "Be brief.", "task": "Read a.txt.", "tools": ["read"]}), ("model_call", asked),
            ("tool_result", {"call": "c1", "tool": "read", "text": "one line", "duration_ms": 250.0}),
            ("model_call", call | {"text": "It holds one line.", "tool_calls": []}),
        ]  # fmt: skip
    return [
        EventRecord(key.benchmark, key.task_id, key.attempt, key.seed, 4 * number + i, BEGAN, kind, payload)
        for i, (kind, payload) in enumerate(kinds)
    ]
