"""What every screen has: where one is, the room's own widgets, a prompt for going and filtering, and the keys."""

# An app of Textual has a type variable that its screens leave open.
# pyright: reportUnknownMemberType=false
from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, ClassVar, cast

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.widgets import Static

from stackbench.errors import StackbenchError
from stackbench.tui.engine_link import EngineLink
from stackbench.tui.keys_at_foot import KeysAtFoot
from stackbench.tui.prompt import FilterInForce, Prompt
from stackbench.tui.safe_text import cut_line

if TYPE_CHECKING:
    from stackbench.tui.app import StackbenchApp

__all__ = ["RoomScreen"]


class RoomScreen(Screen[None]):
    """A room composes its widgets in `compose_room` and says in `place` where it is."""

    DEFAULT_CSS = """
    RoomScreen { layers: room prompt; }
    RoomScreen > #place { height: 1; padding: 0 1; background: $panel; color: $foreground; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "back", "Back", show=False),
        Binding("question_mark", "help", "Help", key_display="?"),  # first at the foot: there at any width
    ]
    ROOM: ClassVar[str] = ""
    """The screen's name in breadcrumbs and help."""
    ABOUT: ClassVar[str] = ""
    """What the screen is for, in a sentence or two."""
    FILTERS: ClassVar[str] = ""
    """What its filter takes; empty where there is nothing to filter."""

    def compose(self) -> ComposeResult:
        yield Static(id="place", markup=False)
        yield from self.compose_room()
        yield FilterInForce(markup=False)
        yield Prompt()
        yield KeysAtFoot()

    def compose_room(self) -> ComposeResult:
        """The room's own widgets."""
        yield from ()

    def place(self) -> tuple[str, ...]:
        """Where this is, from the outside in: a run, an attempt."""
        return (self.ROOM,)

    def set_filter(self, text: str) -> None:
        """Shows only what fits; called while the user types."""

    @property
    def room_app(self) -> StackbenchApp:
        return cast("StackbenchApp", self.app)

    @property
    def link(self) -> EngineLink:
        return self.room_app.link

    def on_mount(self) -> None:
        self.show_place()

    def on_screen_resume(self) -> None:
        self.show_place()

    def show_place(self) -> None:
        """Writes the breadcrumbs anew."""
        parts = Text(no_wrap=True, overflow="ellipsis", end="")
        parts.append("stackbench", style="bold")
        for part in self.place():
            parts.append(" > ", style="dim")
            parts.append(cut_line(part, 120))
        self.query_one("#place", Static).update(parts)

    def tell(self, text: str, *, bad: bool = False) -> None:
        """A line for the operator, at the corner; text of anybody's."""
        self.app.notify(text, severity="error" if bad else "information")

    def attempt(self, work: Callable[[], Awaitable[None]], *, group: str = "work") -> None:
        """Does something that may be refused; what was refused is told."""

        async def carry_out() -> None:
            try:
                await work()
            except StackbenchError as error:
                self.tell(str(error), bad=True)

        self.run_worker(carry_out, group=group)

    # -- keys

    def action_help(self) -> None:
        from stackbench.tui.help.help_screen import HelpScreen

        self.app.push_screen(HelpScreen(self))

    def action_go_to(self) -> None:
        self.query_one(Prompt).ask_where()

    def action_filter(self) -> None:
        if self.FILTERS:
            self.query_one(Prompt).ask_filter(self.FILTERS)

    def action_back(self) -> None:
        self.room_app.go_back()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "filter" and not self.FILTERS:
            return False
        return super().check_action(action, parameters)

    def on_prompt_filtered(self, message: Prompt.Filtered) -> None:
        self.set_filter(message.text)

    def on_prompt_went(self, message: Prompt.Went) -> None:
        self.room_app.go_to(message.text)
