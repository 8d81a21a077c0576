"""Replicates of one measurement: whether they agree, and which of them are to be repeated."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import median

__all__ = ["ALLOWED_RANGE", "differ", "outlying"]

ALLOWED_RANGE = 0.02
"""Replicates that lie further apart are repeated, and flagged where they still do."""
_ROUNDING = 1e-9


def differ(scores: Mapping[int, float]) -> bool:
    """Whether replicates, by seed, lie more than two points apart."""
    return len(scores) > 1 and max(scores.values()) - min(scores.values()) > ALLOWED_RANGE + _ROUNDING


def outlying(scores: Mapping[int, float]) -> list[int]:
    """The seeds of replicates that lie more than half of that from the median: those to repeat. Of two it is both."""
    middle = median(scores.values())
    return [seed for seed, score in scores.items() if abs(score - middle) > ALLOWED_RANGE / 2 + _ROUNDING]
