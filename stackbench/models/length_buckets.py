"""Groups rows of similar length for decoding, so that short rows are not padded to long ones. Imports torch."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from transformers import DynamicCache

from stackbench.errors import GenerationError
from stackbench.models.kv_cache import rearrange_rows
from stackbench.models.sampling import SeenTokens
from stackbench.types import FinishReason, Generation, Request

__all__ = ["Bucket", "Row", "length_class", "longest_in_class", "regroup"]

SHORT_BITS = 10
"""Rows of up to 2^10 positions are of like length; from there on each doubling is a class of its own."""
MOST_ENDED = 8
"""One part in so many may have ended before the others are moved together."""


@dataclass(slots=True, eq=False)
class Row:
    """One request in the batch."""

    request: Request
    prompt_ids: list[int]
    max_tokens: int
    choice_ids: list[int]
    done: Callable[[Generation | GenerationError], None]
    arrived: float = field(default_factory=time.perf_counter)
    first_token_at: float | None = None
    token_times: list[float] = field(default_factory=list[float])
    """Of a streamed request."""
    ids: list[int] = field(default_factory=list[int])
    length: int = 0
    """Positions in the cache."""
    finish: FinishReason | None = None
    generator: torch.Generator | None = None
    seen: SeenTokens | None = None
    """Where the request penalises tokens."""

    def restart(self) -> None:
        """Forgets what was drawn; the same will be drawn again."""
        self.ids, self.token_times, self.length = [], [], 0
        self.first_token_at = self.finish = self.generator = self.seen = None


@dataclass(slots=True, eq=False)
class Bucket:
    """Rows that share one cache, right-aligned and masked on the left."""

    rows: list[Row]
    cache: DynamicCache
    next: torch.Tensor
    """The token that was drawn last for each row and has not been read, (B,)."""

    @property
    def live(self) -> list[int]:
        """The indices of rows that have not ended."""
        return [index for index, row in enumerate(self.rows) if row.finish is None]

    def mask(self) -> torch.Tensor:
        """What each row sees when one more token is read, (B, L + 1)."""
        total = self.cache.get_seq_length() + 1
        lengths = torch.tensor([row.length for row in self.rows])
        return (torch.arange(total)[None, :] >= (total - 1 - lengths)[:, None]).long()


def length_class(length: int) -> int:
    """Which rows a row of so many positions is decoded with."""
    return max(0, (length - 1).bit_length() - SHORT_BITS)


def longest_in_class(length: int) -> int:
    """The most positions that a row of the same class has."""
    return 1 << (SHORT_BITS + length_class(length))


def regroup(layers: int, buckets: Sequence[Bucket]) -> list[Bucket]:
    """The rows that have not ended, each among those of like length. What need not be copied stays as it is."""
    wanted: dict[int, list[tuple[Bucket, list[int]]]] = {}
    for bucket in buckets:
        classes: dict[int, list[int]] = {}
        for index in bucket.live:
            classes.setdefault(length_class(bucket.rows[index].length + 1), []).append(index)
        for number, indices in classes.items():
            wanted.setdefault(number, []).append((bucket, indices))
    kept: list[Bucket] = []
    moved: list[list[tuple[Bucket, list[int]]]] = []
    for parts in wanted.values():
        bucket, indices = parts[0]
        ended = sum(row.finish is not None for row in bucket.rows)
        if len(parts) == 1 and len(indices) + ended == len(bucket.rows) and ended <= len(bucket.rows) // MOST_ENDED:
            kept.append(bucket)
        else:
            moved.append(parts)
    widths = [max(bucket.rows[i].length for bucket, indices in parts for i in indices) for parts in moved]
    caches = rearrange_rows(
        layers, [(w, [(c.cache, i) for c, i in parts]) for w, parts in zip(widths, moved, strict=True)]
    )
    for parts, cache in zip(moved, caches, strict=True):
        rows = [bucket.rows[index] for bucket, indices in parts for index in indices]
        kept.append(Bucket(rows, cache, torch.cat([bucket.next[indices] for bucket, indices in parts])))
    return kept
