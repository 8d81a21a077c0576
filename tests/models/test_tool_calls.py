"""Calls in a model's own format, and chats with calls as templates and servers take them."""

from __future__ import annotations

import json

import pytest

from stackbench.models.tool_calls import chat_for_template, take_calls, tools_for_template
from stackbench.types import Message, ToolCall, ToolSpec
from tests.counting import work_of

CALL = '<tool_call>\n{"name": "read", "arguments": {"path": "a"}}\n</tool_call>'


def test_tagged_calls_are_taken_out_of_the_text() -> None:
    text, calls = take_calls(f"I look.\n{CALL}\n{CALL}")
    assert text == "I look."
    assert [(call.name, json.loads(call.arguments)) for call in calls] == [("read", {"path": "a"})] * 2
    assert len({call.id for call in calls}) == 2


@pytest.mark.parametrize("text", ["", "no call", "<tools>{}</tools>", 'a < b and {"name": "read"}'])
def test_text_without_tags_stays_whole(text: str) -> None:
    assert take_calls(text) == (text, ())


@pytest.mark.parametrize(
    ("text", "name", "arguments"),
    [
        ('<tool_call>{"name": "read", "arguments": {"path": "a"}}', "read", '{"path": "a"}'),
        ('<tool_call>{"name": "write", "arguments": {"path": "a", "con', "write", None),
        ("<tool_call>read a</tool_call>", "", "read a"),
        ('<tool_call>["read"]</tool_call>', "", '["read"]'),
        ('<tool_call>{"arguments": {}}</tool_call>', "", '{"arguments": {}}'),
        ("<tool_call>" + "[" * 100_000, "", None),
        ('<tool_call>{"name": "list"}</tool_call>', "list", "{}"),
    ],
)
def test_a_call_that_is_cut_off_or_no_json_is_still_a_call(text: str, name: str, arguments: str | None) -> None:
    _, (call,) = take_calls(text)
    assert call.name == name
    assert call.arguments == (arguments if arguments is not None else text.removeprefix("<tool_call>"))


def test_a_chat_with_calls_as_templates_and_servers_take_it() -> None:
    call = ToolCall("c1", "read", '{"path": "a"}')
    broken = ToolCall("c2", "read", '{"path": ')
    chat = [Message("assistant", "", (call, broken)), Message("tool", "text", tool_call_id="c1")]
    turn, answer = chat_for_template(chat)
    assert [one["function"]["arguments"] for one in turn["tool_calls"]] == [{"path": "a"}, {"malformed": '{"path": '}]
    assert answer == {"role": "tool", "content": "text", "tool_call_id": "c1"}
    turn, _ = chat_for_template(chat, parsed=False)
    assert [json.loads(one["function"]["arguments"]) for one in turn["tool_calls"]] == [
        {"path": "a"},
        {"malformed": '{"path": '},
    ]
    assert chat_for_template([Message("user", "hi")]) == [{"role": "user", "content": "hi"}]
    assert tools_for_template([]) is None
    (tool,) = tools_for_template([ToolSpec("read", "Reads.", '{"type": "object"}')]) or []
    assert tool["function"] == {"name": "read", "description": "Reads.", "parameters": {"type": "object"}}


@pytest.mark.parametrize("unit", ["<tool_call>", "<tool_call>x ", " ", "<tool_call></tool_call>", '"name"', "<", "\n"])
@pytest.mark.parametrize("begin", ["", "<tool_call>", '<tool_call>"name"'])
def test_the_work_of_taking_calls_grows_no_faster_than_the_text(unit: str, begin: str) -> None:
    few, many = (work_of(lambda n=n: take_calls(begin + unit * n)) for n in (200, 800))
    assert many < 5 * few + 200
    assert take_calls(begin + unit * 20_000) is not None
