"""Places of the screens by the names that the spoken commands give them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stackbench.store.attempt_pages import AttemptFilter, Outcome
from stackbench.voice.intents import Intent

if TYPE_CHECKING:
    from stackbench.tui.app import StackbenchApp

__all__ = ["go_to_place"]

ROOMS_SAID = ("new", "agents", "sql", "compare")
OUTCOMES_SAID: dict[str, Outcome] = {"failures": "failed", "errors": "errors"}


def go_to_place(app: StackbenchApp, intent: Intent) -> str:
    """Goes there, and says where it went."""
    name = intent.name
    if name == "home":
        app.go_home()
    elif name == "back":
        app.go_back()
    elif name == "help":
        app.run_worker(app.run_action("screen.help"), group="go", exclusive=True)
    elif name in ROOMS_SAID:
        app.go_to(name)
    else:
        app.run_worker(_go_to_run(app, intent), group="go", exclusive=True)
    return intent.describe()


async def _go_to_run(app: StackbenchApp, intent: Intent) -> None:
    """The live run, else the newest; its failed attempts, those that ended in errors, or one by its place."""
    from stackbench.errors import StackbenchError
    from stackbench.store import Reader
    from stackbench.store.attempt_pages import read_page
    from stackbench.tui.live.live_screen import LiveScreen

    try:
        run = await app.link.read(lambda queries: Reader(queries).run("last"))
        engine = await app.link.engine()
        run_id = engine.runs[0].run_id if engine.runs else run.run_id
        if intent.name == "attempt":
            number = int(intent.arguments["number"])
            wanted = AttemptFilter()
            rows = await app.link.read(lambda queries: read_page(queries, run_id, wanted, 0, max(1, number)))
            if not 1 <= number <= len(rows):
                app.notify(f"run {run_id} has no attempt {number}", severity="error")
                return
            app.open_attempt(run_id, rows[number - 1].key, wanted, newest_first=False)
        else:
            screen = LiveScreen(run_id)
            screen.wanted = AttemptFilter(OUTCOMES_SAID.get(intent.name, "all"))
            await app.push_screen(screen)
    except StackbenchError as error:
        app.notify(str(error), severity="error")
