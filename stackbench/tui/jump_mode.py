"""Jump mode: a letter over everything on the screen that can take the keys; typing it goes there."""

# A screen of Textual has a type variable that its widgets leave open.
# pyright: reportUnknownMemberType=false
from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.events import Click, Key
from textual.geometry import Region
from textual.screen import ModalScreen, Screen
from textual.widget import Widget
from textual.widgets import Static

__all__ = ["JumpScreen", "jump_targets"]

LETTERS = "asdfghjklqwertyuiopzxcvbnm1234567890"
"""Those under the fingers first; targets beyond them get none."""


def jump_targets(screen: Screen[object]) -> list[tuple[str, Widget]]:
    """Each widget in view that can take the keys, with its letter, in the order of the focus."""
    whole = Region(0, 0, *screen.size)
    seen = [widget for widget in screen.focus_chain if widget.region.intersection(whole).area]
    return list(zip(LETTERS, seen, strict=False))


class JumpScreen(ModalScreen[Widget | None]):
    """Lies over another screen; ends with the widget that was chosen."""

    DEFAULT_CSS = """
    JumpScreen { background: $background 35%; }
    JumpScreen .jump-letter {
        position: absolute; width: 3; height: 1; content-align: center middle;
        background: $warning; color: $background; text-style: bold;
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,ctrl+g", "leave", "Leave")]

    def __init__(self, targets: Sequence[tuple[str, Widget]]) -> None:
        super().__init__()
        self._targets = dict(targets)

    def compose(self) -> ComposeResult:
        for letter, widget in self._targets.items():
            label = Static(Text(letter), classes="jump-letter", markup=False)
            label.styles.offset = widget.region.offset
            yield label

    def on_key(self, event: Key) -> None:
        if event.character in self._targets:
            event.stop()
            event.prevent_default()
            self.dismiss(self._targets[event.character])

    def on_click(self, event: Click) -> None:
        """What was clicked on, or nothing."""
        here = (event.screen_x, event.screen_y)
        self.dismiss(next((widget for widget in self._targets.values() if widget.region.contains(*here)), None))

    def action_leave(self) -> None:
        self.dismiss(None)
