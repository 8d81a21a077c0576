"""Small questions over a screen: yes or no, one value, one of several."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from stackbench.tui.safe_text import cut_line
from stackbench.visible_text import in_one_line

__all__ = ["AskScreen", "ChooseScreen", "ConfirmScreen"]

BOX = """
{name} {{ align: center middle; }}
{name} > Vertical {{
    width: 76; max-width: 96%; height: auto; max-height: 90%; padding: 1 2;
    border: round $primary; background: $surface;
}}
{name} Static {{ height: auto; }}
{name} .hint {{ color: $text-muted; margin-top: 1; }}
{name} OptionList {{ height: auto; max-height: 16; border: none; background: $surface; }}
"""


class ConfirmScreen(ModalScreen[bool]):
    """Yes or no."""

    DEFAULT_CSS = BOX.format(name="ConfirmScreen")
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "answer(True)", "Yes"),
        Binding("n,escape", "answer(False)", "No"),
    ]

    def __init__(self, question: str) -> None:
        super().__init__()
        self._question = question

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Static(Text(cut_line(self._question)), markup=False)
            yield Static(Text("y  yes      n  no"), classes="hint", markup=False)

    def action_answer(self, yes: bool) -> None:
        self.dismiss(yes)


class AskScreen(ModalScreen[str | None]):
    """One value; None where the question is left."""

    DEFAULT_CSS = BOX.format(name="AskScreen")
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", "Leave")]

    def __init__(self, question: str, value: str = "", hint: str = "") -> None:
        super().__init__()
        self._question, self._value, self._hint = question, value, hint

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Static(Text(cut_line(self._question)), markup=False)
            yield Input(in_one_line(self._value), compact=True)
            yield Static(Text(cut_line(self._hint) or "enter  take it      esc  leave"), classes="hint", markup=False)

    @on(Input.Submitted)
    def _entered(self, event: Input.Submitted) -> None:
        event.stop()
        self.dismiss(event.value)

    def action_leave(self) -> None:
        self.dismiss(None)


class ChooseScreen(ModalScreen[int | None]):
    """The place of one of several texts; None where the question is left."""

    DEFAULT_CSS = BOX.format(name="ChooseScreen")
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", "Leave")]

    def __init__(self, question: str, choices: Sequence[str]) -> None:
        super().__init__()
        self._question, self._choices = question, choices

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Static(Text(cut_line(self._question)), markup=False)
            yield OptionList(*(Option(Text(cut_line(choice))) for choice in self._choices), markup=False)

    @on(OptionList.OptionSelected)
    def _chosen(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self.dismiss(event.option_index)

    def action_leave(self) -> None:
        self.dismiss(None)
