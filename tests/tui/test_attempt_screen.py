"""One attempt: its parts, its neighbours, copying, the editor, and the same task once more."""

from __future__ import annotations

from pathlib import Path

import pytest

from stackbench.config import Home
from stackbench.tui import clipboard
from stackbench.tui.editor import editor_command
from tests.tui.pilots import Screens, opened
from tests.tui.recorded_home import CLOCK
from tests.tui.scripted_engine import scripted_engine

RUN = "20261126-090000-aaaaaa"


async def open_first(screens: Screens) -> None:
    await screens.shows("attempts (8)")
    await screens.press("enter")
    await screens.shows("HumanEval/7", "[1] prompt", "[2] answer", "[5] details")


async def test_the_parts_of_an_attempt(recorded: Home) -> None:
    async with opened(recorded, run=RUN) as screens:
        await open_first(screens)
        await screens.shows("✗ failed", "failed: AssertionError: add(1, 2) == 4", "32 + 21 tokens", "return a + b")
        await screens.press("right")
        await screens.shows("def add(a, b):", "    return a + b")
        await screens.press("4")
        await screens.shows("result: failed: AssertionError")
        await screens.press("5")
        await screens.shows('"finish_reason": "stop"', '"temperature": 0.0')
        await screens.press("left", "1")
        await screens.shows("def add(a, b):")


async def test_next_and_previous_that_did_not_pass(recorded: Home) -> None:
    async with opened(recorded, run=RUN) as screens:
        await open_first(screens)
        await screens.press("n")
        await screens.shows("HumanEval/6", "! error")
        await screens.press("n")
        await screens.shows("HumanEval/3")
        await screens.press("n")
        await screens.tells("no earlier attempt that did not pass")
        await screens.press("N")
        await screens.shows("HumanEval/6")
        await screens.press("right_square_bracket")
        await screens.shows("HumanEval/5", "✓ passed")
        await screens.press("left_square_bracket", "escape")
        await screens.shows("attempts (8)")


async def test_a_part_is_copied_as_it_is_recorded(recorded: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    copied: list[str] = []
    monkeypatch.setattr(clipboard, "copy", lambda text, write, folder: copied.append(text) or "copied")
    async with opened(recorded, run=RUN) as screens:
        await open_first(screens)
        await screens.press("y", "3", "y")
        await screens.tells("copied")
    assert copied == ["    return a + b\n", "def add(a, b):\n    return a + b\n"]


async def test_without_a_terminal_the_editor_says_so(recorded: Home) -> None:
    async with opened(recorded, run=RUN) as screens:
        await open_first(screens)
        await screens.press("e")
        await screens.tells("an editor needs a terminal")


def test_the_users_editor_comes_first(tmp_path: Path) -> None:
    tool = tmp_path / "vi"
    tool.touch(mode=0o755)
    assert editor_command({"VISUAL": "code --wait", "EDITOR": "nano"}) == ["code", "--wait"]
    assert editor_command({"EDITOR": "nano"}) == ["nano"]
    assert editor_command({"PATH": str(tmp_path)}) == ["vi"]


async def test_the_same_task_again_is_put_beside_the_first(recorded: Home) -> None:
    async with scripted_engine(recorded, "20261126-110000-ffffff", clock=CLOCK) as engine:
        engine.live = False
        async with opened(recorded, run=RUN) as screens:
            await open_first(screens)
            await screens.press("g")
            await screens.shows("again with which model?")
            await screens.press("ctrl+a", "ctrl+k")
            await screens.type("oracle")
            await screens.press("enter")
            await screens.shows("side by side", "return a + b")
        name, given = engine.commands[0]
    assert name == "submit"
    plan = given["plan"]
    assert plan["settings"]["model"] == "oracle"
    assert [(part["name"], list(part["sample_ids"])) for part in plan["benchmarks"]] == [("humaneval", ["HumanEval/7"])]


async def test_an_unknown_model_is_refused_in_one_line(recorded: Home) -> None:
    async with opened(recorded, run=RUN) as screens:
        await open_first(screens)
        await screens.press("g")
        await screens.shows("again with which model?")
        await screens.press("ctrl+a", "ctrl+k")
        await screens.type("no such model")
        await screens.press("enter")
        await screens.tells("no such model")


def test_copying_goes_through_the_terminal_where_no_tool_is(tmp_path: Path) -> None:
    sent: list[str] = []
    said = clipboard.copy("a\x1bb", sent.append, tmp_path, {"PATH": ""})
    assert "OSC 52" in said and sent == ["\x1b]52;c;YRti\x07"]


def test_copying_in_tmux_is_wrapped_and_over_ssh_asks_no_tool(tmp_path: Path) -> None:
    tool = tmp_path / "xclip"
    tool.touch(mode=0o755)
    environment = {"PATH": str(tmp_path), "DISPLAY": ":0", "SSH_TTY": "/dev/pts/1", "TMUX": "x"}
    sent: list[str] = []
    clipboard.copy("ab", sent.append, tmp_path, environment)
    assert sent == ["\x1b]52;c;YWI=\x07\x1bPtmux;\x1b\x1b]52;c;YWI=\x07\x1b\\"]


def test_what_is_too_long_for_a_terminal_goes_to_a_file(tmp_path: Path) -> None:
    sent: list[str] = []
    text = "x" * 200_000
    said = clipboard.copy(text, sent.append, tmp_path / "copied", {"PATH": ""})
    path = Path(said.split("written to ")[1])
    assert sent == [] and path.read_text() == text and path.stat().st_mode & 0o777 == 0o600


def test_the_platforms_tool_comes_first(tmp_path: Path) -> None:
    tool, taken = tmp_path / "xclip", tmp_path / "taken"
    tool.write_text(f"#!/bin/sh\n/bin/cat > {taken}\n")
    tool.chmod(0o755)
    said = clipboard.copy("as it is", lambda sequence: None, tmp_path, {"PATH": str(tmp_path), "DISPLAY": ":0"})
    assert said == "copied with xclip"
    assert taken.read_text() == "as it is"
