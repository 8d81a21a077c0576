"""A pane whose text grows below."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from textual.app import App, ComposeResult
from textual.pilot import Pilot
from textual.widgets import Static

from stackbench.tui.followed_scroll import FollowedScroll


class Growing(App[None]):
    CSS = "Static { height: auto; }"

    def compose(self) -> ComposeResult:
        with FollowedScroll():
            yield Static(id="above", markup=False)
            yield Static(id="below", markup=False)

    def grow(self, part: str, lines: int) -> None:
        self.query_one(f"#{part}", Static).update("\n".join(f"line {at}" for at in range(lines)))


@asynccontextmanager
async def growing(above: int) -> AsyncIterator[tuple[Growing, Pilot[None], FollowedScroll]]:
    """On a screen of 10 lines, with so many lines in its upper part."""
    app = Growing()
    async with app.run_test(size=(40, 10)) as pilot:
        app.grow("above", above)
        await pilot.pause()
        yield app, pilot, app.query_one(FollowedScroll)


async def test_it_stays_at_its_end_however_quickly_text_comes() -> None:
    async with growing(4) as (app, pilot, pane):
        assert (pane.scroll_y, pane.max_scroll_y) == (0, 0), "there is nothing to scroll yet"
        for lines in range(5, 300):
            app.grow("below", lines)
            if lines % 7 == 0:
                await pilot.pause()
        await pilot.pause()
        assert pane.scroll_y == pane.max_scroll_y == 4 + 299 - 10
        await pilot.resize_terminal(40, 6)
        await pilot.pause()
        assert pane.scroll_y == pane.max_scroll_y == 4 + 299 - 6, "its height shrank"


async def test_whoever_scrolled_up_stays_there_until_back_at_the_end() -> None:
    async with growing(50) as (app, pilot, pane):
        pane.focus()
        await pilot.press("home")
        await pilot.pause()
        app.grow("below", 50)
        await pilot.pause()
        assert pane.scroll_target_y == 0
        await pilot.press("end")
        await pilot.wait_for_scheduled_animations()
        app.grow("below", 80)
        await pilot.pause()
        assert pane.scroll_y == pane.max_scroll_y == 120
        pane.scroll_to(y=3, animate=False)
        await pilot.pause()
        pane.follow()
        await pilot.pause()
        assert pane.scroll_y == 120
