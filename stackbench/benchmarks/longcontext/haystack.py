"""Puts a text of an exact number of tokens together: what is asked about, at its depths, within filler."""

from __future__ import annotations

import itertools
import random
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from stackbench.benchmarks.longcontext.token_table import TokenTable

__all__ = ["Haystack", "Placed", "Question", "Spacers", "Text", "fill"]

BATCH = 512
LEAST_LEFT = 40
"""Tokens that are left for spacers to fill exactly."""


@dataclass(frozen=True, slots=True)
class Placed:
    """A text to stand at a depth: 0.0 is the beginning, 1.0 the end."""

    text: str
    depth: float


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of a haystack, and how its answer is judged."""

    text: str
    answers: tuple[str, ...]
    """All of them are to be named, and nothing else."""
    candidates: tuple[str, ...] = ()
    """What could be named: every answer is one of them. Empty where answers are read by their shape."""
    shape: str = ""
    """A regular expression that finds named values in an answer."""
    kind: str = "names"
    """`names`, `number`, `code`."""
    support: tuple[str, ...] = ()
    """The documents that an answer rests on."""
    chance: float = 0.0
    """The score of a guess."""
    needle: str = ""
    """The sentence that holds the answer, where one does."""
    checks: tuple[str, ...] = ()
    """Expressions that are to hold when the answer's code has run."""
    setup: str = ""
    """A program that the answer's code belongs to."""
    depth: float | None = None
    """Where the evidence stands."""


@dataclass(frozen=True, slots=True)
class Text:
    """A text that ends with a line's end, and how long it is."""

    text: str
    tokens: int


@dataclass(frozen=True, slots=True)
class Haystack:
    """A text and questions about it."""

    hay: Text
    questions: tuple[Question, ...]


class Spacers:
    """Short lines without meaning for any question, by their number of tokens."""

    def __init__(self, lines: Sequence[str], tokens: TokenTable) -> None:
        self._by_count: dict[int, list[str]] = defaultdict(list)
        for line, count in zip(lines, tokens.counts(lines), strict=True):
            self._by_count[count].append(line)
        self._counts = sorted(self._by_count)

    @property
    def least(self) -> int:
        """Tokens of the shortest."""
        return self._counts[0]

    def lines(self, room: int, rng: random.Random) -> list[str]:
        """Lines of exactly `room` tokens together, or of as many as can be had below."""
        found: list[str] = []
        while room > 2 * self._counts[-1]:
            count = rng.choice(self._counts)
            found.append(rng.choice(self._by_count[count]))
            room -= count
        chosen = self._parts(room)
        return found + [rng.choice(self._by_count[count]) for count in chosen]

    def _parts(self, room: int) -> list[int]:
        """Up to three counts whose sum is nearest to `room` from below."""
        if room <= 0:
            return []
        best: tuple[int, list[int]] = (0, [])
        known = self._by_count
        for first in (0, *self._counts):
            if first > room:
                break
            if first == room:
                return [first]
            for second in (0, *self._counts):
                left = room - first - second
                if left < 0:
                    break
                parts = [count for count in (first, second) if count]
                if left == 0:
                    return parts
                if left in known:
                    return [*parts, left]
                if room - left > best[0]:
                    best = (room - left, parts)
        return best[1]


def fill(
    tokens: TokenTable,
    budget: int,
    placed: Sequence[Placed],
    filler: Iterator[str],
    spacers: Spacers,
    rng: random.Random,
    *,
    take: Callable[[str], None] | None = None,
) -> Text:
    """A text of `budget` tokens, or as few less as spacers allow.

    `take` is told each unit of filler that is used. Raises ValueError where what is placed does not fit.
    """
    sizes = tokens.counts([one.text for one in placed])
    room = budget - sum(sizes)
    if room < 0:
        raise ValueError(f"{sum(sizes)} tokens of what is asked about do not fit {budget}")
    units, counts = _take(tokens, room - LEAST_LEFT, filler, take)
    spaces = spacers.lines(room - sum(counts), rng)
    for line, count in zip(spaces, tokens.counts(spaces), strict=True):
        at = rng.randint(0, len(units))
        units.insert(at, line)
        counts.insert(at, count)
    ends = list(itertools.accumulate(counts))
    total = ends[-1] if ends else 0
    parts: list[str] = []
    done = 0
    for one in sorted(placed, key=lambda one: one.depth):
        at = len(units) if one.depth >= 1 else bisect_left(ends, one.depth * total)
        parts += units[done:at]
        parts.append(one.text)
        done = max(at, done)
    parts += units[done:]
    return Text("".join(parts), total + sum(sizes))


def _take(
    tokens: TokenTable, room: int, filler: Iterator[str], take: Callable[[str], None] | None
) -> tuple[list[str], list[int]]:
    """As many units as fit, with the tokens of each; the first that does not fit ends them."""
    units: list[str] = []
    counts: list[int] = []
    total = 0
    while True:
        batch = [unit for _, unit in zip(range(_batch(room - total)), filler, strict=False)]
        for unit, count in zip(batch, tokens.counts(batch), strict=True):
            if total + count > room:
                return units, counts
            total += count
            units.append(unit)
            counts.append(count)
            if take is not None:
                take(unit)
        if not batch:
            return units, counts


def _batch(room: int) -> int:
    """Units to make at once: about what is needed, and few of large ones."""
    return max(1, min(BATCH, room // 64 + 1))
