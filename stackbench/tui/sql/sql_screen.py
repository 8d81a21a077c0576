"""Screen 7: SQL: a statement that reads, its rows, a plot of two columns, a file."""

# An app of Textual has a type variable that its screens leave open.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false

from __future__ import annotations

import asyncio
import io
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ClassVar, cast

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Static

from stackbench.errors import StackbenchError
from stackbench.tui.dialogs import AskScreen, ChooseScreen
from stackbench.tui.room_screen import RoomScreen
from stackbench.tui.row_sources import ListRows
from stackbench.tui.safe_text import cut_line
from stackbench.tui.sql.completion_words import read_catalog
from stackbench.tui.sql.plot_pane import PlotPane
from stackbench.tui.sql.query_export import export_rows
from stackbench.tui.sql.query_result import MOST_ROWS, QueryResult, Row, read_result, row_cells
from stackbench.tui.sql.row_dialog import RowDialog
from stackbench.tui.sql.saved_queries import SavedQueries
from stackbench.tui.sql.sql_editor import SqlEditor
from stackbench.tui.virtual_table import VirtualTable

__all__ = ["SqlScreen"]

FIRST_QUERY = """SELECT run_id, benchmark, count(*) AS attempts, avg(passed::INT) AS passed,
    sum(completion_tokens) AS tokens
FROM attempts
GROUP BY ALL ORDER BY run_id DESC, benchmark"""
TICK_S = 0.2


