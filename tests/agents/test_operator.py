"""The operator's controls: policies, single steps, messages waited for, what a command writes."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from stackbench.agents import Decision, Operator
from stackbench.agents.live_output import MOST, PIECE, LiveOutput
from stackbench.agents.risk import is_risky
from stackbench.types import ApprovalPolicy, ToolCall


def call(tool: str, **arguments: Any) -> ToolCall:
    return ToolCall("c1", tool, json.dumps(arguments))


@pytest.mark.parametrize(
    ("made", "risky"),
    [
        (call("read", path="a"), False),
        (call("web_fetch", url="http://localhost"), False),
        (call("exec", command="ls"), True),
        (call("write", path="a", content=""), True),
        (call("apply_patch", patch=""), True),
        (call("process", action="poll", sessionId="s1"), False),
        (call("process", action="kill", sessionId="s1"), True),
        (call("process", action=["poll"]), True),
        (call("http_request", method="GET", url="http://localhost"), False),
        (call("http_request", method="DELETE", url="http://localhost"), True),
        (call("no_such_tool", command="rm -rf /"), False),
        (ToolCall("c1", "exec", "no JSON"), True),
    ],
)
def test_calls_that_may_change_something_are_risky(made: ToolCall, risky: bool) -> None:
    assert is_risky(made) is risky


@pytest.mark.parametrize(("policy", "asked"), [("never", []), ("risky", ["exec"]), ("always", ["read", "exec"])])
async def test_the_policy_says_which_calls_are_shown(policy: ApprovalPolicy, asked: list[str]) -> None:
    seen: list[str] = []

    async def approve(made: ToolCall) -> Decision:
        seen.append(made.name)
        return Decision()

    operator = Operator(approve, policy=lambda: policy)
    decisions = [await operator.decide(made) for made in (call("read", path="a"), call("exec", command="ls"))]
    assert seen == asked
    assert [decision is not None for decision in decisions] == [name in asked for name in ("read", "exec")]


async def test_a_step_lets_one_turn_or_call_pass_and_holds_the_next() -> None:
    operator = Operator()
    operator.pause()
    passed: list[int] = []

    async def agent() -> None:
        for number in range(3):
            assert await operator.passage()
            passed.append(number)

    work = asyncio.create_task(agent())
    for expected in ([], [0], [0, 1]):
        for _ in range(5):
            await asyncio.sleep(0)
        assert passed == expected
        operator.step()
    await asyncio.wait_for(work, 5)
    assert passed == [0, 1, 2] and operator.paused


async def test_a_stop_ends_every_wait() -> None:
    operator = Operator()
    operator.pause()
    waits = [asyncio.create_task(operator.passage()), asyncio.create_task(operator.message())]
    await asyncio.sleep(0)
    operator.stop()
    assert await asyncio.wait_for(asyncio.gather(*waits), 5) == [False, None]


async def test_messages_said_together_are_read_together() -> None:
    operator = Operator()
    waiting = asyncio.create_task(operator.message())
    await asyncio.sleep(0)
    operator.tell("first")
    operator.tell("second")
    assert await asyncio.wait_for(waiting, 5) == "first\n\nsecond"
    assert operator.take_messages() == []


def test_output_is_told_in_whole_characters_and_pieces_of_bounded_size() -> None:
    told: list[tuple[str, str]] = []
    live = LiveOutput(lambda command, text: told.append((command, text)))
    euro = "€".encode()
    live.take("s1", euro[:2])
    live.take("s2", b"other")
    live.take("s1", euro[2:] + b"\xff")
    assert told == [("s2", "other"), ("s1", "€\ufffd")]
    told.clear()
    live.take("s3", b"x" * (MOST + 1))
    live.take("s3", b"more")
    assert all(len(text) <= PIECE for _, text in told[:-1]) and "".join(text for _, text in told[:-1]) == "x" * MOST
    assert "the result has the rest" in told[-1][1]


async def test_an_interruption_gives_work_up_until_the_next_message() -> None:
    operator = Operator()
    given_up = asyncio.Event()

    async def work(gate: asyncio.Event) -> str:
        try:
            await gate.wait()
        finally:
            if not gate.is_set():
                given_up.set()
        return "done"

    closed, opened = asyncio.Event(), asyncio.Event()
    opened.set()
    under_way = asyncio.create_task(operator.unless_interrupted(work(closed)))
    await asyncio.sleep(0)
    operator.interrupt()
    assert await asyncio.wait_for(under_way, 5) is None and given_up.is_set()
    assert await operator.unless_interrupted(work(opened)) is None
    operator.tell("go on")
    assert await operator.unless_interrupted(work(opened)) == "done"
