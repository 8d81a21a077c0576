"""The agent: asks, calls, is told, goes on; limits, window, operator, calls that are wrong or written as text."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from stackbench.agents import AgentLimits, AgentResult, Decision, Operator, Watch, run_agent
from stackbench.agents.tools import Workspace
from stackbench.errors import GenerationError, SandboxError
from stackbench.sandbox.pool import SandboxPool
from stackbench.types import FinishReason, Generation, Message, Request, Sampling, ToolCall
from tests.agents.scripted_backend import ScriptedBackend, calls, says
from tests.waiting import until

pytestmark = [pytest.mark.docker, pytest.mark.xdist_group("agents")]

EVERYTHING = ("read", "write", "edit", "exec", "process")


@pytest.fixture
async def workspace(pool: SandboxPool) -> AsyncIterator[Workspace]:
    async with pool.lease() as session:
        workspace = Workspace(session)
        yield workspace
        await workspace.close()


async def run(workspace: Workspace, backend: ScriptedBackend, **options: Any) -> AgentResult:
    given = {"tools": EVERYTHING, "system": "Be brief.", "sampling": Sampling(max_tokens=100), "limits": AgentLimits()}
    return await run_agent("the task", backend=backend, workspace=workspace, **{**given, **options})


async def test_a_call_is_made_and_its_result_told(workspace: Workspace) -> None:
    backend = ScriptedBackend(
        calls(("write", {"path": "a.txt", "content": "hello"}), text="I write."),
        calls(("read", {"path": "a.txt"})),
        says("It says hello."),
    )
    result = await run(workspace, backend)
    assert (result.answer, result.ending, result.steps) == ("It says hello.", "answered", 3)
    assert [(call.tool, call.valid, call.failed) for call in result.calls] == [
        ("write", True, False),
        ("read", True, False),
    ]
    assert (result.prompt_tokens, result.completion_tokens) == (30, 9)
    last = backend.asked[-1]
    assert [message.role for message in last] == ["system", "user", "assistant", "tool", "assistant", "tool"]
    assert (last[1].content, last[2].content, last[5].content) == ("the task", "I write.", "hello")
    assert last[5].tool_call_id == last[4].tool_calls[0].id
    assert len({call.id for message in last for call in message.tool_calls}) == 2
    assert [(record.step, record.tool, record.error) for record in backend.records] == [
        (1, "write", None),
        (2, "read", None),
    ]
    assert backend.kinds() == ["agent_start", "tool_result", "tool_result", "agent_end"]
    assert backend.events[0][1]["tool_set"] == "openclaw-2026.9"
    assert [spec.name for spec in backend.tools[0]] == list(EVERYTHING)


async def test_a_call_that_does_not_fit_is_told_to_the_model_which_mends_it(workspace: Workspace) -> None:
    backend = ScriptedBackend(
        calls(("read", '{"path": ')),
        calls(("read", '{"path": ' + "[" * 100_000)),
        calls(("read", {"file": "a"})),
        calls(("fetch", {})),
        calls(("web_fetch", {"url": "http://localhost"})),
        calls(("write", {"path": "a", "content": "x"})),
    )
    result = await run(workspace, backend)
    assert [call.valid for call in result.calls] == [False, False, False, False, False, True]
    results = [message.content for message in backend.asked[-1] if message.role == "tool"]
    assert "the arguments are not JSON" in results[0]
    assert "nested more than 100 levels deep" in results[1]
    assert "path: Field required" in results[2]
    assert 'there is no tool "fetch" here' in results[3]
    assert 'there is no tool "web_fetch" here. The tools: read, write' in results[4]
    assert backend.records[0].arguments == '{"path": '
    assert result.ending == "answered"


async def test_calls_of_one_turn_run_in_order(workspace: Workspace) -> None:
    backend = ScriptedBackend(
        calls(
            ("exec", {"command": "sleep 0.2; echo 1 > n"}),
            ("exec", {"command": "cat n; echo 2 > n"}),
            ("read", {"path": "n"}),
        )
    )
    result = await run(workspace, backend)
    assert [call.text for call in result.calls] == ["(no output)", "1", "2"]


async def test_calls_that_only_read_do_not_wait_for_each_other(workspace: Workspace) -> None:
    session = workspace.session
    entered, both = [], asyncio.Event()
    read = session.read

    async def slow(path: str, **options: Any) -> Any:
        entered.append(path)
        if len(entered) == 2:
            both.set()
        await asyncio.wait_for(both.wait(), 10)
        return await read(path, **options)

    await session.write("a", b"A")
    await session.write("b", b"B")
    session.read = slow  # type: ignore[method-assign]
    result = await run(workspace, ScriptedBackend(calls(("read", {"path": "a"}), ("read", {"path": "b"}))))
    assert sorted(call.text for call in result.calls) == ["A", "B"]


# -- calls in the text


FENCED = 'I look.\n```json\n{"name": "read", "arguments": {"path": "a"}}\n```\n'
TAGGED = '<tools>\n{"name": "read", "arguments": {"path": "a"}}\n{"name": "read", "arguments": {"path": "b"}}\n</tools>'


@pytest.mark.parametrize(
    ("text", "count"),
    [
        (FENCED, 1),
        (TAGGED, 2),
        ('{"name": "read", "parameters": {"path": "a"}}', 1),
        ('[{"name": "read", "arguments": {"path": "a"}}, {"name": "read", "arguments": {"path": "b"}}]', 2),
        ('<tool_call>{"name": "read", "arguments": {"path": "a"}}', 1),
        ('{"type": "function", "function": {"name": "read", "arguments": "{\\"path\\": \\"a\\"}"}}', 1),
    ],
)
async def test_auto_takes_calls_written_as_text_and_counts_them(workspace: Workspace, text: str, count: int) -> None:
    await workspace.session.write("a", b"A")
    backend = ScriptedBackend(says(text), says("done"))
    result = await run(workspace, backend)
    assert [call.repaired for call in result.calls] == [True] * count
    assert "A" in {call.text for call in result.calls}
    assert (result.answer, result.rejected) == ("done", 0)
    assert backend.kinds().count("repair") == 1


async def test_strict_takes_no_call_from_text(workspace: Workspace) -> None:
    result = await run(workspace, ScriptedBackend(says(TAGGED)), parser="strict")
    assert (result.calls, result.answer, result.rejected) == ((), TAGGED, 2)


@pytest.mark.parametrize(
    "text",
    [
        "Use the read tool.",
        '```json\n{"name": "billing", "arguments": []}\n```',
        '```json\n{"name": "read"}\n```',
        '{"total": 3}',
        "```python\nprint({'name': 'read', 'arguments': {}})\n```",
    ],
)
async def test_text_that_is_no_call_is_the_answer(workspace: Workspace, text: str) -> None:
    result = await run(workspace, ScriptedBackend(says(text)))
    assert (result.calls, result.answer) == ((), text)


async def test_a_written_call_that_is_no_json_is_told_to_the_model(workspace: Workspace) -> None:
    text = '```json\n{"name": "write", "arguments": {"path": "a", "content": "unterminated}\n```'
    backend = ScriptedBackend(says(text), says("done"))
    result = await run(workspace, backend)
    assert [(call.tool, call.valid) for call in result.calls] == [("write", False)]
    assert "not JSON" in backend.asked[1][-1].content


async def test_a_model_without_tools_finds_them_in_its_prompt(workspace: Workspace) -> None:
    await workspace.session.write("a", b"A")
    call = '<tool_call>\n{"name": "read", "arguments": {"path": "a"}}\n</tool_call>'
    backend = ScriptedBackend(says(call), says("It is A."), native_tools=False)
    result = await run(workspace, backend, parser="strict")
    assert (result.answer, [c.repaired for c in result.calls]) == ("It is A.", [False])
    assert backend.tools == [(), ()]
    assert '"name": "process"' in backend.asked[0][0].content
    assert backend.asked[1][-2:] == [
        Message("assistant", call),
        Message("user", "<tool_response>\nA\n</tool_response>"),
    ]


# -- limits


async def test_limits_end_the_agent(workspace: Workspace) -> None:
    many = [calls(("exec", {"command": f"echo {n}"})) for n in range(20)]
    assert (await run(workspace, ScriptedBackend(*many), limits=AgentLimits(steps=3))).ending == "steps"
    result = await run(workspace, ScriptedBackend(*many), limits=AgentLimits(tokens=40))
    assert (result.ending, result.steps) == ("tokens", 4)
    same = [calls(("exec", {"command": "echo"})) for _ in range(20)]
    result = await run(workspace, ScriptedBackend(*same), limits=AgentLimits(repeats=4))
    assert (result.ending, len(result.calls)) == ("repeats", 4)


async def test_time_in_which_the_operator_holds_the_agent_does_not_count(workspace: Workspace) -> None:
    operator = Operator()
    operator.pause()
    backend = ScriptedBackend(says("done"))
    asyncio.get_running_loop().call_later(0.6, operator.resume)
    result = await run(workspace, backend, operator=operator, limits=AgentLimits(seconds=0.5))
    assert (result.ending, result.answer) == ("answered", "done")
    assert backend.clock.waited_s > 0.5


async def test_the_time_limit_ends_it_within_a_call_which_is_recorded(workspace: Workspace) -> None:
    backend = ScriptedBackend(calls(("exec", {"command": "sleep 60", "yieldMs": 60000})))
    result = await run(workspace, backend, limits=AgentLimits(seconds=0.5))
    assert result.ending == "seconds"
    assert [(record.tool, record.error) for record in backend.records] == [
        ("exec", "cut off: the turn or the attempt was ended")
    ]
    assert backend.kinds()[-1] == "agent_end"


async def test_errors_of_model_and_sandbox_come_out(workspace: Workspace) -> None:
    with pytest.raises(GenerationError, match="gone"):
        await run(workspace, ScriptedBackend(GenerationError("the endpoint is gone")))
    workspace.session.container.close()
    with pytest.raises(SandboxError):
        await run(workspace, ScriptedBackend(calls(("read", {"path": "a"}))))


# -- the window


def long_reads(count: int) -> list[Generation]:
    return [calls(("exec", {"command": f"seq {n}000 {n}999"})) for n in range(1, count + 1)]


async def test_old_results_are_left_out_when_the_window_is_near(workspace: Workspace) -> None:
    backend = ScriptedBackend(*long_reads(4), window=3000)
    result = await run(workspace, backend)
    assert result.ending == "answered"
    results = [message.content for message in backend.asked[-1] if message.role == "tool"]
    assert "characters left out" in results[0]
    assert results[3].startswith("4000\n4001")
    assert "context_trimmed" in backend.kinds()
    assert backend.asked[1][-1].content.startswith("1000\n")


async def test_near_the_window_the_models_tokenizer_decides_what_is_left_out(workspace: Workspace) -> None:
    for per_character, trimmed in ((0.1, False), (0.5, True)):
        backend = ScriptedBackend(*long_reads(4), window=3000)
        backend.tokenizer = lambda text, share=per_character: int(share * len(text))
        assert (await run(workspace, backend)).ending == "answered"
        assert ("context_trimmed" in backend.kinds()) is trimmed
        assert 0 < len(backend.counted) < len(backend.asked)  # far from the window an estimate does
    wide = ScriptedBackend(*long_reads(4), window=300_000)
    await run(workspace, wide)
    assert wide.counted == []


async def test_a_model_that_still_finds_the_chat_too_long_gets_a_shorter_one(workspace: Workspace) -> None:
    refuses = GenerationError("This model's maximum context length is 2048 tokens")
    backend = ScriptedBackend(*long_reads(2), refuses, says("done"))
    result = await run(workspace, backend)
    assert result.answer == "done"
    assert sum(len(m.content) for m in backend.asked[-1]) < 0.8 * sum(len(m.content) for m in backend.asked[-2])
    backend = ScriptedBackend(*long_reads(1), refuses, refuses, refuses)
    assert (await run(workspace, backend)).ending == "window"


# -- the operator


async def test_the_operator_pauses_tells_and_stops(workspace: Workspace) -> None:
    operator = Operator()

    def second(messages: Any) -> Generation:
        operator.tell("Use the other file.")
        operator.pause()
        asyncio.get_running_loop().call_later(0.05, operator.resume)
        return calls(("exec", {"command": "echo 2"}))

    def third(messages: Any) -> Generation:
        operator.stop()
        return calls(("exec", {"command": "echo 3"}))

    backend = ScriptedBackend(calls(("exec", {"command": "echo 1"})), second, third)
    result = await run(workspace, backend, operator=operator)
    assert result.ending == "stopped"
    assert [json.loads(call.arguments)["command"] for call in result.calls] == ["echo 1", "echo 2"]
    assert backend.asked[2][-1] == Message("user", "Use the other file.")
    assert ("operator", {"action": "message", "text": "Use the other file."}) in backend.events


async def test_a_message_of_the_operator_stays_in_the_chat(workspace: Workspace) -> None:
    operator = Operator()
    operator.tell("Hurry.")
    backend = ScriptedBackend(calls(("exec", {"command": "echo 1"})), says("done"))
    await run(workspace, backend, operator=operator)
    assert [message.content for message in backend.asked[1] if message.role == "user"] == ["the task", "Hurry."]


async def test_the_operator_edits_and_refuses_calls(workspace: Workspace) -> None:
    seen: list[ToolCall] = []

    async def approve(call: ToolCall) -> Decision:
        seen.append(call)
        if "rm" in call.arguments:
            return Decision("reject", reason="nothing is deleted here")
        if "two" in call.arguments:
            return Decision("edit", arguments='{"path": "b", "content": "edited"}')
        return Decision()

    backend = ScriptedBackend(
        calls(("write", {"path": "a", "content": "one"})),
        calls(("write", {"path": "b", "content": "two"})),
        calls(("exec", {"command": "rm a"})),
        says("done"),
    )
    pieces: list[str] = []
    result = await run(workspace, backend, operator=Operator(approve, pieces.append))
    assert len(seen) == 3
    assert (await workspace.session.read("a")).data == b"one"
    assert (await workspace.session.read("b")).data == b"edited"
    results = [message.content for message in backend.asked[-1] if message.role == "tool"]
    assert results[1].startswith("[the operator changed the arguments")
    assert results[2] == "error: the operator refused this call: nothing is deleted here"
    assert [call.failed for call in result.calls] == [False, False, True]
    assert pieces[-1] == "done"


CUT = says("I think that", finish_reason=FinishReason.LENGTH)


@pytest.mark.parametrize("cut", [CUT, says("", thought="First I should look.")])
async def test_a_turn_that_came_to_nothing_is_gone_on_from(workspace: Workspace, cut: Generation) -> None:
    backend = ScriptedBackend(cut, calls(("write", {"path": "a", "content": "x"})), cut, says("Done."))
    result = await run(workspace, backend)
    assert (result.answer, result.ending, result.steps, len(result.calls)) == ("Done.", "answered", 4, 1)
    assert [message.role for message in backend.asked[1]] == ["system", "user", "assistant", "user"]
    assert "Go on: make the next call, or give your answer" in backend.asked[1][-1].content


async def test_turns_that_come_to_nothing_again_and_again_end_it_by_length(workspace: Workspace) -> None:
    result = await run(workspace, ScriptedBackend(CUT, CUT, CUT, says("late")))
    assert (result.answer, result.ending, result.steps) == ("", "length", 3)
    result = await run(workspace, ScriptedBackend(CUT, CUT, says("late")), limits=AgentLimits(steps=2))
    assert (result.answer, result.ending, result.steps) == ("", "length", 2)


async def test_an_answer_that_is_empty_is_an_answer(workspace: Workspace) -> None:
    result = await run(workspace, ScriptedBackend(says("")))
    assert (result.answer, result.ending, result.steps) == ("", "answered", 1)


async def test_a_background_command_may_be_polled_again_and_again(workspace: Workspace) -> None:
    poll = calls(("process", {"action": "poll", "sessionId": "s1"}))
    backend = ScriptedBackend(
        calls(("exec", {"command": "sleep 60", "background": True})), *[poll] * 7, says("It still runs.")
    )
    result = await run(workspace, backend)
    assert (result.ending, len(result.calls)) == ("answered", 8)


async def test_without_process_on_offer_a_command_runs_to_its_end(workspace: Workspace) -> None:
    backend = ScriptedBackend(calls(("exec", {"command": "sleep 0.3; echo late", "yieldMs": 10, "background": True})))
    result = await run(workspace, backend, tools=("exec",))
    assert result.calls[0].text == "late"


async def test_a_tool_that_is_not_on_offer_and_called_in_text_is_told(workspace: Workspace) -> None:
    backend = ScriptedBackend(says('<tool_call>{"name": "list_files", "arguments": {}}</tool_call>'), says("Then not."))
    result = await run(workspace, backend)
    assert result.calls[0].text.startswith('error: there is no tool "list_files" here.')
    assert (result.calls[0].valid, result.answer) == (False, "Then not.")


async def test_the_effects_of_calls_are_observed(pool: SandboxPool) -> None:
    async with pool.lease() as session:
        await session.write("keep.txt", b"keep")
        await session.start(["bystander", "60"], program="/bin/sleep")
        watch = Watch(session)
        workspace = Workspace(session, watch=watch)
        await watch.begin()
        backend = ScriptedBackend(
            calls(("exec", {"command": "cat keep.txt; for f in *; do wc -c $f; done"})),
            calls(("exec", {"command": "echo x >> keep.txt; mkdir -p d && echo 1 > d/new"})),
            calls(("read", {"path": "d/new"}), ("write", {"path": "w", "content": "w"})),
            calls(("exec", {"command": "rm d/new; pkill bystander; sleep 60 > /dev/null 2>&1 &"})),
        )
        result = await run(workspace, backend)
        looked, changed, read, wrote, ended = [call.effects for call in result.calls]
        await workspace.close()
    assert looked is not None and changed is not None and wrote is not None and ended is not None
    assert (looked.paths, looked.files.read, looked.logged()) == (set(), {"", "keep.txt"}, {})
    assert (changed.files.changed, changed.files.added) == ({"keep.txt"}, {"d", "d/new"})
    assert (read, wrote.files.added) == (None, {"w"})
    assert ended.files.removed == {"d/new"}
    assert ([one.command[0] for one in ended.ended], len(ended.started)) == (["bystander"], 1)


async def test_a_conversation_goes_on_until_the_operator_ends_it(workspace: Workspace) -> None:
    operator = Operator()
    backend = ScriptedBackend(calls(("exec", {"command": "echo out"})), says("first answer"), says("second answer"))
    talk = asyncio.create_task(run(workspace, backend, operator=operator, converse=True))
    await until(lambda: "agent_start" in backend.kinds() and len(backend.asked) == 2)
    operator.tell("and now?")
    await until(lambda: len(backend.asked) == 3)
    await until(lambda: not talk.done())
    operator.stop()
    result = await asyncio.wait_for(talk, 10)
    assert (result.answer, result.ending, result.steps) == ("second answer", "stopped", 3)
    roles = [(message.role, message.content) for message in backend.asked[-1] if message.role != "system"]
    assert roles == [
        ("user", "the task"), ("assistant", ""), ("tool", "out"), ("assistant", "first answer"), ("user", "and now?"),
    ]  # fmt: skip
    assert ("operator", {"action": "message", "text": "and now?"}) in backend.events
    assert backend.output == [("s1", "out\n")]


async def test_a_stop_gives_up_what_the_agent_is_doing(workspace: Workspace) -> None:
    operator = Operator()
    backend = ScriptedBackend(calls(("exec", {"command": "sleep 60", "yieldMs": 60000})))
    work = asyncio.create_task(run(workspace, backend, operator=operator))
    await until(lambda: backend.started)
    operator.stop()
    result = await asyncio.wait_for(work, 10)
    assert result.ending == "stopped"
    assert [call.text for call in result.calls] == ["cut off: the turn or the attempt was ended"]
    assert not operator.at_work


async def test_the_model_s_time_is_none_that_the_run_was_held_for(workspace: Workspace) -> None:
    """A pause of the operator, or a place at the model that others have, stops the clock."""

    class Held(ScriptedBackend):
        async def generate(self, request: Request) -> Generation:
            with self.clock.waiting():
                await asyncio.sleep(0.3)
            await asyncio.sleep(0.02)
            return await super().generate(request)

    result = await run(workspace, Held(says("done")))
    assert 0.02 <= result.model_s < 0.3
