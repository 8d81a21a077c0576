"""Agents' transcripts as ATIF: Harbor's own validator, in an environment of its own, judges what a real run exports."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from stackbench.config import Home, Settings
from stackbench.engine import plan_benchmarks, run_plan
from stackbench.errors import UsageError
from stackbench.report.atif import TimedEvent, trajectory
from stackbench.report.export import export
from stackbench.store import open_queries
from tests.tui.hostile_strings import hostile_strings

KEY = ("tooluse", "a task", 0, 7)
AT = "2026-11-26T10:00:00Z"


@pytest.fixture(scope="module")
def validator() -> list[str]:
    """The command of Harbor's validator."""
    folder = os.environ.get("STACKBENCH_VALIDATORS", "")
    python = Path(folder) / "atif" / "bin" / "python"
    if not folder or not python.is_file():
        pytest.skip("needs harbor's validator: scripts/validators makes it, STACKBENCH_VALIDATORS names its folder")
    return [str(python), "-m", "harbor.utils.trajectory_validator"]


def judged(validator: list[str], path: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*validator, str(path)], capture_output=True, text=True, timeout=60, check=False)


def result(step: int, call: str, arguments: str, text: str = "out", **fields: Any) -> TimedEvent:
    payload = {"step": step, "call": call, "tool": "exec", "arguments": arguments, "valid": True, "failed": False,
               "repaired": False, "text": text, "details": {"exit_code": 0}, "duration_ms": 1.5}  # fmt: skip
    return ("tool_result", AT, {**payload, **fields})


def turn(text: str, **fields: Any) -> TimedEvent:
    payload = {"text": text, "prompt_tokens": 10, "completion_tokens": 3, "latency_s": 0.5, "finish_reason": "stop"}
    return ("model_call", AT, {**payload, **fields})


START: TimedEvent = ("agent_start", AT, {"system": "Be brief.", "task": "Do it.", "tools": ["exec", "read"]})


def test_turns_hold_their_calls_and_what_each_was_answered() -> None:
    events = [
        START,
        turn("I look.", thought="hm"),
        result(1, "c1", '{"command": "ls"}'),
        result(1, "c2", "{broken", failed=True, valid=False),
        ("operator", AT, {"action": "message", "text": "Hurry."}),
        ("operator", AT, {"action": "approve", "tool": "exec"}),
        turn("Done."),
        ("agent_end", AT, {"ending": "answered"}),
        ("verdict", AT, {"checks": [{"name": "c", "passed": True, "why": ""}]}),
    ]
    document = trajectory("run", KEY, "openai:m", events, {"status": "completed", "score": 1.0})
    steps = document["steps"]
    assert [step["step_id"] for step in steps] == [1, 2, 3, 4, 5, 6]
    assert [step["source"] for step in steps] == ["system", "user", "agent", "user", "system", "agent"]
    assert [step["message"] for step in steps][1:4] == ["Do it.", "I look.", "Hurry."]
    assert steps[2]["reasoning_content"] == "hm"
    assert [call["arguments"] for call in steps[2]["tool_calls"]] == [{"command": "ls"}, {}]
    assert steps[2]["tool_calls"][1]["extra"] == {"arguments_as_written": "{broken"}
    results = steps[2]["observation"]["results"]
    assert [(one["source_call_id"], one["content"], one["extra"]["failed"]) for one in results] == [
        ("c1", "out", False), ("c2", "out", True),
    ]  # fmt: skip
    assert document["final_metrics"] == {"total_prompt_tokens": 20, "total_completion_tokens": 6, "total_steps": 6}
    assert [tool["function"]["name"] for tool in document["agent"]["tool_definitions"]] == ["exec", "read"]
    assert document["extra"]["ending"] == "answered" and document["extra"]["verdict"]["checks"][0]["passed"]
    assert document["trajectory_id"] == "run/tooluse/a task#0/7"


@pytest.mark.docker
async def test_harbor_accepts_what_a_run_of_agents_exports(
    home: Home, image: str, validator: list[str], tmp_path: Path
) -> None:
    run_id = (await run_plan(home, plan_benchmarks(["tooluse"], Settings(model="oracle", limit=3, sandboxes=1)))).run_id
    queries = open_queries(home.database, home.socket)
    paths = list(export(queries, run_id, tmp_path / "out", ("atif",)))
    queries.close()
    assert len(paths) == 3 and {path.parent.name for path in paths} == {"atif"}
    for path in paths:
        done = judged(validator, path)
        assert done.returncode == 0, done.stdout + done.stderr
    document = json.loads(paths[0].read_text())
    assert document["extra"]["passed"] is True
    assert sum(len(step.get("tool_calls", ())) for step in document["steps"]) >= 1


def test_harbor_accepts_texts_of_every_kind_and_refuses_a_broken_document(validator: list[str], tmp_path: Path) -> None:
    events: list[TimedEvent] = [START]
    for text in hostile_strings():
        events += [
            turn(text, thought=text), result(1, text, text, text), result(1, "", json.dumps({text: text})),
            result(1, "same", '{"x": NaN}'), result(1, "same", "[" * 500), ("operator", AT, {"action": text}),
            ("context_trimmed", AT, {"step": 1, "messages": 3}), ("model_call_failed", AT, {"error": text}),
        ]  # fmt: skip
    document = trajectory("run", ("b", hostile_strings()[0], 0, 0), "m", events, {"reason": hostile_strings()[3]})
    path = tmp_path / "trajectory.json"
    path.write_text(json.dumps(document, allow_nan=False))
    done = judged(validator, path)
    assert done.returncode == 0, (done.stdout + done.stderr)[-2000:]
    document["steps"][1]["step_id"] = 7
    path.write_text(json.dumps(document))
    assert judged(validator, path).returncode == 1


@pytest.mark.docker
async def test_a_run_without_agents_has_no_trajectories(home: Home, image: str, tmp_path: Path) -> None:
    run_id = (await run_plan(home, plan_benchmarks(["humaneval"], Settings(model="oracle", limit=1)))).run_id
    queries = open_queries(home.database, home.socket)
    with pytest.raises(UsageError, match="no agent made an attempt"):
        list(export(queries, run_id, tmp_path / "out", ("atif",)))
    assert not (tmp_path / "out" / "atif").exists()
    queries.close()
