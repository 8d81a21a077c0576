"""The tool-use benchmark through the real program: oracle, null, a model's calls on record, scenarios of one's own."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from stackbench.cli.scoreboard import outcome_document
from stackbench.config import Home, Settings
from stackbench.engine import plan_benchmarks, run_plan
from stackbench.engine.processor_pressure import ProcessorPressure
from stackbench.store import open_queries
from stackbench.types import RunStatus
from tests.conftest import Program
from tests.fake_endpoint import FakeEndpoint

pytestmark = [pytest.mark.e2e, pytest.mark.docker]

HEADLINES = ("completion", "tool_call_accuracy", "parameter_correctness", "workflow_success")

OWN = """\
# Written against docs/scenarios.md alone.
id: welcome-team
category: workflow
subcategory: greeting
difficulty: 2
tasks: 2
parameters:
  people: {person: 3}
  day: {date: [2026-01-01, 2026-12-31]}
prompt: |
  Write greetings.txt with one line "Hello NAME" for every name in team.txt, in order, and then tell the notice board:
  POST {{ api }}/notices with {"count": N, "day": "{{ day }}"}, N being the number of greetings.
setup:
  files:
    team.txt: |
      {% for name in people %}
      {{ name }}
      {% endfor %}
  http:
    "POST /notices": {status: 201, json: {ok: true}}
tools: [read, write, exec, http_request]
checks:
  - file: greetings.txt
    lines: "{{ people | affixed('Hello ') }}"
  - request: POST /notices
    times: 1
    json: {count: 3, day: "{{ day }}"}
expected:
  - {id: team, call: [read, exec], with: {path: team.txt}}
  - {id: welcome, call: [write, exec], with: {path: greetings.txt}, after: team}
  - {id: tell, call: [http_request, exec], with: {method: POST, url: "{{ api }}/notices"}, after: welcome}
oracle:
  - read: {path: team.txt}
  - write: {path: greetings.txt, content: "{{ people | affixed('Hello ', '\\n') | join }}"}
  - http_request: {method: POST, url: "{{ api }}/notices", json: {count: 3, day: "{{ day }}"}}
answer: Three people are greeted.
wrong:
  - why: the board was not told
    calls:
      - write: {path: greetings.txt, content: "{{ people | affixed('Hello ', '\\n') | join }}"}
