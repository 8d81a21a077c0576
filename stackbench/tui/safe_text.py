"""Text of others as the screens show it: data, never markup, with hidden characters visible and its length bounded."""

from __future__ import annotations

from rich.text import Text

from stackbench.visible_text import in_one_line, visible

__all__ = ["LINE_SHOWN", "TEXT_SHOWN", "block", "cut_line", "line", "number_of_lines"]

LINE_SHOWN = 400
"""Characters of a text in a place of one line, at most: no terminal is wider, and a table lays out each cell."""
TEXT_SHOWN = 200_000
"""Characters of a text in a pane, at most; a key opens all of it in the user's editor."""
LINE_IN_BLOCK = 2_000
"""Characters of one line of a text in a pane, at most: a line of a megabyte takes seconds to fold."""


def cut_line(text: object, most: int = LINE_SHOWN) -> str:
    """Text for a place of one line, cut with a sign that there is more."""
    given = str(text)
    shown = in_one_line(given[:most])
    return f"{shown}…" if len(given) > most else shown


def line(text: object, style: str = "", most: int = LINE_SHOWN) -> Text:
    """As `cut_line`, as text that no parser of markup reads."""
    return Text(cut_line(text, most), style=style, no_wrap=True, overflow="ellipsis", end="")


def block(text: str, most: int = TEXT_SHOWN) -> str:
    """Text of several lines; lines and the whole are cut with a note of how much is left out."""
    shown = visible(text[:most])
    if any(len(one) > LINE_IN_BLOCK for one in shown.splitlines()):
        shown = "\n".join(_cut(one) for one in shown.split("\n"))
    left = len(text) - most
    return f"{shown}\n… {left:,} more characters: open it in the editor" if left > 0 else shown


def number_of_lines(text: str) -> int:
    return text.count("\n") + 1 if text else 0


def _cut(one: str) -> str:
    left = len(one) - LINE_IN_BLOCK
    return f"{one[:LINE_IN_BLOCK]}… {left:,} more characters in this line" if left > 0 else one
