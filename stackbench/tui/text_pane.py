"""A pane for one text: wrapped, scrolled, coloured where it is code, never read as markup."""

from __future__ import annotations

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content
from textual.highlight import highlight
from textual.widgets import Static

from stackbench.tui.safe_text import block

__all__ = ["TextPane"]

COLOURED_UP_TO = 30_000
"""Characters: colouring a longer text holds the screen up."""
SHOWN_UP_TO = 60_000
"""Characters in a pane; the editor shows all."""


class TextPane(VerticalScroll, can_focus=True):
    """`show_text` replaces what is shown; the title stands above it and stays."""

    DEFAULT_CSS = """
    TextPane { height: 1fr; width: 1fr; background: $surface; padding: 0 1; }
    TextPane > Static { width: 100%; height: auto; }
    TextPane:focus { background-tint: $foreground 3%; }
    """

    def compose(self) -> ComposeResult:
        yield Static(markup=False)

    def show_text(self, text: str | Text, language: str = "") -> None:
        """Shows a text from its beginning."""
        static = self.query_one(Static)
        if isinstance(text, Text):
            static.update(text)
        else:
            shown = block(text, SHOWN_UP_TO)
            coloured = bool(language) and len(shown) <= COLOURED_UP_TO
            static.update(highlight(shown, language=language, tab_size=4) if coloured else Content(shown))
        self.scroll_home(animate=False)
