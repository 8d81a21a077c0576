"""The key/value cache of the decoding loop: room to grow, rows that come and go, read prefixes. Imports torch."""

# Methods of torch and transformers have partial types.
# pyright: reportUnknownMemberType=false
from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import torch
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

__all__ = [
    "GrowingLayer",
    "bytes_of",
    "close_gaps",
    "copy_row",
    "empty_cache",
    "expect_positions",
    "layers_of",
    "rearrange_rows",
    "start_from_prefixes",
]

GROWTH = 128
GROWTH_SHARE = 16
"""Room grows by one part in so many, so that a long cache is not copied again and again."""


class GrowingLayer(DynamicLayer):
    """A cache layer with room to grow, so that a step writes one position instead of copying all of them."""

    def __init__(self) -> None:
        super().__init__()
        self.room_k: torch.Tensor | None = None
        self.room_v: torch.Tensor | None = None
        self.length = 0
        self.expected = 0
        """Positions that it will have soon: room is made for them at once."""

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        self.is_initialized = True
        added = key_states.shape[-2]
        end = self.length + added
        if self.room_k is None or self.room_v is None or end > self.room_k.shape[-2]:
            self.reserve(key_states, value_states, max(end, self.expected) + max(GROWTH, end // GROWTH_SHARE))
        assert self.room_k is not None and self.room_v is not None
        self.room_k[:, :, self.length : end] = key_states
        self.room_v[:, :, self.length : end] = value_states
        self.length = end
        self.keys, self.values = self.room_k[:, :, :end], self.room_v[:, :, :end]
        return self.keys, self.values

    def reserve(self, like_k: torch.Tensor, like_v: torch.Tensor, room: int) -> None:
        """Makes room for `room` positions of rows shaped like these, (B, G, _, D), and keeps what is there.

        The rest holds anything: whoever leaves a position before the length unwritten clears it, since a masked key
        or value counts for nothing only if it is a number.
        """
        batch, heads, _, width = like_k.shape
        fresh_k = like_k.new_empty((batch, heads, room, width))
        fresh_v = like_v.new_empty((batch, heads, room, like_v.shape[-1]))
        if self.length and self.room_k is not None and self.room_v is not None:
            fresh_k[:, :, : self.length] = self.room_k[:, :, : self.length]
            fresh_v[:, :, : self.length] = self.room_v[:, :, : self.length]
        self.room_k, self.room_v = fresh_k, fresh_v

    def clear(self, first: int, end: int, positions: int) -> None:
        """Sets the first positions of these rows to zero."""
        assert self.room_k is not None and self.room_v is not None
        self.room_k[first:end, :, :positions] = 0
        self.room_v[first:end, :, :positions] = 0

    def get_seq_length(self) -> int:
        return self.length


def empty_cache(layers: int) -> DynamicCache:
    """A cache without rows."""
    cache = DynamicCache()
    cache.layers[:] = [GrowingLayer() for _ in range(layers)]
    return cache


def expect_positions(cache: DynamicCache, positions: int) -> None:
    """Has room made for so many at once."""
    for layer in layers_of(cache):
        layer.expected = positions


def layers_of(cache: DynamicCache) -> list[GrowingLayer]:
    """The layers of a cache made here."""
    return [layer for layer in cache.layers if isinstance(layer, GrowingLayer)]


def start_from_prefixes(cache: DynamicCache, prefixes: Sequence[tuple[DynamicCache | None, int]], width: int) -> None:
    """Begins an empty cache: a row for each prefix (a one-row cache, its first positions), right-aligned in `width`."""
    given = next(prefix for prefix, length in prefixes if length and prefix is not None)
    for number, (layer, like) in enumerate(zip(layers_of(cache), layers_of(given), strict=True)):
        assert like.room_k is not None and like.room_v is not None
        rows = len(prefixes)
        layer.reserve(like.room_k.expand(rows, -1, -1, -1), like.room_v.expand(rows, -1, -1, -1), width + GROWTH)
        assert layer.room_k is not None and layer.room_v is not None
        at = 0
        for (prefix, length), alike in itertools.groupby(prefixes, key=lambda one: one):
            end = at + len(list(alike))
            layer.clear(at, end, width - length)
            if prefix is not None and length:
                source = layers_of(prefix)[number]
                assert source.room_k is not None and source.room_v is not None
                layer.room_k[at:end, :, width - length : width] = source.room_k[:, :, :length]
                layer.room_v[at:end, :, width - length : width] = source.room_v[:, :, :length]
            at = end
        layer.length = width


def close_gaps(cache: DynamicCache, width: int, prefixes: Sequence[int], suffixes: Sequence[int]) -> None:
    """Closes the gaps between prefixes, right-aligned in `width`, and suffixes, right-aligned in the rest."""
    total = cache.get_seq_length()
    if all(suffix == total - width or not prefix for prefix, suffix in zip(prefixes, suffixes, strict=True)):
        return
    source = torch.arange(total).repeat(len(suffixes), 1)
    for row, (prefix, suffix) in enumerate(zip(prefixes, suffixes, strict=True)):
        end = total - suffix
        source[row, end - prefix : end] = torch.arange(width - prefix, width)
    for layer in layers_of(cache):
        assert layer.room_k is not None and layer.room_v is not None
        index = source.to(layer.room_k.device)[:, None, :, None]
        layer.room_k = layer.room_k.take_along_dim(index, dim=2)
        layer.room_v = layer.room_v.take_along_dim(index, dim=2)


def copy_row(cache: DynamicCache, row: int, start: int, end: int) -> DynamicCache:
    """A one-row cache of its own with these positions of a row."""
    made = empty_cache(len(cache.layers))
    for layer, source in zip(layers_of(made), layers_of(cache), strict=True):
        assert source.room_k is not None and source.room_v is not None
        layer.room_k = source.room_k[row : row + 1, :, start:end].clone()
        layer.room_v = source.room_v[row : row + 1, :, start:end].clone()
        layer.length = end - start
        layer.is_initialized = True
    return made


def bytes_of(cache: DynamicCache) -> int:
    """Bytes of its keys and values, its free room with them."""
    rooms = [room for layer in layers_of(cache) for room in (layer.room_k, layer.room_v) if room is not None]
    return sum(room.nbytes for room in rooms)


Parts = Sequence[tuple[DynamicCache, list[int]]]


def rearrange_rows(layers: int, wanted: Sequence[tuple[int, Parts]]) -> list[DynamicCache]:
    """Fresh caches of so many positions with the wanted rows of right-aligned ones; empties those, layer by layer."""
    made = [empty_cache(layers) for _ in wanted]
    for number in range(layers):
        spent: list[GrowingLayer] = []
        for cache, (width, parts) in zip(made, wanted, strict=True):
            sources = [(layers_of(source)[number], indices) for source, indices in parts]
            _fill(layers_of(cache)[number], width, sources)
            spent += [layer for layer, _ in sources]
        for layer in spent:
            layer.room_k = layer.room_v = None
            layer.keys = layer.values = None
    return made


def _fill(layer: GrowingLayer, width: int, sources: Sequence[tuple[GrowingLayer, list[int]]]) -> None:
    like_k, like_v = sources[0][0].room_k, sources[0][0].room_v
    assert like_k is not None and like_v is not None
    rows = sum(len(indices) for _, indices in sources)
    layer.reserve(like_k[:1].expand(rows, -1, -1, -1), like_v[:1].expand(rows, -1, -1, -1), width + GROWTH)
    at = 0
    for old, indices in sources:
        assert layer.room_k is not None and layer.room_v is not None
        assert old.room_k is not None and old.room_v is not None
        take = min(width, old.length)
        layer.clear(at, at + len(indices), width - take)
        here, there = slice(width - take, width), slice(old.length - take, old.length)
        layer.room_k[at : at + len(indices), :, here] = old.room_k[indices, :, there]
        layer.room_v[at : at + len(indices), :, here] = old.room_v[indices, :, there]
        at += len(indices)
    layer.length = width
    layer.is_initialized = True
