"""The line at the foot of a screen: `:` asks where to go, `/` what to show."""

from __future__ import annotations

from typing import ClassVar, Literal

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

__all__ = ["Prompt"]


class Prompt(Horizontal):
    """Hidden until it is asked for; a filter stays in view while it is in force."""

    DEFAULT_CSS = """
    Prompt { height: 1; display: none; background: $panel; }
    Prompt.-asked { display: block; }
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
        self._focus_asked = False

    def compose(self) -> ComposeResult:
        yield Static(id="prompt-sign", markup=False)
        yield Input(id="prompt-input", compact=True)

    def ask_where(self) -> None:
        """Asks for a screen, or a run by its id."""
        self._ask("go", ":", "a screen or the start of a run's id", "")
        self._input.suggester = SuggestFromList(list(ROOMS), case_sensitive=False)

    def ask_filter(self, what: str) -> None:
        """Asks for a filter; `what` says what it takes."""
        self._input.suggester = None
        self._ask("filter", "/", what, self._filter)

    @property
    def _input(self) -> Input:
        return self.query_one(Input)

    def _ask(self, mode: Literal["filter", "go"], sign: str, placeholder: str, value: str) -> None:
        if not self._input.has_focus:
            self._before = self.screen.focused
        self._mode = mode
        self.query_one("#prompt-sign", Static).update(sign)
        self._input.placeholder = placeholder
        with self.prevent(Input.Changed):
            self._input.value = value
        self.add_class("-asked")
        self._focus_asked = not self._input.has_focus
        self._input.focus()

    async def take_key(self, key: Key) -> bool:
        """Takes a key pressed after the prompt was asked for and before it had the focus; whether it did so."""
        if not self._focus_asked:
            return False
        if key.key == "enter":
            await self._input.action_submit()
        elif key.key == "escape":
            self.action_leave()
        elif key.key == "backspace":
            self._input.action_delete_left()
        elif key.is_printable and key.character is not None:
            self._input.insert_text_at_cursor(key.character)
        return True

    def on_descendant_focus(self) -> None:
        self._focus_asked = False

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        event.stop()
        if self._mode == "filter":
            self._filter = event.value
            self.post_message(self.Filtered(event.value))

    @on(Input.Submitted)
    def _entered(self, event: Input.Submitted) -> None:
        event.stop()
        mode, value = self._mode, event.value.strip()
        self._close(stay=mode == "filter" and bool(value))
        if mode == "go" and value:
            self.post_message(self.Went(value))

    def action_leave(self) -> None:
        if self._mode == "filter" and self._filter:
            self._filter = ""
            self.post_message(self.Filtered(""))
        self._close(stay=False)

    def clear(self) -> bool:
        """Takes a filter that is in force away; whether there was one."""
        if not self._filter:
            return False
        self.action_leave()
        return True

    def _close(self, *, stay: bool) -> None:
        self._focus_asked = False
        self.set_class(stay or bool(self._filter), "-asked")
        if self._mode == "go" and self._filter:  # the filter's line comes back
            self.query_one("#prompt-sign", Static).update("/")
            with self.prevent(Input.Changed):
                self._input.value = self._filter
            self._mode = "filter"
        if self._before is not None and self._before.is_attached:
            self._before.focus()
        else:
            self.screen.focus_next()
