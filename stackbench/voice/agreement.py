"""Partial text that does not jump: words are shown as settled when two passes in a row agree on them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["LocalAgreement", "PartialText", "without_repeats"]

MOST_REPEATS = 2
LONGEST_PHRASE = 8


@dataclass(frozen=True, slots=True)
class PartialText:
    """The text so far: settled words, then those that may still change."""

    settled: str
    open: str

    @property
    def text(self) -> str:
        return f"{self.settled} {self.open}".strip()


class LocalAgreement:
    """Local agreement of two passes (Liu et al. 2020): the longest beginning that both share is settled.

    A settled word never changes; a pass that contradicts it adds nothing until the final text replaces all.
    """

    def __init__(self) -> None:
        self._settled: list[str] = []
        self._last: list[str] = []

    def update(self, text: str) -> PartialText:
        """The next pass over all of the turn so far."""
        words = without_repeats(text.split())
        shared = 0
        while shared < min(len(words), len(self._last)) and _bare(words[shared]) == _bare(self._last[shared]):
            shared += 1
        agrees = [_bare(word) for word in words[: len(self._settled)]] == [_bare(word) for word in self._settled]
        if agrees and shared > len(self._settled):
            self._settled += words[len(self._settled) : shared]
        self._last = words
        rest = words[len(self._settled) :] if agrees else []
        return PartialText(" ".join(self._settled), " ".join(rest))

    def reset(self) -> None:
        self._settled, self._last = [], []


def without_repeats(words: Sequence[str]) -> list[str]:
    """The words without a phrase that comes more than twice in a row: a decoder that loops."""
    kept: list[str] = []
    for word in words:
        kept.append(word)
        for size in range(1, LONGEST_PHRASE + 1):
            span = size * (MOST_REPEATS + 1)
            if len(kept) >= span:
                tail = [_bare(one) for one in kept[-span:]]
                if tail[:size] * (MOST_REPEATS + 1) == tail and any(not part.isdigit() for part in tail[:size]):
                    del kept[-size:]
                    break
    return kept


def _bare(word: str) -> str:
    return re.sub(r"[^\w]+", "", word).casefold() or word
