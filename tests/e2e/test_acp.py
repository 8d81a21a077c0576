"""`stackbench acp` as an editor starts it: the protocol package's own client, real processes, a real sandbox."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

pytest.importorskip("acp", reason="needs the acp extra")

from acp import PROTOCOL_VERSION, RequestError, spawn_agent_process, text_block
from acp.schema import (
    AgentMessageChunk,
    AgentThoughtChunk,
    AllowedOutcome,
    DeniedOutcome,
    PermissionOption,
    RequestPermissionResponse,
    ToolCallProgress,
    ToolCallStart,
    ToolCallUpdate,
)

from stackbench.config import Home
from tests.conftest import Program
from tests.fake_endpoint import FakeEndpoint

pytestmark = [pytest.mark.docker, pytest.mark.e2e]
WITHIN_S = 90


def speaks(body: dict[str, Any]) -> str | list[tuple[str, str]]:
    """Does what it is told: `run COMMAND` calls a tool, anything else is said back."""
    last = body.get("messages", [{"role": "user", "content": ""}])[-1]
    if last["role"] == "user" and last["content"].startswith("run "):
        return [("exec", json.dumps({"command": last["content"].removeprefix("run ")}))]
    return f"<think>let me see</think>heard {last['content']}"


class Editor:
    """A client that keeps what it is told; `decide` is the user."""

    def __init__(self) -> None:
        self.answer = ""
        self.thought = ""
        self.calls: dict[str, dict[str, Any]] = {}
        self.asked: list[ToolCallUpdate] = []
        self.decide: Callable[[list[PermissionOption]], str | None] = lambda options: options[0].option_id

    async def session_update(self, session_id: str, update: Any, **kwargs: Any) -> None:
        if isinstance(update, AgentMessageChunk):
            self.answer += update.content.text
        elif isinstance(update, AgentThoughtChunk):
            self.thought += update.content.text
        elif isinstance(update, ToolCallStart | ToolCallProgress):
            call = self.calls.setdefault(update.tool_call_id, {"states": [], "output": ""})
            call["states"].append(update.status)
            if update.title:
                call["title"], call["kind"], call["input"] = update.title, update.kind, update.raw_input
            if update.content:
                call["output"] = "".join(one.content.text for one in update.content)

    async def request_permission(
        self, session_id: str, tool_call: ToolCallUpdate, options: list[PermissionOption], **kwargs: Any
    ) -> RequestPermissionResponse:
        self.asked.append(tool_call)
        chosen = self.decide(options)
        if chosen is None:
            return RequestPermissionResponse(outcome=DeniedOutcome(outcome="cancelled"))
        return RequestPermissionResponse(outcome=AllowedOutcome(outcome="selected", option_id=chosen))

    async def until(self, wanted: Callable[[], object]) -> None:
        async with asyncio.timeout(WITHIN_S):
            while not wanted():
                await asyncio.sleep(0.02)


@asynccontextmanager
async def attached(program: Program, *options: str) -> AsyncIterator[tuple[Any, Editor]]:
    editor = Editor()
    name, *arguments = program.command("acp", *options)
    async with spawn_agent_process(
        editor,
        name,
        *arguments,
        env=program.environment,
        cwd=program.home.path,  # type: ignore[arg-type]
    ) as (agent, _):
        answer = await agent.initialize(protocol_version=PROTOCOL_VERSION)
        assert answer.protocol_version == PROTOCOL_VERSION and answer.agent_info.name == "stackbench"
        yield agent, editor


async def ask(agent: Any, session: str, text: str) -> str:
    async with asyncio.timeout(WITHIN_S):
        return (await agent.prompt(session_id=session, prompt=[text_block(text)])).stop_reason


@pytest.fixture
def program(home: Home, image: str) -> Program:
    return Program(home)


@pytest.fixture
def model(endpoint: FakeEndpoint) -> str:
    endpoint.reply, endpoint.pieces = speaks, lambda text: [text[at : at + 5] for at in range(0, len(text), 5)]
    return endpoint.name


async def test_a_chat_streams_texts_thoughts_and_calls_and_ends_with_the_editor(program: Program, model: str) -> None:
    async with attached(program, "-m", model) as (agent, editor):
        session = await agent.new_session(cwd="/")
        assert session.modes.current_mode_id == "risky"
        assert await ask(agent, session.session_id, "good morning") == "end_turn"
        assert editor.answer == "heard good morning" and "let me see" in editor.thought
        assert "think>" not in editor.answer + editor.thought

        assert await ask(agent, session.session_id, "run echo from the tool; printf '\\033[31mred'") == "end_turn"
        (call,) = editor.calls.values()
        assert call["states"][0] == "pending" and call["states"][-1] == "completed"
        assert call["kind"] == "execute" and call["title"].startswith("exec: echo from the tool")
        assert "from the tool" in call["output"] and "\x1b" not in call["output"] and "\\x1b[31mred" in call["output"]
        assert len(editor.asked) == 1 and editor.asked[0].raw_input["command"].startswith("echo")

        editor.decide = lambda options: options[-1].option_id
        assert await ask(agent, session.session_id, "run touch refused") == "end_turn"
        assert list(editor.calls.values())[-1]["states"][-1] == "failed"
        assert "refused this call: the user refused it" in editor.answer

        await agent.set_session_mode(session_id=session.session_id, mode_id="never")
        before = len(editor.asked)
        assert await ask(agent, session.session_id, "run pwd") == "end_turn"
        assert len(editor.asked) == before and "/workspace" in list(editor.calls.values())[-1]["output"]
        with pytest.raises(RequestError, match="there is no mode"):
            await agent.set_session_mode(session_id=session.session_id, mode_id="sometimes")
        with pytest.raises(RequestError, match="no session"):
            await ask(agent, "another", "hello")
        with pytest.raises(RequestError, match="no text"):
            await ask(agent, session.session_id, " ")
    ended = await asyncio.to_thread(until_ended, program)
    assert (ended["run_id"], ended["status"]) == (session.session_id, "completed")


def until_ended(program: Program) -> dict[str, Any]:
    """The newest run, once no engine has it."""
    for _ in range(300):
        newest = program.json("runs")[0]
        if newest["status"] != "running":
            return newest
    raise AssertionError("the chat goes on")


async def test_a_turn_is_cancelled_and_the_chat_goes_on(program: Program, model: str) -> None:
    async with attached(program, "-m", model, "--approve-calls", "never") as (agent, editor):
        session = (await agent.new_session(cwd="/")).session_id
        turn = asyncio.create_task(ask(agent, session, "run echo begun; sleep 600"))
        await editor.until(lambda: any("begun" in call["output"] for call in editor.calls.values()))
        await agent.cancel(session_id=session)
        assert await turn == "cancelled"
        assert next(iter(editor.calls.values()))["states"][-1] == "failed"
        assert await ask(agent, session, "still there?") == "end_turn"
        assert editor.answer.endswith("heard still there?")


async def test_an_editor_attaches_to_the_agent_at_work_and_leaves_it_alone(program: Program, model: str) -> None:
    begun = await program.run_beside("eval", "chat", "-m", model, "--approve-calls", "always", "--detach", "--json")
    run_id = json.loads(begun.stdout)["run_id"]
    async with attached(program, "--attach") as (agent, editor):
        async with asyncio.timeout(WITHIN_S):
            while True:
                try:
                    session = await agent.new_session(cwd="/")
                    break
                except RequestError:  # its model loads
                    await asyncio.sleep(0.1)
        assert session.modes.current_mode_id == "always" and session.session_id.startswith(run_id)
        assert await ask(agent, session.session_id, "run echo attached") == "end_turn"
        assert len(editor.asked) == 1 and "heard" in editor.answer
        with pytest.raises(RequestError, match="open already"):
            await agent.new_session(cwd="/")
    (listed,) = json.loads((await program.run_beside("ctl", "agents", "--json")).stdout)
    assert listed["chat"] and listed["turns"] == 2
    assert (await program.run_beside("ctl", "stop")).returncode == 0
    await asyncio.to_thread(until_ended, program)


async def test_an_editor_that_leaves_while_the_model_loads_leaves_no_chat(
    program: Program, endpoint: FakeEndpoint, model: str
) -> None:
    never, asked = asyncio.Event(), asyncio.Event()

    async def hold(request: web.Request) -> web.Response:
        asked.set()
        await never.wait()
        return web.Response()

    endpoint.list_with = hold
    async with attached(program, "-m", model) as (agent, _):
        session = (await agent.new_session(cwd="/")).session_id
        prompt = asyncio.create_task(ask(agent, session, "good morning"))
        await asyncio.wait_for(asked.wait(), WITHIN_S)
        await agent.cancel(session_id=session)
        assert await prompt == "cancelled"
    async with asyncio.timeout(WITHIN_S):
        while (await program.run_beside("ctl", "status")).returncode != 2:
            await asyncio.sleep(0.2)
    never.set()


def in_no_editor(program: Program, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        program.command("acp", *options), env=program.environment, stdin=subprocess.DEVNULL if not options else None,
        input=None if not options else "", capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


async def test_what_cannot_begin_is_one_line(program: Program, model: str) -> None:
    async with attached(program, "--agent", "nobody") as (agent, _):
        with pytest.raises(RequestError, match="no engine serves"):
            await agent.new_session(cwd="/")
    for options, why in (
        (("-m", "no such model"), "no such model"),
        (("--approve-calls", "sometimes"), '--approve-calls is one of never, risky, always, not "sometimes"'),
        (("-m", model, "--attach"), "has its model already"),
        ((), "which starts it itself"),
    ):
        done = await asyncio.to_thread(in_no_editor, program, *options)
        assert done.returncode == 2 and why in done.stderr and done.stderr.count("\n") == 1, done.stderr
        assert done.stdout == ""
