"""The keys at the foot of a screen: written anew only when others are to be shown."""

# An app of Textual has a type variable that its screens leave open.
# pyright: reportUnknownMemberType=false
from __future__ import annotations

from typing import Any

from textual.screen import Screen
from textual.widgets import Footer

from stackbench.tui.prompt import Prompt

__all__ = ["KeysAtFoot"]


class KeysAtFoot(Footer):
    """Textual's footer makes its widgets anew whenever the focus moves; here only where it would look different."""

    def __init__(self) -> None:
        super().__init__(show_command_palette=False)
        self._written: list[tuple[str, str, bool]] | None = None

    def bindings_changed(self, screen: Screen[Any]) -> None:
        if screen is not self.screen or not screen.app.app_focus or screen.query_one(Prompt).display:
            return  # the prompt stands before the keys, and asks for them again as it goes
        shown = [
            (key, active.binding.description, active.enabled)
            for key, active in screen.active_bindings.items()
            if active.binding.show
        ]
        if shown != self._written:
            self._written = shown
            super().bindings_changed(screen)
