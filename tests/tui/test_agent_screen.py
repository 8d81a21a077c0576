"""Agents at work: followed, their calls decided on, steered, their sandboxes; chats that are begun from the screen."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from textual.widgets import Input, TextArea

from stackbench.config import Home
from stackbench.control.messages import (
    AttemptFinished,
    AttemptText,
    AttemptWaiting,
    CallDecided,
    CommandOutput,
    ToolCallEnded,
    ToolCallStarted,
)
from stackbench.tui.agent.agents_now import TAIL_KEPT, AgentsNow
from stackbench.tui.agent.call_dialog import legible_json
from stackbench.types import AttemptKey, AttemptRecord, AttemptStatus, EventRecord
from tests.tui.pilots import opened
from tests.tui.recorded_home import BEGAN, CLOCK
from tests.tui.scenes import LIVE, PATCH, TASK, agent_at, at_agents
from tests.tui.scripted_engine import ref, scripted_engine

SIZE = (120, 40)
TARGET = f"tooluse/{TASK}#0/0"
SECOND = "tooluse/files/rename-by-date#1#0/0"
AT = ref(TASK, benchmark="tooluse")


@pytest.mark.parametrize(
    ("keys", "command"),
    [
        (["a"], ("approve", {"call": "4"})),
        (["x", "?what is the model told", "n", "o", "enter"], ("reject", {"call": "4", "reason": "no"})),
        (["e", "?a JSON object", "f5"], ("edit", {"call": "4", "arguments": legible_json(PATCH)})),
        (["m", "h", "i", "enter"], ("message", {"text": "hi", "target": TARGET})),
        (["p"], ("pause", {"target": TARGET})),
        (["down", "p"], ("resume", {"target": SECOND})),
        (["s"], ("step", {"target": TARGET})),
        (["X", "?End this agent now", "y"], ("abort", {"target": TARGET})),
        (["o", "?this agent: no call waits", "enter"], ("policy", {"policy": "never", "target": TARGET})),
        (["o", "?all agents of the run", "end", "enter"], ("policy", {"policy": "always"})),
        (["c"], ("interrupt", {"target": TARGET})),
        (["3", *"ls", "enter"],
         ("shell", {"command": "ls", "target": TARGET, "folder": "/workspace", "content": True})),
    ],
)  # fmt: skip
async def test_keys_are_verbs(tmp_path: Path, keys: list[str], command: tuple[str, dict[str, Any]]) -> None:
    async with at_agents(tmp_path, SIZE) as (engine, screens):
        for key in keys:
            if key.startswith("?"):
                await screens.shows(key[1:])
            else:
                await screens.press(key)
        await screens.until(lambda: engine.commands, f"{command} was asked")
        assert engine.commands == [command]


async def test_the_transcript_grows_with_what_the_agent_does(tmp_path: Path) -> None:
    async with at_agents(tmp_path, SIZE) as (engine, screens):
        text = await screens.shows("turn 2", "operator", "Do not change the database", "KeyError: 'total'")
        assert text.index("turn 1") < text.index("turn 2")
        engine.publish(AttemptText(attempt=AT, step=3, text="I think "), AttemptText(attempt=AT, step=3, text="aloud."))
        await screens.shows("turn 3", "I think aloud.")
        engine.publish(
            ToolCallStarted(attempt=AT, step=3, call_id="c9", tool="exec", arguments='{"command": "make"}'),
            CommandOutput(attempt=AT, command="s1", text="cc one.c\n"),
            CommandOutput(attempt=AT, command="s1", text="cc two.c\n"),
            AttemptText(attempt=ref("another", benchmark="tooluse"), step=1, text="not this agent's"),
        )
        text = await screens.shows("> exec", "runs …", "command: make", "cc one.c", "cc two.c")
        assert "not this agent's" not in text
        engine.transcript += [
            ("model_call", {"text": "I think aloud.", "completion_tokens": 3, "latency_s": 0.1}),
            ("tool_result", {"tool": "exec", "arguments": '{"command": "make"}', "valid": True, "failed": True,
                             "call": "c9", "text": "make: *** [all] Error 2", "duration_ms": 1200.0}),
        ]  # fmt: skip
        engine.publish(
            ToolCallEnded(attempt=AT, step=3, call_id="c9", tool="exec", output="", failed=True, duration_ms=1200.0)
        )
        text = await screens.shows("make: *** [all] Error 2")
        await screens.hides("runs …")
        assert screens.text().count("I think aloud.") == 1
        engine.agents[0]["calls"] = []
        engine.publish(
            CallDecided(attempt=AT, call="4", call_id="c", verdict="approve"),
            AttemptWaiting(attempt=AT, reason="model"),
        )
        await screens.hides("waits for you")
        await screens.shows("▶ at work", "thinks")
        await screens.press("a")
        await screens.tells("no call of this agent waits")


async def test_another_agent_comes_into_view_with_the_cursor_and_its_end_is_told(tmp_path: Path) -> None:
    async with at_agents(tmp_path, SIZE) as (engine, screens):
        engine.transcript = [("agent_start", {"task": "Rename the files."})]
        await screens.press("down")
        await screens.shows("‖ paused", "Rename the files.", "files/rename-by-date#1  5 turns")
        key = AttemptKey("tooluse", "files/rename-by-date#1", 0, 0)
        at = BEGAN
        events = [
            EventRecord(key.benchmark, key.task_id, 0, 0, number, at, kind, payload)
            for number, (kind, payload) in enumerate(
                [("agent_start", {"task": "Rename the files."}), ("model_call", {"text": "its last words"}),
                 ("agent_end", {"ending": "answered"})]
            )
        ]  # fmt: skip
        engine.writer.attempt(
            LIVE, AttemptRecord(key, "", AttemptStatus.COMPLETED, 1.0, True, None, "p", "c", 1, 2, at, 1.0, {}), events
        )
        engine.writer.flush()
        del engine.agents[1]
        engine.publish(AttemptFinished(attempt=ref(key.task_id, benchmark="tooluse"), passed=True))
        await screens.shows("■ ended", "its last words", "passed")
        await screens.press("p")
        await screens.tells("no agent is at work here")
        await screens.press("v")
        await screens.shows("✓ passed", "[4] details")


async def test_arguments_are_checked_before_a_call_is_changed(tmp_path: Path) -> None:
    async with at_agents(tmp_path, SIZE) as (engine, screens):
        await screens.press("e")
        await screens.shows('"path": "orders.py"')
        screens.app.screen.query_one(TextArea).text = "[1]"
        await screens.press("f5")
        await screens.shows("this is no JSON object")
        assert engine.commands == []
        await screens.press("escape")
        await screens.hides("this is no JSON object")


def test_arguments_are_legible_and_stay_what_they_are() -> None:
    arguments = {"a": "line\nnext\x1b[31m\u202e", "é": "\U000e0041 ok"}
    shown = legible_json(json.dumps(arguments))
    assert json.loads(shown) == arguments
    assert "é" in shown and not any(char in shown for char in "\x1b\u202e\U000e0041")
    assert legible_json("no\x1bJSON") == "no\\x1bJSON"


async def test_files_of_the_sandbox(tmp_path: Path) -> None:
    async with at_agents(tmp_path, SIZE) as (engine, screens):
        await screens.press("2")
        await screens.shows("/workspace", "tests/", "orders.py", "service.log")
        await screens.press("enter")
        await screens.shows("/workspace/tests", "test_orders.py")
        await screens.press("down", "enter")
        await screens.shows("def test(): ...", "tests/test_orders.py   16 bytes")
        await screens.press("y")
        await screens.tells("copied")
        assert screens.app._clipboard == engine.files["tests/test_orders.py"]
        await screens.press("backspace")
        await screens.shows("service.log")
        engine.files = {"new.txt": "x"}
        await screens.press("R")
        await screens.shows("new.txt")
        engine.files = {}
        await screens.press("R")
        await screens.tells("No such file")


async def test_what_an_agent_waits_for_is_known_as_soon_as_it_is_looked_at(recorded: Home) -> None:
    async with scripted_engine(recorded, LIVE, clock=CLOCK) as engine:
        engine.agents = [agent_at("chat", turns=1, tokens=9)]
        engine.attempts = [
            {"benchmark": "tooluse", "task_id": "chat", "attempt": 0, "seed": 0, "waits_for": "operator",
             "detail": "a message of the operator", "for_s": 5.0, "running_s": 9.0, "step": 1}
        ]  # fmt: skip
        async with opened(recorded) as screens:
            await screens.shows(LIVE)
            screens.app.go_to("agents")
            await screens.shows("listens", "a message of the operator")


async def test_a_shell_keeps_its_folder_and_its_commands(tmp_path: Path) -> None:
    async with at_agents(tmp_path, SIZE) as (engine, screens):
        engine.shell_result = {"exit_code": 2, "ended": "exited", "seconds": 0.1, "output": "no\x1b[2J such\n",
                               "folder": "/workspace/tests"}  # fmt: skip
        await screens.press("3")
        await screens.type("cd tests; false")
        await screens.press("enter")
        text = await screens.shows("/workspace/tests $", "no\\x1b[2J such", "[exit code 2]")
        assert "/workspace $ cd tests; false" in text
        engine.shell_result = {"exit_code": None, "ended": "killed", "signal": "SIGKILL", "seconds": 0.1}
        await screens.press("up")
        await screens.shows("/workspace/tests $ cd tests; false")
        await screens.press("enter")
        await screens.shows("[killed SIGKILL]")
        assert [arguments["folder"] for _, arguments in engine.commands] == ["/workspace", "/workspace/tests"]
        await screens.press("escape", "1")
        await screens.shows("turn 2")


async def test_a_terminal_in_the_sandbox_needs_one_of_the_screens_own(tmp_path: Path) -> None:
    async with at_agents(tmp_path, SIZE) as (engine, screens):
        engine.shell_result = {"command": ["docker", "exec", "-it", "c", "sh"]}
        await screens.press("T")
        await screens.tells("a terminal needs a terminal of its own")
        assert engine.commands == [("terminal", {"target": TARGET})]


async def test_without_a_live_run_the_screen_says_what_to_do(recorded: Home) -> None:
    async with opened(recorded) as screens:
        await screens.shows("20261126-090000")
        screens.app.go_to("agents")
        await screens.shows("no agent is at work: n begins a chat")
        for key, told in (("s", "no agent is at work here"), ("X", "no agent"), ("o", "no agent"), ("v", "opens once")):
            await screens.press(key)
            await screens.tells(told)


async def test_a_chat_is_begun_and_its_first_message_waits_for_the_agent(recorded: Home) -> None:
    async with scripted_engine(recorded, LIVE, clock=CLOCK) as engine, opened(recorded) as screens:
        await screens.shows(LIVE)
        screens.app.go_to("agents")
        await screens.shows("no agent is at work in this run yet")
        await screens.press("n")
        await screens.shows("a chat waits behind it", "the embedded model")
        await screens.press("enter")
        await screens.until(lambda: engine.commands)
        verb, arguments = engine.commands[0]
        plan = arguments["plan"]
        assert (verb, plan["suite"], [part["name"] for part in plan["benchmarks"]]) == ("submit", "chat", ["chat"])
        assert plan["settings"]["model"] in ("hf:qwen2.5-coder-0.5b-instruct", "gguf:qwen2.5-coder-0.5b-instruct")
        await screens.until(lambda: isinstance(screens.app.focused, Input))
        await screens.type("hello")
        await screens.press("enter")
        await screens.tells("it is told once the agent is there")
        engine.agents = [{**agent_at("chat", turns=0, tokens=0), "benchmark": "chat", "chat": True}]
        await screens.until(lambda: len(engine.commands) == 2)
        assert engine.commands[1] == ("message", {"text": "hello", "target": "chat/chat#0/0"})


async def test_the_run_s_screen_leads_to_its_agents(tmp_path: Path) -> None:
    async with at_agents(tmp_path, SIZE) as (_, screens):
        await screens.press("escape")
        await screens.hides("waits for you:")
        await screens.press("a")
        await screens.shows("call 4 waits for you")
        await screens.press("y")
        await screens.tells("copied")
        assert json.loads(screens.app._clipboard)[0]["kind"] == "agent_start"


def test_a_flood_of_text_is_held_in_bounds() -> None:
    now = AgentsNow(lambda: 0.0, chosen=("tooluse", TASK, 0, 0))
    for _ in range(100):
        now._take_doing(AttemptText(attempt=AT, step=1, text="x" * 1000))
        now._take_doing(CommandOutput(attempt=AT, command="s1", text="y" * 1000))
    assert (len(now.tail.text), len(now.tail.output)) == (TAIL_KEPT, TAIL_KEPT)
