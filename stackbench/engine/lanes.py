"""Carries out the phases of a run: which benchmarks go on beside each other, and on which of the model's servers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from stackbench.engine.planner.schedule import Lane, Phase
from stackbench.engine.time_shares import TimeShares
from stackbench.models import Model, Pooled

__all__ = ["RunLane", "all_of", "run_phases"]


@dataclass(slots=True)
class RunLane:
    """A lane under way. Belongs to the engine's event loop."""

    names: tuple[str, ...]
    servers: list[int]
    total: int
    """Servers of the model."""
    shares: TimeShares = field(default_factory=TimeShares)
    queued: dict[str, Callable[[], int]] = field(default_factory=dict[str, Callable[[], int]])
    """Attempts of each benchmark that wait to begin."""
    wake: list[Callable[[], None]] = field(default_factory=list[Callable[[], None]])
    """Called when the lane has more servers than before."""
    begun: dict[str, asyncio.Event] = field(default_factory=dict[str, asyncio.Event])
    """Of each benchmark that others wait for: set once all its attempts have begun."""
    first_servers: int = 1
    """Those that it began with."""

    @property
    def part(self) -> float:
        """Its part of the model's servers, 0 to 1."""
        return len(self.servers) / self.total

    @property
    def left(self) -> int:
        """Attempts that wait to begin."""
        return sum(count() for count in self.queued.values())


async def run_phases(
    phases: Sequence[Phase],
    model: Model,
    run_benchmark: Callable[[str, RunLane], Awaitable[None]],
    optional: Mapping[str, bool],
    ending: Callable[[], bool],
) -> None:
    """Runs every phase, and in it every lane, until all is done or `ending` says so.

    Optional benchmarks of a lane begin when all attempts of its others have begun. A lane that has ended gives its
    servers to the one beside it with the most attempts left.
    """
    pool = model if isinstance(model, Pooled) else None
    total = pool.servers if pool is not None else 1
    for phase in phases:
        if ending():
            return
        lanes = [_begin(lane, total) for lane in phase]
        _assign(pool, lanes)

        async def run_lane(lane: RunLane, lanes: list[RunLane] = lanes) -> None:
            await all_of([_in_turn(name, lane, run_benchmark, optional) for name in lane.names])
            _give_away(lane, lanes)
            _assign(pool, lanes)

        await all_of([run_lane(lane) for lane in lanes])
    _assign(pool, [])


def _begin(lane: Lane, total: int) -> RunLane:
    servers = [number for number in lane.servers if number < total]
    return RunLane(
        names=lane.names,
        servers=servers or list(range(total)),
        total=total,
        begun={name: asyncio.Event() for name in lane.names},
        first_servers=len(servers) or total,
    )


async def _in_turn(
    name: str,
    lane: RunLane,
    run_benchmark: Callable[[str, RunLane], Awaitable[None]],
    optional: Mapping[str, bool],
) -> None:
    try:
        if optional.get(name, False):
            for other in lane.names:
                if not optional.get(other, False):
                    await lane.begun[other].wait()
        await run_benchmark(name, lane)
    finally:
        lane.begun[name].set()


def _give_away(ended: RunLane, lanes: list[RunLane]) -> None:
    lanes.remove(ended)
    neediest = max(lanes, key=lambda lane: lane.left / len(lane.servers), default=None)
    if neediest is not None and neediest.left:
        neediest.servers += ended.servers
        for wake in neediest.wake:
            wake()


def _assign(pool: Pooled | None, lanes: Sequence[RunLane]) -> None:
    if pool is not None:
        pool.assign({name: tuple(lane.servers) for lane in lanes for name in lane.names})


async def all_of(works: Sequence[Awaitable[None]]) -> None:
    """Waits for all; when one fails, the others are given up and its error is raised."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
