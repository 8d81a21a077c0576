"""Regular expressions of scenario authors on text that an agent wrote: bounded in length and in time.

A pattern that is quick on what its author thought of may take years on what an agent thinks of. The `regex` library
reads Python's patterns, lets other threads go on meanwhile and ends at a time limit.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Annotated, Any, cast

from pydantic import AfterValidator

__all__ = [
    "DOTALL",
    "IGNORECASE",
    "MULTILINE",
    "LongTextError",
    "Pattern",
    "found",
    "fully_matches",
    "refuse_pattern",
    "refuse_patterns",
]

MOST_CHARACTERS = 4 << 20
MOST_S = 2.0
"""Of processor time, for one pattern on one text; what people write takes milliseconds."""
IGNORECASE, MULTILINE, DOTALL = 2, 8, 16
"""As the module `re` has them."""


class LongTextError(ValueError):
    """A text cannot be searched: it is too long, or the pattern takes too long on it."""


def found(pattern: str, text: str, flags: int = 0) -> bool:
    """Whether a pattern matches somewhere in a text.

    Raises:
        LongTextError: the text is too long, or the search took more than 2 s.
    """
    return _matched(pattern, text, flags, "search")


def fully_matches(pattern: str, text: str) -> bool:
    """Whether a pattern matches a whole text. Raises as `found`."""
    return _matched(pattern, text, 0, "fullmatch")


def _matched(pattern: str, text: str, flags: int, how: str) -> bool:
    if len(text) > MOST_CHARACTERS:
        raise LongTextError(f"its {len(text)} characters are more than can be searched ({MOST_CHARACTERS})")
    try:
        return getattr(_compiled(pattern, flags), how)(text, timeout=MOST_S) is not None
    except TimeoutError as error:
        raise LongTextError(f"the search for {pattern[:80]} in it took more than {MOST_S:g} s") from error


@lru_cache(maxsize=4096)
def _compiled(pattern: str, flags: int) -> Any:
    import regex

    return regex.compile(pattern, flags)


def refuse_pattern(pattern: str) -> str:
    """The pattern itself. Raises ValueError for what is no regular expression."""
    import regex

    try:
        _compiled(pattern, 0)
    except (regex.error, RecursionError, OverflowError) as error:
        raise ValueError(f"{pattern[:80]} is no regular expression: {error}") from error
    return pattern


def refuse_patterns(matchers: Mapping[str, Any]) -> None:
    """Raises ValueError where one of the matchers of a call is a regular expression, and none that can be read."""
    for name, matcher in matchers.items():
        if isinstance(matcher, dict) and next(iter(cast("dict[str, Any]", matcher)), "") == "regex":
            if not isinstance(matcher["regex"], str):
                raise ValueError(f"{name}: regex is a text")
            refuse_pattern(matcher["regex"])


Pattern = Annotated[str, AfterValidator(refuse_pattern)]
"""A regular expression, as the module `re` reads it."""
