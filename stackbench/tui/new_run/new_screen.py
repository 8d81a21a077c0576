"""Screen 2: a new run. The form is made from the settings' own metadata: a new setting appears by itself."""

# An app of Textual has a type variable that its screens leave open.
# pyright: reportUnknownMemberType=false
from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import ClassVar, cast

from rich.text import Text
from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.suggester import SuggestFromList
from textual.widgets import Checkbox, Input, Static

from stackbench.config import SettingField, list_settings
from stackbench.errors import StackbenchError, StoreError
from stackbench.store import Queries
from stackbench.tui.dialogs import ChooseScreen
from stackbench.tui.new_run.choices import What, find_servers, list_what, models_here
from stackbench.tui.new_run.draft import Draft
from stackbench.tui.new_run.estimate import Known, estimate_lines
from stackbench.tui.room_screen import RoomScreen
from stackbench.tui.row_sources import ListRows
from stackbench.tui.safe_text import cut_line
from stackbench.tui.virtual_table import Cell, Column, VirtualTable

__all__ = ["NewScreen"]

CHOICE_COLUMNS = (Column("", 3), Column("", 8, grows=True))
PAUSE_S = 0.3
"""So long after the last key the estimate is made anew."""


class NewScreen(RoomScreen):
    """Letters go into the fields; what the screen does has keys beside them."""

    CSS_PATH = "new_screen.tcss"
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (100, "-wide")]  # pyright: ignore[reportIncompatibleVariableOverride]
    ROOM = "new run"
    ABOUT = (
        "Choose a suite or benchmarks on the left, a model and settings on the right; what is left empty is as the "
        "grey text says. The run starts in an engine of its own."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "choose_what", "Choose", show=False),
        Binding("f5,ctrl+s", "start", "Start", key_display="F5"),
        Binding("f3,ctrl+o", "model", "Choose a model", key_display="F3"),
        Binding("f2", "advanced", "All settings", key_display="F2"),
        Binding("f4", "copy", "Copy the command", key_display="F4"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._what: list[What] = []
        self._known: tuple[str, Known] | None = None
        self._servers: list[str] = []
        self._chosen: set[What] = set()

    def compose_room(self) -> ComposeResult:
        with Horizontal(id="form"):
            with Vertical(id="what"):
                yield Static("suite or benchmarks", classes="title", markup=False)
                yield VirtualTable[What](CHOICE_COLUMNS, self._cells, id="choices")
            with VerticalScroll(id="settings", can_focus=False):
                yield from _rows([field for field in list_settings() if field.group == "basic"])
        yield Static(id="about-setting", markup=False)
        yield Static(id="fault", markup=False)
        yield Static(id="estimate", markup=False)
        yield Static(id="command", markup=False)

    def on_mount(self) -> None:
        super().on_mount()
        self._what = list_what()
        choices = cast("VirtualTable[What]", self.query_one("#choices", VirtualTable))
        choices.show(ListRows(self._what))
        choices.focus()
        self.run_worker(self._look_for_servers, group="servers", exit_on_error=False)
        self._changed()

    async def _look_for_servers(self) -> None:
        self._servers = await find_servers()
        names = [name for name, _ in models_here(self.link.home)]
        with suppress(LookupError):
            self.query_one("#setting-model", Input).suggester = SuggestFromList([*self._servers, *names])

    # -- the draft

    def draft(self) -> Draft:
        """The run as it is entered."""
        suite = next((one.name for one in self._what if one.suite and one in self._chosen), "")
        texts: dict[str, str] = {}
        for entry in self.query(Input):
            if entry.id is not None and entry.id.startswith("setting-"):
                texts[entry.id.removeprefix("setting-")] = entry.value
        for box in self.query(Checkbox):
            if box.id is not None and box.value:
                texts[box.id.removeprefix("setting-")] = "yes"
        names = tuple(one.name for one in self._what if not one.suite and one in self._chosen)
        home = self.link.home
        return Draft(suite, names, texts, "" if home.source == "default" else str(home.path))

    def _cells(self, one: What) -> list[Cell]:
        chosen = one in self._chosen
        kind = "suite " if one.suite else ""
        own = "  (yours)" if one.about and not one.suite else ""
        return [("[x]", "good") if chosen else "[ ]", (f"{kind}{one.name}{own}", "strong" if chosen else "")]

    def on_virtual_table_chosen(self, message: VirtualTable.Chosen) -> None:
        self.action_choose_what()

    def action_choose_what(self) -> None:
        """A suite stands alone; benchmarks go together."""
        table = cast("VirtualTable[What]", self.query_one("#choices", VirtualTable))
        one = table.row
        if one is None:
            return
        if one in self._chosen:
            self._chosen.remove(one)
        elif one.suite:
            self._chosen = {one}
        else:
            self._chosen = {other for other in self._chosen if not other.suite} | {one}
        table.refresh()
        self._changed()

    @on(Input.Changed)
    @on(Checkbox.Changed)
    def _entered(self) -> None:
        self._changed()

    @on(Input.Submitted)
    def _next(self, event: Input.Submitted) -> None:
        if event.input.id is not None and event.input.id.startswith("setting-"):
            event.stop()
            self.focus_next()

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        field = next((one for one in list_settings() if f"setting-{one.attribute}" == event.widget.id), None)
        about = Text("space chooses: one suite, or any number of benchmarks")
        if field is not None:
            known = f"  one of: {', '.join(field.choices)}" if field.choices else ""
            several = "  several values: part them with spaces" if field.repeatable else ""
            about = Text(f"{field.flag}  {field.help.replace('`', '')}{known}{several}")
        self.query_one("#about-setting", Static).update(about)

    def _changed(self) -> None:
        self.query_one("#command", Static).update(Text(cut_line(f"$ {self.draft().command_line()}", 2000)))
        self.run_worker(self._estimate, group="estimate", exclusive=True, exit_on_error=False)

    async def _estimate(self) -> None:
        import asyncio

        await asyncio.sleep(PAUSE_S)
        draft = self.draft()
        try:
            plan = await asyncio.to_thread(draft.plan)
        except StackbenchError as error:
            self.query_one("#fault", Static).update(Text(cut_line(error, 600)))
            self.set_class(bool(draft.suite or draft.benchmarks), "-faulty")
            self.query_one("#estimate", Static).update(Text("choose what to run", style="dim"))
            return
        self.set_class(False, "-faulty")
        known = await self._read_known(plan.settings.model)
        lines = await asyncio.to_thread(estimate_lines, plan, known, self.link.home)
        self.query_one("#estimate", Static).update(Text("\n".join(cut_line(one, 600) for one in lines)))

    async def _read_known(self, model: str) -> Known:
        """What earlier runs tell of this model; read once for each."""
        from stackbench.store.pace import read_pace, read_task_counts

        if self._known is not None and self._known[0] == model:
            return self._known[1]

        def read(queries: Queries) -> Known:
            return Known(read_pace(queries, model), read_task_counts(queries))

        try:
            known = await self.link.read(read) if self.link.has_database else Known({}, {})
        except StoreError:
            known = Known({}, {})
        self._known = (model, known)
        return known

    # -- keys

    def action_start(self) -> None:
        self.attempt(self._start, group="start")

    async def _start(self) -> None:
        import asyncio

        from stackbench.engine import new_run_id
        from stackbench.tui.engine_link import Submission

        plan = await asyncio.to_thread(self.draft().plan)
        self.tell("starting ...")
        run_id = await self.link.submit(Submission(new_run_id(), plan.model_dump(mode="json")))
        self.app.pop_screen()
        self.room_app.open_run(run_id)

    def action_model(self) -> None:
        found = [(name, "answers on this machine") for name in self._servers]
        found += models_here(self.link.home)

        def chosen(place: int | None) -> None:
            if place is not None:
                self.query_one("#setting-model", Input).value = found[place][0]

        self.app.push_screen(ChooseScreen("Which model?", [f"{name}   {about}" for name, about in found]), chosen)

    async def action_advanced(self) -> None:
        """Shows the settings beside the basic ones, or takes them away."""
        pane = self.query_one("#settings", VerticalScroll)
        extra = self.query(".advanced")
        if extra:
            await extra.remove()
        else:
            fields = [field for field in list_settings() if field.group != "basic"]
            await pane.mount(*_rows(fields, "advanced"))
        self._changed()

    def action_copy(self) -> None:
        self.room_app.copy(self.draft().command_line())


def _rows(fields: list[SettingField], classes: str = "") -> Iterator[Static | Horizontal]:
    """A line for each setting, under the name of its concern."""
    concern = ""
    for field in fields:
        if field.concern != concern:
            concern = field.concern
            yield Static(Text(concern), classes=f"concern {classes}", markup=False)
        name = Static(Text(field.name.replace("_", "-")), classes="name", markup=False)
        ident = f"setting-{field.attribute}"
        if field.type == "switch":
            yield Horizontal(name, Checkbox("", id=ident), classes=f"setting {classes}")
            continue
        entry = Input(placeholder=field.shown_default, id=ident, compact=True)
        if field.choices:
            entry.suggester = SuggestFromList(list(field.choices))
        unit = Static(Text(field.unit), classes="unit", markup=False)
        yield Horizontal(name, entry, unit, classes=f"setting {classes}")
