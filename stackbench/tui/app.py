"""The application: it switches screens, and holds what they share."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar, cast

from textual.app import App
from textual.binding import Binding, BindingType
from textual.events import Key
from textual.notifications import SeverityLevel

from stackbench.config import Home
from stackbench.errors import StackbenchError
from stackbench.garbage_pauses import end_loading
from stackbench.tui import clipboard
from stackbench.tui.engine_link import EngineLink
from stackbench.tui.palette import Commands
from stackbench.tui.prompt import Prompt
from stackbench.tui.room_screen import RoomScreen
from stackbench.tui.rooms import ROOMS
from stackbench.tui.safe_text import cut_line
from stackbench.tui.themes import DEFAULT_THEME, THEMES

if TYPE_CHECKING:
    from textual.screen import Screen

    from stackbench.store.attempt_pages import AttemptFilter
    from stackbench.types import AttemptKey

__all__ = ["StackbenchApp"]


NOTICE_SHOWN = 600


class StackbenchApp(App[int]):
    """Opens on the runs of a home, or on one run.

    `clock` tells seconds since 1970: tests and pictures have a fixed one.
    """

    TITLE = "stackbench"
    CSS_PATH = "app.tcss"
    COMMANDS = {Commands}
    ENABLE_COMMAND_PALETTE = True
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "screen.filter", "Filter", key_display="/"),
        Binding("colon", "screen.go_to", "Go to", key_display=":"),
        Binding("ctrl+p", "command_palette", "Commands", key_display="^p"),
        Binding("ctrl+g", "jump", "Jump", show=False, key_display="^g", priority=True),
        Binding("ctrl+t", "next_theme", "Next theme", show=False, key_display="^t"),
        Binding("q", "quit", "Quit"),
        Binding("ctrl+q,ctrl+c", "quit", "Quit", show=False, priority=True),
    ]

    def __init__(self, home: Home, run: str | None = None, *, clock: Callable[[], float] = time.time) -> None:
        super().__init__()
        self.home = home
        self.clock = clock
        self.opened_run = ""
        """The run whose screen was opened last, until the list of runs has its cursor there."""
        self._run = run
        self._link: EngineLink | None = None
        for theme in THEMES:
            self.register_theme(theme)
        self.theme = DEFAULT_THEME

    @property
    def link(self) -> EngineLink:
        if self._link is None:
            self._link = EngineLink(self.home)
        return self._link

    async def on_mount(self) -> None:
        await self.push_screen(ROOMS["home"].make())
        if self._run is not None:
            self.go_to(self._run)
        else:
            self.run_worker(self._open_live, group="go", exclusive=True)

    def on_ready(self) -> None:
        end_loading()

    async def on_unmount(self) -> None:
        if self._link is not None:
            await self._link.close()

    # -- going

    def go_to(self, where: str) -> None:
        """To a screen by its name, or to a run by the start of its id."""
        words = where.split()
        name = words[0].lower() if words else ""
        if name in ROOMS and name == "home":
            self.go_home()
        elif name in ROOMS:
            self.push_screen(ROOMS[name].make())
        elif name:
            self.run_worker(self._go_to_run(words[-1]), group="go", exclusive=True)

    def go_home(self) -> None:
        while len(self.screen_stack) > 2:
            self.pop_screen()

    def go_back(self) -> None:
        """To the screen before; the first one stays."""
        if len(self.screen_stack) > 2:
            self.pop_screen()

    async def _open_live(self) -> None:
        """Opens the live run, where there is one."""
        engine = await self.link.engine()
        if engine.runs and engine.runs[0].state == "running":
            self.open_run(engine.runs[0].run_id)

    async def _go_to_run(self, name: str) -> None:
        from stackbench.store import Reader

        try:
            run = await self.link.read(lambda queries: Reader(queries).run(name))
        except StackbenchError as error:
            self.notify(str(error), severity="error", markup=False)
            return
        self.open_run(run.run_id)

    def open_run(self, run_id: str) -> None:
        """The screen of a run, live or ended."""
        from stackbench.tui.live.live_screen import LiveScreen

        self.opened_run = run_id
        self.push_screen(LiveScreen(run_id))

    def open_attempt(self, run_id: str, key: AttemptKey, among: AttemptFilter, *, newest_first: bool = True) -> None:
        """The screen of an attempt; next and previous go through those that fit the filter."""
        from stackbench.tui.attempt.attempt_screen import AttemptScreen

        self.push_screen(AttemptScreen(run_id, key, among, newest_first=newest_first))

    def on_key(self, event: Key) -> None:
        """Keys reach the app where no widget took them; those typed right after `:` or `/` are the prompt's."""
        if isinstance(self.screen, RoomScreen) and self.screen.query_one(Prompt).take_key(event):
            event.prevent_default()
            event.stop()

    # -- what every screen can do

    def notify(
        self,
        message: str,
        *,
        title: str = "",
        severity: SeverityLevel = "information",
        timeout: float | None = None,
        markup: bool = False,
    ) -> None:
        """Texts of others reach notifications: none is read as markup, whatever `markup` says."""
        shown, head = cut_line(message, NOTICE_SHOWN), cut_line(title, NOTICE_SHOWN)
        super().notify(shown, title=head, severity=severity, timeout=timeout, markup=False)

    def copy(self, text: str) -> None:
        """Copies, and says where to."""
        self._clipboard = text
        driver = self._driver

        def write(sequence: str) -> None:
            if driver is not None:
                driver.write(sequence)
                driver.flush()

        self.notify(clipboard.copy(text, write, self.home.path / "copied"))

    def copy_to_clipboard(self, text: str) -> None:
        """Textual's own way for text that is marked with the mouse."""
        self.copy(text)

    def set_theme(self, name: str) -> None:
        self.theme = name

    def action_jump(self) -> None:
        """Letters over what can take the keys; the one that is typed takes them."""
        from textual.widget import Widget

        from stackbench.tui.jump_mode import JumpScreen, jump_targets

        screen = self.screen
        if not isinstance(screen, RoomScreen):
            return

        def chosen(widget: Widget | None) -> None:
            if widget is not None and widget.is_attached:
                screen.set_focus(widget)

        self.push_screen(JumpScreen(jump_targets(cast("Screen[object]", screen))), chosen)

    def action_next_theme(self) -> None:
        names = [theme.name for theme in THEMES]
        place = names.index(self.theme) if self.theme in names else -1
        self.set_theme(names[(place + 1) % len(names)])
