"""Counts tokens of texts from the counts of their parts, so that a long text need not be tokenised to know its length.

Tokenizers split a text at spaces and line ends before they merge bytes (or, without such a split, merge nothing across
them), so the counts of words add up. Where a word's line end belongs differs: some join it to the sign before it, some
to the space behind it. What adds up for the tokenizer at hand is measured first.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterable, Sequence

__all__ = ["CountPieces", "TokenTable"]

CountPieces = Callable[[Sequence[str]], Sequence[int]]
"""Tokens of each text by itself, without special tokens."""
SPLITS = {
    "words with their line ends": re.compile(r"[ \t]*\S+\n*|\s+"),
    "words with the space before them": re.compile(r"\s*\S+|\s+"),
    "lines": re.compile(r"[^\n]*\n+|[^\n]+"),
}
ESTIMATE = "estimate"
ANCHORS = ("a", "a\n")
"""Stand before parts that begin with a space, and others, so that what a tokenizer puts before every text is known."""
MOST_KEPT = 500_000
MOST_LINES = 20_000
"""Texts whose counts are kept whole: the sentences of the pool, which come again and again."""


class TokenTable:
    """Token counts of parts that were seen before, by the part. Not thread-safe."""

    def __init__(self, count: CountPieces | None, samples: Sequence[str], per_character: float = 0.25) -> None:
        """`samples` show what the texts are like; without `count`, lengths are estimates by characters."""
        self._count = count
        self._known: dict[str, int] = {}
        self._split = next(iter(SPLITS.values()))
        self._per_character = per_character
        self._anchors: list[int] = []
        self._lines: dict[str, int] = {}
        self.level = ESTIMATE
        """What adds up."""
        if count is None:
            return
        self._anchors = list(count(ANCHORS))
        texts = [*samples, "".join(samples)]
        whole = self._ask(texts)
        for level, split in SPLITS.items():
            self._split = split
            self._known = {}
            if [self._sum(text) for text in texts] == whole and sum(whole[:-1]) == whole[-1]:
                self.level = level
                return
        self._per_character = sum(whole) / sum(map(len, texts))

    @property
    def exact(self) -> bool:
        """Whether the counts are the tokenizer's own."""
        return self.level != ESTIMATE

    def count(self, text: str) -> int:
        """Tokens of a text that begins at a line's beginning, behind a line's end."""
        if self.level == ESTIMATE:
            return round(len(text) * self._per_character)
        return self._sum(text)

    def counts(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each."""
        if self.level == ESTIMATE:
            return [self.count(text) for text in texts]
        new = [text for text in texts if text not in self._lines]
        parts = [self._split.findall(text) for text in new]
        self._learn(itertools.chain.from_iterable(parts))
        known = self._known.__getitem__
        found = dict(zip(new, [sum(map(known, some)) for some in parts], strict=True))
        counts = [found[text] if text in found else self._lines[text] for text in texts]
        if len(self._lines) < MOST_LINES:
            self._lines |= found
        return counts

    def _sum(self, text: str) -> int:
        parts = self._split.findall(text)
        try:
            return sum(map(self._known.__getitem__, parts))
        except KeyError:
            self._learn(parts)
            return sum(map(self._known.__getitem__, parts))

    def _learn(self, parts: Iterable[str]) -> None:
        if len(self._known) > MOST_KEPT:
            self._known.clear()
        unknown = list({part for part in parts if part not in self._known})
        for part, tokens in zip(unknown, self._ask(unknown), strict=True):
            self._known[part] = tokens

    def _ask(self, texts: Sequence[str]) -> list[int]:
        if not texts:
            return []
        assert self._count is not None
        behind = [0 if text[0].isspace() else 1 for text in texts]
        found = self._count([ANCHORS[which] + text for which, text in zip(behind, texts, strict=True)])
        return [tokens - self._anchors[which] for which, tokens in zip(behind, found, strict=True)]
