"""Calls that a model wrote into its text; what they look like is in test_loop."""

from __future__ import annotations

import pytest

from stackbench.agents.repair import find_calls
from stackbench.nesting import is_deep, loads
from tests.counting import work_of

CALL = '{"name": "read", "arguments": {"path": "a"}}'


@pytest.mark.parametrize(
    ("text", "rest", "count"),
    [
        (f"I look. <tool_call>{CALL}</tool_call> Then. <tool_call>{CALL}", "I look.  Then.", 2),
        (f"<tools>{CALL}</tools><function_call>{CALL}</function_call>", "", 2),
        (f"```json\n{CALL}\n```\n```tool\n{CALL}", "", 2),
        (f"```python\nx\n```\n```\n{CALL}\n   ```", "```python\nx\n```", 1),
        (f"```json  \n\n{CALL}\n\n```", "", 1),
        (f"``` {CALL}```", f"``` {CALL}```", 0),
    ],
)
def test_tags_and_fences_hold_calls(text: str, rest: str, count: int) -> None:
    found = find_calls(text, ["read"])
    assert (found.text, len(found.calls)) == (rest, count)


LS = ("exec", '{"command": "ls"}')


@pytest.mark.parametrize(
    ("text", "made", "rest"),
    [
        ("Look.\n<tool_call>\n<function=exec>\n<parameter=command>\nls\n</parameter>\n</function>\n</tool_call>", [LS],
         "Look."),
        ("<function=exec><parameter=command>ls</parameter></function>", [LS], ""),
        ("<function=read><parameter=path>5</parameter><parameter=offset>3</parameter>",
         [("read", '{"path": "5", "offset": 3}')], ""),
        ("<tool_call>exec\n<arg_key>command</arg_key>\n<arg_value>ls</arg_value></tool_call>", [LS], ""),
        ('<|python_tag|>{"name": "exec", "parameters": {"command": "ls"}}<|eom_id|>', [LS], ""),
        ('<|python_tag|>{"name": "exec", "parameters": {"command": "ls"}}; '
         '{"name": "read", "parameters": {"path": "a"}}', [LS, ("read", '{"path": "a"}')], ""),
        ('<|python_tag|>exec.call(command="ls")', [LS], ""),
        ('[exec(command="ls"), read(path="a")]', [LS, ("read", '{"path": "a"}')], ""),
        ('I look.[TOOL_CALLS] [{"name": "exec", "arguments": {"command": "ls"}}]', [LS], "I look."),
        ('[TOOL_CALLS]exec[ARGS]{"command": "ls"}[TOOL_CALLS]exec[CALL_ID]abc123def[ARGS]{"command": "ls"}</s>',
         [LS, LS], ""),
        ('<|tool_calls_section_begin|><|tool_call_begin|>functions.exec:0<|tool_call_argument_begin|>{"command": "ls"}'
         '<|tool_call_end|><|tool_calls_section_end|>', [LS], ""),
        ('{"name": "exec", "arguments": {"command": "ls"}}\nThis lists the files.', [LS], "This lists the files."),
        ('<tool_call>{"name": "ls_files", "arguments": {}}</tool_call>', [("ls_files", "{}")], ""),
        ('[TOOL_CALLS]exec[ARGS]{"command": ', [("exec", '{"command":')], ""),
        ('{"name": "ls_files", "arguments": {}}', [("ls_files", "{}")], ""),
        ('```json\n{"name": "ls_files", "arguments": {"path": "a"}}\n```', [("ls_files", '{"path": "a"}')], ""),
        ('{"name": "Ada", "parameters": "none"}', [], '{"name": "Ada", "parameters": "none"}'),
        ('{"name": "web 1", "arguments": {}}', [], '{"name": "web 1", "arguments": {}}'),
        ('{"name": "web", "arguments": {}, "port": 80}', [], '{"name": "web", "arguments": {}, "port": 80}'),
        ('Like this: {"name": "web", "arguments": {}}', [], 'Like this: {"name": "web", "arguments": {}}'),
        ("[1, 2, 3]", [], "[1, 2, 3]"),
    ],
)  # fmt: skip
def test_every_way_to_write_a_call(text: str, made: list[tuple[str, str]], rest: str) -> None:
    found = find_calls(text, ["exec", "read"])
    assert ([(call.name, call.arguments) for call in found.calls], found.text) == (made, rest)


@pytest.mark.parametrize(
    "unit",
    [
        " ", "\n", "<tool_call>", "<tool_call>x", "<tools></tools>", "```json\n", "```", "```\n```\n", '"', '\\"', "{",
        "[", '"name": "', '{"name"', "\n ", "1 ", "{} ", "<function=", "<function=exec><parameter=", "[TOOL_CALLS]",
        "<|tool_call_begin|>", "<arg_key>", "exec(a=1),", "<|python_tag|>",
    ],
)  # fmt: skip
@pytest.mark.parametrize(
    "begin",
    [
        "",
        "<tool_call>x",
        "```json\n",
        '{"name": "read',
        "[" * 101 + '"',
        "<tool_call>exec<arg_key>",
        "<function=exec>",
        "<|python_tag|>",
    ],
)
def test_the_work_of_finding_calls_grows_no_faster_than_the_text(unit: str, begin: str) -> None:
    few, many = (work_of(lambda n=n: find_calls(begin + unit * n, ["read"])) for n in (200, 800))
    assert many < 5 * few + 500
    find_calls(begin + unit * 60_000, ["read"])


def test_brackets_behind_a_string_that_never_ends_are_not_counted_twice() -> None:
    text = "[" * 101 + '"' + '\\"' * 100_000
    assert is_deep(text)
    assert not is_deep('"' + "[" * 200)
    with pytest.raises(ValueError, match="nested more than"):
        loads(text)
