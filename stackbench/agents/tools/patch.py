"""`apply_patch`: several files changed at once, or none."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from pydantic import Field

from stackbench.agents.tools.base import Parameters, ToolOutcome, ToolRefusedError, Workspace
from stackbench.agents.tools.edits import read_text
from stackbench.errors import ToolError

__all__ = ["ApplyPatch", "FileChange", "Hunk", "LineSearch", "apply_hunks", "parse_patch"]

BEGIN, END = "*** Begin Patch", "*** End Patch"
ADD, DELETE, UPDATE, MOVE = "*** Add File: ", "*** Delete File: ", "*** Update File: ", "*** Move to: "
END_OF_FILE = "*** End of File"
MOST_STEPS = 20_000_000
SHOWN = 200
MOST_FILES = 500


@dataclass(slots=True)
class Hunk:
    """Lines to find and what to put in their place."""

    context: str = ""
    """A line above the place, from `@@ line`; empty for none."""
    old: list[str] = field(default_factory=list[str])
    new: list[str] = field(default_factory=list[str])
    at_end: bool = False
    """The lines are the file's last."""


@dataclass(slots=True)
class FileChange:
    """What a patch does to one file: `add`, `delete` or `update`."""

    kind: str
    path: str
    lines: list[str] = field(default_factory=list[str])
    """Of a file that is added."""
    move_to: str = ""
    hunks: list[Hunk] = field(default_factory=list[Hunk])


class ApplyPatchParameters(Parameters):
    input: str = Field(description=f"The patch, from '{BEGIN}' to '{END}'.")


class ApplyPatch:
    """Implements `Tool`."""

    name: ClassVar[str] = "apply_patch"
    description: ClassVar[str] = (
        "Add, change, move and delete files in one step; when any part does not fit, nothing is written. Format: "
        f"'{BEGIN}', then for each file '{ADD}PATH' with lines that begin with +, '{DELETE}PATH', or '{UPDATE}PATH' "
        f"(perhaps '{MOVE}PATH') with hunks: '@@' and optionally a line above the place, then lines that begin with a "
        f"space (kept), - (removed) or + (added); '{END_OF_FILE}' after a hunk ties it to the end. Last '{END}'."
    )
    parameters: ClassVar[type[Parameters]] = ApplyPatchParameters
    read_only: ClassVar[bool] = False

    async def call(self, asked: ApplyPatchParameters, workspace: Workspace) -> ToolOutcome:
        changes = await asyncio.to_thread(parse_patch, asked.input)
        writes: dict[str, bytes] = {}
        removals: list[str] = []
        said: list[str] = []
        for change in changes:  # everything is worked out before anything is written
            try:
                await _plan(change, workspace, writes, removals, said)
            except (ToolError, ToolRefusedError) as error:
                raise ToolRefusedError(f"{error}. Nothing was changed.") from error
        for path, data in writes.items():
            async with workspace.lock(path):
                await workspace.session.write(path, data, **workspace.where)
        for path in removals:
            await workspace.session.remove(path, **workspace.where)
        return ToolOutcome("\n".join(said), details={"files": len(changes)})


async def _plan(
    change: FileChange, workspace: Workspace, writes: dict[str, bytes], removals: list[str], said: list[str]
) -> None:
    path = change.path
    if path in writes or path in removals or (change.move_to and change.move_to in writes):
        raise ToolRefusedError(f"the patch changes {path} twice")
    if change.kind == "add":
        if await _exists(path, workspace):
            raise ToolRefusedError(f"{path} is there already; use '{UPDATE}{path}'")
        writes[path] = "".join(f"{line}\n" for line in change.lines).encode()
        said.append(f"added {path}")
        return
    if change.kind == "delete":
        status = await workspace.session.status(path, follow=False, **workspace.where)
        if status.kind == "directory":
            raise ToolRefusedError(f"{path} is a folder")
        removals.append(path)
        said.append(f"deleted {path}")
        return
    text = await read_text(path, workspace)
    data = text.encode(await asyncio.to_thread(apply_hunks, path, text.content, change.hunks))
    if not change.move_to or change.move_to == path:
        writes[path] = data
        said.append(f"changed {path}")
        return
    if await _exists(change.move_to, workspace):
        raise ToolRefusedError(f"{change.move_to} is there already")
    writes[change.move_to] = data
    removals.append(path)
    said.append(f"changed {path}, now {change.move_to}")


async def _exists(path: str, workspace: Workspace) -> bool:
    try:
        await workspace.session.status(path, follow=False, **workspace.where)
    except ToolError:
        return False
    return True


# -- the format


def parse_patch(text: str) -> list[FileChange]:
    """Reads a patch.

    Raises:
        ToolRefusedError: it is not in the format; names the line.
    """
    lines = text.strip().replace("\r\n", "\n").split("\n")
    if lines[0].strip() != BEGIN:
        raise ToolRefusedError(f"a patch begins with the line '{BEGIN}'")
    if lines[-1].strip() != END:
        raise ToolRefusedError(f"a patch ends with the line '{END}'")
    changes: list[FileChange] = []
    for number, line in enumerate(lines[1:-1], 2):
        header = _header(line)
        if header is not None:
            changes.append(header)
        elif not changes:
            raise ToolRefusedError(f"line {number} of the patch stands before any file: {line[:SHOWN]!r}")
        else:
            _take_line(changes[-1], line, number)
    if len(changes) > MOST_FILES:
        raise ToolRefusedError(f"the patch changes {len(changes)} files; at most {MOST_FILES} in one")
    if not changes:
        raise ToolRefusedError("the patch changes no file")
    for change in changes:
        if change.kind == "update" and not change.hunks and not change.move_to:
            raise ToolRefusedError(f"the patch changes nothing in {change.path}")
    return changes


