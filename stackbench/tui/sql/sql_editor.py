"""The editor of a statement: coloured, with a list of completions at the cursor."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import ClassVar

from rich.text import Text
from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.geometry import Offset
from textual.widgets import OptionList, TextArea
from textual.widgets.option_list import Option

from stackbench.tui.safe_text import cut_line
from stackbench.tui.sql.completion_words import Catalog, completions
from stackbench.visible_text import visible

__all__ = ["SqlEditor"]


class CompletionList(OptionList, can_focus=False):
    """Stands over the other widgets; the editor keeps the focus."""

    DEFAULT_CSS = """
    CompletionList {
        display: none; overlay: screen; constrain: inside inflect; width: 40; height: auto; max-height: 9;
        border: round $primary; background: $surface; padding: 0;
    }
    CompletionList.-shown { display: block; }
    """


class StatementArea(TextArea):
    """Keys of the list of completions go to it while it is in view."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("ctrl+@,ctrl+space", "complete", "Complete", show=False)]

    async def _on_key(self, event: events.Key) -> None:
        editor = self.parent
        if isinstance(editor, SqlEditor) and editor.key_for_list(event.key):
            event.prevent_default()
            event.stop()
            return
        await super()._on_key(event)

    async def _on_paste(self, event: events.Paste) -> None:
        """Control characters of a copied text reach neither the terminal nor the statement."""
        event.prevent_default()
        await super()._on_paste(events.Paste(visible(event.text)))

    def action_complete(self) -> None:
        if isinstance(self.parent, SqlEditor):
            self.parent.complete()


class SqlEditor(Vertical):
    """`text` is the statement; `catalog` is what completions are made from."""

    DEFAULT_CSS = """
    SqlEditor { height: 8; }
    SqlEditor > StatementArea { height: 1fr; border: none; padding: 0 1; background: $surface; }
    SqlEditor > StatementArea:focus { border: none; }
    """

    def __init__(self, text: str = "", *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.catalog = Catalog()
        self._first = text
        self._typed = False

    def compose(self) -> ComposeResult:
        yield StatementArea(
            self._first, language="sql", soft_wrap=True, show_line_numbers=False, tab_behavior="focus", id="statement",
            placeholder="SELECT ... : tables and columns complete as you type",
        )  # fmt: skip
        yield CompletionList(markup=False)

    def on_mount(self) -> None:
        self._area.move_cursor(self._area.document.end)

    @property
    def text(self) -> str:
        return self._area.text

    @text.setter
    def text(self, text: str) -> None:
        self._area.load_text(visible(text))
        self._area.move_cursor(self._area.document.end)
        self.hide_list()

    def focus_statement(self) -> None:
        self._area.focus()

    def hide_list(self) -> bool:
        """Whether the list was in view."""
        shown = self._list.has_class("-shown")
        self._list.remove_class("-shown")
        return shown

    def complete(self) -> None:
        """Shows what the word at the cursor may become."""
        area = self._area
        before = area.get_text_range((0, 0), area.cursor_location)
        self._offer(completions(before, area.text, self.catalog))

    def key_for_list(self, key: str) -> bool:
        """Takes a key for the list of completions; False where it is the editor's."""
        self._typed = len(key) == 1 or key in ("backspace", "underscore", "full_stop")
        found = self._list
        if not found.has_class("-shown"):
            return False
        if key in ("up", "down"):
            found.action_cursor_up() if key == "up" else found.action_cursor_down()
        elif key in ("tab", "enter") and found.highlighted is not None:
            self._take(found.highlighted)
        elif key == "escape":
            self.hide_list()
        else:
            return False
        return True

    def on_text_area_changed(self, event: TextArea.Changed) -> None:
        event.stop()
        if self._typed:
            self._typed = False
            self.complete()
        else:
            self.hide_list()

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self._take(event.option_index)
        self._area.focus()

    @property
    def _area(self) -> StatementArea:
        return self.query_one(StatementArea)

    @property
    def _list(self) -> CompletionList:
        return self.query_one(CompletionList)

    def _offer(self, words: Sequence[tuple[str, str]]) -> None:
        self._list.clear_options()
        if not words:
            self.hide_list()
            return
        for word, kind in words:
            shown = Text(f"{cut_line(word, 24):<24} ", no_wrap=True, overflow="ellipsis")
            self._list.add_option(Option(shown.append(cut_line(kind, 12), style="dim"), id=word))
        self._list.highlighted = 0
        self._list.absolute_offset = self._area.cursor_screen_offset + Offset(0, 1)
        self._list.add_class("-shown")

    def _take(self, number: int) -> None:
        word = self._list.get_option_at_index(number).id or ""
        area = self._area
        line, column = area.cursor_location
        before = area.document.get_line(line)[:column]
        typed = re.search(r"\w*$", before)
        begin = column - len(typed[0]) if typed else column
        area.replace(word, (line, begin), (line, column), maintain_selection_offset=False)
        area.move_cursor((line, begin + len(word)))
        self.hide_list()
