"""`?`: what the screen is for, and every key that is bound on it."""

# An app of Textual has a type variable that its screens leave open.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from rich.table import Table
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from stackbench.tui.room_screen import RoomScreen

__all__ = ["HelpScreen", "bound_keys"]


class HelpScreen(ModalScreen[None]):
    """Lists the bindings of the screen under it."""

    CSS_PATH = "help_screen.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,question_mark,q", "dismiss", "Close", key_display="esc"),
    ]

    def __init__(self, of: RoomScreen) -> None:
        super().__init__()
        self._of = of
        self._groups = bound_keys(of)

    def compose(self) -> ComposeResult:
        with VerticalScroll(id="help"):
            yield Static(Text(f"{self._of.ROOM}", style="bold"), markup=False)
            yield Static(Text(self._of.ABOUT), id="help-about", markup=False)
            for title, keys in self._groups:
                yield Static(Text(title, style="bold"), classes="help-title", markup=False)
                yield Static(_table(keys), markup=False)

    def on_mount(self) -> None:
        self.query_one("#help").focus()


def bound_keys(screen: RoomScreen) -> list[tuple[str, list[tuple[str, str]]]]:
    """The keys of a screen: its own, those of the widget in focus, those of every screen."""
    app = screen.app
    own: list[tuple[str, str]] = []
    widget: list[tuple[str, str]] = []
    everywhere: list[tuple[str, str]] = []
    seen: dict[tuple[int, str], int] = {}
    for active in screen.active_bindings.values():
        binding = active.binding
        if not binding.description or not active.enabled or binding.system:
            continue
        general = (
            active.node is app or binding.action.startswith(("app.", "screen.")) or binding.action in ("back", "help")
        )
        group = everywhere if general else own if active.node is screen else widget
        shown = app.get_key_display(binding)
        place = seen.get((id(group), binding.action))
        if place is not None:
            keys, text = group[place]
            if shown not in keys.split(" "):
                group[place] = (f"{keys} {shown}", text)
            continue
        seen[id(group), binding.action] = len(group)
        group.append((shown, binding.description))
    titled: Iterable[tuple[str, list[tuple[str, str]]]] = (
        ("On this screen", own),
        ("Where the cursor is", widget),
        ("Everywhere", everywhere),
    )
    return [(title, keys) for title, keys in titled if keys]


def _table(keys: list[tuple[str, str]]) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(no_wrap=True, min_width=12)
    table.add_column()
    for key, description in keys:
        table.add_row(Text(key, style="bold"), Text(description))
    return table
