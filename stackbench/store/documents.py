"""Makes JSON and text storable in the database: no lone surrogates, no NaN."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterable
from typing import Any, cast

from stackbench import nesting
from stackbench.nesting import is_object

__all__ = ["document", "document_of_text", "hash_text", "text"]

ENCODE = json.JSONEncoder(allow_nan=False, default=str).encode
"""One encoder for all: `json.dumps` makes one for each call with such options."""
ESCAPE = re.compile(r"\\(?:ud[89ab]..\\ud[c-f]..|u....|.)")
SURROGATE = "\\ud"


def document(value: Any) -> str:
    """JSON of a value. A number that JSON has not becomes null, a lone surrogate the text of its escape, what JSON does
    not know its text.

    Raises:
        ValueError: it is nested without end, or too deep.
    """
    try:
        try:
            dumped = ENCODE(value)
        except (ValueError, TypeError):
            dumped = json.dumps(_finite(value), default=str)
    except RecursionError as error:
        raise ValueError("a document that is nested too deep") from error
    return _legible(dumped)


def document_of_text(given: str) -> str:
    """Text that is JSON as it is, any other as a JSON string."""
    try:
        return _legible(json.dumps(nesting.loads(given), allow_nan=False))
    except ValueError:
        return document(given)


def text(given: str | None) -> str | None:
    """Text with each lone surrogate as the text of its escape; what is no text, as text."""
    if given is None:
        return None
    if not isinstance(given, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        given = str(given)
    return given if given.isascii() else given.encode("utf-8", "backslashreplace").decode("utf-8")


def hash_text(given: str) -> tuple[str, str]:
    """The sha256 of a text's UTF-8 in hexadecimal, under which `texts` holds it, and the text as it is held."""
    kept = text(given) or ""
    return hashlib.sha256(kept.encode()).hexdigest(), kept


def _legible(dumped: str) -> str:
    """JSON without lone surrogates, which the database refuses."""
    return ESCAPE.sub(_spelled_out, dumped) if SURROGATE in dumped else dumped


def _spelled_out(match: re.Match[str]) -> str:
    escape = match[0]
    return "\\" + escape if escape.startswith(SURROGATE) and len(escape) == 6 else escape


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if is_object(value):
        return {str(name): _finite(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in cast("Iterable[Any]", value)]
    return value
