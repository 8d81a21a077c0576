"""A replay of a run asks as the run asked and gives its scores."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from stackbench.config import Home, Settings
from stackbench.control.messages import AttemptFinished, EventKind, Notice
from stackbench.engine import RunOutcome, plan_benchmarks, read_samples
from stackbench.errors import UsageError
from stackbench.store import Reader, open_queries
from stackbench.types import RunStatus
from tests.engines import OneRun
from tests.fake_endpoint import FakeEndpoint

TIMES = {"time_to_solution_s", "seconds"}
"""Metrics that are measured anew."""


async def run(
    home: Home, name: str, *, options: dict[str, Any] | None = None, sample_ids: tuple[str, ...] = (), **settings: Any
) -> tuple[RunOutcome, list[EventKind]]:
    events: list[EventKind] = []
    plan = plan_benchmarks([name], Settings(**settings), sample_ids, options)
    return await OneRun(home, plan, events.append).run(), events


def scores(outcome: RunOutcome) -> Any:
    (result,) = outcome.results
    metrics = {(m.name, m.category): m for m in result.metrics if m.name not in TIMES}
    return metrics, result.tasks, result.tasks_completed, result.attempts, result.errors, result.cut


def rows(home: Home, run_id: str, columns: str = "prompt, completion, thought, passed, finish_reason") -> list[Any]:
    queries = open_queries(home.database, home.socket)
    try:
        sql = f"SELECT task_id, attempt, seed, {columns} FROM attempts WHERE run_id = ? ORDER BY ALL"
        return queries.rows(sql, [run_id])
    finally:
        queries.close()


async def check_replay(home: Home, first: RunOutcome, name: str, **given: Any) -> RunOutcome:
    again, _ = await run(home, name, model=f"replay:{first.run_id}", **given)
    assert scores(again) == scores(first)
    assert rows(home, again.run_id) == rows(home, first.run_id)
    return again


def answer(body: dict[str, Any]) -> str:
    """Different answers to different questions and seeds, some right."""
    text = body["messages"][-1]["content"] if "messages" in body else body["prompt"]
    number = sum(text.encode()) + body.get("seed", 0)
    return f"The answer is {'ABCD'[number % 4]}.\n#### {number % 30}"


@pytest.mark.docker
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("humaneval", {"style": "chat"}),
        ("humaneval", {"style": "completion"}),
        ("mbpp", {"style": "fewshot"}),
        ("mbpp", {}),
    ],
)
async def test_programs_are_replayed_in_the_style_they_were_asked_in(
    home: Home, endpoint: FakeEndpoint, name: str, options: dict[str, Any]
) -> None:
    bodies = ["    return True\n", "    return False\n", "    return number % 1.0\n", "    return []\n"]
    endpoint.reply = lambda body: (
        bodies[body.get("seed", 0) % 4]
        if "prompt" in body
        else f"```python\ndef f(*_):\n{bodies[body.get('seed', 0) % 4]}```"
    )
    first, _ = await run(
        home, name, options=options, model=endpoint.name, limit=4, samples=2, seeds=(3, 4), temperature=0.7,
        max_tokens=99, sandboxes=1,
    )  # fmt: skip
    asked = len(endpoint.requests)
    await check_replay(home, first, name)
    assert len(endpoint.requests) == asked


@pytest.mark.parametrize("options", [{"style": "chat"}, {"style": "fewshot", "shots": 3}])
async def test_gsm8k_is_replayed(home: Home, endpoint: FakeEndpoint, options: dict[str, Any]) -> None:
    endpoint.reply = answer
    first, _ = await run(home, "gsm8k", options=options, model=endpoint.name, limit=40, samples=3, temperature=0.2)
    await check_replay(home, first, "gsm8k")


@pytest.mark.parametrize("lacks", [set(), {"logprobs"}, {"completions"}, {"completions", "logprobs"}])
async def test_mmlu_is_replayed_by_log_probabilities_and_by_text(
    home: Home, endpoint: FakeEndpoint, lacks: set[str]
) -> None:
    endpoint.reply, endpoint.lacks = answer, lacks
    first, _ = await run(home, "mmlu", model=endpoint.name, limit=70, options={"shots": 2})
    metrics = rows(home, first.run_id, "metrics ->> '$.by'")
    assert {row[3] for row in metrics} == {"text" if "logprobs" in lacks else "logprob"}
    again = await check_replay(home, first, "mmlu")
    assert rows(home, again.run_id, "metrics") == rows(home, first.run_id, "metrics")


async def test_a_seed_of_the_selection_is_kept(home: Home, endpoint: FakeEndpoint) -> None:
    endpoint.reply = answer
    first, _ = await run(home, "mmlu", model=endpoint.name, limit=60, limit_seed=7)
    again = await check_replay(home, first, "mmlu")
    queries = open_queries(home.database, home.socket)
    found = Reader(queries)
    assert found.task_ids(again.run_id) == found.task_ids(first.run_id)
    assert found.run(again.run_id).config["settings"]["limit_seed"] == 7
    queries.close()


async def test_errors_end_in_errors_again(home: Home, endpoint: FakeEndpoint) -> None:
    endpoint.reply = answer
    endpoint.faults.extend([400, 400])
    first, _ = await run(home, "gsm8k", model=endpoint.name, limit=10, concurrency=1)
    assert (first.status, first.results[0].errors) == (RunStatus.FAILED, 2)
    again = await check_replay(home, first, "gsm8k", concurrency=1)
    assert again.status is RunStatus.FAILED
    assert "HTTP 400" in again.last_error


async def test_attempts_that_were_not_made_are_left_out(home: Home, endpoint: FakeEndpoint) -> None:
    endpoint.reply, endpoint.delay_s = answer, 0.01
    engine = OneRun(home, plan_benchmarks(["gsm8k"], Settings(model=endpoint.name, concurrency=2)))

    def stop_at_twenty(event: EventKind) -> None:
        if isinstance(event, AttemptFinished) and len(endpoint.requests) >= 20:
            engine.stop()

    engine.listener = stop_at_twenty
    first = await engine.run()
    assert first.status is RunStatus.INTERRUPTED
    again, events = await run(home, "gsm8k", model=f"replay:{first.run_id}")
    assert scores(again) == scores(first)
    assert (again.status, again.results[0].tasks_planned) == (RunStatus.COMPLETED, 1319)
    left = 1319 - first.attempts
    said = f"gsm8k: {left} attempts were not made in the replayed run and are left out"
    assert any(isinstance(event, Notice) and event.text == said for event in events)


async def test_what_is_overridden_is_said(home: Home, endpoint: FakeEndpoint) -> None:
    endpoint.reply = answer
    first, _ = await run(home, "mmlu", model=endpoint.name, limit=80, samples=2, temperature=0.5)
    again, events = await run(home, "mmlu", model=f"replay:{first.run_id}", limit=20, samples=1, options={"shots": 1})
    assert (again.attempts, again.error_rate) == (20, 0.0)
    said = [event.text for event in events if isinstance(event, Notice) and event.text.startswith("not as run")]
    assert said == [
        f"not as run {first.run_id} was: samples 1 in place of 2",
        f"not as run {first.run_id} was: mmlu: option shots 1 in place of 'the default'",
        f"not as run {first.run_id} was: mmlu: limit 20 in place of 80",
    ]


async def test_a_resumed_replay_goes_on_with_the_same_run(home: Home, endpoint: FakeEndpoint) -> None:
    endpoint.reply = answer
    first, _ = await run(home, "gsm8k", model=endpoint.name, limit=30)
    engine = OneRun(home, plan_benchmarks(["gsm8k"], Settings(model="replay:last", concurrency=1)))

    def stop_at_five(event: EventKind) -> None:
        if isinstance(event, AttemptFinished):
            engine.stop()

    engine.listener = stop_at_five
    begun = await engine.run()
    assert begun.attempts < 30
    again = await OneRun(home, engine.plan, resume=begun.run_id).run()
    assert scores(again) == scores(first)


async def test_runs_that_cannot_be_replayed_say_why(home: Home, endpoint: FakeEndpoint, tmp_path: Path) -> None:
    first, _ = await run(home, "gsm8k", model=endpoint.name, limit=2)
    with pytest.raises(UsageError, match=f"run {first.run_id} has no mmlu to replay; it is of gsm8k"):
        await run(home, "mmlu", model=f"replay:{first.run_id}")
    with pytest.raises(UsageError, match='no run "nothing"'):
        await run(home, "gsm8k", model="replay:nothing")


@pytest.mark.docker
async def test_a_run_that_scored_a_file_is_not_replayed(home: Home, tmp_path: Path) -> None:
    path = tmp_path / "s.jsonl"
    path.write_text(json.dumps({"task_id": "HumanEval/0", "completion": "    return False\n"}) + "\n")
    samples = read_samples(path, "humaneval", home)
    plan = plan_benchmarks(["humaneval"], Settings(model="file:s.jsonl", sandboxes=1))
    scored = await OneRun(home, plan.model_copy(update={"samples_file": str(path)}), samples=samples).run()
    with pytest.raises(UsageError, match="scored the samples in .*s.jsonl and asked no model; score that file again"):
        await run(home, "humaneval", model=f"replay:{scored.run_id}")


OWN = """
id: say-hello
category: files
subcategory: write
difficulty: 1
prompt: Write a file hello.txt that holds one line with the word hello, then say that you are done.
tools: [read, write]
checks:
  - file: hello.txt
    equals: "hello\\n"
