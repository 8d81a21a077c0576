"""Which benchmarks run beside each other, and on which model servers: the policy of a run, and of its estimate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from stackbench.engine.planner.profiles import Share

__all__ = ["Lane", "Phase", "Wish", "apportion", "make_schedule"]


@dataclass(frozen=True, slots=True)
class Wish:
    """What one benchmark wants of the schedule."""

    name: str
    share: Share = "together"
    priority: int = 50
    optional: bool = False
    agent: bool = False
    seconds: float = 1.0
    """Estimated, with the whole machine to itself."""


@dataclass(frozen=True, slots=True)
class Lane:
    """Benchmarks that share some of the model's servers, in the order in which they begin."""

    names: tuple[str, ...]
    servers: tuple[int, ...]


Phase = tuple[Lane, ...]
"""Lanes that run beside each other; the next phase begins when all have ended."""


def make_schedule(
    wishes: Sequence[Wish], servers: int, *, on_gpus: bool, one_by_one: bool = False, by_priority: bool = False
) -> list[Phase]:
    """The phases of a run.

    Benchmarks share the model's servers, agents first, since their attempts take longest. On GPUs those that fill a
    GPU's memory have servers of their own: beside the others where there are enough, shared out by estimated work,
    else after them. Benchmarks of speed come last, each by itself, on one server. `one_by_one`: one after the other,
    in their own order. `by_priority`: likewise, by priority, since the time may not suffice for all.
    """
    everything = tuple(range(max(1, servers)))
    if one_by_one:
        return [(Lane((wish.name,), everything),) for wish in wishes]
    exclusive = [wish for wish in wishes if wish.share == "exclusive"]
    others = [wish for wish in wishes if wish.share != "exclusive"]
    last: list[Phase] = [(Lane((wish.name,), (0,)),) for wish in exclusive]
    if by_priority:
        ordered = sorted(others, key=lambda wish: (wish.optional, wish.priority))
        return [*((Lane((wish.name,), everything),) for wish in ordered), *last]
    alone = [wish for wish in others if wish.share == "alone" and on_gpus]
    together = sorted((wish for wish in others if wish not in alone), key=lambda wish: not wish.agent)
    groups = [*([together] if together else []), *([wish] for wish in alone)]
    if len(groups) <= len(everything):
        phases = [_beside(groups, everything)] if groups else []
    elif together and len(alone) <= len(everything):
        phases = [_beside([together], everything), _beside([[wish] for wish in alone], everything)]
    else:
        phases = [_beside([group], everything) for group in groups]
    return [*phases, *last]


def _beside(groups: Sequence[Sequence[Wish]], servers: Sequence[int]) -> Phase:
    shares = apportion([sum(wish.seconds for wish in group) for group in groups], len(servers))
    lanes: list[Lane] = []
    first = 0
    for group, share in zip(groups, shares, strict=True):
        lanes.append(Lane(tuple(wish.name for wish in group), tuple(servers[first : first + share])))
        first += share
    return tuple(lanes)


def apportion(work: Sequence[float], seats: int) -> list[int]:
    """Servers for each amount of work, at least one each; the next always to whom it saves most (Jefferson's rule).

    Takes no more amounts than there are seats.
    """
    found = [1] * len(work)
    for _ in range(seats - len(work)):
        neediest = max(range(len(work)), key=lambda number: work[number] / found[number])
        found[neediest] += 1
    return found
