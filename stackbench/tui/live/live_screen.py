"""Screen 3: one run, live or ended: scores, load, attempts as they end, what is under way, the log, the verbs."""

# An app of Textual has a type variable that its screens leave open.
# pyright: reportUnknownMemberType=false
from __future__ import annotations

from contextlib import suppress
from typing import ClassVar, cast

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.widgets import Static

from stackbench.errors import StackbenchError, StoreError, UsageError
from stackbench.store.attempt_pages import AttemptFilter, AttemptLine, Outcome
from stackbench.tui.attempt_list.attempt_rows import ATTEMPT_COLUMNS, AttemptRows, attempt_cells
from stackbench.tui.dialogs import ChooseScreen
from stackbench.tui.live.follower import Recorded, follow, read_name, read_recorded
from stackbench.tui.live.live_run import LiveRun, LogLine, UnderWay
from stackbench.tui.live.operating import Operating
from stackbench.tui.live.panels import LOG_COLUMNS, UNDER_WAY_COLUMNS, log_cells, under_way_cells
from stackbench.tui.live.scoreboard_text import gauges_text, head_text, live_scores, recorded_scores, with_problem
from stackbench.tui.live.verb_keys import verb_bindings
from stackbench.tui.numbered_tabs import tab_name
from stackbench.tui.row_sources import ListRows
from stackbench.tui.tones import tones_of
from stackbench.tui.virtual_table import VirtualTable

__all__ = ["LiveScreen"]

PAINT_EVERY_S = 0.2
LOOK_EVERY_S = 1.0
"""How often the database is asked for attempts that ended, and the engine for what no event tells."""
OUTCOMES: tuple[Outcome, ...] = ("all", "not passed", "failed", "errors", "cut", "passed")
SETTLING_LOOKS = 3
TABS = tuple(tab_name(number, name) for number, name in enumerate(("attempts", "under way", "log"), 1))


