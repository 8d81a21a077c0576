"""Which tasks `--limit` selects: a share of every subject or category, the same ones for the same seed."""

from __future__ import annotations

import heapq
import math
import random
from collections import defaultdict
from collections.abc import Sequence
from typing import TypeVar

from stackbench.types import Task

__all__ = ["select_limited"]

T = TypeVar("T", bound=Task)


def select_limited(tasks: Sequence[T], limit: int, seed: int) -> list[T]:
    """`limit` of the tasks, in the benchmark's order.

    Tasks without strata: the first ones. Tasks with strata (`Task.strata`): every stratum gets its proportional share
    and, where the limit allows, at least one task (method of equal proportions, Huntington 1921), level by level;
    within a stratum the seed draws. A larger limit under the same seed selects a superset of a smaller one's.
    """
    if limit >= len(tasks):
        return list(tasks)
    if not any(task.strata for task in tasks):
        return list(tasks[:limit])
    chosen = _spread([(task.strata, index) for index, task in enumerate(tasks)], limit, str(seed))
    return [tasks[index] for index in sorted(chosen)]


def _spread(members: Sequence[tuple[tuple[str, ...], int]], count: int, seed: str) -> list[int]:
    """The indices of `count` members, spread over the first of their strata, and within each over the next."""
    if not any(strata for strata, _ in members):
        indices = [index for _, index in members]
        random.Random(seed).shuffle(indices)
        return indices[:count]
    groups: dict[str, list[tuple[tuple[str, ...], int]]] = defaultdict(list)
    for strata, index in members:
        groups[strata[0] if strata else ""].append((strata[1:], index))
    seats = _apportion({name: len(inside) for name, inside in groups.items()}, count, seed)
    return [index for name, inside in groups.items() for index in _spread(inside, seats[name], f"{seed}\0{name}")]


def _apportion(sizes: dict[str, int], count: int, seed: str) -> dict[str, int]:
    """Seats for groups by equal proportions: a group's claim to its next seat after n is size / sqrt(n (n + 1)).

    The first seat's claim is without limit, so that every group has one before any has two; the seed orders equals.
    """
    names = sorted(sizes)
    random.Random(seed).shuffle(names)
    seats = dict.fromkeys(names, 0)
    claims = [(-math.inf, order, name) for order, name in enumerate(names)]
    heapq.heapify(claims)
    for _ in range(count):
        _, order, name = heapq.heappop(claims)
        seats[name] += 1
        if seats[name] < sizes[name]:
            heapq.heappush(claims, (-sizes[name] / math.sqrt(seats[name] * (seats[name] + 1)), order, name))
    return seats
