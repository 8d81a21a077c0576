"""`read`, `write`, `ls`: files and folders of the workspace."""

from __future__ import annotations

import difflib
import errno
import posixpath
from typing import ClassVar

from pydantic import Field

from stackbench.agents.tools.base import Parameters, ToolOutcome, ToolRefusedError, Workspace
from stackbench.agents.tools.text import decode_file
from stackbench.errors import ToolError
from stackbench.sandbox.records import Entry

__all__ = ["Ls", "Read", "Write"]

PIECE = 1 << 20
MOST_SEARCHED = 256 << 20
"""Bytes of a file that are gone through for a line."""
MOST_LINES = 2000
MOST_CHARACTERS = 51_200
LONGEST_LINE = 4 * MOST_CHARACTERS
"""Bytes of a line that are kept; the rest is counted."""
MOST_CURSOR = 16 << 20
MOST_LISTED = 500
CLOSE = 0.6
MAGIC = {
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"\xff\xd8\xff": "JPEG",
    b"GIF87a": "GIF",
    b"GIF89a": "GIF",
    b"RIFF": "WebP",
    b"BM": "BMP",
}


class ReadParameters(Parameters):
    path: str = Field(description="Path of the file, from the workspace.")
    offset: int = Field(default=1, ge=1, description="First line to read, counted from 1.")
    limit: int | None = Field(default=None, ge=1, description="Most lines to read.")
    cursor: int = Field(default=0, ge=0, le=MOST_CURSOR, description="First character of a long line, counted from 0.")
    optional: bool = Field(default=False, description="A file that is not there is no error.")


class Read:
    """Implements `Tool`."""

    name: ClassVar[str] = "read"
    description: ClassVar[str] = "Read a text file. Long files are cut; the answer names the offset to go on from."
    parameters: ClassVar[type[Parameters]] = ReadParameters
    read_only: ClassVar[bool] = True

    async def call(self, asked: ReadParameters, workspace: Workspace) -> ToolOutcome:
        try:
            lines, more, size = await _lines(asked, workspace)
        except ToolError as error:
            if error.errno != errno.ENOENT:
                raise
            if asked.optional:
                return ToolOutcome(f"(there is no {asked.path})", details={"lines": 0, "missing": True})
            raise ToolRefusedError(f"{error}{await _near(asked.path, workspace)}") from error
        if not lines:
            if asked.offset > 1:
                raise ToolRefusedError(f"{asked.path} has no line {asked.offset}; it has {size} bytes")
            return ToolOutcome("(an empty file)", details={"lines": 0})
        last = asked.offset + len(lines) - 1
        text = "\n".join(lines)
        if more:
            text += f"\n\n[lines {asked.offset}-{last}; the file goes on, read it with offset={last + 1}]"
        elif asked.offset > 1:
            text += f"\n\n[lines {asked.offset}-{last}, the end of the file]"
        return ToolOutcome(text, details={"lines": len(lines), "first": asked.offset, "more": more})


async def _near(path: str, workspace: Workspace) -> str:
    """A hint at entries of the same folder whose name is like that of a file that is not there."""
    folder, name = posixpath.split(path)
    try:
        entries = await workspace.session.list(folder or ".", **workspace.where)
    except ToolError:
        return ""
    near = difflib.get_close_matches(name[:200], [entry.path for entry in entries], n=3, cutoff=CLOSE)
    return f"; did you mean {', '.join(posixpath.join(folder, one) for one in near)}?" if near else ""


async def _lines(asked: ReadParameters, workspace: Workspace) -> tuple[list[str], bool, int]:
    """The lines that were asked for, as many as fit; whether there are more; the file's size.

    Raises:
        ToolError: the file cannot be read.
        ToolRefusedError: it is an image or binary, or the lines lie beyond `MOST_SEARCHED` bytes.
    """
    most = min(asked.limit or MOST_LINES, MOST_LINES)
    found: list[str] = []
    number, room, at, size = 1, MOST_CHARACTERS, 0, 0
    line, dropped = b"", 0
    while True:
        content = await workspace.session.read(asked.path, offset=at, size=PIECE, **workspace.where)
        size = content.size
        if at == 0:
            _refuse_images(asked.path, content.data, size)
        at += len(content.data)
        ended = at >= size or not content.data
        breaks = content.data.count(b"\n")
        if number + breaks < asked.offset:  # all of it stands before what was asked for
            number += breaks
            pieces = [content.data[content.data.rfind(b"\n") + 1 :]] if breaks else [content.data]
            if breaks:
                line, dropped = b"", 0
        else:
            pieces = content.data.split(b"\n")
        for index, piece in enumerate(pieces):
            keep = max(0, LONGEST_LINE + 4 * (asked.cursor if number == asked.offset else 0) - len(line))
            line, dropped = line + piece[:keep], dropped + max(0, len(piece) - keep)
            if number >= asked.offset and b"\0" in line:
                raise ToolRefusedError(f"{asked.path} is a binary file of {size} bytes")
            last = index == len(pieces) - 1
            if last and not (ended and (line or dropped)):
                break
            if number >= asked.offset:
                text = _line(asked.path, line, dropped, asked.cursor if number == asked.offset else 0)
                if len(found) == most or (found and len(text) > room):
                    return found, True, size
                found.append(text)
                room -= len(text) + 1
            number, line, dropped = number + 1, b"", 0
        if ended:
            return found, False, size
        if at >= MOST_SEARCHED:
            if found:
                return found, True, size
            problem = f"line {asked.offset} lies beyond the first {MOST_SEARCHED} of its {size} bytes"
            raise ToolRefusedError(f"{asked.path}: {problem}; use exec (tail, sed) to get there")


