"""Regular expressions that take an answer out of a model's text, with a limit on time."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

__all__ = ["last_match", "refuse_bad_pattern"]

MOST_S = 2.0
"""Of processor time, for one pattern on one text."""


def refuse_bad_pattern(pattern: str) -> None:
    """Raises ValueError for what is no regular expression."""
    import regex

    try:
        _compiled(pattern)
    except (regex.error, RecursionError, OverflowError) as error:
        raise ValueError(f"{pattern[:80]} is no regular expression: {error}") from error


def last_match(pattern: str, text: str) -> str | None:
    """The last match in a text, or its first group where the pattern has groups; None where there is none.

    Raises:
        TimeoutError: the search took more than 2 s.
    """
    matches: list[Any] = list(_compiled(pattern).finditer(text, timeout=MOST_S))
    last = matches[-1] if matches else None
    if last is None:
        return None
    found = [group for group in last.groups() if group is not None]
    return found[0] if found else last[0]


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> Any:
    import regex

    return regex.compile(pattern, regex.MULTILINE)
