"""One row of a result, every value in full."""

# An app of Textual has a type variable that its screens leave open.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, cast

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Static

from stackbench.tui.safe_text import cut_line
from stackbench.tui.sql.query_result import Row, shown_value
from stackbench.tui.text_pane import TextPane

if TYPE_CHECKING:
    from stackbench.tui.app import StackbenchApp

__all__ = ["RowDialog"]


class RowDialog(ModalScreen[None]):
    """Scrolls; `y` copies."""

    DEFAULT_CSS = """
    RowDialog { align: center middle; }
    RowDialog > Vertical { width: 90%; height: 90%; padding: 1 2; border: round $primary; background: $surface; }
    RowDialog .hint { height: 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,enter", "dismiss", "Close"),
        Binding("y", "copy", "Copy"),
    ]

    def __init__(self, names: tuple[str, ...], row: Row) -> None:
        super().__init__()
        width = min(30, max(len(cut_line(name)) for name in names))
        self._text = "\n".join(
            f"{cut_line(name):<{width}}  {shown_value(value)}" for name, value in zip(names, row, strict=True)
        )

    def compose(self) -> ComposeResult:
        with Vertical():
            yield TextPane()
            yield Static("esc  close      y  copy", classes="hint", markup=False)

    def on_mount(self) -> None:
        pane = self.query_one(TextPane)
        pane.show_text(self._text)
        pane.focus()

    def action_copy(self) -> None:
        cast("StackbenchApp", self.app).copy(self._text)