def _line(path: str, line: bytes, dropped: int, cursor: int) -> str:
    """A line as it is shown, from a character on; its end may have been `dropped`, so many bytes of it.

    Raises ToolRefusedError.
    """
    # Where the end was dropped, a character may have been cut in two.
    text = line.decode(errors="ignore") if dropped else decode_file(path, line.removesuffix(b"\r")).content
    text, whole = text[cursor:], len(text)
    if len(text) <= MOST_CHARACTERS and not dropped:
        return text
    left = whole - cursor - MOST_CHARACTERS + dropped
    on = f"; go on with cursor={cursor + MOST_CHARACTERS}"
    return f"{text[:MOST_CHARACTERS]} [... {left} characters of this line left out{on}]"


def _refuse_images(path: str, data: bytes, size: int) -> None:
    for magic, kind in MAGIC.items():
        if data.startswith(magic) and (kind != "WebP" or data[8:12] == b"WEBP"):
            raise ToolRefusedError(f"{path} is a {kind} image of {size} bytes; this tool reads text")


class WriteParameters(Parameters):
    path: str = Field(description="Path of the file, from the workspace.")
    content: str = Field(description="The whole new content.")


class Write:
    """Implements `Tool`."""

    name: ClassVar[str] = "write"
    description: ClassVar[str] = "Write a file, with its parent folders; a file that is there is replaced."
    parameters: ClassVar[type[Parameters]] = WriteParameters
    read_only: ClassVar[bool] = False

    async def call(self, asked: WriteParameters, workspace: Workspace) -> ToolOutcome:
        data = asked.content.encode()
        async with workspace.lock(asked.path):
            if await _holds(asked.path, data, workspace):
                return ToolOutcome(f"no changes: {asked.path} holds that already", details={"bytes": len(data)})
            created = await workspace.session.write(asked.path, data, **workspace.where)
        word = "created" if created else "replaced"
        return ToolOutcome(f"{word} {asked.path}, {len(data)} bytes", details={"bytes": len(data), "created": created})


async def _holds(path: str, data: bytes, workspace: Workspace) -> bool:
    try:
        found = await workspace.session.read(path, size=len(data) + 1, **workspace.where)
    except ToolError:
        return False
    return found.data == data and found.size == len(data)


class LsParameters(Parameters):
    path: str = Field(default=".", description="Path of the folder [the workspace].")
    limit: int = Field(default=MOST_LISTED, ge=1, le=10_000, description="Most entries.")
    after: str | None = Field(default=None, description="Go on after this name.")


class Ls:
    """Implements `Tool`."""

    name: ClassVar[str] = "ls"
    description: ClassVar[str] = "List a folder: names, with kind and size; where there are more, after which to go on."
    parameters: ClassVar[type[Parameters]] = LsParameters
    read_only: ClassVar[bool] = True

    async def call(self, asked: LsParameters, workspace: Workspace) -> ToolOutcome:
        entries = await workspace.session.list(asked.path, limit=100_000, **workspace.where)
        left = [entry for entry in entries if asked.after is None or entry.path > asked.after]
        shown = left[: asked.limit]
        lines = [_entry(entry) for entry in shown]
        if len(left) > len(shown):
            lines.append(f"[{len(left) - len(shown)} more; go on with after={shown[-1].path}]")
        return ToolOutcome("\n".join(lines) or "(an empty folder)", details={"entries": len(shown)})


def _entry(entry: Entry) -> str:
    match entry.kind:
        case "directory":
            return f"{entry.path}/"
        case "link":
            return f"{entry.path} -> {entry.target}"
        case "file":
            return f"{entry.path}  {entry.size} bytes"
        case _:
            return f"{entry.path}  ({entry.kind})"
