from __future__ import annotations

import asyncio

import pytest

from stackbench.active_clock import ActiveClock


def test_the_clock_stands_while_anything_is_waited_for() -> None:
    now = 100.0
    clock = ActiveClock(lambda: now)
    now = 103.0
    with clock.waiting():
        now = 110.0
        with clock.waiting():  # another call of the same agent, meanwhile
            now = 111.0
        now = 115.0
        assert (clock.active_s, clock.waited_s) == (3.0, 12.0)
    now = 116.0
    assert (clock.active_s, clock.waited_s) == (4.0, 12.0)
    clock.forgive(1.5)
    assert (clock.active_s, clock.waited_s) == (2.5, 13.5)


async def test_a_limit_is_of_the_time_that_counts() -> None:
    clock = ActiveClock()
    over = asyncio.Event()
    asyncio.get_running_loop().call_later(0.3, over.set)
    async with clock.limit(0.1) as limit:
        with clock.waiting():
            await over.wait()
    assert not limit.expired()
    with pytest.raises(TimeoutError):
        async with clock.limit(0.05) as limit:
            await asyncio.Event().wait()
    assert limit.expired()


async def test_a_limit_that_has_passed_while_a_wait_is_ended_by_it() -> None:
    """The block's own clean-up stops and starts the clock again."""
    clock = ActiveClock()
    with pytest.raises(TimeoutError):
        async with clock.limit(0.02):
            try:
                await asyncio.Event().wait()
            finally:
                with clock.waiting():
                    clock.forgive(0.01)
    assert clock.waited_s >= 0.01
