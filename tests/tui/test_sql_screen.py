"""SQL: statements are completed, run, ended, kept, plotted and written to files; they only read."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import duckdb
import pytest
from textual import events

from stackbench.config import Home
from stackbench.tui.sql.completion_words import Catalog, completions
from stackbench.tui.sql.query_result import MOST_ROWS
from stackbench.tui.sql.saved_queries import SavedQueries
from tests.tui.pilots import Screens, opened
from tests.tui.recorded_home import CLOCK
from tests.tui.scripted_engine import scripted_engine

SLOW = "SELECT count(*) FROM range(3000000) a, range(3000000) b WHERE a.range * b.range % 7 = 3"
CATALOG = Catalog({"attempts": {"run_id": "VARCHAR", "passed": "BOOLEAN"}, "runs": {"run_id": "VARCHAR", "model": "V"}})


@asynccontextmanager
async def sql_screen(home: Home, size: tuple[int, int] = (120, 40)) -> AsyncIterator[Screens]:
    async with opened(home, size) as screens:
        await screens.shows("stackbench")
        await screens.press("colon")
        await screens.type("sql")
        await screens.press("enter")
        await screens.shows("f5 runs the statement")
        yield screens


def put(screens: Screens, sql: str) -> None:
    screens.app.screen.query_one("#editor").text = sql  # type: ignore[attr-defined]


async def ran(screens: Screens, sql: str) -> str:
    put(screens, sql)
    await screens.press("f5")
    await screens.shows(" columns ", " rows")
    return screens.text()


@pytest.mark.parametrize(
    ("before", "first"),
    [
        ("SELECT pas", "passed"), ("SELECT * FROM att", "attempts"), ("SELECT a.pa", "passed"), ("sel", "select"),
        ("SEL", "SELECT"), ("SELECT runs.mo", "model"), ("SELECT odel", "model"),
    ],
)  # fmt: skip
def test_a_word_becomes_a_table_a_column_or_a_keyword(before: str, first: str) -> None:
    after = " FROM attempts a" if "a.pa" in before else ""
    assert completions(before, before + after, CATALOG)[0][0] == first


@pytest.mark.parametrize("before", ["", "SELECT ", "SELECT * FROM runs", "SELECT xyz", "SELECT nothing.a"])
def test_what_is_complete_or_unknown_has_no_completion(before: str) -> None:
    assert not [word for word, kind in completions(before, before, CATALOG) if kind != "keyword"]


async def test_rows_come_from_a_closed_home_and_from_a_live_engine(recorded: Home) -> None:
    statement = "SELECT model, count(*) AS c FROM runs JOIN attempts USING (run_id) GROUP BY ALL ORDER BY c DESC"
    async with sql_screen(recorded) as screens:
        text = await ran(screens, statement)
        assert "openai:coder-7b" in text and "3 rows   2 columns" in text
        await screens.until(lambda: screens.app.link._local is None)
    async with scripted_engine(recorded, "20261126-092000-cccccc", clock=CLOCK), sql_screen_live(recorded) as screens:
        assert "3 rows   2 columns" in await ran(screens, statement)


@asynccontextmanager
async def sql_screen_live(home: Home) -> AsyncIterator[Screens]:
    async with opened(home) as screens:
        await screens.shows("▶ running")
        screens.app.go_to("sql")
        await screens.shows("f5 runs the statement")
        yield screens


async def test_typing_completes_tables_and_columns(recorded: Home) -> None:
    async with sql_screen(recorded) as screens:
        editor = screens.app.screen.query_one("#editor")
        await screens.until(lambda: editor.catalog.tables)  # type: ignore[attr-defined]
        put(screens, "")
        await screens.type("SELECT model FROM run")
        await screens.shows("run_benchmarks", "table")
        await screens.press("down", "up", "tab")
        assert editor.text == "SELECT model FROM runs"  # type: ignore[attr-defined]
        await screens.type(" where mod")
        await screens.shows("VARCHAR")
        await screens.press("escape")
        await screens.hides("VARCHAR")
        await screens.press("ctrl+@", "enter")
        assert editor.text == "SELECT model FROM runs where model"  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("SELECT nothing FROM runs", "the query failed"), ("DROP TABLE runs", "queries only read"),
        ("SELECT 1; SELECT 2", "a query is one statement"), ("SELEC", "is not SQL"),
        ("SELECT * FROM read_csv('/etc/passwd')", "is not allowed"),
    ],
)  # fmt: skip
async def test_errors_are_one_line(recorded: Home, sql: str, said: str) -> None:
    async with sql_screen(recorded) as screens:
        put(screens, sql)
        await screens.press("f5")
        text = await screens.shows("✗ ", said)
        assert sum("✗ " in line for line in text.splitlines()) == 1


@pytest.mark.parametrize("live", [False, True])
async def test_a_slow_statement_is_ended_and_the_next_one_runs(recorded: Home, live: bool) -> None:
    async def end_one(screens: Screens) -> None:
        put(screens, SLOW)
        await screens.press("f5")
        await screens.shows("running ", "esc ends it")
        await screens.press("f5")
        await screens.tells("a statement is running")
        assert await screens.app.link.read(lambda queries: queries.rows("SELECT count(*) FROM runs")) == [(3,)]
        await screens.press("escape")
        await screens.shows("✗ ended after")
        assert "1 rows" in await ran(screens, "SELECT 41 + 1 AS answer")

    if live:
        async with scripted_engine(recorded, "20261126-092000-cccccc", clock=CLOCK), sql_screen_live(recorded) as seen:
            await end_one(seen)
    else:
        async with sql_screen(recorded) as seen:
            await end_one(seen)


async def test_leaving_ends_a_slow_statement(recorded: Home) -> None:
    async with sql_screen(recorded) as screens:
        put(screens, SLOW)
        await screens.press("f5")
        await screens.shows("running")
        screens.app.go_home()
        await screens.until(lambda: not screens.app.link._queries)


async def test_many_rows_are_bounded_and_said_to_be(recorded: Home) -> None:
    async with sql_screen(recorded) as screens:
        text = await ran(screens, "SELECT range AS n FROM range(100000000)")
        assert f"the first {MOST_ROWS:,} rows of more" in text
        await screens.press("end")
        await screens.shows("9999")


async def test_columns_beyond_the_edge_are_a_key_away_and_a_row_in_full_too(recorded: Home) -> None:
    async with sql_screen(recorded, (80, 24)) as screens:
        text = await ran(screens, "SELECT " + ", ".join(f"{n} AS column_{n}" for n in range(20)) + ", NULL AS none")
        assert "column_19" not in text.split("f5")[0].split("21 columns")[1]
        await screens.press(*["right"] * 15)
        await screens.shows("columns 16 to 21", "column_19", "NULL")
        await screens.press("left", "enter")
        await screens.shows("column_3 ", "y  copy")
        await screens.press("y")
        await screens.tells("copied")
        await screens.press("escape")
        await screens.hides("y  copy")
        await screens.press("i")
        assert screens.app.focused is not None and screens.app.focused.id == "statement"


async def test_queries_are_saved_and_remembered(recorded: Home) -> None:
    async with sql_screen(recorded) as screens:
        await ran(screens, "SELECT 1 AS one")
        await screens.press("ctrl+s")
        await screens.shows("under which name")
        await screens.type("../x")
        await screens.press("enter")
        await screens.tells("is no name for a query")
        await screens.press("ctrl+s")
        await screens.shows("under which name")
        await screens.type("first")
        await screens.press("enter")
        await screens.tells("saved as")
        assert (recorded.path / "queries" / "first.sql").read_text() == "SELECT 1 AS one\n"
        await ran(screens, "SELECT 2 AS two")
        put(screens, "")
        await screens.press("ctrl+o")
        await screens.shows("first: SELECT 1 AS one", "SELECT 2 AS two")
        await screens.press("down", "enter")
        await screens.until(lambda: screens.app.screen.query_one("#editor").text == "SELECT 2 AS two")  # type: ignore[attr-defined]


def test_history_holds_each_statement_once_and_survives_a_broken_file(tmp_path: Path) -> None:
    saved = SavedQueries(tmp_path / "queries")
    for sql in ("a", "b", "a"):
        saved.remember(sql)
    assert [one.sql for one in saved.all()] == ["a", "b"]
    (saved.folder / "history.jsonl").write_text("{broken")
    assert saved.all() == []


async def test_two_columns_are_plotted(recorded: Home) -> None:
    async with sql_screen(recorded) as screens:
        await screens.press("f8")
        await screens.tells("run a statement with rows first")
        await ran(screens, "SELECT range AS x, range * range AS square, 'n' || range AS name FROM range(12)")
        await screens.press("p")
        await screens.shows("Plot which column?")
        await screens.press("down", "enter")
        await screens.shows("Against which column?")
        await screens.press("enter")
        await screens.shows("square by x", "121")
        await screens.press("escape")
        await screens.hides("square by x")
        await screens.press("p")
        await screens.shows("Plot which column?")
        await screens.press("enter")
        await screens.shows("Against which column?")
        await screens.press("down", "enter")
        await screens.shows("x by name", "n11")


@pytest.mark.parametrize("ending", ["csv", "json", "jsonl", "parquet"])
async def test_all_rows_are_exported(recorded: Home, tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"rows.{ending}"
    async with sql_screen(recorded) as screens:
        await ran(screens, "SELECT range AS n FROM range(12000)")
        await screens.press("e")
        await screens.shows("to which file")
        await screens.press("ctrl+u")
        await screens.type(str(path))
        await screens.press("enter")
        await screens.tells(f"wrote {path}")
    if ending == "json":
        assert len(json.loads(path.read_text())) == 12000
    elif ending == "parquet":
        assert duckdb.sql(f"SELECT count(*) FROM '{path}'").fetchall() == [(12000,)]
    else:
        assert len(path.read_text().splitlines()) == 12000 + (ending == "csv")
    assert [one.name for one in tmp_path.iterdir() if one.is_file()] == [path.name]


@pytest.mark.parametrize(
    ("name", "said"), [("rows.xls", "does not end in a format"), ("no/rows.csv", "cannot be written")]
)
async def test_an_export_that_cannot_be_made_says_why(recorded: Home, tmp_path: Path, name: str, said: str) -> None:
    async with sql_screen(recorded) as screens:
        await ran(screens, "SELECT 1 AS n")
        await screens.press("f9")
        await screens.shows("to which file")
        await screens.press("ctrl+u")
        await screens.type(str(tmp_path / name))
        await screens.press("enter")
        await screens.tells(said)


async def test_a_home_without_a_database_says_so(tmp_path: Path) -> None:
    async with sql_screen(Home(tmp_path)) as screens:
        await screens.press("f5")
        await screens.shows("there is no database to ask")


async def test_control_characters_of_a_pasted_text_are_made_visible(recorded: Home) -> None:
    async with sql_screen(recorded) as screens:
        put(screens, "")
        screens.app.post_message(events.Paste("SELECT '\x1b]52;c;AA\x07\u202e'\n"))
        text = await screens.shows("x1b]52;c;AA")
        assert "\x1b" not in text and "\u202e" not in text
        assert screens.app.screen.query_one("#editor").text.count("SELECT") == 1  # type: ignore[attr-defined]
