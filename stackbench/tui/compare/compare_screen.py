"""Screen 8: two runs: each benchmark's paired difference, the tasks behind it, the two answers."""

# An app of Textual has a type variable that its screens leave open.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false

from __future__ import annotations

from functools import partial
from typing import ClassVar, cast

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Static

from stackbench.errors import StackbenchError
from stackbench.report.comparison import BenchmarkComparison
from stackbench.report.headlines import HEADLINES
from stackbench.store.run_list import ListedRun, list_runs
from stackbench.tui.compare.compared_runs import ComparedRuns, read_attempts, read_comparison
from stackbench.tui.compare.comparison_rows import (
    BENCHMARK_COLUMNS,
    SHOWN,
    TASK_COLUMNS,
    Shown,
    TaskPair,
    benchmark_cells,
    task_cells,
    tasks_shown,
)
from stackbench.tui.compare.notes_dialog import NotesDialog
from stackbench.tui.dialogs import ChooseScreen
from stackbench.tui.room_screen import RoomScreen
from stackbench.tui.row_sources import ListRows
from stackbench.tui.safe_text import cut_line, line
from stackbench.tui.virtual_table import VirtualTable

__all__ = ["CompareScreen"]


class CompareScreen(RoomScreen):
    """`runs` are the ids of both; without them the screen asks."""

    CSS_PATH = "compare_screen.tcss"
    ROOM = "compare"
    ABOUT = (
        "Two runs, on the tasks that both completed. Above: the paired difference of each benchmark with its 95% "
        "interval and p-value. Below: the tasks of the benchmark at the cursor; enter shows both answers."
    )
    FILTERS = "words of a task's id"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "answers", "Both answers"),
        Binding("f", "show(1)", "Flips, A, B, all"),
        Binding("F", "show(-1)", "Back through these", show=False),
        Binding("tab", "other_table", "Benchmarks, tasks"),
        Binding("x", "swap", "Swap A and B", show=False),
        Binding("c", "choose", "Other runs"),
        Binding("w", "notes", "Warnings, settings"),
        Binding("r", "read", "Read again", show=False),
    ]

    def __init__(self, runs: tuple[str, str] | None = None) -> None:
        super().__init__()
        self._runs = runs
        self._found: ComparedRuns | None = None
        self._shown: Shown = "flips"
        self._words: list[str] = []

    def compose_room(self) -> ComposeResult:
        yield Static(id="compared", markup=False)
        yield VirtualTable[BenchmarkComparison](BENCHMARK_COLUMNS, benchmark_cells, id="benchmarks")
        yield Static(id="tasks-title", markup=False)
        yield VirtualTable[TaskPair](TASK_COLUMNS, task_cells, empty="no such task", id="tasks")

    def place(self) -> tuple[str, ...]:
        return (f"compare {self._runs[0]} with {self._runs[1]}",) if self._runs else ("compare",)

    def on_mount(self) -> None:
        super().on_mount()
        self._tasks.focus()
        if self._runs is None:
            self.action_choose()
        else:
            self.action_read()

    @property
    def _benchmarks(self) -> VirtualTable[BenchmarkComparison]:
        return cast("VirtualTable[BenchmarkComparison]", self.query_one("#benchmarks", VirtualTable))

    @property
    def _tasks(self) -> VirtualTable[TaskPair]:
        return cast("VirtualTable[TaskPair]", self.query_one("#tasks", VirtualTable))

    # -- reading

    def action_read(self) -> None:
        if self._runs is not None:
            self._head("comparing ...")
            self.run_worker(partial(self._read, *self._runs), group="read", exclusive=True)

    async def _read(self, first: str, second: str) -> None:
        try:
            self._found = await self.link.read(lambda queries: read_comparison(queries, first, second))
        except StackbenchError as error:
            self._found = None
            self._head(f"✗ {error}")
            self._benchmarks.show(ListRows(()))
            self._tasks.show(ListRows(()))
            self.query_one("#tasks-title", Static).update("")
            return
        self._benchmarks.show(ListRows(self._found.comparison.benchmarks))
        self._benchmarks.styles.height = len(self._found.comparison.benchmarks) + 1
        self._show_head()
        self._show_tasks()

    def _head(self, text: str) -> None:
        self.query_one("#compared", Static).update(line(text))

    def _show_head(self) -> None:
        if self._found is None:
            return
        text = Text(no_wrap=True, overflow="ellipsis")
        for letter, run in zip("AB", self._found.comparison.runs, strict=True):
            text.append(f"{letter}  ", style="bold")
            text.append(f"{cut_line(run.run_id)}  {run.status}  {cut_line(run.model)}\n")
        warnings, settings = self._found.comparison.warnings, self._found.settings
        counted = f"{len(warnings)} warnings, {len(settings)} settings differ: w shows them"
        text.append(f"! {counted}" if warnings else counted, style="bold" if warnings else "dim")
        self.query_one("#compared", Static).update(text)

    def _show_tasks(self) -> None:
        benchmark = self._benchmarks.row
        if benchmark is None:
            return
        pairs = tasks_shown(benchmark, self._shown, self._words)
        self._tasks.show(ListRows(pairs))
        text = Text(f"{cut_line(benchmark.benchmark)}: ", style="bold", no_wrap=True, overflow="ellipsis")
        for name in SHOWN:
            count = len(tasks_shown(benchmark, name, self._words))
            text.append(f" {name} {count} ", style="reverse bold" if name == self._shown else "dim")
        if self._words:
            text.append(f"  /{cut_line(' '.join(self._words))}", style="dim")
        self.query_one("#tasks-title", Static).update(text)

    def on_virtual_table_moved(self, message: VirtualTable.Moved) -> None:
        if message.table.id == "benchmarks":
            self._show_tasks()

    def on_virtual_table_chosen(self, message: VirtualTable.Chosen) -> None:
        if message.table.id == "benchmarks":
            self._tasks.focus()
        else:
            self.action_answers()

    def set_filter(self, text: str) -> None:
        self._words = text.lower().split()
        self._show_tasks()

    # -- keys

    def action_show(self, by: int) -> None:
        self._shown = SHOWN[(SHOWN.index(self._shown) + by) % len(SHOWN)]
        self._show_tasks()

    def action_other_table(self) -> None:
        (self._tasks if self._benchmarks.has_focus else self._benchmarks).focus()

    def action_swap(self) -> None:
        if self._runs is not None:
            self._runs = (self._runs[1], self._runs[0])
            self.show_place()
            self.action_read()

    def action_notes(self) -> None:
        if self._found is not None:
            self.app.push_screen(NotesDialog(self._found))

    def action_answers(self) -> None:
        benchmark, pair, runs = self._benchmarks.row, self._tasks.row, self._runs
        if self._found is None or benchmark is None or runs is None:
            return
        if pair is None:
            self.tell("no task is shown; f shows other ones")
            return
        name = benchmark.benchmark
        first, second = (run.run_id for run in self._found.comparison.runs)

        async def open_both() -> None:
            from stackbench.tui.side_by_side.side_screen import SideScreen

            keys = await self.link.read(lambda queries: read_attempts(queries, (first, second), name, pair))
            if keys is None:
                self.tell("an attempt of these is not recorded any more; r reads again", bad=True)
                return
            self.app.push_screen(SideScreen((first, keys[0]), (second, keys[1])))

        self.attempt(open_both, group="answers")

    def action_choose(self) -> None:
        self.attempt(self._choose, group="choose")

    async def _choose(self) -> None:
        runs = await self.link.read(lambda q: list_runs(q, HEADLINES)) if self.link.has_database else []
        if len(runs) < 2:
            self._head("✗ there are not two runs in this home to compare; esc goes back")
            return
        self._ask("Compare which run (A)?", runs, None)

    def _ask(self, question: str, runs: list[ListedRun], first: str | None) -> None:
        def chosen(place: int | None) -> None:
            if place is None:
                if self._runs is None:
                    self._head("two runs are needed: c chooses them; on the list of runs space marks them")
            elif first is None:
                rest = [run for run in runs if run is not runs[place]]
                self._ask("With which run (B)?", rest, runs[place].run_id)
            else:
                self._runs = (first, runs[place].run_id)
                self.show_place()
                self.action_read()

        self.app.push_screen(ChooseScreen(question, [_told(run) for run in runs]), chosen)


def _told(run: ListedRun) -> str:
    names = " ".join(one.name for one in run.benchmarks)
    return "  ".join(part for part in (run.run_id, run.labels.name, run.status, run.model, names) if part)
