"""A tool call's arguments, to be changed before the call is made."""

from __future__ import annotations

import json
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Static, TextArea

from stackbench import nesting
from stackbench.tui.safe_text import cut_line
from stackbench.visible_text import visible

__all__ = ["ArgumentsScreen", "legible_json"]


class ArgumentsScreen(ModalScreen[str | None]):
    """The arguments as the user leaves them; None where the question is left."""

    DEFAULT_CSS = """
    ArgumentsScreen { align: center middle; }
    ArgumentsScreen > Vertical {
        width: 90%; max-width: 120; height: 80%; padding: 1 2; border: round $primary; background: $surface;
    }
    ArgumentsScreen Static { height: 1; }
    ArgumentsScreen #fault { color: $text-error; }
    ArgumentsScreen TextArea { height: 1fr; border: none; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f5,ctrl+s", "take", "Make the call", key_display="F5"),
        Binding("escape", "leave", "Leave"),
    ]

    def __init__(self, tool: str, arguments: str) -> None:
        super().__init__()
        self._tool, self._arguments = tool, arguments

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Static(Text(cut_line(f"{self._tool}: the arguments, a JSON object")), markup=False)
            yield TextArea(legible_json(self._arguments), id="arguments", tab_behavior="focus")
            yield Static("", id="fault", markup=False)
            yield Static(Text("f5  make the call with these      esc  leave"), classes="hint", markup=False)

    def action_take(self) -> None:
        text = self.query_one(TextArea).text
        if nesting.object_of(text) is None:
            self.query_one("#fault", Static).update(Text("this is no JSON object"))
        else:
            self.dismiss(text)

    def action_leave(self) -> None:
        self.dismiss(None)


def legible_json(written: str) -> str:
    """Arguments, a member a line, with what a screen would not show as it is in JSON's own escapes; what is no object
    stays as it was written, made visible."""
    found = nesting.object_of(written)
    if found is None:
        return visible(written)
    text = json.dumps(found, indent=2, ensure_ascii=False)
    return "".join(one if one == "\n" or one.isprintable() else json.dumps(one)[1:-1] for one in text)
