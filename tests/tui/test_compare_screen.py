"""Two runs: the numbers are those of `stackbench compare`; tasks are filtered; both answers open side by side."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from stackbench.benchmarks.pairs import pair_tasks
from stackbench.config import Home
from stackbench.report.comparison import BenchmarkComparison
from stackbench.store import Writer
from stackbench.tui.compare.comparison_rows import benchmark_cells, task_cells
from stackbench.types import AttemptKey, AttemptRecord, AttemptStatus, AttemptSummary, RunStatus
from tests.command_line import said_by
from tests.tui.pilots import Screens, opened
from tests.tui.recorded_home import BEGAN, record_run

FIRST, SECOND, OTHER = "20261126-090000-aaaaaa", "20261126-091000-bbbbbb", "20261126-093000-dddddd"


@pytest.fixture
def compared(tmp_path: Path) -> Home:
    """A passes tasks 0-5 of 8, B 0-2 and 6; a third run has nothing in common with them."""
    home = Home(tmp_path / "home")
    home.path.mkdir()
    writer = Writer(home.database)
    try:
        record_run(writer, FIRST, "hf:first", tasks=8, passes=6, completion="    return 'of A'\n")
        record_run(writer, SECOND, "hf:second", tasks=8, passes=3, minutes=10, completion="    return 'of B'\n")
        record_run(writer, OTHER, "oracle", tasks=2, passes=2, minutes=30, task_prefix="Other/")
        key = AttemptKey("humaneval", "HumanEval/6", 1, 0)
        at = BEGAN + timedelta(minutes=9)
        writer.attempt(
            SECOND, AttemptRecord(key, "", AttemptStatus.COMPLETED, 1.0, True, None, "p", "of B", 1, 1, at, 1.0, {})
        )
        writer.flush()
    finally:
        writer.close()
    return home


@asynccontextmanager
async def comparing(home: Home, size: tuple[int, int] = (120, 40)) -> AsyncIterator[Screens]:
    async with opened(home, size) as screens:
        await screens.shows(FIRST, SECOND)
        await screens.press("end", "space", "up", "c")
        await screens.shows(f"A  {FIRST}", f"B  {SECOND}", "humaneval")
        yield screens


async def test_the_numbers_are_those_of_the_command(compared: Home) -> None:
    _, out, _ = said_by("compare", FIRST, SECOND, "--json", "--home", str(compared.path))
    printed = json.loads(out)["benchmarks"][0]
    async with comparing(compared) as screens:
        line = next(one for one in screens.text().splitlines() if one.split()[:1] == ["humaneval"])
    assert line.split()[1:5] == [
        str(printed["tasks"]), f"{printed['first']:.3f}", f"{printed['second']:.3f}", f"{printed['difference']:+.3f}"
    ]  # fmt: skip
    assert printed["ci_low"] is None and printed["p_value"] is None and "[" not in line, "8 tasks: counts alone"


def test_an_interval_is_shown_from_15_tasks_on() -> None:
    first, second = ([_attempt(n, passed=n < good) for n in range(60)] for good in (30, 50))
    pairs = pair_tasks("humaneval", first, second)
    assert pairs is not None
    estimate = pairs.paired.difference
    cells = [cell if isinstance(cell, str) else cell[0] for cell in benchmark_cells(BenchmarkComparison("b", pairs, 1))]
    assert cells[4:7] == [
        f"{estimate.value:+.3f}", f"[{estimate.ci_low:+.3f}, {estimate.ci_high:+.3f}]", f"{pairs.paired.p_value:.3g}",
    ]  # fmt: skip


def _attempt(task: int, *, passed: bool) -> AttemptSummary:
    key = AttemptKey("humaneval", f"t/{task}", 0, 0)
    return AttemptSummary(key, "", AttemptStatus.COMPLETED, float(passed), passed, 1.0, 3, {})


async def test_tasks_are_shown_by_kind_and_filtered(compared: Home) -> None:
    async with comparing(compared) as screens:
        text = await screens.shows("flips 4", "A better 3", "B better 1", "all 8")
        assert text.count("◀ only A") == 3 and text.count("▶ only B") == 1
        await screens.press("f")
        await screens.hides("▶ only B")
        await screens.press("f")
        text = await screens.shows("▶ only B")
        assert "◀" not in text
        await screens.press("f")
        await screens.shows("= equal")
        await screens.press("F", "F", "F")
        await screens.shows("◀ only A", "▶ only B")
        await screens.press("slash")
        await screens.type("eval/4")
        await screens.press("enter")
        await screens.shows("flips 1", "HumanEval/4")
        await screens.hides("HumanEval/5")


async def test_enter_shows_both_answers_on_their_sides(compared: Home) -> None:
    async with comparing(compared) as screens:
        await screens.shows("flips 4")
        await screens.press("enter")
        await screens.shows("HumanEval/3", "side by side", "hf:first", "hf:second", "of A", "of B")
        await screens.press("escape")
        await screens.shows("flips 4")
        await screens.press("f", "f")
        await screens.shows("▶ only B")
        await screens.press("enter")  # of several attempts, the one that passed
        await screens.shows("HumanEval/6", "side by side", "✓ passed")


async def test_swapped_the_signs_turn(compared: Home) -> None:
    async with comparing(compared) as screens:
        await screens.press("x")
        await screens.shows(f"A  {SECOND}", "A better 1", "B better 3")


async def test_warnings_and_settings_that_differ(compared: Home) -> None:
    writer = Writer(compared.database)
    writer.finish_run(FIRST, RunStatus.INTERRUPTED, BEGAN + timedelta(hours=1), {})
    record_run(writer, "20261126-094000-eeeeee", "hf:third", tasks=5, passes=1, minutes=40)
    writer.close()
    async with opened(compared) as screens:
        await screens.shows("hf:third")
        await screens.press("space", "end", "c")
        await screens.shows("settings differ")
        await screens.press("w")
        await screens.shows("Settings that differ (A | B)", "the runs have different tasks")
        await screens.press("escape")
        await screens.hides("Settings that differ (A")
        await screens.press("tab")
        assert screens.app.focused is not None and screens.app.focused.id == "benchmarks"
        await screens.press("enter")
        await screens.until(lambda: screens.app.focused and screens.app.focused.id == "tasks")


async def test_runs_are_chosen_here(compared: Home) -> None:
    async with opened(compared) as screens:
        await screens.shows(FIRST)
        screens.app.go_to("compare")
        await screens.shows("Compare which run (A)?")
        await screens.press("end", "enter")
        await screens.shows("With which run (B)?")
        await screens.press("end", "enter")
        await screens.shows(f"A  {FIRST}", f"B  {SECOND}")
        await screens.press("r")
        await screens.shows("flips 4")
        await screens.press("c")
        await screens.shows("Compare which run (A)?")
        await screens.press("escape")
        await screens.shows("flips 4")


async def test_runs_with_nothing_in_common_say_so(compared: Home) -> None:
    async with opened(compared) as screens:
        await screens.shows(OTHER)
        await screens.press("home", "space", "down", "c")
        await screens.shows("✗ runs", "have no completed task in common")
        await screens.press("enter", "f", "w", "tab")
        await screens.press("escape")
        await screens.shows("hf:second")


async def test_one_run_is_not_enough(tmp_path: Path) -> None:
    async with opened(Home(tmp_path)) as screens:
        await screens.shows("Nothing has been run here yet")
        screens.app.go_to("compare")
        await screens.shows("there are not two runs")


@pytest.mark.parametrize(
    ("pair", "said"),
    [
        (("t", 1.0, 0.0), "◀ only A"), (("t", 1.0, 0.5), "◀ A"), (("t", 0.0, 0.5), "▶ only B"),
        (("t", 0.5, 1.0), "▶ B"), (("t", 0.5, 0.5), "= equal"),
    ],
)  # fmt: skip
def test_a_task_is_told_by_a_sign_with_words(pair: tuple[str, float, float], said: str) -> None:
    assert task_cells(pair)[0][0] == said  # type: ignore[index]
