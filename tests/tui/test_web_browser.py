"""`--web` in a real browser: Debian's Chromium, driven through Playwright."""

from __future__ import annotations

import shutil

import pytest

from stackbench.config import Home
from tests.tui.test_web_server import served, until

CHROMIUM = shutil.which("chromium")
WITHIN_MS = 60_000

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine: apt-get install chromium"),
]


async def test_a_browser_shows_the_screens_takes_keys_and_ends_the_app_when_it_leaves(recorded: Home) -> None:
    playwright = pytest.importorskip(
        "playwright.async_api", reason='playwright is not installed: pip install -e ".[dev]"'
    )
    async with served(recorded) as one, playwright.async_playwright() as driver:
        browser = await driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        try:
            page = await browser.new_page()
            asked: list[str] = []
            shown: list[str] = []
            faults: list[str] = []
            page.on("request", lambda request: asked.append(request.url))
            page.on("pageerror", lambda error: faults.append(str(error)))

            def received(payload: str | bytes) -> None:
                shown.append(payload if isinstance(payload, str) else payload.decode(errors="replace"))

            page.on("websocket", lambda socket: socket.on("framereceived", received))
            await page.goto(one.address)
            await page.wait_for_selector("body.-first-byte", timeout=WITHIN_MS)
            assert page.url == f"{one.origin}/"
            await until(lambda: any("20261126-090000" in text for text in shown), "the runs are shown")
            await page.keyboard.press("?")
            await until(lambda: any("On this screen" in text for text in shown), "the help is shown")
            assert await page.evaluate("document.cookie") == ""  # no script of the page can read it
            assert not faults
            assert all(url.startswith((one.origin, one.origin.replace("http", "ws"), "data:")) for url in asked), asked
            assert len(one.apps()) == 1
            await page.close()
            await until(lambda: not one.apps(), "the app has ended")

            late = await browser.new_page()  # another window of the browser without the cookie: the address worked once
            answer = await late.goto(one.address)
            assert answer is not None and answer.status == 401
        finally:
            await browser.close()