"""


def metrics(document: dict[str, Any]) -> dict[str, float]:
    return {name: metric["value"] for name, metric in document["results"][0]["metrics"].items()}


def test_the_oracle_is_right_in_everything_and_null_in_nothing(program: Program) -> None:
    found = program.json("eval", "tooluse", "-m", "oracle", "--limit", "40", "--sandboxes", "4")
    assert (found["results"][0]["attempts"], found["results"][0]["errors"]) == (40, 0)
    assert {name: metrics(found)[name] for name in HEADLINES} == dict.fromkeys(HEADLINES, 1.0)
    ids = "nothing-to-be-done-1,trace-one-request-1,which-old-data-2"
    found = program.json("eval", "tooluse", "-m", "null", "--sample-ids", ids, "--sandboxes", "3")
    assert metrics(found)["completion"] == pytest.approx(1 / 3)
    (row,) = program.query(
        "SELECT count(*) AS n, count(DISTINCT task_id) AS tasks, bool_and(valid) AS valid FROM tool_calls"
    )
    assert row["n"] > 80 and row["tasks"] >= 38 and row["valid"]


def test_own_scenarios_run_unchanged(program: Program, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "welcome.yaml").write_text(OWN, encoding="utf-8")
    done = program.run("scenarios", "check", str(folder))
    assert (done.returncode, done.stdout.splitlines()[-1].split(": ")[-1]) == (0, "clean"), done.stdout
    found = program.json("eval", "tooluse", "--scenarios", str(folder), "-m", "oracle")
    assert found["results"][0]["tasks"] == 2
    assert {name: metrics(found)[name] for name in HEADLINES} == dict.fromkeys(HEADLINES, 1.0)
    shown = program.run("show", "last", "welcome-team-1").stdout
    for part in ("expected calls", "team: read or exec", "tell: http_request or exec after welcome", "all checks hold"):
        assert part in shown, shown
    (folder / "welcome.yaml").write_text(OWN.replace("- file: greetings", "- fyle: greetings"), encoding="utf-8")
    done = program.run("eval", "tooluse", "--scenarios", str(folder), "-m", "oracle")
    assert done.returncode == 2
    assert f"{folder / 'welcome.yaml'}, line 23: checks.0: a check has one of" in done.stderr


def test_new_writes_what_check_finds_clean(program: Program, tmp_path: Path) -> None:
    done = program.run("scenarios", "new", "my-task", "--to", str(tmp_path / "mine"))
    assert done.returncode == 0, done.stderr
    assert program.run("scenarios", "check", str(tmp_path / "mine")).returncode == 0
    assert program.run("scenarios", "new", "my-task", "--to", str(tmp_path / "mine")).returncode == 2
    assert "small letters" in program.run("scenarios", "new", "My Task").stderr


def scripted(body: dict[str, Any]) -> Any:
    """A model that reads, writes a call into its text, calls wrongly, then answers."""
    turns = sum(message["role"] == "assistant" for message in body["messages"])
    return [
        [("read", json.dumps({"path": "team.txt"}))],
        '```json\n{"name": "write", "arguments": {"path": "greetings.txt", "content": "Hello"}}\n```',
        [("write", '{"path": "x"')],
        "I could not do it.",
    ][turns]


async def test_a_models_calls_are_on_record(
    program: Program, endpoint: FakeEndpoint, tmp_path: Path, home: Home
) -> None:
    endpoint.reply = scripted
    endpoint.pieces = lambda text: [text]
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "welcome.yaml").write_text(OWN, encoding="utf-8")
    done = await program.run_beside(
        "eval", "tooluse", "--scenarios", str(folder), "-m", endpoint.name, "-n", "2", "--json"
    )
    assert done.returncode == 0, done.stderr
    found = metrics(json.loads(done.stdout))
    assert found["completion"] == 0.0
    assert found["malformed_call_rate"] == found["repaired_call_rate"] == pytest.approx(1 / 3)
    assert found["pass^2"] == 0.0
    rows = program.query(
        "SELECT step, tool, arguments, valid, error FROM tool_calls WHERE attempt = 1 AND task_id = 'welcome-team-2'"
        " ORDER BY step"
    )
    assert [(row["step"], row["tool"], row["valid"]) for row in rows] == [
        (1, "read", True),
        (2, "write", True),
        (3, "write", False),
    ]
    assert "not JSON" in rows[2]["error"]
    asked = len(endpoint.requests)
    done = await program.run_beside(
        "eval", "tooluse", "--scenarios", str(folder), "-m", "replay:last", "-n", "2", "--json"
    )
    assert done.returncode == 0, done.stderr
    again = metrics(json.loads(done.stdout))
    same = ("completion", "tool_call_accuracy", "malformed_call_rate", "repaired_call_rate", "steps", "tokens")
    assert {name: again[name] for name in same} == {name: found[name] for name in same}
    assert len(endpoint.requests) == asked
    done = await program.run_beside(
        "eval", "tooluse", "--scenarios", str(folder), "-m", endpoint.name, "--tool-parser", "strict", "--json"
    )
    found = metrics(json.loads(done.stdout))
    assert found["rejected_call_rate"] == pytest.approx(1 / 2)
    assert found["repaired_call_rate"] == 0.0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["eval", "humaneval", "--scenarios", "x", "-m", "oracle"],
            "goes with the benchmark tooluse, which is not run",
        ),
        (["eval", "tooluse", "--scenarios", "nowhere", "-m", "oracle"], "there is no folder"),
        (["eval", "tooluse", "-m", "oracle", "-T", "categories=games"], "categories"),
        (["eval", "tooluse", "-m", "oracle", "--tool-parser", "loose"], "--tool-parser"),
        (["eval", "tooluse", "-m", "oracle", "--sample-ids", "none-1"], 'no task "none-1"'),
        (["scenarios", "check", "nowhere"], "there is no folder"),
        (["scenarios", "check", "--only", "none"], 'there is no scenario "none"'),
    ],
)
def test_bad_input_is_one_line(program: Program, arguments: list[str], said: str) -> None:
    done = program.run(*arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


async def test_attempts_that_ended_by_time_are_counted_and_a_busy_machine_is_told_apart(
    home: Home, endpoint: FakeEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoint.before_answer = asyncio.Event().wait
    monkeypatch.setattr(ProcessorPressure, "share", lambda self: 0.75)
    plan = plan_benchmarks(["tooluse"], Settings(model=endpoint.name, limit=1, timeout_s=0.5))
    outcome = await run_plan(home, plan)
    assert outcome.status is RunStatus.COMPLETED
    (document,) = outcome_document(outcome)["results"]
    assert (document["ended_by"], document["slow_machine"]) == ({"seconds": 1}, 1)
    queries = open_queries(home.database, home.socket)
    ((reason, slow, busy, seconds),) = queries.rows(
        "SELECT error, metrics ->> 'slow_machine', (metrics ->> 'busy_processors')::DOUBLE, "
        "(metrics ->> 'seconds')::DOUBLE FROM attempts"
    )
    queries.close()
    assert reason.startswith("failed (ended by seconds, on a busy machine): ")
    assert (slow, busy) == ("true", 0.75)
    assert 0.5 <= seconds < 5
