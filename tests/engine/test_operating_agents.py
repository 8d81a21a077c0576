"""An operator at a running agent, over the engine's socket: calls approved, edited, refused, messages, what is seen."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import select
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest

from stackbench.config import Home, Settings
from stackbench.control.client import EngineClient, connect
from stackbench.control.messages import (
    AttemptText,
    CallDecided,
    CallWaiting,
    CommandOutput,
    Event,
    ToolCallEnded,
    ToolCallStarted,
)
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
    settings = Settings(model=endpoint.name, approve_calls="always", sandboxes=1)
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


async def test_what_an_agent_did_is_told_while_it_works_with_texts_only_on_request(room: Room) -> None:
    await room.call_waiting()
    (agent,) = await room.client.command("agents")
    assert (agent["task_id"], agent["state"], agent["policy"], agent["turns"]) == (TASK, "running", "always", 1)
    assert [(call["tool"], call["risky"], call["arguments"]) for call in agent["calls"]] == [("exec", True, "")]
    metadata = await room.client.command("transcript")
    assert [step["kind"] for step in metadata["steps"]] == ["agent_start", "model_call"]
    assert "from-the-model" not in json.dumps(metadata)
    whole = await room.client.command("transcript", target=f"tooluse/{TASK}#0/0", content=True)
    assert "from-the-model" in json.dumps(whole["steps"])
    assert (await room.client.command("transcript", since=whole["next"]))["steps"] == []
    with pytest.raises(UsageError, match="since is a whole number from 0"):
        await room.client.command("transcript", since="soon")
    await room.client.command("approve")
    await answer_of(room)
    (waiting,) = [event.what for event in room.seen if isinstance(event.what, CallWaiting)]
    (decided,) = [event.what for event in room.seen if isinstance(event.what, CallDecided)]
    assert (waiting.call, waiting.tool, waiting.risky) == (decided.call, "exec", True)
    assert decided.verdict == "approve"
    written = "".join(event.what.text for event in room.seen if isinstance(event.what, CommandOutput))
    assert written == "from-the-model\n"
    with pytest.raises(UsageError, match='^no run is live; "stackbench runs" lists those that ended$'):
        await room.client.command("agents")


async def test_the_operator_works_in_the_agent_s_sandbox(room: Room) -> None:
    await room.call_waiting()
    answer = await room.client.command("shell", command="mkdir -p sub/dir && cd sub && printf here > f; exit 3")
    assert answer["result"]["exit_code"] == 3 and "output" not in answer["result"]
    answer = await room.client.command("shell", command="cd dir; pwd; cat ../f; false", folder="sub", content=True)
    assert (answer["result"]["output"], answer["result"]["exit_code"]) == ("/workspace/sub/dir\nhere", 1)
    assert answer["result"]["folder"] == "/workspace/sub/dir"
    answer = await room.client.command("shell", command="kill -9 $$", content=True)
    assert (answer["result"]["ended"], answer["result"]["signal"]) == ("killed", "SIGKILL")
    with pytest.raises(UsageError, match="ask for it with --content"):
        await room.client.command("files")
    listed = await room.client.command("files", path="sub", content=True)
    assert [(one["name"], one["kind"], one["size"]) for one in listed["entries"] if one["name"] == "f"] == [
        ("f", "file", 4)
    ]
    assert (await room.client.command("read", path="sub/f", content=True))["text"] == "here"
    for path, why in (("sub/none", "No such file"), ("sub", "irectory"), ("/etc/passwd", "workspace")):
        with pytest.raises(UsageError, match=why):
            await room.client.command("read", path=path, content=True)
    before = await room.client.command("transcript", content=True)
    shells = [step["payload"]["command"] for step in before["steps"] if step["payload"].get("action") == "shell"]
    assert shells[0].startswith("mkdir") and len(shells) == 3
    told = await room.client.command("shell", command="touch never", dry_run=True)
    assert "result" not in told and told["changed"]
    await room.client.command("approve")
    await answer_of(room)


async def test_a_terminal_is_opened_in_the_agent_s_sandbox(room: Room) -> None:
    await room.call_waiting()
    with pytest.raises(UsageError, match="interrupt ends a turn of a chat"):
        await room.client.command("interrupt")
    answer = await room.client.command("terminal")
    shown = await asyncio.to_thread(typed, answer["result"]["command"], b"id -u; pwd; tty; cat a*; touch mine; exit\n")
    agent = (await room.client.command("shell", command="id -u; ls -n mine", content=True))["result"]["output"].split()
    assert agent[0] in shown and "/workspace" in shown and "/dev/pts/" in shown
    assert agent[3] == agent[0], "the operator's files are the agent's user's"
    steps = (await room.client.command("transcript", content=True))["steps"]
    assert [step["payload"]["action"] for step in steps if step["kind"] == "operator"] == ["terminal", "shell"]


def typed(command: list[str], keys: bytes) -> str:
    """What a program writes on a terminal of its own, into which this is typed."""
    if shutil.which(command[0]) is None:
        pytest.skip("needs the docker command")
    pid, terminal = pty.fork()
    if pid == 0:
        os.execvp(command[0], command)
    os.write(terminal, keys)
    written = b""
    try:
        while select.select([terminal], [], [], 60)[0] and (piece := os.read(terminal, 4096)):
            written += piece
    except OSError:
        pass  # how Linux tells that the other end is closed
    finally:
        os.close(terminal)
        os.waitpid(pid, 0)
    return written.decode(errors="replace")


async def test_an_agent_is_held_stepped_and_let_go_on(room: Room) -> None:
    await room.call_waiting()
    assert (await room.client.command("pause", target=TASK))["new"] == "paused"
    assert not (await room.client.command("pause", target=TASK))["changed"], "said twice, it changes nothing"
    await room.client.command("approve")
    async with asyncio.timeout(60):
        while (await room.client.command("why"))["attempts"][0]["detail"] != "paused by the operator":
            await asyncio.sleep(0.02)
    assert (await room.client.command("agents"))[0]["turns"] == 1
    await room.client.command("step")
    assert "from-the-model" in await answer_of(room)


async def test_an_aborted_agent_is_scored_with_what_it_did(room: Room) -> None:
    await room.call_waiting()
    await room.client.command("abort")
    async with asyncio.timeout(60):
        outcome = await room.run.outcome()
    assert outcome.status is RunStatus.COMPLETED
    queries = LocalQueries(room.service.writer.cursor())
    rows = queries.rows("SELECT status, reason, metrics->>'ending' FROM attempts")
    queries.close()
    assert [(status, ending) for status, _, ending in rows] == [("completed", "stopped")]
    decided = [event.what.verdict for event in room.seen if isinstance(event.what, CallDecided)]
    assert decided == ["given up"]


async def test_the_policy_decides_which_calls_wait(room: Room) -> None:
    await room.call_waiting()
    with pytest.raises(UsageError, match='policy is one of never, risky, always, not "sometimes"'):
        await room.client.command("policy", policy="sometimes")
    assert (await room.client.command("policy", policy="risky"))["old"] == "always"
    assert (await room.client.command("policy", policy="never", target=TASK))["old"] == "risky"
    assert (await room.client.command("agents"))[0]["policy"] == "never"
    await room.client.command("approve")
    await answer_of(room)
