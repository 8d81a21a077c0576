"""Two attempts at one task side by side; one that is still being made is waited for."""

# An app of Textual has a type variable that its screens leave open.
# pyright: reportUnknownMemberType=false
from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.widgets import Static

from stackbench.errors import StackbenchError
from stackbench.store import AttemptDetail, Queries, Reader, RunInfo
from stackbench.tui.attempt.parts import Part, head_text, parts_of
from stackbench.tui.room_screen import RoomScreen
from stackbench.tui.safe_text import line
from stackbench.tui.text_pane import TextPane
from stackbench.tui.tones import tones_of
from stackbench.types import AttemptKey

__all__ = ["Side", "SideScreen"]

LOOK_EVERY_S = 1.0

Side = tuple[str, AttemptKey]
"""A run's id and one of its attempts."""


class SideScreen(RoomScreen):
    """The same part of both; left and right choose which."""

    CSS_PATH = "side_screen.tcss"
    ROOM = "side by side"
    ABOUT = "Two attempts at one task. Left and right choose the part that both show."
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "part(-1)", "Part before", show=False),
        Binding("right,tab", "part(1)", "Next part"),
        Binding("o", "open", "Open the second"),
        Binding("y", "copy", "Copy the second"),
    ]

    def __init__(self, first: Side, second: Side) -> None:
        super().__init__()
        self._sides = (first, second)
        self._found: list[tuple[RunInfo, AttemptDetail] | None] = [None, None]
        self._chosen = "answer"

    def compose_room(self) -> ComposeResult:
        yield Static(id="part-names", markup=False)
        with Horizontal(id="panes"):
            for number in (0, 1):
                with Vertical(id=f"side-{number}", classes="side"):
                    yield Static(id=f"model-{number}", classes="model", markup=False)
                    yield Static(id=f"head-{number}", classes="side-head", markup=False)
                    yield TextPane(id=f"text-{number}")

    def place(self) -> tuple[str, ...]:
        key = self._sides[0][1]
        return (f"{key.benchmark} {key.task_id}", "side by side")

    def on_mount(self) -> None:
        super().on_mount()
        self.set_interval(LOOK_EVERY_S, self._look)
        self._look()

    def _look(self) -> None:
        if self.is_current and None in self._found:
            self.run_worker(self._load, group="load", exclusive=True, exit_on_error=False)

    async def _load(self) -> None:
        for number, (run_id, key) in enumerate(self._sides):
            if self._found[number] is None:
                try:
                    self._found[number] = await self.link.read(lambda q, r=run_id, k=key: _read(q, r, k))
                except StackbenchError as error:
                    self.query_one(f"#head-{number}", Static).update(line(str(error)))
                    continue
                if self._found[number] is None:
                    await self._tell_waiting(number, run_id)
        self._show()

    async def _tell_waiting(self, number: int, run_id: str) -> None:
        engine = await self.link.engine()
        mine = next((run for run in engine.runs if run.run_id == run_id), None)
        state = mine.phase if mine is not None else "ended without this attempt; see the run's log"
        self.query_one(f"#model-{number}", Static).update(line(f"run {run_id}: {state}"))

    def _names(self) -> list[str]:
        names: list[str] = []
        for found in self._found:
            if found is not None:
                names += [part.name for part in _parts(found) if part.name not in names]
        return names

    def _show(self) -> None:
        tones, names = tones_of(self.app.current_theme), self._names()
        if not names:
            return
        if self._chosen not in names:
            self._chosen = names[0]
        shown = Text(no_wrap=True, end="")
        for name in names:
            shown.append(f" {name} ", style=f"reverse bold {tones['accent']}" if name == self._chosen else tones["dim"])
        self.query_one("#part-names", Static).update(shown)
        for number, found in enumerate(self._found):
            if found is None:
                continue
            run, detail = found
            self.query_one(f"#model-{number}", Static).update(line(f"{run.model}  run {run.run_id}", "bold"))
            self.query_one(f"#head-{number}", Static).update(head_text(detail, tones))
            part = next((one for one in _parts(found) if one.name == self._chosen), None)
            pane = self.query_one(f"#text-{number}", TextPane)
            if part is None:
                pane.show_text(f"no {self._chosen}")
            elif part.shown is not None:
                pane.show_text(part.shown(tones))
            else:
                pane.show_text(part.raw or "(empty)", part.language)

    def action_part(self, by: int) -> None:
        names = self._names()
        if names:
            self._chosen = names[(names.index(self._chosen) + by) % len(names)] if self._chosen in names else names[0]
            self._show()

    def action_open(self) -> None:
        run_id, key = self._sides[1]
        if self._found[1] is not None:
            from stackbench.store.attempt_pages import AttemptFilter

            self.room_app.open_attempt(run_id, key, AttemptFilter())
        else:
            self.room_app.open_run(run_id)

    def action_copy(self) -> None:
        found = self._found[1]
        part = next((one for one in _parts(found) if one.name == self._chosen), None) if found is not None else None
        if part is not None:
            self.room_app.copy(part.raw)


def _parts(found: tuple[RunInfo, AttemptDetail]) -> list[Part]:
    run, detail = found
    return parts_of(detail, run.config.get("settings", {}))


def _read(queries: Queries, run_id: str, key: AttemptKey) -> tuple[RunInfo, AttemptDetail] | None:
    reader = Reader(queries)
    detail = reader.attempt(run_id, key)
    return None if detail is None else (reader.run(run_id), detail)