class SqlScreen(RoomScreen):
    """Statements run one at a time; the screen stays usable while one does."""

    CSS_PATH = "sql_screen.tcss"
    ROOM = "SQL"
    ABOUT = (
        "Asks the database of this home; statements only read, also while a run is live. Tables and columns complete "
        f"as you type (tab takes one). The screen keeps {MOST_ROWS:,} rows; an export has all."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f5,ctrl+r,ctrl+j", "run", "Run", key_display="f5"),
        Binding("ctrl+o", "recall", "Saved and asked"),
        Binding("ctrl+s", "save", "Save"),
        Binding("f8,p", "plot", "Plot", key_display="f8"),
        Binding("f9,e", "export", "Export", key_display="f9"),
        Binding("left,h", "columns(-1)", "Columns before", show=False),
        Binding("right,l", "columns(1)", "Next columns", show=False),
        Binding("i", "edit", "To the statement", show=False),
        Binding("y", "copy", "Copy the row", show=False),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._saved: SavedQueries | None = None
        self._result: QueryResult | None = None
        self._asked = ""
        """The statement that the rows in view answer."""
        self._asking: asyncio.Task[None] | None = None
        self._began = 0.0
        self._first_column = 0

    def compose_room(self) -> ComposeResult:
        yield SqlEditor(FIRST_QUERY, id="editor")
        yield Static("f5 runs the statement", id="query-state", markup=False)
        yield VirtualTable[Row]((), row_cells, empty="", id="result")
        yield PlotPane()

    def on_mount(self) -> None:
        super().on_mount()
        self._saved = SavedQueries(self.room_app.home.path / "queries")
        self._editor.focus_statement()
        self.set_interval(TICK_S, self._tick)
        self.attempt(self._load_catalog, group="catalog")

    async def on_unmount(self) -> None:
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.gather(self._asking, return_exceptions=True)

    @property
    def _editor(self) -> SqlEditor:
        return self.query_one(SqlEditor)

    @property
    def _table(self) -> VirtualTable[Row]:
        return cast("VirtualTable[Row]", self.query_one("#result", VirtualTable))

    async def _load_catalog(self) -> None:
        if self.link.has_database:
            self._editor.catalog = await self.link.read(read_catalog)

    # -- running

    def action_run(self) -> None:
        sql = self._editor.text.strip()
        self._editor.hide_list()
        if self._asking is not None:
            self.tell("a statement is running; esc ends it", bad=True)
        elif not sql:
            self.tell("there is no statement to run", bad=True)
        elif not self.link.has_database:
            self._say("nothing has been run in this home yet: there is no database to ask", bad=True)
        else:
            self._began = time.monotonic()
            self._asking = asyncio.create_task(self._run(sql))
            self._tick()

    async def _run(self, sql: str) -> None:
        answer = io.BytesIO()
        try:
            await self.link.query(sql, answer, most_rows=MOST_ROWS + 1)
            result = read_result(answer.getvalue(), time.monotonic() - self._began)
            await asyncio.to_thread(self._remember, sql)
        except asyncio.CancelledError:
            self._say(f"ended after {time.monotonic() - self._began:.1f} s", bad=True)
        except StackbenchError as error:
            self._say(str(error), bad=True)
        else:
            self._show(sql, result)
        finally:
            self._asking = None

    def _remember(self, sql: str) -> None:
        if self._saved is not None:
            self._saved.remember(sql)

    def _show(self, sql: str, result: QueryResult) -> None:
        self._asked, self._result, self._first_column = sql, result, 0
        self.remove_class("-plotted")
        self._table.empty = "no rows"
        self._show_columns()
        self._table.show(ListRows(result.rows))
        self._table.focus()

    def _show_columns(self) -> None:
        if self._result is None:
            return
        first, table = self._first_column, self._table
        table.columns = tuple(self._result.columns()[first:])
        table.set_cells(lambda row: row_cells(row[first:]))
        self._show_state()

    def _show_state(self) -> None:
        result = self._result
        if result is None:
            return
        count = f"the first {MOST_ROWS:,} rows of more; f9 exports all" if result.cut else f"{len(result.rows):,} rows"
        columns = f"{len(result.names)} columns"
        if self._first_column:
            columns = f"columns {self._first_column + 1} to {len(result.names)}"
        self._say(f"{count}   {columns}   {result.seconds:.2f} s")

    def _tick(self) -> None:
        if self._asking is not None and not self._asking.done():
            self._say(f"running {time.monotonic() - self._began:.1f} s   esc ends it")

    def _say(self, text: str, *, bad: bool = False) -> None:
        if self.is_attached:
            shown = Text(cut_line(text), style="bold" if bad else "", no_wrap=True, overflow="ellipsis")
            self.query_one("#query-state", Static).update(Text("✗ ", style="bold") + shown if bad else shown)

    # -- keys

    def action_back(self) -> None:
        if self._asking is not None:
            self._asking.cancel()
        elif self.has_class("-plotted"):
            self.remove_class("-plotted")
            self._table.focus()
        else:
            super().action_back()

    def action_edit(self) -> None:
        self._editor.focus_statement()

    def action_columns(self, by: int) -> None:
        if self._result is not None:
            self._first_column = max(0, min(self._first_column + by, len(self._result.names) - 1))
            self._show_columns()
            self._table.refresh()

    def on_virtual_table_chosen(self, message: VirtualTable.Chosen) -> None:
        row = self._table.row
        if row is not None and self._result is not None:
            self.app.push_screen(RowDialog(self._result.names, row))

    def action_copy(self) -> None:
        row = self._table.row
        if row is not None:
            self.room_app.copy("\t".join(map(str, row)))

    def action_recall(self) -> None:
        if self._saved is None:
            return
        found = self._saved.all()
        if not found:
            self.tell("no query is saved or was asked yet")
            return

        def chosen(place: int | None) -> None:
            if place is not None:
                self._editor.text = found[place].sql.rstrip()
                self._editor.focus_statement()

        lines = [f"{one.name}: {one.sql}" if one.name else one.sql for one in found]
        self._choose("Which query? Saved ones first, then those asked last.", lines, chosen)

    def action_save(self) -> None:
        sql = self._editor.text

        def named(name: str | None) -> None:
            async def save() -> None:
                if self._saved is not None and name:
                    self.tell(f"saved as {await asyncio.to_thread(self._saved.save, name.strip(), sql)}")

            if name:
                self.attempt(save, group="save")

        if sql.strip():
            self.app.push_screen(AskScreen("Save this query under which name?"), named)
        else:
            self.tell("there is no statement to save", bad=True)

    def action_plot(self) -> None:
        result = self._result
        if self.has_class("-plotted"):
            self.remove_class("-plotted")
            return
        if result is None or not result.rows:
            self.tell("run a statement with rows first: a plot is made of two of its columns", bad=True)
            return
        numeric = [number for number in range(len(result.names)) if result.is_numeric(number)]
        if not numeric or len(result.names) < 2:
            self.tell("a plot needs two columns, one of them of numbers", bad=True)
            return

        def chose_y(place: int | None) -> None:
            if place is None:
                return
            y = numeric[place]
            others = [number for number in range(len(result.names)) if number != y]

            def chose_x(x: int | None) -> None:
                if x is not None:
                    self.add_class("-plotted")
                    self.query_one(PlotPane).show_plot(result, others[x], y)

            self._choose("Against which column?", [result.names[number] for number in others], chose_x)

        self._choose("Plot which column?", [result.names[number] for number in numeric], chose_y)

    def action_export(self) -> None:
        sql = self._asked or self._editor.text.strip()

        def named(place: str | None) -> None:
            if place:
                self.attempt(lambda: self._export(sql, Path(place.strip()).expanduser()), group="export")

        if sql:
            hint = "the ending tells the format: .csv .json .jsonl .parquet      enter  write it      esc  leave"
            self.app.push_screen(AskScreen("Write all rows to which file?", "rows.csv", hint), named)
        else:
            self.tell("there is no statement to export", bad=True)

    async def _export(self, sql: str, path: Path) -> None:
        self.tell(f"writing {path} ...")
        self.tell(f"wrote {await export_rows(self.link, sql, path)}")

    def _choose(self, question: str, choices: Sequence[str], then: Callable[[int | None], None]) -> None:
        self.app.push_screen(ChooseScreen(question, choices), then)
