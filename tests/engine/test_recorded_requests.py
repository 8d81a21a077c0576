"""What an attempt asked stands whole in the database, texts once, and is the same when it is sent again."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from stackbench.config import Home, Settings
from stackbench.control.client import connect as connect_client
from stackbench.control.messages import AttemptText, Event, RunFinished
from stackbench.engine import EngineService, RunOutcome, plan_benchmarks
from stackbench.engine.calls import call_payload
from stackbench.engine.recorded_requests import RecordedRequest, RequestRecorder, rebuild, text_hashes
from stackbench.engine.resend import read_requests, resend
from stackbench.errors import UsageError
from stackbench.store import AttemptDetail, Reader, RunInfo, open_queries
from stackbench.types import AttemptKey, Message, Request, RunStatus, Sampling, ToolCall, ToolSpec
from tests.engines import OneRun
from tests.fake_endpoint import FakeEndpoint

KEY = AttemptKey("b", "t", 0, 7)
TOOLS = (ToolSpec("read", "Reads.", '{"type": "object"}'),)
SAMPLING = Sampling(0.5, 0.9, 33, ("\n", "stop"), 123, top_k=3, repetition_penalty=1.1, ignore_eos=True)


def again(*asked: tuple[Request, str]) -> tuple[list[Request], RequestRecorder, list[dict[str, Any]]]:
    """Requests recorded and rebuilt by way of JSON."""
    recorder = RequestRecorder()
    payloads = [{"request": json.loads(json.dumps(recorder.record(request, begins)))} for request, begins in asked]
    assert text_hashes(payloads) == set(recorder.texts)
    rebuilt = rebuild(KEY, [("model_call", payload) for payload in payloads], recorder.texts)
    return [one.request for one in rebuilt], recorder, [payload["request"] for payload in payloads]


def test_a_request_is_rebuilt_with_all_that_was_sent() -> None:
    call = ToolCall("c1", "read", '{"path": "a"')
    chat = (
        Message("system", "Be brief."), Message("user", "Read a."), Message("assistant", "", (call,)),
        Message("tool", "the text", tool_call_id="c1"),
    )  # fmt: skip
    asked = [
        Request(SAMPLING, chat, tools=TOOLS, key=KEY, stream=True, keep_prefix=True),
        Request(Sampling(max_tokens=1), prompt="Question: 1 + 1\nAnswer:", choices=(" A", " B"), key=KEY),
        Request(Sampling(), (Message("user", ""),), key=KEY, prefill="The answer"),
        Request(Sampling(), prompt="", key=KEY),
    ]
    rebuilt, _, _ = again(*((request, request.prefill) for request in asked))
    assert rebuilt == asked


def test_a_chat_that_goes_on_is_recorded_from_where_it_goes_on() -> None:
    first = (Message("system", "s"), Message("user", "u"))
    second = (*first, Message("assistant", "a"), Message("user", "v"))
    trimmed = (*first, Message("assistant", "cut"), Message("user", "w"))
    chats = [Request(Sampling(), chat, tools=TOOLS, key=KEY) for chat in (first, second, second, trimmed, first)]
    rebuilt, recorder, payloads = again(*((chat, "") for chat in chats))
    assert rebuilt == chats
    assert [len(payload["messages"]) for payload in payloads] == [2, 2, 0, 2, 0]
    assert len(recorder.texts) == 7  # six contents and the tools


def test_few_shot_examples_are_recorded_apart_from_what_follows_them() -> None:
    shots = "Question: 1 + 1\nAnswer: 2\n\n"
    bare = Request(Sampling(), prompt=shots + "Question: 2 + 2", shared_prefix=len(shots), key=KEY)
    chat = Request(Sampling(), (Message("user", shots + "Q"),), shared_prefix=len(shots), key=KEY)
    (first, second), recorder, payloads = again((bare, ""), (chat, ""))
    assert (first.prompt, second.messages) == (bare.prompt, chat.messages)
    digest = hashlib.sha256(shots.encode()).hexdigest()
    assert recorder.texts[digest] == shots
    assert payloads[0]["prompt"][0] == payloads[1]["messages"][0]["content"][0] == digest


def test_what_cannot_be_rebuilt_is_said() -> None:
    with pytest.raises(UsageError, match="an older stackbench"):
        rebuild(KEY, [("model_call", {"text": "a"})], {})
    recorder = RequestRecorder()
    payload = {"request": recorder.record(Request(Sampling(), prompt="x"), "")}
    with pytest.raises(UsageError, match="is not in the database"):
        rebuild(KEY, [("model_call", payload)], {})


# -- a run


async def run(home: Home, benchmark: str, options: dict[str, Any], **settings: Any) -> RunOutcome:
    plan = plan_benchmarks([benchmark], Settings(limit=4, concurrency=2, retries=0, **settings), (), options)
    return await OneRun(home, plan).run()


def rows(home: Home, sql: str) -> list[tuple[Any, ...]]:
    queries = open_queries(home.database, home.socket)
    try:
        return queries.rows(sql)
    finally:
        queries.close()


WAYS: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("gsm8k", {"style": "chat", "fewshot_as_turns": True, "shots": 3}, {"system_prompt": "Be brief.", "seeds": (1, 2),
                                                                        "temperature": 0.7, "top_p": 0.9}),
    ("gsm8k", {"style": "fewshot"}, {"stop": ("zz",), "extra_body": {"priority": 1}}),
    ("gsm8k", {}, {"prefill": "Let me see"}),
    ("gsm8k", {"style": "fewshot"}, {"prefill": " Let me"}),
    ("mmlu", {"style": "completion"}, {}),
    ("mmlu", {"style": "chat"}, {}),
]  # fmt: skip


@pytest.mark.parametrize(("benchmark", "options", "settings"), WAYS, ids=range(len(WAYS)))
async def test_what_is_sent_again_is_what_was_sent_to_the_byte(
    home: Home, endpoint: FakeEndpoint, benchmark: str, options: dict[str, Any], settings: dict[str, Any]
) -> None:
    endpoint.reply = lambda body: f"It is {sum(json.dumps(body).encode()) % 9}."
    outcome = await run(home, benchmark, options, model=endpoint.name, **settings)
    assert outcome.status is RunStatus.COMPLETED
    sent, endpoint.bodies = sorted(endpoint.bodies), []
    info, recorded = recorded_by(home, outcome.run_id)
    answered = [one async for one in resend(info, recorded, home, None, lambda line: None)]
    assert sorted(endpoint.bodies) == sent
    assert len(answered) == len(sent) > 0
    assert {one.differences for one in answered} == {()}
    assert {one.error for one in answered} == {""}
    endpoint.reply = lambda body: "Something else."
    changed = [one async for one in resend(info, recorded[:1], home, None, lambda line: None)]
    assert "text" in changed[0].differences


def recorded_by(home: Home, run_id: str) -> tuple[RunInfo, list[tuple[AttemptDetail, RecordedRequest]]]:
    """A run and all that its attempts asked, from the database alone."""
    tasks = rows(home, f"SELECT DISTINCT task_id FROM attempts WHERE run_id = '{run_id}' ORDER BY task_id")
    queries = open_queries(home.database, home.socket)
    try:
        reader = Reader(queries)
        details = [detail for (task,) in tasks for detail in reader.sample(run_id, task)]
        return reader.run(run_id), read_requests(reader, details)
    finally:
        queries.close()


async def test_few_shot_examples_stand_once_in_the_database(home: Home, endpoint: FakeEndpoint) -> None:
    endpoint.reply = lambda body: "#### 18"
    await run(home, "gsm8k", {"style": "fewshot"}, model=endpoint.name, samples=3, temperature=1.0)
    shots = rows(home, "SELECT count(*) FROM texts WHERE text LIKE 'Question: %Answer: %Answer: %'")
    assert shots == [(1,)]
    prompts = rows(home, "SELECT DISTINCT prompt FROM attempts")
    assert len(prompts) == 4 and all(prompt.count("Question:") == 1 for (prompt,) in prompts)
    assert all(body["prompt"].count("Question:") == 9 for body in endpoint.requests)
    reasons = rows(home, "SELECT DISTINCT reason, passed FROM attempts ORDER BY passed")
    assert any(reason == "passed: answered 18" and passed for reason, passed in reasons) or all(
        reason.startswith("failed: answered 18, not ") for reason, _ in reasons
    )


async def test_a_request_without_an_answer_is_recorded_with_why(home: Home, endpoint: FakeEndpoint) -> None:
    endpoint.faults.extend([400] * 20)
    endpoint.fault_text = "no"
    await run(home, "gsm8k", {}, model=endpoint.name)
    found = rows(home, "SELECT kind, payload ->> '$.error', payload -> '$.request' FROM events WHERE task_id <> ''")
    assert [kind for kind, _, _ in found] == ["model_call_failed"] * 4
    assert all("no" in error and json.loads(request)["messages"] for _, error, request in found)


# -- streaming


TIMES = {
    "latency_s", "ttft_s", "duration_ms", "seconds", "details", "waited_s", "busy_processors", "slow_machine",
}  # fmt: skip
TASK = "trace-one-request-1"


def speaks(body: dict[str, Any]) -> str | list[tuple[str, str]]:
    """Runs one command, then tells what it gave."""
    results = [message for message in body.get("messages", []) if message["role"] == "tool"]
    return f"result: {results[-1]['content']}" if results else [("exec", json.dumps({"command": "echo here"}))]


def without_times(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: without_times(one) for name, one in value.items() if name not in TIMES}
    return [without_times(one) for one in value] if isinstance(value, list) else value


@asynccontextmanager
async def watching(home: Home) -> AsyncIterator[list[str]]:
    """The pieces of text that a subscriber is told of the next run."""
    watcher, pieces = await connect_client(home.socket, "watcher"), list[str]()

    async def watch() -> None:
        async for event in watcher.events(text=True):
            what = event.what if isinstance(event, Event) else None
            if isinstance(what, AttemptText):
                pieces.append(what.text)
            if isinstance(what, RunFinished):
                return

    task = asyncio.create_task(watch())
    yield pieces
    async with asyncio.timeout(30):
        await task
    await watcher.close()


@pytest.mark.docker
async def test_who_watches_the_text_changes_nothing_that_is_recorded(home: Home, endpoint: FakeEndpoint) -> None:
    endpoint.reply = speaks
    plan = plan_benchmarks(["tooluse"], Settings(model=endpoint.name, sandboxes=1), [TASK])
    runs: list[str] = []
    async with EngineService(home) as service:
        runs.append((await service.submit(plan).outcome()).run_id)
        async with watching(home) as pieces:
            while not service.stream.watched:
                await asyncio.sleep(0)
            runs.append((await service.submit(plan).outcome()).run_id)
        assert any("result:" in piece for piece in pieces)
    alone, watched = (recorded_rows(home, run_id) for run_id in runs)
    assert alone == watched
    assert all(alone)


def recorded_rows(home: Home, run_id: str) -> list[Any]:
    """The attempts, events and calls of a run, without what a clock tells."""
    found: list[Any] = []
    for columns, table in (
        ("task_id, passed, reason, prompt, completion, metrics", "attempts"),
        ("kind, payload", "events"),
        ("step, tool, arguments, valid, result, error", "tool_calls"),
    ):
        order = "seq" if table == "events" else "ALL"
        of_run = f"WHERE run_id = '{run_id}'" + (" AND task_id <> ''" if table == "events" else "")
        for row in rows(home, f"SELECT {columns} FROM {table} {of_run} ORDER BY {order}"):
            found.append([without_times(json.loads(one)) if str(one).startswith("{") else one for one in row])
    return found


async def test_an_answer_that_is_streamed_is_recorded_as_one_that_is_not(connect: Any, endpoint: FakeEndpoint) -> None:
    endpoint.pieces = list
    model = await connect()
    ask = Request(Sampling(max_tokens=9), (Message("user", "Q"),))
    payloads: list[dict[str, Any]] = []
    for request in (ask, replace(ask, stream=True), replace(ask, stream=True, on_text=lambda text: None)):
        (answer,) = await model.generate([request])
        payloads.append(without_times(call_payload(request, answer, whole=True)))
    for payload in payloads:
        payload.pop("completion_tokens")  # this server counts pieces of a stream
    assert payloads[0] == payloads[1] == payloads[2]
