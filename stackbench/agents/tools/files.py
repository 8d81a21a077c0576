"""`read`, `write`, `edit`: whole files and exact replacements in the workspace."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from stackbench.agents.tools.base import Parameters, ToolOutcome, ToolRefusedError, Workspace
from stackbench.agents.tools.text import Text, decode_file

__all__ = ["Edit", "Read", "Write"]

PIECE = 1 << 20
MOST_SEARCHED = 256 << 20
"""Bytes of a file that are gone through for a line."""
LONGEST_LINE = 4 * 50_000
"""Bytes of a line that are kept; the rest is counted."""
MOST_LINES = 2000
MOST_CHARACTERS = 50_000
LARGEST_EDITED = 16 << 20
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


class Read:
    """Implements `Tool`."""

    name: ClassVar[str] = "read"
    description: ClassVar[str] = "Read a text file. Long files are cut; the answer names the offset to go on from."
    parameters: ClassVar[type[Parameters]] = ReadParameters
    read_only: ClassVar[bool] = True

    async def call(self, asked: ReadParameters, workspace: Workspace) -> ToolOutcome:
        lines, more, size = await _lines(asked, workspace)
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
            keep = max(0, LONGEST_LINE - len(line))
            line, dropped = line + piece[:keep], dropped + max(0, len(piece) - keep)
            if number >= asked.offset and b"\0" in line:
                raise ToolRefusedError(f"{asked.path} is a binary file of {size} bytes")
            last = index == len(pieces) - 1
            if last and not (ended and (line or dropped)):
                break
            if number >= asked.offset:
                text = _line(asked.path, line, dropped)
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


def _line(path: str, line: bytes, dropped: int) -> str:
    """A line as it is shown; its end may have been `dropped`, so many bytes of it. Raises ToolRefusedError."""
    if dropped:  # a character may have been cut in two
        text = line.decode(errors="ignore")
        left = f"{len(text) - MOST_CHARACTERS + dropped}"
    else:
        text = decode_file(path, line.removesuffix(b"\r")).content
        left = str(len(text) - MOST_CHARACTERS)
    if len(text) <= MOST_CHARACTERS and not dropped:
        return text
    return f"{text[:MOST_CHARACTERS]} [... {left} characters of this line left out]"


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
            created = await workspace.session.write(asked.path, data, **workspace.where)
        word = "created" if created else "replaced"
        return ToolOutcome(f"{word} {asked.path}, {len(data)} bytes", details={"bytes": len(data), "created": created})


class EditParameters(Parameters):
    path: str = Field(description="Path of the file, from the workspace.")
    old_text: str = Field(alias="oldText", description="Text to replace: exact, and once in the file.")
    new_text: str = Field(alias="newText", description="What to put in its place.")


class Edit:
    """Implements `Tool`."""

    name: ClassVar[str] = "edit"
    description: ClassVar[str] = "Replace one exact piece of text in a file."
    parameters: ClassVar[type[Parameters]] = EditParameters
    read_only: ClassVar[bool] = False

    async def call(self, asked: EditParameters, workspace: Workspace) -> ToolOutcome:
        if not asked.old_text:
            raise ToolRefusedError("oldText is empty; to write a whole file use write")
        async with workspace.lock(asked.path):
            text = await read_text(asked.path, workspace)
            old, new = (part.replace("\r\n", "\n") for part in (asked.old_text, asked.new_text))
            count = text.content.count(old)
            if count != 1:
                where = "not found" if count == 0 else f"found {count} times; give more of its surroundings"
                raise ToolRefusedError(f"{asked.path}: oldText was {where}. Nothing was changed.")
            if old == new:
                raise ToolRefusedError(f"{asked.path}: oldText and newText are the same. Nothing was changed.")
            line = text.content[: text.content.index(old)].count("\n") + 1
            await workspace.session.write(asked.path, text.encode(text.content.replace(old, new)), **workspace.where)
        return ToolOutcome(f"edited {asked.path} at line {line}", details={"line": line})


async def read_text(path: str, workspace: Workspace) -> Text:
    """A whole file as text. Raises ToolError, ToolRefusedError."""
    content = await workspace.session.read(path, size=LARGEST_EDITED, **workspace.where)
    if content.size > LARGEST_EDITED:
        raise ToolRefusedError(f"{path} has {content.size} bytes; at most {LARGEST_EDITED} can be edited")
    return decode_file(path, content.data)
