"""A table that lays out the rows in view and no others: a million rows cost what forty do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, Literal, TypeVar

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from stackbench.errors import StackbenchError
from stackbench.tui.row_sources import ListRows, Rows
from stackbench.tui.safe_text import cut_line

__all__ = ["Cell", "Column", "Tone", "VirtualTable"]

T = TypeVar("T")
Tone = Literal["", "good", "bad", "warn", "dim", "accent", "strong"]
Cell = str | tuple[str, Tone]
"""A text of anybody's, with what it means; the text is made visible and cut here."""

GAP = 2
HEADER_ROWS = 1
FETCHED_BEYOND = 20
"""Rows that are fetched on each side of those in view."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column; the one with `grows` takes the width that is left."""

    title: str
    width: int
    right: bool = False
    grows: bool = False
    needs: int = 0
    """Left out where the table is narrower than this."""


class VirtualTable(ScrollView, Generic[T], can_focus=True, inherit_bindings=False):
    """`cells` turns a row into one cell per column; `mark` gives the sign before a row (chosen, say)."""

    DEFAULT_CSS = """
    VirtualTable {
        height: 1fr;
        overflow-x: hidden;
        background: $surface;
        & > .virtual-table--header { color: $text-muted; background: $panel; text-style: bold; }
        & > .virtual-table--cursor { background: $primary 30%; }
        &:focus > .virtual-table--cursor { background: $primary 55%; text-style: bold; }
        & > .virtual-table--good { color: $text-success; }
        & > .virtual-table--bad { color: $text-error; }
        & > .virtual-table--warn { color: $text-warning; }
        & > .virtual-table--accent { color: $text-accent; }
        & > .virtual-table--dim { color: $text-muted; }
        & > .virtual-table--strong { text-style: bold; }
    }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "virtual-table--header", "virtual-table--cursor", "virtual-table--good", "virtual-table--bad",
        "virtual-table--warn", "virtual-table--accent", "virtual-table--dim", "virtual-table--strong",
    }  # fmt: skip
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", "Up", show=False),
        Binding("down,j", "move(1)", "Down", show=False),
        Binding("pageup", "page(-1)", "Page up", show=False),
        Binding("pagedown", "page(1)", "Page down", show=False),
        Binding("home", "first", "First row", show=False),
        Binding("end,G", "last", "Last row", show=False),
        Binding("enter", "choose", "Open", show=False),
    ]
    ALLOW_SELECT = False

    class Moved(Message):
        """The cursor stands on another row, or its row has come."""

        def __init__(self, table: VirtualTable[Any]) -> None:
            self.table = table
            super().__init__()

        @property
        def control(self) -> VirtualTable[Any]:
            return self.table

    class Chosen(Message):
        """Enter, or a click on the row of the cursor."""

        def __init__(self, table: VirtualTable[Any]) -> None:
            self.table = table
            super().__init__()

        @property
        def control(self) -> VirtualTable[Any]:
            return self.table

    class Failed(Message):
        """Rows could not be fetched."""

        def __init__(self, error: str) -> None:
            self.error = error
            super().__init__()

    def __init__(
        self,
        columns: Sequence[Column],
        cells: Callable[[T], Sequence[Cell]],
        rows: Rows[T] | None = None,
        *,
        empty: str = "",
        id: str | None = None,
        classes: str | None = None,
    ) -> None:
        super().__init__(id=id, classes=classes)
        self.columns = tuple(columns)
        self.empty = empty
        """What is shown where there is no row."""
        self.cursor = 0
        self._cells = cells
        self._rows: Rows[T] = rows if rows is not None else ListRows()
        self._styles: dict[str, Style] = {}
        self._fetching = False
        self._asked = (-1, -1)
        """Top row and number of rows when rows were fetched last: what did not come then is not asked for again."""
        self._opens = False
        """Whether Enter was pressed before the row of the cursor had come: it is opened once it comes."""

    @property
    def rows(self) -> Rows[T]:
        return self._rows

    @property
    def row(self) -> T | None:
        """The row of the cursor, where it is at hand."""
        return self._rows.held(self.cursor)

    def show(self, rows: Rows[T], cursor: int = 0) -> None:
        """Other rows, from the top unless `cursor` says where."""
        self._rows, self._opens = rows, False
        self.cursor = max(0, min(cursor, rows.total - 1))
        self.changed()
        self._keep_in_view()
        self._tell()

    def set_cells(self, cells: Callable[[T], Sequence[Cell]]) -> None:
        """How rows become cells from now on: one for each of `columns`."""
        self._cells = cells

    def changed(self, grown_above: int = 0) -> None:
        """The rows have changed, or became more; the cursor stays on its row where some came above it."""
        if grown_above and (self.cursor > 0 or self.scroll_offset.y > 0):
            self.cursor += grown_above
            self._resize()
            self.scroll_to(y=self.scroll_offset.y + grown_above, animate=False, force=True)
        self.cursor = max(0, min(self.cursor, self._rows.total - 1))
        self._asked = (-1, -1)
        self._resize()
        self.refresh()

    def move_to(self, position: int) -> None:
        position = max(0, min(position, self._rows.total - 1))
        if position != self.cursor:
            self.cursor, self._opens = position, False
            self._keep_in_view()
            self.refresh()
            self._tell()

    # -- keys and mouse

    def action_move(self, by: int) -> None:
        self.move_to(self.cursor + by)

    def action_page(self, by: int) -> None:
        self.move_to(self.cursor + by * max(1, self.size.height - HEADER_ROWS - 1))

    def action_first(self) -> None:
        self.move_to(0)

    def action_last(self) -> None:
        self.move_to(self._rows.total - 1)

    def action_choose(self) -> None:
        if self.row is not None:
            self.post_message(self.Chosen(self))
        else:
            self._opens = self.cursor < self._rows.total

    def on_click(self, event: events.Click) -> None:
        position = event.y - HEADER_ROWS + self.scroll_offset.y
        if event.y < HEADER_ROWS or not 0 <= position < self._rows.total:
            return
        if position == self.cursor:
            self.action_choose()
        else:
            self.move_to(position)

    # -- painting

    def on_resize(self) -> None:
        self._resize()
        self._keep_in_view()

    def notify_style_update(self) -> None:
        self._styles.clear()
        super().notify_style_update()

    def watch_has_focus(self, _has_focus: bool) -> None:
        self._styles.clear()
        super().watch_has_focus(_has_focus)

    def render_line(self, y: int) -> Strip:
        width = max(self.size.width, self.virtual_size.width)
        if y < HEADER_ROWS:
            texts: list[Cell] = [column.title for column in self._shown()[0]]
            return self._strip(texts, width, self._style("header"))
        position = y - HEADER_ROWS + self.scroll_offset.y
        if position >= self._rows.total:
            if position == 0 and self.empty:
                return Strip([Segment(set_cell_size(f" {self.empty}", width), self._style("dim"))], width)
            return Strip.blank(width, self._base())
        here = position == self.cursor
        row = self._rows.held(position)
        if row is None:
            self._want()
            return Strip([Segment(set_cell_size(" …", width), self._style("cursor" if here else "dim"))], width)
        chosen, indices = self._shown()
        cells = self._cells(row)
        return self._strip([cells[i] for i in indices], width, self._style("cursor") if here else self._base(), chosen)

    def _strip(self, cells: Sequence[Cell], width: int, base: Style, columns: Sequence[Column] | None = None) -> Strip:
        shown = columns if columns is not None else self._shown()[0]
        segments = [Segment(" ", base)]
        for column, wide, cell in zip(shown, self._widths(shown), cells, strict=True):
            text, tone = (cell, "") if isinstance(cell, str) else cell
            style = base + self._style(tone) if tone else base
            segments.append(Segment(_fit(cut_line(text), wide, right=column.right) + " " * GAP, style))
        strip = Strip(segments).adjust_cell_length(width, base)
        return strip.crop(self.scroll_offset.x, self.scroll_offset.x + self.size.width)

    def _shown(self) -> tuple[list[Column], list[int]]:
        """The columns that there is room for, and their places."""
        width = self.size.width
        found = [(column, i) for i, column in enumerate(self.columns) if column.needs <= width]
        return [column for column, _ in found], [i for _, i in found]

    def _widths(self, columns: Sequence[Column]) -> list[int]:
        left = self.size.width - 1 - sum(column.width + GAP for column in columns)
        growing = sum(column.grows for column in columns)
        share = max(0, left) // growing if growing else 0
        return [column.width + (share if column.grows else 0) for column in columns]

    def _base(self) -> Style:
        return self.rich_style

    def _style(self, name: str) -> Style:
        style = self._styles.get(name)
        if style is None:
            partial = name not in ("header", "cursor")
            style = self.get_component_rich_style(f"virtual-table--{name}", partial=partial)
            if partial:
                style = Style(color=style.color, bold=style.bold)
            self._styles[name] = style
        return style

    # -- scrolling and fetching

    def _resize(self) -> None:
        self.virtual_size = Size(self.size.width, self._rows.total + HEADER_ROWS)

    def _keep_in_view(self) -> None:
        height = self.size.height - HEADER_ROWS
        if height <= 0:
            return
        top = self.scroll_offset.y
        if self.cursor < top:
            self.scroll_to(y=self.cursor, animate=False, force=True)
        elif self.cursor >= top + height:
            self.scroll_to(y=self.cursor - height + 1, animate=False, force=True)

    def _tell(self) -> None:
        self.post_message(self.Moved(self))

    def _want(self) -> None:
        """A row in view is not at hand: it is fetched once this painting is done."""
        if not self._fetching and self._asked != (self.scroll_offset.y, self._rows.total):
            self._fetching = True
            self.call_next(self._begin_fetching)

    def _begin_fetching(self) -> None:
        self.run_worker(self._fetch, group="rows", exit_on_error=False)

    async def _fetch(self) -> None:
        """One fetch at a time, for what is in view when it begins; scrolling on asks again."""
        rows, before = self._rows, self.row
        try:
            self._asked = (self.scroll_offset.y, rows.total)
            first = max(0, self.scroll_offset.y - FETCHED_BEYOND)
            last = min(rows.total - 1, self.scroll_offset.y + self.size.height + FETCHED_BEYOND)
            await rows.fetch(first, last)
        except StackbenchError as error:
            self.post_message(self.Failed(str(error)))
            return
        finally:
            self._fetching = False
        self.refresh()
        if before is None and self.row is not None:
            self._tell()
            if self._opens:
                self._opens = False
                self.action_choose()


def _fit(text: str, width: int, *, right: bool) -> str:
    """Exactly so many cells: filled up, or cut with a sign."""
    length = cell_len(text)
    if length > width:
        return set_cell_size(set_cell_size(text, max(0, width - 1)) + "…", width)
    return " " * (width - length) + text if right else text + " " * (width - length)
