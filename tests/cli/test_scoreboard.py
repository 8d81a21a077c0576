from __future__ import annotations

import io
import re
from dataclasses import replace

import pytest
from rich.console import Console

from stackbench.cli import console as streams
from stackbench.cli.scoreboard import outcome_document, scoreboard
from stackbench.engine import Cost, GateResult, RunOutcome
from stackbench.store import BenchmarkResult, MissingMetric, PlannedBenchmark
from stackbench.types import Metric, RunStatus

LAST_LINES = [
    "database /home/somebody/with/a/long/path/to/it/stackbench.duckdb",
    "next: stackbench show last --home /elsewhere",
]
LONG = "a-benchmark-of-somebody-with-a-long-name-indeed"
LONG_METRIC = "exact_match_with_all_units_and_signs_put_aside"


def result(name: str, *metrics: str, **changes: object) -> BenchmarkResult:
    planned = PlannedBenchmark(
        name, 164, 164, 164, {"by": "all"}, lower_bounds={metrics[0]: 0.4878}, missing=(MissingMetric("pass@10", "x"),)
    )
    made = tuple(Metric(metric, 0.5, 0.039, 0.4234, 0.5766, 161) for metric in metrics)
    found = BenchmarkResult(
        name, 164, 164, 3, made, 161, cut=37, token_limits=(512,), planned=planned, prompt_tokens=1000,
        completion_tokens=300,
    )  # fmt: skip
    return replace(found, **changes)  # type: ignore[arg-type]


OUTCOME = RunOutcome(
    "r",
    RunStatus.COMPLETED,
    "m",
    1.0,
    (result("humaneval", "pass@1"), result(LONG, LONG_METRIC, "acc")),
    (
        GateResult("g", 0.5, None, False),
        GateResult("h", 0.5, None, False, "humaneval", "pass@10", on="ci_low", min=0.5),
    ),
    {"mbpp": "data not available"},
    cost=Cost(0.011, "USD", "m*"),
)


def shown(width: int, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("COLUMNS", str(width))
    console = Console(file=io.StringIO(), width=width, record=True, highlight=False)
    monkeypatch.setattr(streams, "out", lambda: console)
    monkeypatch.setattr("stackbench.cli.scoreboard.out", lambda: console)
    console.print(scoreboard(OUTCOME, LAST_LINES), crop=False)
    return console.export_text()


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_every_score_has_its_denominators_and_no_name_is_broken_at_any_width(
    width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = shown(width, monkeypatch)
    assert [line for line in text.splitlines() if len(line.rstrip()) > width] in ([], LAST_LINES[:1])
    assert text.startswith("run r  completed in 0:01\nmodel m\n")
    assert text.splitlines()[-2:] == LAST_LINES, "commands are whole"
    for name in ("humaneval", "pass@1", LONG, LONG_METRIC, "acc"):
        assert any(name in line for line in text.splitlines()), (name, text)
    assert text.count("161 of 164") == 2
    assert text.count("0.5000") == text.count("[0.4234, 0.5766]") == text.count("0.0390") == 3
    assert len(re.findall(r"\bn 161\b|0\.0390 +161\n", text)) == 3
    assert text.count("mbpp: skipped") == 1
    flat = " ".join(text.split())
    for part in (
        "humaneval: 3 of 164 attempts ended in errors and are left out; counted as failures: pass@1 0.4878",
        "humaneval: 37 of 161 answers ended at 512 tokens",
        "humaneval: no pass@10: x",
        "mbpp: skipped: data not available",
        "total: 328 attempts, 6 errors, 2,000 prompt and 600 completion tokens, cost 0.0110 USD",
        "gate g: FAILED (not measured, min 0.5)",
        "gate h: FAILED (humaneval pass@10 ci_low not measured: x, min 0.5)",
    ):
        assert part in flat


def test_the_document_holds_denominators_bounds_and_reasons() -> None:
    whole = result("humaneval", "pass@1")
    document = outcome_document(OUTCOME)["results"][0]
    assert {name: document[name] for name in document if name != "metrics"} == {
        "benchmark": "humaneval",
        "tasks": 164,
        "attempts": 164,
        "errors": 3,
        "tasks_completed": 161,
        "tasks_planned": 164,
        "tasks_available": 164,
        "attempts_planned": 164,
        "selection": {"by": "all"},
        "partial": {"errors": "all attempts at 3 tasks ended in errors"},
        "cut": 37,
        "ended_by": {},
        "slow_machine": 0,
        "token_limit": 512,
        "missing_metrics": [{"name": "pass@10", "reason": "x"}],
        "errors_as_failures": {"pass@1": 0.4878},
    }
    assert set(document["metrics"]["pass@1"]) == {"value", "stderr", "ci_low", "ci_high", "n"}
    old = outcome_document(replace(OUTCOME, results=(replace(whole, planned=None, token_limits=(1, 2)),)))["results"][0]
    assert (old["tasks_planned"], old["tasks_available"], old["token_limit"]) == (164, None, [1, 2])


def test_the_cost_stands_in_the_document_where_there_is_a_price() -> None:
    assert outcome_document(OUTCOME)["cost"] == {
        "amount": 0.011, "currency": "USD", "price": "m*", "prompt_tokens": 2000, "completion_tokens": 600,
    }  # fmt: skip
    assert "cost" not in outcome_document(replace(OUTCOME, cost=None))
