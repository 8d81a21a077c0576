"""Screen 4: one attempt: what was asked, what came back, what became of it."""

# An app of Textual has a type variable that its screens leave open.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false
from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.widgets import Static

from stackbench.store import AttemptDetail, Queries, Reader, RunInfo
from stackbench.store.attempt_pages import AttemptFilter, read_neighbour
from stackbench.tui.attempt.parts import Part, head_text, parts_of
from stackbench.tui.dialogs import AskScreen
from stackbench.tui.editor import edit
from stackbench.tui.numbered_tabs import tabs_text
from stackbench.tui.room_screen import RoomScreen
from stackbench.tui.text_pane import TextPane
from stackbench.tui.tones import tones_of
from stackbench.types import AttemptKey

__all__ = ["AttemptScreen"]

NOT_PASSED = AttemptFilter(outcome="not passed")


class AttemptScreen(RoomScreen):
    """Shows the prompt beside another part where there is room, else one part at a time."""

    CSS_PATH = "attempt_screen.tcss"
    HORIZONTAL_BREAKPOINTS = [(0, "-one-part"), (120, "-two-parts")]  # pyright: ignore[reportIncompatibleVariableOverride]
    ROOM = "attempt"
    ABOUT = "One attempt. Left and right choose the part; n and N go to the next and the previous that did not pass."
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "part(-1)", "Part before", show=False),
        Binding("right,tab", "part(1)", "Next part"),
        *(Binding(str(n), f"choose({n - 1})", f"Part {n}", show=False) for n in range(1, 8)),
        Binding("n", "go('not passed', True)", "Next failed"),
        Binding("N", "go('not passed', False)", "Previous failed", show=False),
        Binding("right_square_bracket", "go('', True)", "Next of the list", show=False),
        Binding("left_square_bracket", "go('', False)", "Previous of the list", show=False),
        Binding("g", "again", "Run again"),
        Binding("e", "edit", "Editor"),
        Binding("y", "copy", "Copy"),
        Binding("j", "scroll(1)", "Down", show=False),
        Binding("k", "scroll(-1)", "Up", show=False),
    ]

    def __init__(
        self, run_id: str, key: AttemptKey, among: AttemptFilter | None = None, *, newest_first: bool = True
    ) -> None:
        super().__init__()
        self.run_id = run_id
        self.key = key
        self._among = among or AttemptFilter()
        self._newest_first = newest_first
        """Whether the list that this attempt was opened from goes back in time."""
        self._run: RunInfo | None = None
        self._parts: list[Part] = []
        self._chosen = ""
        self._detail: AttemptDetail | None = None

    def compose_room(self) -> ComposeResult:
        yield Static(id="verdict", markup=False)
        yield Static(id="parts", markup=False)
        with Horizontal(id="panes"):
            with Vertical(id="first"):
                yield Static("prompt", classes="title", markup=False)
                yield TextPane(id="prompt")
            with Vertical(id="second"):
                yield Static(classes="title", id="part-title", markup=False)
                yield TextPane(id="part")

    def place(self) -> tuple[str, ...]:
        return (f"run {self.run_id}", f"{self.key.benchmark} {self.key.task_id}")

    def on_mount(self) -> None:
        super().on_mount()
        self.query_one("#part").focus()
        self.attempt(self._load, group="load")

    async def _load(self) -> None:
        run_id, key = self.run_id, self.key

        def read(queries: Queries) -> tuple[RunInfo, AttemptDetail | None]:
            reader = Reader(queries)
            return self._run or reader.run(run_id), reader.attempt(run_id, key)

        self._run, self._detail = await self.link.read(read)
        if self._detail is None:
            self.query_one("#verdict", Static).update(Text("this attempt is not recorded any more: it was requeued"))
            return
        self._parts = parts_of(self._detail, self._run.config.get("settings", {}))
        names = [part.name for part in self._parts]
        if self._chosen not in names:
            self._chosen = next(name for name in ("transcript", "answer", *names) if name in names)
        self._show()

    def _show(self) -> None:
        if self._detail is None:
            return
        tones = tones_of(self.app.current_theme)
        self.query_one("#verdict", Static).update(head_text(self._detail, tones))
        names = [part.name for part in self._parts]
        self.query_one("#parts", Static).update(tabs_text(names, self._chosen, tones))
        part = self._part()
        self.query_one("#part-title", Static).update(part.name)
        self.query_one("#prompt", TextPane).show_text(self._parts[0].raw)
        pane = self.query_one("#part", TextPane)
        if part.shown is not None:
            pane.show_text(part.shown(tones))
        else:
            pane.show_text(part.raw or "(empty)", part.language)

    def _part(self) -> Part:
        return next(part for part in self._parts if part.name == self._chosen)

    # -- keys

    def action_part(self, by: int) -> None:
        names = [part.name for part in self._parts]
        if names:
            self.action_choose((names.index(self._chosen) + by) % len(names))

    def action_choose(self, place: int) -> None:
        if place < len(self._parts):
            self._chosen = self._parts[place].name
            self._show()

    def action_scroll(self, by: int) -> None:
        focused = self.focused
        pane = focused if isinstance(focused, TextPane) else self.query_one("#part", TextPane)
        pane.scroll_relative(y=by, animate=False)

    def action_go(self, outcome: str, down: bool) -> None:
        """To a neighbour in the order of the list: `down` is what stands below."""
        wanted = NOT_PASSED if outcome else self._among
        forward = down is not self._newest_first

        async def go() -> None:
            run_id, key = self.run_id, self.key
            found = await self.link.read(lambda q: read_neighbour(q, run_id, wanted, key, forward=forward))
            if found is None:
                which = "that did not pass" if outcome else "in the list"
                self.tell(f"there is no {'later' if forward else 'earlier'} attempt {which}")
                return
            self.key = found
            self.show_place()
            await self._load()

        self.attempt(go, group="load")

    def action_copy(self) -> None:
        if self._parts:
            self.room_app.copy(self._part().raw)

    def action_edit(self) -> None:
        async def open_editor() -> None:
            part = self._part()
            edit(self.app, part.raw, part.suffix)

        if self._parts:
            self.attempt(open_editor, group="edit")

    def action_again(self) -> None:
        if self._run is None or self._detail is None:
            return
        run, key = self._run, self.key

        def entered(model: str | None) -> None:
            if model:
                self.attempt(lambda: self._again(run, key, model.strip()), group="again")

        question = f"Run {key.benchmark} {key.task_id} again with which model?"
        self.app.push_screen(AskScreen(question, run.model), entered)

    async def _again(self, run: RunInfo, key: AttemptKey, model: str) -> None:
        from stackbench.tui.side_by_side.side_screen import SideScreen
        from stackbench.tui.starting import once_more

        submission = await once_more(run, key, model)
        self.tell(f"running {key.task_id} again with {model} ...")
        second = await self.link.submit(submission)
        self.app.push_screen(
            SideScreen((run.run_id, key), (second, AttemptKey(key.benchmark, key.task_id, 0, key.seed)))
        )
