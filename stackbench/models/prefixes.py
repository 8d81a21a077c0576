"""What the decoding loop has read before: beginnings of prompts, with their keys and values. Imports torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from transformers import DynamicCache

from stackbench.models.kv_cache import bytes_of

__all__ = ["NO_PREFIX", "SHORTEST_PREFIX", "KnownPrefix", "PrefixStore", "common_prefix"]

SHORTEST_PREFIX = 24
"""Tokens below which reading again is cheaper than copying."""


@dataclass(frozen=True, slots=True)
class KnownPrefix:
    """The first `length` positions of a one-row cache."""

    cache: DynamicCache | None
    length: int


NO_PREFIX = KnownPrefix(None, 0)


@dataclass(frozen=True, slots=True, eq=False)
class _Kept:
    ids: list[int]
    prompt: int
    """How many of them were asked; the rest was answered."""
    cache: DynamicCache


class PrefixStore:
    """One-row caches by the tokens they hold; over `budget_bytes`, those go that were not used for longest."""

    def __init__(self, budget_bytes: int) -> None:
        self.budget_bytes = budget_bytes
        self._kept: list[_Kept] = []
        """The last used is last."""

    def find(self, ids: Sequence[int], *, at_most: int) -> KnownPrefix:
        """The longest known beginning of `ids`, of `at_most` tokens; `NO_PREFIX` where it is not worth copying."""
        best, longest = None, SHORTEST_PREFIX - 1
        for kept in reversed(self._kept):
            length = min(common_prefix(ids, kept.ids), at_most)
            if length > longest:
                best, longest = kept, length
        if best is None:
            return NO_PREFIX
        self._kept.remove(best)
        self._kept.append(best)
        return KnownPrefix(best.cache, longest)

    def keep(self, ids: list[int], prompt: int, cache: DynamicCache) -> None:
        """Keeps a one-row cache that holds `ids`, the first `prompt` of which were asked.

        A chat's earlier turns go: what was asked then is the beginning of this. Their answers need not be, since a
        template may write an answer otherwise than the model did.
        """
        self._kept = [kept for kept in self._kept if common_prefix(ids, kept.ids) < kept.prompt]
        self._kept.append(_Kept(ids, prompt, cache))
        held = sum(bytes_of(kept.cache) for kept in self._kept)
        while held > self.budget_bytes:
            held -= bytes_of(self._kept.pop(0).cache)

    def clear(self) -> None:
        """Forgets everything."""
        self._kept = []


def common_prefix(first: Sequence[int], second: Sequence[int]) -> int:
    """How many first tokens two lists share, by bisection: slices compare faster than tokens one by one."""
    low, high = 0, min(len(first), len(second))
    while low < high:
        middle = (low + high + 1) // 2
        if first[low:middle] == second[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low
