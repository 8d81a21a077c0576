"""What is wrong with a value that somebody gave, in plain words: of a fault that pydantic found."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["WORDS", "fault_in_words"]

WORDS: Mapping[str, str] = {
    "int_parsing": "takes a whole number",
    "int_type": "takes a whole number",
    "int_from_float": "takes a whole number",
    "int_parsing_size": "takes a smaller whole number",
    "float_parsing": "takes a number",
    "float_type": "takes a number",
    "finite_number": "takes a finite number",
    "bool_parsing": "takes true or false",
    "bool_type": "takes true or false",
    "string_type": "takes a text",
    "greater_than_equal": "is to be at least {ge:g}",
    "greater_than": "is to be greater than {gt:g}",
    "less_than_equal": "is to be at most {le:g}",
    "less_than": "is to be less than {lt:g}",
}
"""By pydantic's types of faults; the names in braces are in a fault's context."""


def fault_in_words(fault: Mapping[str, Any]) -> str:
    """A fault of `ValidationError.errors()`, to stand behind a name and a colon."""
    words = WORDS.get(str(fault["type"]))
    if words is not None:
        return words.format_map(fault.get("ctx", {}))
    return str(fault["msg"]).removeprefix("Value error, ")
