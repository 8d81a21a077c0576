"""The table: a million rows cost what forty do, and only the rows in view are fetched."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from textual.app import App, ComposeResult

from stackbench.tui.row_sources import ListRows, PagedRows
from stackbench.tui.virtual_table import Cell, Column, VirtualTable

COLUMNS = (Column("number", 8, right=True), Column("text", 10, grows=True), Column("far", 6, needs=100))


class Numbers:
    """A query of numbers in pages, which counts the pages that are asked for."""

    size = 200

    def __init__(self, total: int) -> None:
        self.total = total
        self.asked: list[int] = []
        self.may_come = asyncio.Event()
        self.may_come.set()

    async def page(self, number: int) -> Sequence[int]:
        self.asked.append(number)
        await self.may_come.wait()
        return range(number * self.size, min(self.total, (number + 1) * self.size))


class Shown(App[None]):
    def __init__(self, table: VirtualTable[int]) -> None:
        super().__init__()
        self.table = table
        self.chosen: list[int | None] = []

    def compose(self) -> ComposeResult:
        yield self.table

    def on_virtual_table_chosen(self, message: VirtualTable.Chosen) -> None:
        self.chosen.append(message.table.row)

    def lines(self) -> list[str]:
        height = self.table.size.height
        return [self.table.render_line(y).text.rstrip() for y in range(height)]


def cells(number: int) -> list[Cell]:
    return [str(number), (f"row [bold]{number}\x1b", "good"), "far"]


async def settled(app: Shown, pilot: object) -> list[str]:
    for _ in range(400):
        await pilot.pause(0.01)  # type: ignore[attr-defined]
        if app.table.row is not None and not any("…" in line for line in app.lines()[1:]):
            return app.lines()
    raise AssertionError(app.lines())


async def test_a_million_rows_are_fetched_where_they_are_looked_at() -> None:
    pages = Numbers(1_000_000)
    app = Shown(VirtualTable(COLUMNS, cells, PagedRows(pages)))
    async with app.run_test(size=(60, 20)) as pilot:
        lines = await settled(app, pilot)
        assert lines[1].split()[0] == "0" and lines[19].split()[0] == "18"
        await pilot.press("end")
        lines = await settled(app, pilot)
        assert lines[19].split()[0] == "999999"
        app.table.move_to(500_000)
        lines = await settled(app, pilot)
        assert any(line.split()[0] == "500000" for line in lines[1:])
        assert len(pages.asked) <= 6


async def test_the_newest_first_keeps_the_cursor_on_its_row_when_rows_come_above() -> None:
    pages = Numbers(1000)
    app = Shown(VirtualTable(COLUMNS, cells, PagedRows(pages, descending=True)))
    async with app.run_test(size=(60, 20)) as pilot:
        lines = await settled(app, pilot)
        assert lines[1].split()[0] == "999"
        await pilot.press(*["down"] * 5)
        assert app.table.row == 994
        pages.total += 30
        app.table.changed(grown_above=30)
        await settled(app, pilot)
        assert app.table.row == 994
        await pilot.press("home")
        await settled(app, pilot)
        assert app.table.row == 1029


async def test_texts_are_data_and_columns_go_where_there_is_no_room() -> None:
    app = Shown(VirtualTable(COLUMNS, cells, ListRows(range(5))))
    async with app.run_test(size=(60, 10)) as pilot:
        await pilot.pause()
        assert "row [bold]3\\x1b" in app.lines()[4]
        assert "far" not in app.lines()[0]
        await pilot.resize_terminal(120, 10)
        await pilot.pause()
        assert "far" in app.lines()[0]


async def test_keys_and_mouse_move_and_choose() -> None:
    app = Shown(VirtualTable(COLUMNS, cells, ListRows(range(50))))
    async with app.run_test(size=(60, 11)) as pilot:
        app.table.focus()
        await pilot.press("down", "j", "k", "pagedown", "enter")
        assert app.chosen == [10]
        await pilot.press("end", "enter")
        assert app.chosen[-1] == 49
        await pilot.press("home")
        await pilot.click(VirtualTable, offset=(5, 3))
        assert app.table.row == 2
        await pilot.click(VirtualTable, offset=(5, 3))
        await pilot.pause()
        assert app.chosen[-1] == 2


async def test_enter_before_the_row_has_come_opens_it_when_it_comes_unless_the_cursor_moved_on() -> None:
    pages = Numbers(1_000)
    pages.may_come.clear()
    app = Shown(VirtualTable(COLUMNS, cells, PagedRows(pages)))
    async with app.run_test(size=(60, 20)) as pilot:
        await pilot.press("enter", "down", "enter")
        assert app.table.row is None and app.chosen == []
        pages.may_come.set()
        await settled(app, pilot)
        await pilot.pause()
        assert app.chosen == [1]

        pages.may_come.clear()
        await pilot.press("end", "enter", "up")
        pages.may_come.set()
        await settled(app, pilot)
        await pilot.pause()
        assert app.chosen == [1]


async def test_an_empty_table_says_so() -> None:
    app = Shown(VirtualTable(COLUMNS, cells, ListRows(()), empty="nothing fits"))
    async with app.run_test(size=(60, 11)) as pilot:
        await pilot.press("down", "enter", "end")
        assert "nothing fits" in app.lines()[1]
        assert app.chosen == []
