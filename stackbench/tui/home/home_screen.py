"""Screen 1: the runs of a home, live and past."""

# An app of Textual has a type variable that its screens leave open.
# pyright: reportUnknownMemberType=false
from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, cast

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Static

from stackbench.control.answers import RunNow
from stackbench.errors import EngineUnreachableError, UsageError
from stackbench.plurals import number_of
from stackbench.report.headlines import HEADLINES
from stackbench.tui.dialogs import AskScreen, ConfirmScreen
from stackbench.tui.engine_link import EngineNow
from stackbench.tui.home.details import engine_text, run_text, welcome_text
from stackbench.tui.home.run_lines import COLUMNS, RunLine, fits, merge, run_cells
from stackbench.tui.room_screen import RoomScreen
from stackbench.tui.row_sources import ListRows
from stackbench.tui.tones import tones_of
from stackbench.tui.virtual_table import VirtualTable

if TYPE_CHECKING:
    from stackbench.store import Queries
    from stackbench.store.run_list import ListedRun

__all__ = ["HomeScreen"]

LOOK_EVERY_S = 1.0


class HomeScreen(RoomScreen):
    """Lists the runs; keys act on the run of the cursor."""

    CSS_PATH = "home_screen.tcss"
    ROOM = "runs"
    ABOUT = "Every run of this home: live ones first. Enter opens a run; a live run goes on whatever you do here."
    FILTERS = "words of a run: model, suite, benchmark, status, name, id"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "open", "Open"),
        Binding("n", "new", "New run"),
        Binding("s", "smoke", "Smoke suite"),
        Binding("space", "mark", "Mark", show=False),
        Binding("c", "compare", "Compare"),
        Binding("r", "resume", "Resume"),
        Binding("S", "stop", "Stop", show=False),
        Binding("e", "export", "Export", show=False),
        Binding("R", "report", "Report", show=False),
        Binding("delete,D", "delete", "Delete", show=False),
        Binding("y", "copy_id", "Copy the id", show=False),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._runs: list[ListedRun] = []
        self._engine = EngineNow("none")
        self._now: RunNow | None = None
        self._words: list[str] = []
        self._marked: list[str] = []
        self._seen: object = None
        """What told of the database's state when it was read last."""

    def compose_room(self) -> ComposeResult:
        yield Static(id="engine", markup=False)
        yield VirtualTable[RunLine](COLUMNS, run_cells, empty="no run fits the filter", id="runs")
        yield Static(id="about-run", markup=False)
        yield Static(welcome_text(), id="welcome", markup=False)

    def on_mount(self) -> None:
        super().on_mount()
        self._table.focus()
        self.set_interval(LOOK_EVERY_S, self._look)
        self._look()

    def on_screen_resume(self) -> None:
        super().on_screen_resume()
        self.action_look()

    @property
    def _table(self) -> VirtualTable[RunLine]:
        return cast("VirtualTable[RunLine]", self.query_one("#runs", VirtualTable))

    @property
    def marked(self) -> list[str]:
        """The ids of the runs marked for comparing, in the order of marking."""
        return list(self._marked)

    # -- looking

    def _look(self) -> None:
        if self.is_current:
            self.run_worker(self._read, group="look", exclusive=True, exit_on_error=False)

    async def _read(self) -> None:
        self._engine = await self.link.engine()
        self._now = None
        if self._engine.state == "live" and self._engine.runs and self._engine.runs[0].state == "running":
            with suppress(UsageError, EngineUnreachableError):  # it has just ended, or not quite begun
                self._now = await self.link.status()
        seen = self._state()
        if seen != self._seen and self.link.has_database and self._engine.state in ("live", "none", "dead"):
            self._runs = await self.link.read(_listed)
            self._seen = seen
        self._show()

    def _state(self) -> object:
        """Differs when runs were added, ended or deleted."""
        live = tuple((run.run_id, run.state) for run in self._engine.runs)
        return (self._engine.state, live, self.link.written if self._engine.state != "live" else 0)

    def _show(self) -> None:
        lines = merge(self._runs, self._engine, self._now, self._marked)
        shown = [line for line in lines if fits(line, self._words)]
        ids = [line.run.run_id for line in shown]
        wanted = self._table.row.run.run_id if self._table.row is not None else ""
        if self.room_app.opened_run in ids:
            wanted, self.room_app.opened_run = self.room_app.opened_run, ""
        place = ids.index(wanted) if wanted in ids else 0
        self._table.show(ListRows(shown), place)
        self.query_one("#engine", Static).update(engine_text(self._engine, self._now))
        first = not lines and self._engine.state in ("none", "live")
        self.set_class(first, "-first")
        self._show_run()

    def _show_run(self) -> None:
        line = self._table.row
        styles = tones_of(self.app.current_theme)
        self.query_one("#about-run", Static).update(run_text(line, styles) if line else Text(""))

    def on_virtual_table_moved(self, message: VirtualTable.Moved) -> None:
        self._show_run()

    def on_virtual_table_chosen(self, message: VirtualTable.Chosen) -> None:
        self.action_open()

    def set_filter(self, text: str) -> None:
        self._words = text.lower().split()
        self._show()

    # -- keys

    def action_look(self) -> None:
        self._seen = None
        self._look()

    def action_open(self) -> None:
        if (line := self._table.row) is not None:
            self.room_app.open_run(line.run.run_id)

    def action_mark(self) -> None:
        line = self._table.row
        if line is None:
            return
        if line.run.run_id in self._marked:
            self._marked.remove(line.run.run_id)
        else:
            self._marked = [*self._marked[-1:], line.run.run_id]
        self._show()

    def action_compare(self) -> None:
        """Of the two marked runs; of the one marked and the one of the cursor."""
        from stackbench.tui.compare.compare_screen import CompareScreen

        line = self._table.row
        chosen = list(self._marked)
        if len(chosen) == 1 and line is not None and line.run.run_id not in chosen:
            chosen.append(line.run.run_id)
        self.app.push_screen(CompareScreen((chosen[0], chosen[1]) if len(chosen) == 2 else None))

    def action_copy_id(self) -> None:
        if (line := self._table.row) is not None:
            self.room_app.copy(line.run.run_id)

    def action_new(self) -> None:
        self.room_app.go_to("new")

    def action_smoke(self) -> None:
        async def run() -> None:
            from stackbench.tui.starting import smoke

            self.tell("starting the smoke suite ...")
            self.room_app.open_run(await self.link.submit(await smoke()))

        self.attempt(run, group="start")

    def action_resume(self) -> None:
        line = self._table.row
        if line is None:
            return
        run_id = line.run.run_id

        async def run() -> None:
            from stackbench.store import Reader
            from stackbench.tui.starting import resumed

            self.tell(f"resuming {run_id} ...")
            found = await self.link.read(lambda queries: Reader(queries).run(run_id))
            self.room_app.open_run(await self.link.submit(await resumed(found)))

        if line.resumable:
            self.attempt(run, group="start")
        else:
            self.tell(f"run {run_id} is {line.state}: there is nothing to resume")

    def action_stop(self) -> None:
        line = self._table.row
        if line is None or not line.live:
            return
        run_id = line.run.run_id

        async def stop() -> None:
            await self.link.command("stop", run=run_id)

        self._ask(f"Stop run {run_id}? It can be resumed.", stop)

    def action_delete(self) -> None:
        line = self._table.row
        if line is None:
            return
        run_id = line.run.run_id
        if line.live:
            self.tell(f"run {run_id} is {line.state}: stop it before it is deleted", bad=True)
            return

        async def delete() -> None:
            await self.link.delete(run_id)
            self._marked = [name for name in self._marked if name != run_id]
            self.action_look()

        self._ask(
            f"Delete run {run_id} with its {number_of(line.run.attempts, 'attempt')}? This cannot be undone.", delete
        )

    def action_export(self) -> None:
        line = self._table.row
        if line is None:
            return
        run_id = line.run.run_id

        def export(folder: str | None) -> None:
            if folder:
                self.attempt(lambda: self._export(run_id, Path(folder).expanduser()), group="export")

        self.app.push_screen(
            AskScreen(f"Write the files of run {run_id} to which folder?", f"exports/{run_id}"), export
        )

    async def _export(self, run_id: str, folder: Path) -> None:
        from stackbench.report.export import export

        paths = await self.link.read(lambda queries: list(export(queries, run_id, folder)))
        self.tell(f"wrote {number_of(len(paths), 'file')} to {folder}")

    def action_report(self) -> None:
        """Of the marked runs, else of the one at the cursor."""
        line = self._table.row
        runs = self._marked or ([line.run.run_id] if line is not None else [])
        if not runs:
            return

        def report(folder: str | None) -> None:
            if folder:
                self.attempt(lambda: self._report(runs, Path(folder).expanduser()), group="export")

        named = f"run {runs[0]}" if len(runs) == 1 else f"runs {' and '.join(runs)}"
        self.app.push_screen(AskScreen(f"Write the report of {named} to which folder?", f"reports/{runs[0]}"), report)

    async def _report(self, runs: Sequence[str], folder: Path) -> None:
        from stackbench.tui.home.report_files import write_report

        self.tell("the report is being written ...")
        count = await write_report(self.link.home, runs, folder)
        self.tell(f"wrote {number_of(count, 'file')} to {folder}")

    def _ask(self, question: str, work: Callable[[], Awaitable[None]]) -> None:
        def answered(yes: bool | None) -> None:
            if yes:
                self.attempt(work)

        self.app.push_screen(ConfirmScreen(question), answered)


def _listed(queries: Queries) -> list[ListedRun]:
    from stackbench.store.run_list import list_runs  # loads DuckDB: not before the first painting

    return list_runs(queries, HEADLINES)