class LiveScreen(Operating):
    """`version` of the model decides whether anything is painted: an idle screen costs nothing."""

    CSS_PATH = "live_screen.tcss"
    HORIZONTAL_BREAKPOINTS = [(0, "-one-list"), (150, "-all-lists")]  # pyright: ignore[reportIncompatibleVariableOverride]
    ROOM = "run"
    ABOUT = (
        "One run. Its engine is a process of its own: closing this screen, or the terminal, leaves the run alone. "
        "Keys that change the run are the verbs of stackbench ctl, and are recorded."
    )
    FILTERS = "a text in task, reason or category"
    BINDINGS: ClassVar[list[BindingType]] = [
        *verb_bindings(),
        Binding("f", "outcome", "Outcome"),
        Binding("b", "benchmark", "Benchmark"),
        Binding("a", "agents", "Agents"),
        Binding("t", "order", "Newest or oldest first", show=False),
        Binding("1", "list('attempts')", "Attempts", show=False),
        Binding("2", "list('under-way')", "Under way", show=False),
        Binding("3", "list('log')", "Log", show=False),
        Binding("y", "copy_id", "Copy the run's id", show=False),
    ]

    def __init__(self, run_id: str) -> None:
        super().__init__()
        self.run_id = run_id
        self.wanted = AttemptFilter()
        self.live = LiveRun(run_id, lambda: 0.0)
        self._newest_first = True
        self._rows: AttemptRows | None = None
        self._recorded: Recorded | None = None
        self._called = ""
        """The run's name, where the user gave it one."""
        self._painted = -1
        self._second = -1
        self._taken_in = (-1, -1)
        self._growing = False
        self._settling = 1
        self._reading = False
        self._shown: dict[str, Text] = {}
        self._log_shown = -1
        self._keys_for: object = None
        """The state that the keys at the foot were chosen by."""

    def compose_room(self) -> ComposeResult:
        yield Static(id="head", markup=False)
        yield Static(id="scores", markup=False)
        yield Static(id="gauges", markup=False)
        with Horizontal(id="lists"):
            with Vertical(classes="list", id="attempts-list"):
                yield Static(TABS[0], classes="title", id="attempts-title", markup=False)
                yield VirtualTable[AttemptLine](
                    ATTEMPT_COLUMNS, attempt_cells, id="attempts", empty="no attempt has ended yet, or none fits"
                )
            with Vertical(id="side"):
                with Vertical(classes="list", id="under-way-list"):
                    yield Static(TABS[1], classes="title", id="under-way-title", markup=False)
                    yield VirtualTable[UnderWay](
                        UNDER_WAY_COLUMNS, under_way_cells(self.room_app.clock), id="under-way", empty="nothing"
                    )
                with Vertical(classes="list", id="log-list"):
                    yield Static(TABS[2], classes="title", id="log-title", markup=False)
                    yield VirtualTable[LogLine](LOG_COLUMNS, log_cells, id="log", empty="nothing was said yet")

    def place(self) -> tuple[str, ...]:
        return (f"run {self.run_id} {self._called}".rstrip(),)

    def on_mount(self) -> None:
        super().on_mount()
        self.live = LiveRun(self.run_id, self.room_app.clock)
        self.query_one("#attempts").focus()
        self.run_worker(self._follow, group="follow", exit_on_error=False)
        self.run_worker(self._open_rows, group="rows", exclusive=True)
        self.run_worker(self._read_name, group="name", exit_on_error=False)
        self.set_interval(PAINT_EVERY_S, self._tick)
        self.set_interval(LOOK_EVERY_S, self._look)

    @property
    def attempts(self) -> VirtualTable[AttemptLine]:
        return cast("VirtualTable[AttemptLine]", self.query_one("#attempts", VirtualTable))

    async def _follow(self) -> None:
        try:
            await follow(self.link, self.live)
        except StackbenchError as error:
            self.live.error = str(error)
            self.live.version += 1

    async def _read_name(self) -> None:
        """As its engine or the database has it."""
        with suppress(StackbenchError):
            now = await self.link.engine()
            self._called = next((run.name for run in now.runs if run.run_id == self.run_id and run.name), "")
            if not self._called and self.link.has_database:
                self._called = await self.link.read(lambda queries: read_name(queries, self.run_id))
            if self._called:
                self.show_place()

    # -- painting

    def _tick(self) -> None:
        if not self.is_current:
            return
        if self.live.ended and self._recorded is None and not self._reading:
            self._reading = True
            self.run_worker(self._read_recorded, group="recorded", exclusive=True, exit_on_error=False)
        state = (self.live.phase, self.live.ended)
        if state != self._keys_for:
            self._keys_for = state
            self.refresh_bindings()
        second = int(self.live.clock())
        if self.live.version != self._painted or (second != self._second and not self.live.ended):
            self._painted, self._second = self.live.version, second
            self._paint()

    def _paint(self) -> None:
        styles, width = tones_of(self.app.current_theme), self.size.width - 2
        self._put("head", head_text(self.live, width, styles))
        if self._recorded is not None and self.live.ended:
            scores = recorded_scores(self._recorded.results, self._recorded.skipped, width, styles)
        else:
            scores = live_scores(self.live, width, styles)
        self._put("scores", with_problem(self.live, scores, width, styles))
        self._put("gauges", gauges_text(self.live, width, styles))
        self._paint_lists()

    def _put(self, name: str, text: Text) -> None:
        """Replaces a text where it differs; the screen is laid out anew only where it has more or fewer lines."""
        before = self._shown.get(name)
        if before is not None and text == before and text.spans == before.spans:
            return
        self._shown[name] = text
        lines_changed = before is None or before.plain.count("\n") != text.plain.count("\n") or not before
        self.query_one(f"#{name}", Static).update(text, layout=lines_changed)

    def _paint_lists(self) -> None:
        """Those in view: the times of what is under way go on, the log changes when something is said."""
        all_in_view = self.has_class("-all-lists")
        others = "" if all_in_view else f"    {'  '.join(TABS)}"
        if all_in_view or self.has_class("-at-under-way"):
            waiting = sorted(self.live.under_way.values(), key=lambda one: one.since or one.started)
            table = cast("VirtualTable[UnderWay]", self.query_one("#under-way", VirtualTable))
            table.show(ListRows(waiting), table.cursor)
            self._put("under-way-title", Text(f"{TABS[1]} ({len(waiting)}){others}"))
        if (all_in_view or self.has_class("-at-log")) and self.live.said != self._log_shown:
            self._log_shown = self.live.said
            lines = list(self.live.log)
            lines.reverse()
            log = cast("VirtualTable[LogLine]", self.query_one("#log", VirtualTable))
            log.show(ListRows(lines), log.cursor)
            self._put("log-title", Text(f"{TABS[2]} ({len(lines)}){others}"))

    # -- attempts

    def _look(self) -> None:
        """Takes in attempts that ended, where some did, and what no event tells."""
        if not self.is_current or self._rows is None:
            return
        if self.live.phase and not self.live.ended and self.live.phase != "queued":
            self.run_worker(self._refresh, group="refresh", exclusive=True, exit_on_error=False)
        state = (self.live.finished, self.live.requeued)
        if not self.live.ended:
            self._recorded = None
        if state[1] != self._taken_in[1] and self._taken_in[1] >= 0:
            self._taken_in = state
            self.run_worker(self._open_rows, group="rows", exclusive=True)
        elif not self.live.ended and not self._growing and (state != self._taken_in or self._settling):
            # an attempt that has ended is committed a moment later
            self._settling = SETTLING_LOOKS if state != self._taken_in else self._settling - 1
            self._taken_in = state
            self.run_worker(self._grow, group="grow", exit_on_error=False)

    async def _refresh(self) -> None:
        with suppress(StackbenchError):
            now = await self.link.status()
            if now.run_id == self.run_id:
                self.live.refresh(now)

    async def _read_recorded(self) -> None:
        """The figures of a run that has ended, and the attempts that were committed last."""
        with suppress(UsageError, StoreError):  # it ended before it was recorded
            self._recorded = await self.link.read(lambda queries: read_recorded(queries, self.run_id))
            self.live.skipped = dict(self._recorded.skipped)
            if not self.live.load:
                self.live.adopt_load(self._recorded.load)
            if not self.live.log:
                self.live.log.extend(self._recorded.log)
                self.live.said += len(self._recorded.log)
            self.live.version += 1
        self._reading = False
        await self._grow()

    async def _grow(self) -> None:
        rows = self._rows
        if rows is None or self._growing:
            return
        self._growing = True
        try:
            count = await rows.pages.grow()
        except StackbenchError:
            return  # the engine has just ended: read again from the file
        finally:
            self._growing = False
        if count and rows is self._rows:
            self.attempts.changed(grown_above=count if self._newest_first else 0)
            self._title()

    async def _open_rows(self) -> None:
        try:
            rows = await AttemptRows.open(self.link, self.run_id, self.wanted, descending=self._newest_first)
        except StackbenchError as error:
            if self.link.has_database:
                self.tell(str(error), bad=True)
            return
        self._rows = rows
        self.attempts.show(rows)
        self._title()

    def _title(self) -> None:
        total = self._rows.total if self._rows is not None else 0
        wanted = self.wanted
        parts = [f"{TABS[0]} ({total:,})", "" if wanted.outcome == "all" else wanted.outcome, wanted.benchmark]
        parts += [f'"{wanted.text}"' if wanted.text else "", "newest first" if self._newest_first else "oldest first"]
        parts.append(f"  {TABS[1]}  {TABS[2]}" if self.has_class("-one-list") else "")
        self.query_one("#attempts-title", Static).update("  ".join(filter(None, parts)))

    def _want(self, outcome: Outcome | None = None, benchmark: str | None = None, text: str | None = None) -> None:
        before = self.wanted
        self.wanted = AttemptFilter(
            before.outcome if outcome is None else outcome,
            before.benchmark if benchmark is None else benchmark,
            before.text if text is None else text,
        )
        if self.wanted != before:
            self.run_worker(self._open_rows, group="rows", exclusive=True)

    def set_filter(self, text: str) -> None:
        self._want(text=text.strip())

    # -- keys

    def on_virtual_table_chosen(self, message: VirtualTable.Chosen) -> None:
        table = message.table
        if table.id == "attempts" and (line := self.attempts.row) is not None:
            self.room_app.open_attempt(self.run_id, line.key, self.wanted, newest_first=self._newest_first)
        elif table.id == "under-way" and isinstance(one := table.row, UnderWay):
            self.tell(f"{one.key[0]}/{one.key[1]} is under way; it can be opened once it has ended")

    def on_virtual_table_failed(self, message: VirtualTable.Failed) -> None:
        self.tell(message.error, bad=True)

    def action_outcome(self) -> None:
        self._want(outcome=OUTCOMES[(OUTCOMES.index(self.wanted.outcome) + 1) % len(OUTCOMES)])

    def action_benchmark(self) -> None:
        names = self._benchmarks()

        def chosen(place: int | None) -> None:
            if place is not None:
                self._want(benchmark=["", *names][place])

        self.app.push_screen(ChooseScreen("Attempts of which benchmark?", ["all", *names]), chosen)

    def _benchmarks(self) -> list[str]:
        if self.live.benchmarks:
            return list(self.live.benchmarks)
        return [result.benchmark for result in self._recorded.results] if self._recorded is not None else []

    def action_order(self) -> None:
        self._newest_first = not self._newest_first
        if self._rows is not None:
            self._rows = AttemptRows(self._rows.pages, descending=self._newest_first)
            self.attempts.show(self._rows)
            self._title()

    def action_list(self, name: str) -> None:
        for other in ("under-way", "log"):
            self.set_class(other == name, f"-at-{other}")
        self._painted = self._log_shown = -1
        self.call_after_refresh(self.query_one(f"#{name}").focus)

    def action_agents(self) -> None:
        self.room_app.go_to("agents")

    def action_copy_id(self) -> None:
        self.room_app.copy(self.run_id)
