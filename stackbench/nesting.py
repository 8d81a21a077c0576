"""Reads JSON from models and servers with a limit on nesting depth, and narrows values of unknown shape."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from stackbench.errors import one_line

if TYPE_CHECKING:
    from typing_extensions import TypeIs

__all__ = ["DEEPEST", "fault_in_line", "is_array", "is_deep", "is_object", "loads", "object_of"]

DEEPEST = 100
TOKEN = re.compile(r'"(?:[^"\\]++|\\.?)*+(?:"|\Z)|[\[{]|[\]}]', re.DOTALL)
"""Strings, one without an end to the end of the text, and brackets: each character is looked at once."""


def loads(text: str) -> Any:
    """As `json.loads`, but text nested deeper than `DEEPEST` is an error like any other.

    Python's own parser goes down with the text until its stack is full, and whatever is cleaned up meanwhile fails too.

    Raises:
        ValueError: it is no JSON, or nested too deep.
    """
    if is_deep(text):
        raise ValueError(f"nested more than {DEEPEST} levels deep")
    return json.loads(text)


def fault_in_line(error: ValueError) -> str:
    """What is wrong with a line of a file that is no JSON, with the column and without the number of a line."""
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} at column {error.colno}"
    return one_line(error)


def is_object(value: object) -> TypeIs[dict[str, Any]]:
    """Whether a value of unknown shape is an object of JSON."""
    return isinstance(value, dict)


def is_array(value: object) -> TypeIs[list[Any]]:
    """Whether a value of unknown shape is an array of JSON."""
    return isinstance(value, list)


def object_of(text: str) -> dict[str, Any] | None:
    """The JSON object that a text is; None for any other text. Arguments left out altogether are an empty object."""
    try:
        found = loads(text or "{}")
    except ValueError:
        return None
    return found if is_object(found) else None


def is_deep(text: str) -> bool:
    """Whether a text has brackets nested deeper than `DEEPEST`, those in its strings aside."""
    return text.count("[") + text.count("{") > DEEPEST and _depth(text) > DEEPEST


def _depth(text: str) -> int:
    deepest = depth = 0
    for match in TOKEN.finditer(text):
        token = match[0]
        if token in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif token in "]}":
            depth -= 1
    return deepest
