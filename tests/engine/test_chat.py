"""A chat with an agent outside any benchmark: begun as a run, steered by the verbs, kept when it is ended."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from stackbench.benchmarks import benchmark_names
from stackbench.config import Home, Settings
from stackbench.control.client import EngineClient, connect
from stackbench.engine import EngineService, SubmittedRun, plan_benchmarks
from stackbench.errors import UsageError
from stackbench.store import LocalQueries
from stackbench.types import RunStatus
from tests.fake_endpoint import FakeEndpoint

pytestmark = pytest.mark.docker


def speaks(body: dict[str, Any]) -> str | list[tuple[str, str]]:
    """Does what it is told: `run COMMAND` calls a tool, anything else is said back."""
    last = body.get("messages", [{"role": "user", "content": ""}])[-1]
    if last["role"] == "user" and last["content"].startswith("run "):
        return [("exec", json.dumps({"command": last["content"].removeprefix("run ")}))]
    return f"heard {last['content']}"


@pytest.fixture
async def chat(home: Home, endpoint: FakeEndpoint) -> AsyncIterator[tuple[EngineService, SubmittedRun, EngineClient]]:
    endpoint.reply, endpoint.pieces = speaks, lambda text: [text]
    settings = Settings(model=endpoint.name, sandboxes=1, approve_calls="risky")
    async with EngineService(home) as service:
        run = service.submit(plan_benchmarks(["chat"], settings))
        client = await connect(home.socket, "tests")
        await agent_that(client, lambda agent: agent["chat"])
        yield service, run, client
        run.stop()
        await run.outcome()
        await client.close()


async def agent_that(client: EngineClient, wanted: Any) -> dict[str, Any]:
    """The only agent, once it is so."""
    async with asyncio.timeout(60):
        while True:
            try:
                agents = await client.command("agents", content=True)
            except UsageError:
                agents = []
            if agents and wanted(agents[0]):
                return agents[0]
            await asyncio.sleep(0.02)


async def said(client: EngineClient) -> list[str]:
    steps = (await client.command("transcript", content=True))["steps"]
    return [step["payload"]["text"] for step in steps if step["kind"] == "model_call" and step["payload"]["text"]]


async def test_messages_are_answered_with_calls_that_wait_and_the_end_keeps_the_chat(
    chat: tuple[EngineService, SubmittedRun, EngineClient],
) -> None:
    service, run, client = chat
    why = await client.command("why")
    assert why["attempts"][0]["detail"] == "a message of the operator"
    await client.command("message", text="good morning")
    await agent_that(client, lambda agent: agent["turns"] == 1)
    await client.command("message", text="run echo from the tool")
    agent = await agent_that(client, lambda agent: agent["calls"])
    assert "from the tool" in agent["calls"][0]["arguments"]
    await client.command("approve")
    await agent_that(client, lambda agent: agent["turns"] == 3)
    assert await said(client) == ["heard good morning", "heard from the tool"]
    await client.command("abort")
    async with asyncio.timeout(30):
        outcome = await run.outcome()
    assert outcome.status is RunStatus.COMPLETED
    queries = LocalQueries(service.writer.cursor())
    ((status, reason, answer),) = queries.rows("SELECT status, reason, completion FROM attempts")
    texts = queries.rows(
        "SELECT payload->>'text' FROM events WHERE kind = 'operator' AND payload->>'action' = 'message'"
    )
    queries.close()
    assert (status, reason, answer) == ("completed", "ended by the operator", "heard from the tool")
    assert [text for (text,) in texts] == ["good morning", "run echo from the tool"]


async def test_stopping_its_run_ends_a_chat_and_keeps_it(
    chat: tuple[EngineService, SubmittedRun, EngineClient],
) -> None:
    service, run, client = chat
    await client.command("message", text="good morning")
    await agent_that(client, lambda agent: agent["turns"] == 1)
    await client.command("stop")
    async with asyncio.timeout(30):
        await run.outcome()
    queries = LocalQueries(service.writer.cursor())
    assert queries.rows("SELECT completion FROM attempts") == [("heard good morning",)]
    queries.close()


def test_a_chat_is_in_no_list_of_benchmarks() -> None:
    assert "chat" not in benchmark_names()
