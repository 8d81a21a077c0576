from __future__ import annotations

import io
import json
import re
import unicodedata

import pytest
from rich.text import Text

from stackbench.cli.console import VisibleConsole, make_table, notice, print_json, print_line
from stackbench.visible_text import in_json, in_one_line, visible

HOSTILE = {
    "colour": "\x1b[31mred\x1b[0m",
    "title": "\x1b]0;owned\x07",
    "clipboard": "\x1b]52;c;ZWNobw==\x07",
    "link": "\x1b]8;;http://evil.example\x1b\\here\x1b]8;;\x1b\\",
    "8-bit sequence": "\x9b31mred",
    "device control": "\x90q\x9c",
    "erasing": "passed\rfailed\x08\x08\x7f",
    "bell": "\x07",
    "null": "a\x00b",
    "direction": "\u202egnp.\u202ctxt \u2066x\u2069 \u200f",
    "zero width": "a\u200bb\u200dc\ufeffd\u2060e\u00adf",
    "tags": "\U000e0041\U000e0042",
    "variation": "x\U000e0100",
    "separators": "a\u2028b\u2029c\x85d",
    "blank letters": "\u3164\u115f\uffa0",
    "lone surrogates": "\ud83d \udcff",
}


def is_legible(text: str, also: str = "\n\t") -> bool:
    return all(c in also or unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Zl", "Zp") for c in text)


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_nothing_that_a_terminal_obeys_or_hides_is_left(text: str) -> None:
    for shown in (visible(text), in_one_line(text)):
        assert is_legible(shown, also="")
        assert shown != text
        assert visible(shown) == in_one_line(shown) == shown
    assert visible(f"before{text}after").startswith("before")


@pytest.mark.parametrize(
    "text",
    ["", "plain", "é ü 日本語 العربية", "\U0001f600 \U0001f44d\U0001f3fd", "a\\x1bb", ":fire: [red]x[/red]", "e\u0301"],
)
def test_what_can_be_read_stays(text: str) -> None:
    assert visible(text) == in_one_line(text) == text


def test_lines_stay_lines_and_show_where_there_is_one() -> None:
    assert visible("a\n\tb\r\nc\rd") == "a\n\tb\nc\\rd"
    assert in_one_line("a\n\tb\r\nc") == "a\\n\\tb\\r\\nc"
    assert visible("\x1b\x9b\u202e\U000e0041") == "\\x1b\\x9b\\u202e\\U000e0041"


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_json_stays_the_same_document(text: str) -> None:
    for ascii_only in (True, False):
        document = json.dumps({text: [text]}, ensure_ascii=ascii_only, indent=1)
        shown = in_json(document)
        assert json.loads(shown) == {text: [text]}
        assert is_legible(shown)


def printed(*things: object, width: int = 200, terminal: bool = False) -> str:
    file = io.StringIO()
    console = VisibleConsole(file=file, width=width, force_terminal=terminal, color_system=None)
    for thing in things:
        console.print(thing)
    return file.getvalue()


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_a_console_makes_visible_what_its_caller_forgot(text: str) -> None:
    for terminal in (False, True):
        shown = printed(f"a{text}", Text(text, style="bold"), {"k": text}, terminal=terminal)
        assert is_legible(shown), ascii(shown)


def test_text_is_no_markup() -> None:
    table = make_table([":fire:", "[b]name[/b]"], [("[red]x[/red]", ":fire:"), ("[link=http://e]y[/link]", 7)])
    shown = printed(table, "[bold]z[/bold] :smile:", width=80)
    for part in (":fire:", "[b]name[/b]", "[red]x[/red]", "[link=http://e]y[/link]", "[bold]z[/bold] :smile:"):
        assert part in shown


def test_hidden_characters_keep_columns_straight() -> None:
    lines = printed(make_table(["a", "b"], [("\x1b[31m", "x"), ("plain", "x")])).splitlines()
    assert len({line.index("x", 5) for line in lines[1:]}) == 1


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_lines_of_notices_and_results_are_one_line(text: str, capfd: pytest.CaptureFixture[str]) -> None:
    notice(f"m\n{text}")
    print_line(f"m\n{text}")
    print_json({"a": f"m\n{text}"})
    captured = capfd.readouterr()
    line, document = re.fullmatch(r"(m.*?\n)(\{.*)", captured.out, re.DOTALL).groups()  # type: ignore[union-attr]
    assert captured.err == line
    assert is_legible(line[:-1], also="")
    assert is_legible(document)