expected:
  - {call: write, with: {path: hello.txt}}
oracle:
  - write: {path: hello.txt, content: "hello\\n"}
answer: It is written.
"""


@pytest.mark.docker
@pytest.mark.parametrize("lacks", [set(), {"tools"}])
async def test_agents_are_replayed_turn_by_turn_with_and_without_tools_of_the_endpoint(
    home: Home, endpoint: FakeEndpoint, tmp_path: Path, lacks: set[str]
) -> None:
    endpoint.lacks, endpoint.pieces = lacks, lambda text: [text]
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "hello.yaml").write_text(OWN)
    call = {"path": "hello.txt", "content": "hello\n"}

    def reply(body: dict[str, Any]) -> Any:
        turn = sum(message["role"] == "assistant" for message in body.get("messages", ()))
        if turn > 1:
            return "Done."
        path = {**call, "path": "other.txt"} if turn == 0 else call
        if lacks:
            return f"<tool_call>{json.dumps({'name': 'write', 'arguments': path})}</tool_call>"
        return [("write", json.dumps(path))]

    endpoint.reply = reply
    options = {"scenarios": str(tmp_path / "mine")}
    endpoint.finish = lambda body: "length" if len(body["messages"]) == 2 else "tool_calls"
    first, _ = await run(home, "tooluse", options=options, model=endpoint.name, samples=2, sandboxes=1)
    assert (first.results[0].cut, first.results[0].token_limits) == (2, (4096,))
    assert first.results[0].errors == 0
    steps = {m.name: m.value for m in first.results[0].metrics}["steps"]
    assert steps == 3
    asked = len(endpoint.requests)
    again = await check_replay(home, first, "tooluse")
    assert len(endpoint.requests) == asked
    assert await asyncio.to_thread(rows, home, again.run_id, "score") == rows(home, first.run_id, "score")
