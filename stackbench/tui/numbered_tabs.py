"""The parts of a screen in a line, each with the key that shows it: `[1] prompt  [2] answer`."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

from stackbench.tui.tones import Tones

__all__ = ["tab_name", "tabs_text"]


def tab_name(number: int, name: str) -> str:
    """A key in brackets, so that it is not read as a count of what follows."""
    return f"[{number}] {name}"


def tabs_text(names: Sequence[str], here: str, tones: Tones) -> Text:
    """All parts, the one in view reversed."""
    line = Text(no_wrap=True, overflow="ellipsis", end="")
    for number, name in enumerate(names, 1):
        style = f"reverse bold {tones['accent']}" if name == here else tones["dim"]
        line.append(f" {tab_name(number, name)} ", style=style)
        line.append(" ")
    return line
