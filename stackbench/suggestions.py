"""Did you mean: the known name that a mistyped one is nearest to."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = ["did_you_mean", "nearest"]

CUTOFF = 0.6
OF_A_PART = 0.8
"""How much alike a given name and the beginning or the end of a longer one are to be."""
SHORTEST_PART = 4


def nearest(given: str, known: Iterable[str]) -> str | None:
    """The known name that is most like the given one, whatever its case; None where none is much like it.

    Where no whole name is, the one that begins or ends most like it: `smolm2` stands for `smollm2-135m-instruct`.
    """
    given = given.lower()
    by_lower = {name.lower(): name for name in known}
    found = difflib.get_close_matches(given, by_lower, n=1, cutoff=CUTOFF)
    if found:
        return by_lower[found[0]]
    if len(given) < SHORTEST_PART:
        return None
    likeness, best = max(
        ((_of_a_part(given, name), name) for name in by_lower), key=lambda one: one[0], default=(0, "")
    )
    return by_lower[best] if likeness >= OF_A_PART else None


def did_you_mean(given: str, known: Iterable[str]) -> str:
    """` (did you mean "NAME"?)`, to stand behind a name; empty where no known name is much like the given one."""
    found = nearest(given, known)
    return f' (did you mean "{found}"?)' if found is not None else ""


def _of_a_part(given: str, name: str) -> float:
    """How much the name's beginning or its end is like the given one; one letter more or less may be there."""
    lengths = range(len(given) - 1, min(len(given) + 1, len(name)) + 1)
    parts = {part for length in lengths for part in (name[:length], name[len(name) - length :])}
    return max((difflib.SequenceMatcher(None, given, part).ratio() for part in parts), default=0.0)
