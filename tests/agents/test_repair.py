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


@pytest.mark.parametrize(
    "unit",
    [
        " ", "\n", "<tool_call>", "<tool_call>x", "<tools></tools>", "```json\n", "```", "```\n```\n", '"', '\\"', "{",
        "[", '"name": "', '{"name"', "\n ", "1 ", "{} ",
    ],
)  # fmt: skip
@pytest.mark.parametrize("begin", ["", "<tool_call>x", "```json\n", '{"name": "read', "[" * 101 + '"'])
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
