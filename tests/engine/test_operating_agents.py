"""An operator at a running agent, over the engine's socket: calls approved, edited, refused, messages, what is seen."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest

from stackbench.config import Home, Settings
from stackbench.control.client import EngineClient, connect
from stackbench.control.messages import AttemptText, Event, ToolCallEnded, ToolCallStarted
from stackbench.engine import EngineService, SubmittedRun, plan_benchmarks
from stackbench.errors import UsageError
from stackbench.store import LocalQueries
from stackbench.types import RunStatus
from tests.fake_endpoint import FakeEndpoint

pytestmark = pytest.mark.docker

TASK = "trace-one-request-1"


@dataclass
class Room:
    service: EngineService
    client: EngineClient
    run: SubmittedRun
    seen: list[Event]

    async def call_waiting(self) -> dict[str, Any]:
        """The call that waits for the operator, its arguments included."""
        async with asyncio.timeout(60):
            while True:
                try:
                    status = await self.client.command("status", content=True)
                except UsageError:
                    status = {"calls_to_approve": []}
                if status["calls_to_approve"]:
                    return status["calls_to_approve"][0]
                await asyncio.sleep(0.02)


def speaks(body: dict[str, Any]) -> str | list[tuple[str, str]]:
    """Runs one command, then tells what it gave."""
    results = [message for message in body.get("messages", []) if message["role"] == "tool"]
    if not results:
        return [("exec", json.dumps({"command": "echo from-the-model"}))]
    said = [message["content"] for message in body["messages"] if message["role"] == "user"]
    return f"result: {results[-1]['content']} told: {said[-1]}"


@pytest.fixture
async def room(home: Home, endpoint: FakeEndpoint) -> AsyncIterator[Room]:
    endpoint.reply = speaks
    settings = Settings(model=endpoint.name, approve_calls=True, sandboxes=1)
    async with EngineService(home) as service:
        run = service.submit(plan_benchmarks(["tooluse"], settings, [TASK]))
        client, watcher = await connect(home.socket, "tests"), await connect(home.socket, "watcher")
        seen: list[Event] = []

        async def watch() -> None:
            async for event in watcher.events(since=1):
                if isinstance(event, Event):
                    seen.append(event)

        watching = asyncio.create_task(watch())
        yield Room(service, client, run, seen)
        run.stop()
        await run.outcome()
        await client.close()
        await watcher.close()
        await watching


async def answer_of(room: Room) -> str:
    """What the agent answered in the end."""
    async with asyncio.timeout(60):
        outcome = await room.run.outcome()
    assert outcome.status is RunStatus.COMPLETED
    queries = LocalQueries(room.service.writer.cursor())
    ((completion,),) = queries.rows("SELECT completion FROM attempts")
    queries.close()
    return completion


async def test_a_call_is_made_once_it_is_approved(room: Room) -> None:
    waiting = await room.call_waiting()
    assert (waiting["tool"], waiting["task_id"]) == ("exec", TASK)
    assert "from-the-model" in waiting["arguments"]
    why = await room.client.command("why")
    assert why["attempts"][0]["waits_for"] == "operator"
    assert why["attempts"][0]["detail"] == f"approval of call {waiting['call']} (exec)"
    metadata = await room.client.command("status")
    assert "arguments" not in metadata["calls_to_approve"][0], "what a model wrote is told only with content"
    with pytest.raises(UsageError, match='no call "99" waits'):
        await room.client.command("approve", call="99")
    await room.client.command("approve", who="tests")
    assert "from-the-model" in await answer_of(room)
    kinds = [event.what for event in room.seen]
    started = next(what for what in kinds if isinstance(what, ToolCallStarted))
    ended = next(what for what in kinds if isinstance(what, ToolCallEnded))
    assert (started.tool, started.call_id, started.attempt.task_id) == ("exec", ended.call_id, TASK)
    assert "from-the-model" in ended.output and not ended.failed
    assert any(isinstance(what, AttemptText) for what in kinds)


async def test_a_call_is_made_with_the_operator_s_arguments(room: Room) -> None:
    await room.call_waiting()
    with pytest.raises(UsageError, match="edit takes the arguments as a JSON object"):
        await room.client.command("edit", arguments="[1]")
    await room.client.command("edit", arguments='{"command": "echo from-the-operator"}')
    answer = await answer_of(room)
    assert "from-the-operator" in answer and "from-the-model" not in answer.split("told:")[0].split("]")[-1]


async def test_a_refused_call_is_not_made_and_a_message_is_read(room: Room) -> None:
    await room.call_waiting()
    await room.client.command("message", text="look elsewhere", target=TASK)
    with pytest.raises(UsageError, match='no agent is at work on "nobody"'):
        await room.client.command("message", text="x", target="nobody")
    await room.client.command("reject", reason="not today")
    answer = await answer_of(room)
    assert "theoperatorrefusedthiscall:nottoday" in answer.replace(" ", "")
    assert "told:lookelsewhere" in answer.replace(" ", "")
    queries = LocalQueries(room.service.writer.cursor())
    acts = queries.rows("SELECT payload->>'verb' FROM events WHERE kind = 'operator' AND task_id = '' ORDER BY seq")
    queries.close()
    assert [verb for (verb,) in acts] == ["message", "reject"]
