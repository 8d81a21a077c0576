from __future__ import annotations

import asyncio

from stackbench.slots import Slots


async def hold(slots: Slots, rank: int, name: str, order: list[str], until: asyncio.Event) -> None:
    async with slots.place(rank):
        order.append(name)
        await until.wait()


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_the_lower_rank_goes_first_then_who_came_first() -> None:
    slots, order, go = Slots(1), list[str](), asyncio.Event()
    tasks = [asyncio.create_task(hold(slots, rank, name, order, go)) for rank, name in
             ((2, "a"), (2, "b"), (0, "c"), (1, "d"), (2, "e"))]  # fmt: skip
    await settle()
    assert order == ["a"] and slots.full
    go.set()
    await asyncio.gather(*tasks)
    assert order == ["a", "c", "d", "b", "e"]
    assert slots.taken == 0


async def test_more_places_let_more_in_and_fewer_wait_for_those_in_use() -> None:
    slots, order, go = Slots(1), list[str](), asyncio.Event()
    tasks = [asyncio.create_task(hold(slots, 0, str(n), order, go)) for n in range(5)]
    await settle()
    slots.resize(3)
    await settle()
    assert len(order) == 3
    slots.resize(1)
    await settle()
    assert (len(order), slots.taken) == (3, 3)
    go.set()
    await asyncio.gather(*tasks)
    assert len(order) == 5


async def test_a_waiter_that_is_cancelled_takes_no_place() -> None:
    slots, order, go = Slots(1), list[str](), asyncio.Event()
    first, second, third = (asyncio.create_task(hold(slots, 0, str(n), order, go)) for n in range(3))
    await settle()
    second.cancel()
    await settle()
    go.set()
    await asyncio.gather(first, third)
    assert order == ["0", "2"] and slots.taken == 0


async def test_a_place_given_to_one_who_is_cancelled_at_that_moment_is_not_lost() -> None:
    slots, order, go = Slots(1), list[str](), asyncio.Event()
    first = asyncio.create_task(hold(slots, 0, "first", order, go))
    await settle()
    second = asyncio.create_task(hold(slots, 0, "second", order, asyncio.Event()))
    await settle()
    go.set()
    await first  # the place has been given to the second, which has not run yet
    second.cancel()
    await asyncio.gather(second, return_exceptions=True)
    async with asyncio.timeout(5):
        async with slots.place():
            assert slots.taken == 1
