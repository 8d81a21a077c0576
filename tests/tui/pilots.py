"""Opens the screens without a terminal, and waits for what they show."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from textual.pilot import Pilot
from textual.widgets import Static

from stackbench.config import Home
from stackbench.tui.app import StackbenchApp
from tests.tui.recorded_home import CLOCK

__all__ = ["Screens", "opened"]

WITHIN_S = 20.0


class Screens:
    """The application under a pilot."""

    def __init__(self, app: StackbenchApp, pilot: Pilot[int]) -> None:
        self.app = app
        self.pilot = pilot

    def text(self) -> str:
        """What is on the screen, as lines of text."""
        width, height = self.app.size
        strips = self.app.screen._compositor.render_strips(self.app.size)
        return "\n".join(strip.text[:width].rstrip() for strip in strips[:height])

    async def shows(self, *wanted: str) -> str:
        """Waits until all of these are on the screen; its text."""
        await self.until(lambda: all(one in self.text() for one in wanted), f"{wanted} in\n{{text}}")
        return self.text()

    async def hides(self, unwanted: str) -> str:
        await self.until(lambda: unwanted not in self.text(), f"no {unwanted!r} in\n{{text}}")
        return self.text()

    async def tells(self, wanted: str) -> None:
        """Waits for a notification with these words."""
        await self.until(lambda: any(wanted in one.message for one in self.app._notifications), f"{wanted!r} told")

    async def until(self, condition: Callable[[], object], what: str = "", *, within_s: float = WITHIN_S) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + within_s
        while True:
            await self.pilot.pause()
            if condition():
                return
            assert loop.time() < deadline, what.format(text=self.text()) or "did not come true"
            await asyncio.sleep(0.02)

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)

    async def type(self, text: str) -> None:
        await self.pilot.press(*("space" if one == " " else one for one in text))

    def static(self, selector: str) -> str:
        return str(self.app.screen.query_one(selector, Static).render())


@asynccontextmanager
async def opened(home: Home, size: tuple[int, int] = (120, 40), run: str | None = None) -> AsyncIterator[Screens]:
    """The application with a clock that stands still."""
    app = StackbenchApp(home, run, clock=lambda: CLOCK)
    async with app.run_test(size=size, notifications=True) as pilot:
        yield Screens(app, pilot)
