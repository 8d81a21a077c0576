"""What `show` and `runs` tell of the gates of a run that has ended."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from stackbench.benchmarks import BoundedBenchmark, list_benchmarks
from stackbench.benchmarks.registry import may_have_bounds
from stackbench.cli import main
from stackbench.config import Home, Settings
from stackbench.engine import Gate, plan_benchmarks, run_plan
from stackbench.engine.recorded_gates import recorded_gates
from stackbench.store import Reader, open_queries
from stackbench.types import RunStatus
from tests.report.recorded_results import Part, make_home, record_run

GATES = (
    Gate(name="code", benchmark="humaneval", metric="pass@1", min=0.9),
    Gate(name="low", benchmark="humaneval", metric="pass@1", min=0.1),
    Gate(name="ten", benchmark="humaneval", metric="pass@10", min=0.1),
    Gate(name="drop", benchmark="humaneval", metric="pass@1", margin=0.02),
)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = make_home(tmp_path / "home")
    record_run(home, "20261126-090000-aaaaaa", gates=GATES)
    record_run(home, "20261126-091000-bbbbbb", gates=GATES[1:2])
    record_run(home, "20261126-092000-cccccc", gates=GATES, status=RunStatus.RUNNING, parts=[Part(tasks=2)])
    return home


def said(capsys: pytest.CaptureFixture[str], home: Home, *words: str) -> str:
    with pytest.raises(SystemExit) as ended:
        main([*words, "--home", str(home.path)])
    assert not ended.value.code
    return capsys.readouterr().out


def test_show_has_a_line_for_each_gate(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    text = " ".join(said(capsys, home, "show", "20261126-0900").split())
    value = json.loads(said(capsys, home, "show", "20261126-0900", "--json"))["gates"][0]["value"]
    assert f"gate code: FAILED (humaneval pass@1 {value:.4f}, min 0.9)" in text
    assert f"gate low: passed (humaneval pass@1 {value:.4f}, min 0.1)" in text
    assert "gate ten: FAILED (humaneval pass@10 not measured, min 0.1)" in text
    assert "gate drop: UNDECIDED (" in text
    assert "gate" not in said(capsys, home, "show", "20261126-0920"), "nothing is judged while a run goes on"


def test_json_has_the_gates_with_their_outcomes(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    found = json.loads(said(capsys, home, "show", "20261126-0900", "--json"))["gates"]
    assert [(gate["name"], gate["outcome"], gate["passed"]) for gate in found] == [
        ("code", "failed", False),
        ("low", "passed", True),
        ("ten", "failed", False),
        ("drop", "undecided", False),
    ]
    listed = {run["run_id"]: run["gates"] for run in json.loads(said(capsys, home, "runs", "--json"))}
    assert listed["20261126-090000-aaaaaa"] == found and listed["20261126-092000-cccccc"] == []


@pytest.mark.parametrize("width", [80, 240])
def test_runs_names_the_gates_that_did_not_pass(
    home: Home, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    text = " ".join(said(capsys, home, "runs").split())
    assert text.count("gates FAILED: code, ten; UNDECIDED: drop") == text.count("gates ") == 1


async def test_the_outcomes_are_those_of_the_runs_end(home: Home) -> None:
    """A gate, and the bound that the benchmark has for itself."""
    gate = Gate(name="score", benchmark="longcontext", metric="score", min=0.5)
    options: dict[str, object] = {"lengths": ["1K"], "depths": [0], "families": ["needle"]}
    plan = plan_benchmarks(["longcontext"], Settings(model="null", limit=2), options=options)
    outcome = await run_plan(home, plan.model_copy(update={"gates": (gate,)}))
    assert {gate.name for gate in outcome.gates} >= {"score", "longcontext truncated"}
    queries = open_queries(home.database, home.socket)
    try:
        reader = Reader(queries)
        run = reader.run(outcome.run_id)
        assert recorded_gates(reader, run, reader.results(run.run_id)) == outcome.gates
    finally:
        queries.close()


def test_our_benchmarks_with_bounds_are_known_without_their_modules() -> None:
    for name, kind in list_benchmarks().items():
        if kind.__module__.startswith("stackbench."):
            assert may_have_bounds(name) is isinstance(kind, BoundedBenchmark), name
