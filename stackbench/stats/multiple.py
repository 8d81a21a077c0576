"""Several comparisons at once: p-values that keep the chance of any false alarm at its level, and ranks."""

from __future__ import annotations

from collections.abc import Callable, Sequence

__all__ = ["holm", "shared_ranks"]


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values, in the order given (Holm 1979, Scandinavian Journal of Statistics 6:65).

    The smallest of m is multiplied by m, the next by m - 1, and so on; none is below the one before it, or above 1.
    """
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    adjusted, highest = [0.0] * len(p_values), 0.0
    for place, index in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - place) * p_values[index]))
        adjusted[index] = highest
    return adjusted


def shared_ranks(scores: Sequence[float], apart: Callable[[int, int], bool]) -> list[int]:
    """The rank of each of several models, the best first: 1, 1, 3 ...

    A model shares the rank of the best model of the group above it unless their difference is significant (`apart`,
    of two indices); else it begins a group of its own, whose rank is its place.
    """
    order = sorted(range(len(scores)), key=lambda index: -scores[index])
    ranks, leader, rank = [0] * len(scores), -1, 0
    for place, index in enumerate(order, 1):
        if leader < 0 or apart(leader, index):
            leader, rank = index, place
        ranks[index] = rank
    return ranks
