from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import pytest

from stackbench.engine.lanes import RunLane, run_phases
from stackbench.engine.planner.schedule import Lane
from stackbench.models.null import NullModel


class Pool(NullModel):
    servers = 4

    def __init__(self) -> None:
        self.assigned: list[dict[str, tuple[int, ...]]] = []

    def assign(self, servers: Mapping[str, Sequence[int]]) -> None:
        self.assigned.append({name: tuple(numbers) for name, numbers in servers.items()})


async def test_lanes_go_on_side_by_side_and_a_lane_that_ends_gives_its_servers_away() -> None:
    pool, woken, going = Pool(), asyncio.Event(), asyncio.Event()

    async def run(name: str, lane: RunLane) -> None:
        if name == "long":
            lane.queued[name] = lambda: 7
            lane.wake.append(woken.set)
            going.set()
            await woken.wait()
            assert (lane.servers, lane.part, lane.first_servers) == ([2, 3, 0, 1], 1.0, 2)
        else:
            await going.wait()

    phase = (Lane(("short",), (0, 1)), Lane(("long",), (2, 3)))
    await run_phases([phase, (Lane(("speed",), (0,)),)], pool, run, {}, lambda: False)
    assert pool.assigned[0] == {"short": (0, 1), "long": (2, 3)}
    assert {"speed": (0,)} in pool.assigned
    assert pool.assigned[-1] == {}


async def test_optional_benchmarks_begin_when_the_others_have_begun_all() -> None:
    order: list[str] = []

    async def run(name: str, lane: RunLane) -> None:
        order.append(f"{name} begins")
        await asyncio.sleep(0)
        if name == "code":
            lane.begun[name].set()
            while "extra begins" not in order:
                await asyncio.sleep(0)
        order.append(f"{name} ends")

    await run_phases([(Lane(("extra", "code"), (0,)),)], NullModel(), run, {"extra": True}, lambda: False)
    assert order[:2] == ["code begins", "extra begins"]


async def test_an_optional_benchmark_does_not_wait_for_one_that_fails() -> None:
    async def run(name: str, lane: RunLane) -> None:
        raise ValueError(name)

    with pytest.raises(ValueError, match="code"):
        await run_phases([(Lane(("extra", "code"), (0,)),)], NullModel(), run, {"extra": True}, lambda: False)


async def test_no_phase_begins_once_the_run_is_ending() -> None:
    begun: list[str] = []

    async def run(name: str, lane: RunLane) -> None:
        begun.append(name)

    await run_phases([(Lane(("a",), (0,)),), (Lane(("b",), (0,)),)], NullModel(), run, {}, lambda: bool(begun))
    assert begun == ["a"]
