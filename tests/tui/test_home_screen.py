"""The list of runs: what it shows of live, ended and killed runs, and every key of it."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from stackbench.config import Home
from stackbench.errors import StackbenchError
from stackbench.store import Reader, Writer, label_run, open_queries
from stackbench.tui.home.report_files import write_report
from tests.tui.pilots import opened
from tests.tui.recorded_home import CLOCK
from tests.tui.scripted_engine import scripted_engine

COMPLETED, FAILED, KILLED = "20261126-090000-aaaaaa", "20261126-091000-bbbbbb", "20261126-092000-cccccc"


async def test_every_run_is_listed_with_its_state_and_score(recorded: Home) -> None:
    async with opened(recorded) as screens:
        text = await screens.shows(COMPLETED, FAILED, KILLED)
        lines = {run: next(line for line in text.splitlines() if run in line) for run in (COMPLETED, FAILED, KILLED)}
    assert "✓ completed" in lines[COMPLETED] and "0.714 [0.414" in lines[COMPLETED] and "8/8" in lines[COMPLETED]
    assert "✗ failed" in lines[FAILED] and "0.200" in lines[FAILED]
    assert "† engine died" in lines[KILLED] and "6/12" in lines[KILLED]


async def test_first_start_says_what_to_press_and_does_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from stackbench.tui import engine_link

    submitted: list[engine_link.Submission] = []

    async def submit(self: engine_link.EngineLink, run: engine_link.Submission) -> str:
        submitted.append(run)
        return run.run_id

    monkeypatch.setattr(engine_link.EngineLink, "submit", submit)
    async with opened(Home(tmp_path)) as screens:
        await screens.shows("Nothing has been run here yet", "to run the smoke suite")
        await screens.press("s")
        await screens.shows("run 2")
    assert [part["name"] for part in submitted[0].plan["benchmarks"]][:2] == ["humaneval", "mbpp"]
    assert submitted[0].plan["suite"] == "smoke"


async def test_filter_keeps_runs_with_all_its_words(recorded: Home) -> None:
    async with opened(recorded) as screens:
        await screens.shows(COMPLETED)
        await screens.press("slash")
        await screens.type("qwen fail")
        text = await screens.hides(COMPLETED)
        assert FAILED in text and KILLED not in text
        await screens.press("escape")
        await screens.shows(COMPLETED, FAILED, KILLED)


async def test_a_run_with_a_name_is_listed_found_and_opened_by_it(recorded: Home) -> None:
    writer = Writer(recorded.database)
    for run_id, name, tags in ((COMPLETED, "small", ("nightly",)), (FAILED, "a-name-as-long-as-the-column", ())):
        writer.change(partial(label_run, run_id=run_id, name=name, tags=tags))
    writer.close()
    async with opened(recorded, (80, 24)) as screens:
        text = await screens.shows("small 20261126-090000", "a-name-as-long-as-", KILLED)
        assert COMPLETED not in text
        for words in ("small", "nightly", COMPLETED):
            await screens.press("slash")
            await screens.type(words)
            await screens.hides(KILLED)
            await screens.shows(f"{COMPLETED}  small #nightly")
            await screens.press("escape")
            await screens.shows(KILLED)
        await screens.press("colon")
        await screens.shows("a screen, a run's name or the start of its id")
        await screens.type("small")
        await screens.press("enter")
        await screens.shows(f"run {COMPLETED} small")


async def test_enter_opens_a_run_and_escape_comes_back(recorded: Home) -> None:
    async with opened(recorded) as screens:
        await screens.shows(COMPLETED)
        await screens.press("end", "enter")
        await screens.shows(f"run {COMPLETED}", "HumanEval/7")
        await screens.press("escape")
        await screens.shows("> runs", KILLED)


async def test_the_cursor_is_at_the_run_that_was_opened_last(recorded: Home) -> None:
    async with opened(recorded) as screens:
        await screens.shows(COMPLETED, FAILED, KILLED)
        screens.app.go_to(FAILED[:15])  # by another way than the list
        await screens.shows("failed")
        await screens.press("escape")
        await screens.shows(COMPLETED, KILLED)
        await screens.press("y")
        await screens.shows(f"{FAILED}")
        await screens.press("enter")
        await screens.shows(f"run {FAILED}")


async def test_two_runs_can_be_marked_and_a_third_takes_the_place_of_the_first(recorded: Home) -> None:
    from stackbench.tui.home.home_screen import HomeScreen

    async with opened(recorded) as screens:
        await screens.shows(COMPLETED)
        home = screens.app.screen
        assert isinstance(home, HomeScreen)
        await screens.press("space", "down", "space")
        assert home.marked == [KILLED, FAILED]
        await screens.press("down", "space")
        assert home.marked == [FAILED, COMPLETED]
        await screens.press("space")
        assert home.marked == [FAILED]


async def test_delete_asks_first_and_takes_the_rows_away(recorded: Home) -> None:
    async with opened(recorded) as screens:
        await screens.shows(COMPLETED)
        await screens.press("end", "delete")
        await screens.shows("Delete run", "8 attempts")
        await screens.press("n")
        await screens.hides("Delete run")
        await screens.press("delete")
        await screens.shows("Delete run")
        await screens.press("y")
        await screens.hides(COMPLETED)
    queries = open_queries(recorded.database, recorded.socket)
    try:
        assert [run.run_id for run in Reader(queries).runs()] == [KILLED, FAILED]
        assert queries.rows("SELECT count(*) FROM attempts WHERE run_id = ?", [COMPLETED]) == [(0,)]
    finally:
        queries.close()


async def test_export_writes_the_files_where_it_is_told(recorded: Home, tmp_path: Path) -> None:
    async with opened(recorded) as screens:
        await screens.shows(COMPLETED)
        await screens.press("end", "e")
        await screens.shows("which folder")
        await screens.press("ctrl+a", "ctrl+k")
        await screens.type(str(tmp_path / "out"))
        await screens.press("enter")
        await screens.tells("files to")
    assert (tmp_path / "out" / "attempts.jsonl").exists()


async def test_only_runs_that_can_go_on_are_resumed(recorded: Home) -> None:
    async with scripted_engine(recorded, "20261126-101000-dddddd", clock=CLOCK) as engine:
        engine.live = False
        async with opened(recorded) as screens:
            await screens.shows(COMPLETED)
            await screens.press("end", "r")
            await screens.tells("there is nothing to resume")
            await screens.press("home", "r")
            await screens.until(lambda: engine.commands)
    assert engine.commands[0][0] == "submit"
    assert engine.commands[0][1]["resume"] == KILLED


async def test_a_live_run_comes_first_with_its_progress_and_can_be_stopped(recorded: Home) -> None:
    async with scripted_engine(recorded, KILLED, clock=CLOCK) as engine:
        engine.queued = [
            {"run_id": "20261126-103000-eeeeee", "state": "queued", "phase": "queued", "suite": "smoke",
             "model": "oracle", "benchmarks": ["gsm8k"], "position": 0}
        ]  # fmt: skip
        async with opened(recorded) as screens:
            await screens.shows(f"run {KILLED}")  # the live run is attached to
            await screens.press("escape")
            text = await screens.shows("▶ running", "… queued", "4 of 8 requests", "1 queued")
            lines = [line for line in text.splitlines() if "20261126" in line and "│" not in line]
            places = [next(i for i, line in enumerate(lines) if word in line) for word in ("▶", "… queued", "✓")]
            assert places == sorted(places)
            await screens.press("home", "delete")
            await screens.tells("stop it before it is deleted")
            await screens.press("S")
            await screens.shows("Stop run")
            await screens.press("y")
            await screens.until(lambda: ("stop", {}) in engine.commands)


async def test_an_engine_that_was_killed_is_said_to_be(recorded: Home) -> None:
    recorded.trace.write_text(
        '{"pid": 99, "written_at": 0, "loop_stalled_s": 0, "run_id": "' + KILLED + '", "attempts": []}'
    )
    recorded.lock.touch()
    async with opened(recorded) as screens:
        await screens.shows("the engine (process 99) was killed", KILLED, "r resumes the run")


async def test_keys_typed_right_after_the_colon_are_the_prompts(
    recorded: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    from textual import events

    from stackbench.tui.home.home_screen import HomeScreen

    begun: list[str] = []
    monkeypatch.setattr(HomeScreen, "action_smoke", lambda self: begun.append("smoke"))
    async with opened(recorded) as screens:
        await screens.shows(COMPLETED)
        for key in ":sql":  # all of them before any has been handled
            screens.pilot.app.post_message(events.Key({":": "colon"}.get(key, key), key))
        await screens.pilot.pause()
        prompt = screens.pilot.app.screen.query_one("#prompt-input")
        assert (prompt.value, begun) == ("sql", [])


async def test_a_report_of_the_marked_runs_is_written_by_the_command(recorded: Home, tmp_path: Path) -> None:
    async with opened(recorded) as screens:
        await screens.shows(COMPLETED)
        await screens.press("end", "R")
        await screens.shows(f"Write the report of run {COMPLETED}")
        await screens.press("ctrl+a", "ctrl+k")
        await screens.type(str(tmp_path / "out"))
        await screens.press("enter")
        await screens.tells("the report is being written")
        await screens.until(lambda: any("files to" in one.message for one in screens.app._notifications), within_s=90)
        assert (tmp_path / "out" / "BENCHMARKS.md").exists()


async def test_what_the_report_command_refuses_is_told(recorded: Home, tmp_path: Path) -> None:
    with pytest.raises(StackbenchError, match="report: no run"):
        await write_report(recorded, ["nobody"], tmp_path / "out")
