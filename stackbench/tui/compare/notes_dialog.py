"""What makes two runs less than comparable, and the settings in which they differ."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Static

from stackbench.tui.compare.compared_runs import ComparedRuns
from stackbench.tui.safe_text import cut_line
from stackbench.tui.text_pane import TextPane

__all__ = ["NotesDialog"]


class NotesDialog(ModalScreen[None]):
    """Scrolls."""

    DEFAULT_CSS = """
    NotesDialog { align: center middle; }
    NotesDialog > Vertical { width: 92%; height: 80%; padding: 1 2; border: round $primary; background: $surface; }
    NotesDialog .hint { height: 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q,w,enter", "dismiss", "Close")]

    def __init__(self, compared: ComparedRuns) -> None:
        super().__init__()
        self._compared = compared

    def compose(self) -> ComposeResult:
        with Vertical():
            yield TextPane()
            yield Static("esc  close", classes="hint", markup=False)

    def on_mount(self) -> None:
        text = Text("Warnings\n", style="bold")
        warnings = self._compared.comparison.warnings
        text.append("".join(f"! {cut_line(one)}\n" for one in warnings) or "none\n", style="not bold")
        text.append("\nSettings that differ (A | B)\n", style="bold")
        lines = [
            f"{cut_line(name)}  {_shown(a)} | {_shown(b)}\n" for name, (a, b) in self._compared.settings.items()
        ]  # fmt: skip
        text.append("".join(lines) or "none\n", style="not bold")
        pane = self.query_one(TextPane)
        pane.show_text(text)
        pane.focus()


def _shown(value: object) -> str:
    return "-" if value is None else cut_line(value, 200)
