"""Nothing that a model writes, or a page holds, costs more than its length: counted in steps, or cut first."""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any

import pytest

from stackbench import nesting
from stackbench.agents.tools import ToolRefusedError
from stackbench.agents.tools.keys import encode_keys
from stackbench.agents.tools.pages import MOST_HTML, read_page
from stackbench.agents.tools.patch import MOST_STEPS, LineSearch, apply_hunks, parse_patch
from stackbench.agents.tools.web import _parts  # type: ignore[attr-defined]
from stackbench.agents.trimming import estimate_tokens, trim
from stackbench.types import Message


@pytest.mark.parametrize("wanted", [["a"] * 500 + ["b"], ["a", "b"] * 200 + ["c"], ["a"] * 999])
def test_lines_are_found_in_steps_that_grow_with_the_file(wanted: list[str]) -> None:
    for length in (10_000, 20_000, 40_000):
        search = LineSearch(["a"] * length)
        search.find(wanted, 0, at_end=False)
        assert search.steps <= 3 * (length + len(wanted))


def test_lines_are_found_where_they_first_stand() -> None:
    search = LineSearch(["a", "a", "b", "a", "b ", " a", "c"])
    assert search.find(["a", "b"], 0, at_end=False) == 1
    assert search.find(["a", "b"], 2, at_end=False) == 3
    assert search.find(["b", "a", "c"], 0, at_end=False) == 4
    assert search.find(["a", "c"], 0, at_end=True) == 5
    assert search.find(["a", "b"], 0, at_end=True) is None
    assert search.find(["x"], 0, at_end=False) is None
    assert search.find(["c", "x"], 6, at_end=False) is None


def test_a_patch_of_many_hunks_over_a_long_file_is_refused() -> None:
    lines = 50_000
    content = "x\n" * lines
    hunks = parse_patch("*** Begin Patch\n*** Update File: f\n" + "@@\n-x \n+y\n" * 2000 + "*** End Patch")[0].hunks
    with pytest.raises(ToolRefusedError, match=f"more than {MOST_STEPS} steps"):
        apply_hunks("f", content, hunks)


def test_an_added_file_of_a_million_lines_is_put_together_once() -> None:
    change = parse_patch("*** Begin Patch\n*** Add File: f\n" + "+line\n" * 1_000_000 + "*** End Patch")[0]
    assert len(change.lines) == 1_000_000


@pytest.mark.parametrize(
    "text",
    [
        '"' + '\\"' * 500_000,
        "[" * 200 + '"' + '\\"' * 500_000,
        '"a' * 500_001,
        "{" * 101 + '"\\',
        "[" * 200 + '"' * 99_999,
    ],
)
def test_quotes_without_end_are_gone_over_once(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        nesting.loads(text)
    found = list(nesting.TOKEN.finditer(text))
    assert all(one.end() > one.start() for one in found)
    # No place is tried twice: every quote that is no token of its own lies within one.
    covered = sum(one.end() - one.start() for one in found)
    assert covered + len(re.sub(nesting.TOKEN, "", text)) == len(text)
    assert '"' not in re.sub(nesting.TOKEN, "", text)


def test_a_long_key_is_text() -> None:
    keys = "C-" * 100_000 + "\n"
    assert encode_keys([keys]) == keys.encode()


def test_interim_responses_are_stepped_over() -> None:
    output = b"HTTP/1.1 100 Continue\r\n\r\n" * 200_000 + b"HTTP/1.1 201 Created\r\nA: b\r\n\r\nbody"
    assert _parts(output) == (201, "HTTP/1.1 201 Created\nA: b", b"body")


def test_a_chat_of_many_results_is_trimmed_in_one_pass() -> None:
    class Counted(str):
        looked = 0

        def __len__(self) -> int:
            Counted.looked += 1
            return super().__len__()

    messages = [Message("user", "task"), *(Message("tool", Counted("x" * 1000), (), str(n)) for n in range(3000))]
    Counted.looked = 0
    trimmed, shortened = trim(messages, 1000)
    assert shortened == 3000 and estimate_tokens(trimmed) < estimate_tokens(messages) / 4
    assert Counted.looked < 10 * len(messages)


PAGES: dict[str, tuple[str, str]] = {
    "spaces": ("<html><body><p>a" + " " * 400_000 + "b</p>", "a b"),
    "nested": ("<body>" + "<div>" * 5000 + "deep" + "</div>" * 5000, "deep"),
    "not closed": ("<body>start" + "<b>" * 3000 + "end", "start"),
    "many blanks before a line's end": ("<body><pre>" + (" " * 2000 + "\n") * 100 + "x</pre>", "x"),
    "rejected": ("<!-->\n<body>hello<![if", "hello"),
    "entities": ("<body>" + "&" * 50_000 + "x", "&&&"),
}


@pytest.mark.parametrize("name", PAGES)
async def test_a_page_is_read_beside_the_loop(name: str) -> None:
    """While it is read the loop goes round: a task of ten turns ends before or soon after."""
    html, holds = PAGES[name]
    turns = 0

    async def ticking() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    ticker = asyncio.create_task(ticking())
    try:
        text, length = await read_page(html, "markdown", 1000)
    finally:
        ticker.cancel()
    assert holds in " ".join(text.split()) and length >= len(text)
    assert turns > 10


async def test_a_page_that_takes_too_long_or_too_much_is_refused_and_the_next_is_read(monkeypatch: Any) -> None:
    monkeypatch.setattr("stackbench.agents.tools.pages.MOST_S", 0.01)
    with pytest.raises(ToolRefusedError, match=r"takes more than 0\.01 s to read; http_request gives it as it is"):
        await read_page("<!--" * 100_000, "markdown", 100)
    monkeypatch.undo()
    assert await read_page("<p>well</p>" + "x" * MOST_HTML, "text", 4) == ("well", MOST_HTML - 6)


def test_arguments_of_calls_are_plain_numbers() -> None:
    from stackbench.agents.tools import TOOLS

    for text in ('{"command": "x", "timeoutSeconds": NaN}', '{"command": "x", "timeoutSeconds": Infinity}'):
        with pytest.raises(ValueError, match=r"finite|greater"):
            TOOLS["exec"].parameters.model_validate(json.loads(text))
