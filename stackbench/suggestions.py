"""Did you mean: the known name that a mistyped one is nearest to."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = ["did_you_mean", "nearest"]

CUTOFF = 0.6


def nearest(given: str, known: Iterable[str]) -> str | None:
    """The known name that is most like the given one, whatever its case; None where none is much like it."""
    by_lower = {name.lower(): name for name in known}
    found = difflib.get_close_matches(given.lower(), by_lower, n=1, cutoff=CUTOFF)
    return by_lower[found[0]] if found else None


def did_you_mean(given: str, known: Iterable[str]) -> str:
    """` (did you mean "NAME"?)`, to stand behind a name; empty where no known name is much like the given one."""
    found = nearest(given, known)
    return f' (did you mean "{found}"?)' if found is not None else ""
