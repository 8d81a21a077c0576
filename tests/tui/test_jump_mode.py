"""Jump mode: a letter over everything that can take the keys."""

from __future__ import annotations

from pathlib import Path

from textual.widgets import Input

from stackbench.config import Home
from stackbench.tui.jump_mode import LETTERS, jump_targets
from tests.tui.pilots import opened


async def test_a_letter_takes_the_keys_where_it_stands(tmp_path: Path) -> None:
    async with opened(Home(tmp_path), (120, 40)) as screens:
        await screens.shows("Nothing has been run here yet")
        await screens.press("n")
        await screens.shows("choose what to run")
        screen = screens.app.screen
        targets = jump_targets(screen)
        assert [letter for letter, _ in targets] == list(LETTERS[: len(targets)]) and len(targets) > 5
        wanted = next(letter for letter, widget in targets if widget.id == "setting-limit")
        await screens.press("ctrl+g")
        await screens.until(lambda: len(screens.app.screen.query(".jump-letter")) == len(targets))
        for letter, widget in targets:
            x, y = widget.region.offset
            assert screens.text().splitlines()[y][x : x + 3].strip() == letter
        await screens.press(wanted)
        await screens.until(lambda: screens.app.focused is not None and screens.app.focused.id == "setting-limit")
        await screens.press("ctrl+g")  # out of a field too
        await screens.until(lambda: screens.app.screen is not screen)
        await screens.press("escape")
        await screens.until(lambda: screens.app.screen is screen and isinstance(screens.app.focused, Input))
        assert screens.app.focused.value == ""


async def test_a_click_jumps_and_one_beside_leaves(recorded: Home) -> None:
    async with opened(recorded) as screens:
        await screens.shows("20261126-090000")
        screen = screens.app.screen
        for offset in ((5, 5), (119, 0)):
            await screens.press("ctrl+g")
            await screens.until(lambda: screens.app.screen is not screen)
            await screens.pilot.click(offset=offset)
            await screens.until(lambda: screens.app.screen is screen)
            assert screens.app.focused is not None and screens.app.focused.id == "runs"
