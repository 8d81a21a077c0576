"""An agent's sandbox: its files, and a shell in it."""

# An app of Textual has a type variable that its screens leave open.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false
from __future__ import annotations

import posixpath
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, ClassVar, cast

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.widgets import Input, Static

from stackbench.control.answers import FileEntry, FileListed, FileRead, ShellResult
from stackbench.errors import StackbenchError
from stackbench.tui.followed_scroll import FollowedScroll
from stackbench.tui.row_sources import ListRows
from stackbench.tui.safe_text import block, cut_line
from stackbench.tui.text_pane import TextPane
from stackbench.tui.tones import tones_of
from stackbench.tui.virtual_table import Cell, Column, VirtualTable

__all__ = ["Ask", "FilesPane", "ShellPane"]

Ask = Callable[..., Awaitable[Any]]
"""Asks a verb of the agent in view. Raises StackbenchError."""
FILE_COLUMNS = (Column("name", 10, grows=True), Column("bytes", 9, right=True), Column("mode", 5, needs=44))
WORKSPACE = "/workspace"
LINES_KEPT = 400
UP = FileEntry(name="..", kind="directory", size=0, mode=0)


class FilesPane(Horizontal):
    """A folder, and the file at the cursor once it is opened."""

    DEFAULT_CSS = """
    FilesPane #folder { width: 2fr; }
    FilesPane #file { width: 3fr; }
    FilesPane .title { height: 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("backspace,left", "up", "Folder above", show=False),
        Binding("R", "reload", "Read again", show=False),
    ]

    class Told(Message):
        """Something for the operator."""

        def __init__(self, text: str) -> None:
            self.text = text
            super().__init__()

    def __init__(self, ask: Ask, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._ask = ask
        self._path = "."
        self.text = ""
        """Of the file in view."""

    def compose(self) -> ComposeResult:
        with Vertical(id="folder"):
            yield Static(classes="title", id="folder-title", markup=False)
            yield VirtualTable[FileEntry](FILE_COLUMNS, _cells, id="entries", empty="empty")
        with Vertical(id="file"):
            yield Static(classes="title", id="file-title", markup=False)
            yield TextPane(id="file-text")

    @property
    def _table(self) -> VirtualTable[FileEntry]:
        return cast("VirtualTable[FileEntry]", self.query_one("#entries", VirtualTable))

    def show(self, path: str = ".") -> None:
        """Reads a folder."""
        self._path = posixpath.normpath(path)
        self.run_worker(self._list, group="files", exclusive=True)

    def clear(self) -> None:
        """Another agent is in view."""
        self._path = "."
        self._table.show(ListRows([]))
        self._open("", "")

    async def _list(self) -> None:
        try:
            found = FileListed.model_validate(await self._ask("files", path=self._path, content=True))
        except StackbenchError as error:
            self.post_message(self.Told(str(error)))
            return
        entries = sorted(found.entries, key=lambda one: (one.kind != "directory", one.name))
        top = [UP] if self._path != "." else []
        self._table.show(ListRows([*top, *entries]))
        cut = f"   the first {len(entries)}" if found.cut else ""
        where = posixpath.normpath(f"{WORKSPACE}/{found.path}")
        self.query_one("#folder-title", Static).update(Text(cut_line(f"{where}{cut}", 200)))

    async def _read(self, path: str) -> None:
        try:
            found = FileRead.model_validate(await self._ask("read", path=path, content=True))
        except StackbenchError as error:
            self.post_message(self.Told(str(error)))
            return
        self._open(f"{found.path}   {found.size:,} bytes{', the first MiB' if found.cut else ''}", found.text)

    def _open(self, title: str, text: str) -> None:
        self.text = text
        self.query_one("#file-title", Static).update(Text(cut_line(title, 200)))
        self.query_one(TextPane).show_text(text)

    def on_virtual_table_chosen(self, message: VirtualTable.Chosen) -> None:
        message.stop()
        one = self._table.row
        if one is None:
            return
        path = posixpath.normpath(posixpath.join(self._path, one.name))
        if one.kind == "directory":
            self.show(path)
        else:
            self.run_worker(partial(self._read, path), group="files", exclusive=True)

    def action_up(self) -> None:
        if self._path != ".":
            self.show(posixpath.dirname(self._path) or ".")

    def action_reload(self) -> None:
        self.show(self._path)


class ShellPane(Vertical):
    """A command line at a time in the agent's sandbox, as the agent's user; the folder stays from one to the next."""

    DEFAULT_CSS = """
    ShellPane > FollowedScroll { height: 1fr; background: $surface; padding: 0 1; }
    ShellPane > FollowedScroll > Static { height: auto; width: 100%; }
    ShellPane > Horizontal { height: 1; background: $panel; }
    ShellPane #shell-folder { width: auto; padding: 0 1; color: $text-accent; }
    ShellPane Input { border: none; height: 1; padding: 0; background: $panel; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "recall(-1)", "Command before", show=False),
        Binding("down", "recall(1)", "Next command", show=False),
    ]

    def __init__(self, ask: Ask, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._ask = ask
        self._folder = WORKSPACE
        self._said = Text()
        self._asked: list[str] = []
        self._place = 0

    def compose(self) -> ComposeResult:
        with FollowedScroll(can_focus=False):
            yield Static(id="shell-log", markup=False)
        with Horizontal():
            yield Static(Text(f"{WORKSPACE} $"), id="shell-folder", markup=False)
            yield Input(placeholder="a command for the agent's sandbox; its transcript tells of it", compact=True)

    def clear(self) -> None:
        """Another agent is in view."""
        self._folder, self._said = WORKSPACE, Text()
        self._show()

    def focus_input(self) -> None:
        self.query_one(Input).focus()

    @on(Input.Submitted)
    def _entered(self, event: Input.Submitted) -> None:
        event.stop()
        command = event.value.strip()
        if not command:
            return
        event.input.value = ""
        self._asked.append(command)
        self._place = len(self._asked)
        tones = tones_of(self.app.current_theme)
        self._said.append(f"{cut_line(self._folder, 200)} $ ", style=tones["accent"])
        self._said.append(f"{cut_line(command, 2000)}\n", style="bold")
        self._show()
        self.run_worker(partial(self._run, command), group="shell")

    async def _run(self, command: str) -> None:
        tones = tones_of(self.app.current_theme)
        try:
            answer = await self._ask("shell", command=command, folder=self._folder, content=True)
            result = ShellResult.model_validate(answer["result"])
        except StackbenchError as error:
            self._said.append(f"{cut_line(str(error), 600)}\n", style=tones["bad"])
            self._show()
            return
        self._folder = result.folder or self._folder
        if result.output:
            self._said.append(f"{block(result.output, 20_000).rstrip()}\n")
        if result.ended != "exited":
            self._said.append(f"[{result.ended} {result.signal}]\n", style=tones["bad"])
        elif result.exit_code:
            self._said.append(f"[exit code {result.exit_code}]\n", style=tones["warn"])
        self._show()

    def _show(self) -> None:
        lines = self._said.split("\n", allow_blank=True)
        if len(lines) > LINES_KEPT:
            self._said = Text("\n").join(lines[-LINES_KEPT:])
        self.query_one("#shell-log", Static).update(self._said)
        self.query_one(FollowedScroll).follow()
        self.query_one("#shell-folder", Static).update(Text(f"{cut_line(self._folder, 40)} $"))

    def action_recall(self, by: int) -> None:
        if self._asked:
            self._place = max(0, min(len(self._asked), self._place + by))
            entry = self.query_one(Input)
            entry.value = self._asked[self._place] if self._place < len(self._asked) else ""
            entry.cursor_position = len(entry.value)


def _cells(one: FileEntry) -> list[Cell]:
    folder = one.kind == "directory"
    name = f"{one.name}{'/' if folder else ''}{f' -> {one.target}' if one.target else ''}"
    return [
        (name, "accent" if folder else ""),
        ("" if folder else f"{one.size:,}", "dim"),
        (f"{one.mode & 0o7777:04o}", "dim"),
    ]