def _header(line: str) -> FileChange | None:
    for start, kind in ((ADD, "add"), (DELETE, "delete"), (UPDATE, "update")):
        if line.startswith(start.rstrip()):
            path = line[len(start.rstrip()) :].strip()
            if not path:
                raise ToolRefusedError(f"'{line.strip()}' names no file")
            return FileChange(kind, path)
    return None


def _take_line(change: FileChange, line: str, number: int) -> None:
    if change.kind == "add":
        if not line.startswith("+"):
            raise ToolRefusedError(
                f"line {number} of the patch: a line of an added file begins with +: {line[:SHOWN]!r}"
            )
        change.lines.append(line[1:])
        return
    if change.kind == "delete":
        if line.strip():
            raise ToolRefusedError(f"line {number} of the patch: a deleted file has no lines: {line[:SHOWN]!r}")
        return
    if line.startswith(MOVE.rstrip()) and not change.hunks:
        change.move_to = line[len(MOVE.rstrip()) :].strip()
    elif line.startswith("@@"):
        change.hunks.append(Hunk(context=line[2:].strip().removesuffix("@@").strip()))
    elif line.strip() == END_OF_FILE:
        _hunk(change).at_end = True
    elif line == "" or line[0] == " ":
        _hunk(change).old.append(line[1:])
        _hunk(change).new.append(line[1:])
    elif line[0] == "-":
        _hunk(change).old.append(line[1:])
    elif line[0] == "+":
        _hunk(change).new.append(line[1:])
    else:
        raise ToolRefusedError(f"line {number} of the patch begins with neither space, + nor -: {line[:SHOWN]!r}")


def _hunk(change: FileChange) -> Hunk:
    if not change.hunks:
        change.hunks.append(Hunk())
    return change.hunks[-1]


# -- the places


def apply_hunks(path: str, content: str, hunks: Sequence[Hunk]) -> str:
    """The content with every hunk in its place, searched from the one before on.

    Lines are matched exactly, else without white space at their ends, else without any around them.

    Raises:
        ToolRefusedError: a hunk's lines are not there, or to look for all of them takes more than `MOST_STEPS` steps.
    """
    ended = content.endswith("\n") or not content
    lines = content.removesuffix("\n").split("\n") if content else []
    search = LineSearch(lines)
    made: list[str] = []
    at = 0
    for number, hunk in enumerate(hunks, 1):
        start = at
        if hunk.context:
            found = search.find([hunk.context], start, at_end=False)
            if found is None:
                raise ToolRefusedError(f"{path}: hunk {number}: no line {hunk.context[:SHOWN]!r}")
            start = found + 1
        if not hunk.old:  # only added lines: after the context, else at the end
            place = start if hunk.context else len(lines)
        else:
            place = search.find(hunk.old, start, at_end=hunk.at_end)
        if place is None:
            shown = "\n".join(line[:SHOWN] for line in hunk.old[:6])
            raise ToolRefusedError(f"{path}: hunk {number}: these lines are not there in this order:\n{shown}")
        made += lines[at:place]
        made += _kept_as_they_are(lines[place : place + len(hunk.old)], hunk)
        at = place + len(hunk.old)
    made += lines[at:]
    return "\n".join(made) + ("\n" if ended and made else "")


def _kept_as_they_are(found: Sequence[str], hunk: Hunk) -> list[str]:
    """The hunk's new lines, with kept lines as the file has them where they were matched loosely."""
    exact = dict(zip(hunk.old, found, strict=True))
    return [exact.get(line, line) for line in hunk.new]


class LineSearch:
    """Finds runs of lines in a file, each in steps that grow with the file's length and no faster."""

    def __init__(self, lines: Sequence[str]) -> None:
        self._lines = lines
        self._loosened: list[Sequence[str]] = [lines]
        self.steps = 0
        """Comparisons of lines so far."""

    def find(self, wanted: Sequence[str], start: int, *, at_end: bool) -> int | None:
        """Where the lines stand first from `start` on; with `at_end` they must be the file's last.

        Raises:
            ToolRefusedError: all searches together took more than `MOST_STEPS` steps.
        """
        if at_end:
            start = max(start, len(self._lines) - len(wanted))
        if len(self._lines) - start < len(wanted):
            return None
        for level, loosened in enumerate(LOOSER):
            if level == len(self._loosened):
                self._loosened.append([loosened(line) for line in self._lines])
            found = self._first(self._loosened[level], [loosened(line) for line in wanted], start)
            if found is not None:
                return found
        return None

    def _first(self, lines: Sequence[str], wanted: Sequence[str], start: int) -> int | None:
        """Knuth, Morris and Pratt: after a mismatch no line is looked at again."""
        self.steps += len(wanted) + len(lines) - start
        if self.steps > MOST_STEPS:
            raise ToolRefusedError(f"to find its places takes more than {MOST_STEPS} steps; make it smaller")
        borders = _borders(wanted)
        matched = 0
        for place in range(start, len(lines)):
            line = lines[place]
            while matched and line != wanted[matched]:
                matched = borders[matched - 1]
            if line == wanted[matched]:
                matched += 1
                if matched == len(wanted):
                    return place - matched + 1
        return None


def _borders(wanted: Sequence[str]) -> list[int]:
    """For each beginning of `wanted`: the length of the longest shorter beginning that is its end as well."""
    borders = [0] * len(wanted)
    length = 0
    for place in range(1, len(wanted)):
        while length and wanted[place] != wanted[length]:
            length = borders[length - 1]
        length += wanted[place] == wanted[length]
        borders[place] = length
    return borders


def _same(line: str) -> str:
    return line


LOOSER: Sequence[Callable[[str], str]] = (_same, str.rstrip, str.strip)
