"""`edit`: exact replacements in a file of the workspace, all of them or none."""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Sequence
from typing import Any, ClassVar

from pydantic import Field, model_validator

from stackbench.agents.tools.base import Parameters, ToolOutcome, ToolRefusedError, Workspace
from stackbench.agents.tools.text import Text, decode_file
from stackbench.nesting import is_object

__all__ = ["EditTool", "read_text"]

LARGEST_EDITED = 16 << 20
MOST_COMPARED = 2000
"""Lines of a file that are compared with a text that was not found."""
CLOSE = 0.6


class Replacement(Parameters):
    old_text: str = Field(alias="oldText", description="Text to replace: exact, and once in the file.")
    new_text: str = Field(alias="newText", description="What to put in its place.")


class EditParameters(Parameters):
    path: str = Field(description="Path of the file, from the workspace.")
    edits: list[Replacement] = Field(
        min_length=1, description="Replacements, each matched against the file as it is now; they must not overlap."
    )

    @model_validator(mode="before")
    @classmethod
    def _flat(cls, value: Any) -> Any:
        """Takes one replacement without the list, as older agents write it."""
        if is_object(value) and "edits" not in value and {"oldText", "newText"} & value.keys():
            rest = {name: one for name, one in value.items() if name not in ("oldText", "newText")}
            return {**rest, "edits": [{name: value[name] for name in ("oldText", "newText") if name in value}]}
        return value


class EditTool:
    """Implements `Tool`."""

    name: ClassVar[str] = "edit"
    description: ClassVar[str] = "Replace exact pieces of text in a file; nothing is changed when one does not fit."
    parameters: ClassVar[type[Parameters]] = EditParameters
    read_only: ClassVar[bool] = False

    async def call(self, asked: EditParameters, workspace: Workspace) -> ToolOutcome:
        async with workspace.lock(asked.path):
            text = await read_text(asked.path, workspace)
            changed, lines = _replaced(asked, text.content)
            await workspace.session.write(asked.path, text.encode(changed), **workspace.where)
        at = f"line {lines[0]}" if len(lines) == 1 else f"lines {', '.join(map(str, lines))}"
        return ToolOutcome(f"edited {asked.path} at {at}", details={"line": lines[0], "edits": len(lines)})


def _replaced(asked: EditParameters, content: str) -> tuple[str, list[int]]:
    """The new content, and the line of each replacement. Raises ToolRefusedError."""
    places: list[tuple[int, int, str]] = []
    for number, edit in enumerate(asked.edits, 1):
        old, new = (part.replace("\r\n", "\n") for part in (edit.old_text, edit.new_text))
        name = "oldText" if len(asked.edits) == 1 else f"oldText of edit {number}"
        if not old:
            raise ToolRefusedError(f"{asked.path}: {name} is empty; to write a whole file use write")
        count = content.count(old)
        if count != 1:
            where = _closest(content, old) if count == 0 else f"found {count} times; give more of its surroundings"
            raise ToolRefusedError(f"{asked.path}: {name} was {where}. Nothing was changed.")
        if old == new:
            raise ToolRefusedError(f"{asked.path}: {name} and its newText are the same. Nothing was changed.")
        at = content.index(old)
        places.append((at, at + len(old), new))
    places.sort()
    for (_, end, _), (begin, _, _) in itertools.pairwise(places):
        if begin < end:
            raise ToolRefusedError(f"{asked.path}: two edits overlap. Nothing was changed.")
    made, at = "", 0
    for begin, end, new in places:
        made += content[at:begin] + new
        at = end
    return made + content[at:], [content[:begin].count("\n") + 1 for begin, _, _ in places]


def _closest(content: str, old: str) -> str:
    """That a text was not found, with the lines that are most like its first one."""
    lines: Sequence[str] = content.split("\n")[:MOST_COMPARED]
    first = next((line for line in old.split("\n") if line.strip()), "")[:500]
    found = difflib.get_close_matches(first, [line[:500] for line in lines], n=3, cutoff=CLOSE) if first else []
    if not found:
        return "not found"
    shown = "; ".join(
        f"line {lines.index(one) + 1}: {one.strip()[:200]}" for one in dict.fromkeys(found) if one in lines
    )
    return f"not found; the closest is {shown}" if shown else "not found"


async def read_text(path: str, workspace: Workspace) -> Text:
    """A whole file as text. Raises ToolError, ToolRefusedError."""
    content = await workspace.session.read(path, size=LARGEST_EDITED, **workspace.where)
    if content.size > LARGEST_EDITED:
        raise ToolRefusedError(f"{path} has {content.size} bytes; at most {LARGEST_EDITED} can be edited")
    return decode_file(path, content.data)
