"""The line at the foot of a screen: `:` asks where to go, `/` what to show."""

# An app of Textual has a type variable that its screens leave open.
# pyright: reportUnknownMemberType=false
from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Literal

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.events import Key
from textual.message import Message
from textual.suggester import SuggestFromList
from textual.widget import Widget
from textual.widgets import Input, Static

from stackbench.tui.rooms import ROOMS

__all__ = ["FilterInForce", "Prompt"]


class PromptInput(Input):
    """Takes Enter and Escape itself: by way of the bindings, keys typed right after them would come before them."""

    def __init__(self, enter: Callable[[], None], leave: Callable[[], None]) -> None:
        super().__init__(id="prompt-input", compact=True)
        self._enter = enter
        self._leave = leave

    async def _on_key(self, event: Key) -> None:
        here = self.screen.focused is self  # `has_focus` follows a moment later
        if event.key in ("enter", "escape") and here:
            event.stop()
            event.prevent_default()
            (self._enter if event.key == "enter" else self._leave)()
        elif event.is_printable and not here:  # it was sent here before the focus had moved
            event.stop()
            event.prevent_default()
            self.app.post_message(Key(event.key, event.character))


class FilterInForce(Static):
    """The filter, above the keys at the foot; there only while one is in force."""

    DEFAULT_CSS = """
    FilterInForce { height: 1; padding: 0 1; display: none; background: $panel; }
    """

    def tell(self, text: str) -> None:
        self.display = bool(text)
        self.update(Text.assemble(("/", self.app.theme_variables["text-accent"]), f" {text}") if text else "")


class Prompt(Horizontal):
    """Stands in place of the keys at the foot while it is asked for, so that nothing else is laid out anew."""

    DEFAULT_CSS = """
    Prompt { height: 1; display: none; background: $panel; dock: bottom; layer: prompt; }
    Prompt > #prompt-sign { width: auto; padding: 0 1; color: $text-accent; }
    Prompt > Input { border: none; height: 1; padding: 0; background: $panel; }
    Prompt > Input:focus { border: none; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", "Leave", show=False)]

    class Filtered(Message):
        """The filter's text, as it is typed."""

        def __init__(self, text: str) -> None:
            self.text = text
            super().__init__()

    class Went(Message):
        """Where the user wants to go."""

        def __init__(self, text: str) -> None:
            self.text = text
            super().__init__()

    def __init__(self) -> None:
        super().__init__()
        self._mode: Literal["filter", "go"] = "filter"
        self._before: Widget | None = None
        self._filter = ""

    def compose(self) -> ComposeResult:
        yield Static(id="prompt-sign", markup=False)
        yield PromptInput(self._enter, self.action_leave)

    def ask_where(self) -> None:
        """Asks for a screen, or a run by its name or id."""
        self._ask("go", ":", "a screen, a run's name or the start of its id", "")
        self._input.suggester = SuggestFromList(list(ROOMS), case_sensitive=False)

    def ask_filter(self, what: str) -> None:
        """Asks for a filter; `what` says what it takes."""
        self._input.suggester = None
        self._ask("filter", "/", what, self._filter)

    @property
    def _input(self) -> Input:
        return self.query_one(Input)

    def _ask(self, mode: Literal["filter", "go"], sign: str, placeholder: str, value: str) -> None:
        if self.screen.focused is not self._input:
            self._before = self.screen.focused
        self._mode = mode
        self.query_one("#prompt-sign", Static).update(sign)
        self._input.placeholder = placeholder
        with self.prevent(Input.Changed):
            self._input.value = value
        self.display = True
        self.screen.set_focus(self._input)  # at once: the next key is the prompt's

    def take_key(self, key: Key) -> bool:
        """Takes a key that was typed right after the prompt was asked for and sent to what had the focus before;
        whether it did so."""
        if self.screen.focused is not self._input:
            return False
        if key.key == "enter":
            self._enter()
        elif key.key == "escape":
            self.action_leave()
        elif key.is_printable and key.character is not None:
            self._input.insert_text_at_cursor(key.character)
        else:
            return False
        return True

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        event.stop()
        if self._mode == "filter" and self.screen.focused is self._input:  # else Enter or Escape came before this
            self._set_filter(event.value)

    def _set_filter(self, text: str) -> None:
        if text != self._filter:
            self._filter = text
            self.post_message(self.Filtered(text))

    def _enter(self) -> None:
        mode, value = self._mode, self._input.value
        if mode == "filter":
            self._set_filter(value)
        self._close()
        if mode == "go" and value.strip():
            self.post_message(self.Went(value.strip()))

    def action_leave(self) -> None:
        if self._mode == "filter":
            self._set_filter("")
        self._close()

    def clear(self) -> bool:
        """Takes a filter that is in force away; whether there was one."""
        if not self._filter:
            return False
        self.action_leave()
        return True

    def _close(self) -> None:
        self.display = False
        self.screen.query_one(FilterInForce).tell(self._filter)
        if self._before is not None and self._before.is_attached:
            self.screen.set_focus(self._before)  # at once: the next key is not for the prompt any more
        else:
            self.screen.focus_next()
