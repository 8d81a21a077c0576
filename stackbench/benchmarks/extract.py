"""Finds the program in a chat model's answer."""

from __future__ import annotations

import re
import textwrap

__all__ = ["defines", "extract_code", "function_body"]

# An opening fence with its language, then everything up to the closing fence or, in a cut answer, the end.
FENCE = re.compile(r"^[ \t]*```[ \t]*([\w+-]*)[^\n]*\n(.*?)(?:^[ \t]*```|\Z)", re.DOTALL | re.MULTILINE)
PYTHON = {"", "python", "py", "python3"}
CODE_START = re.compile(r"^(?:def |class |import |from \w+(?:\.\w+)* import |@|async def )", re.MULTILINE)


def extract_code(text: str, entry_point: str = "") -> str:
    """The program text of an answer.

    Of fenced Python blocks, the first that defines `entry_point`, else the longest; without a fence, what follows the
    first line that begins a definition or import; else the text as it is.
    """
    blocks = [textwrap.dedent(body) for language, body in FENCE.findall(text) if language.lower() in PYTHON]
    if blocks:
        named = [block for block in blocks if entry_point and defines(block, entry_point)]
        return named[0] if named else max(blocks, key=len)
    start = CODE_START.search(text)
    return text[start.start() :] if start else text


def defines(code: str, name: str) -> bool:
    """Whether the text defines or assigns a name at its top level."""
    return (
        re.search(rf"^(?:async\s+def|def|class)\s+{re.escape(name)}\b|^{re.escape(name)}\s*=(?!=)", code, re.MULTILINE)
        is not None
    )


def function_body(code: str) -> str:
    """A bare body made to follow a function's header: indented where it is not."""
    lines = [line for line in code.splitlines() if line.strip()]
    if lines and not lines[0][0].isspace():
        return textwrap.indent(code, "    ")
    return code
