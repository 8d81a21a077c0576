"""Who gets memory for a container, who waits, and whose idle containers go."""

from __future__ import annotations

import asyncio

import pytest

from stackbench.config import Settings
from stackbench.errors import SandboxError
from stackbench.sandbox.memory_budget import MemoryBudget, budget_mib, default_size, samples_at_once


class Idle:
    """Holds idle containers of 10 MiB each, whose removal ends when the test says so."""

    def __init__(self, budget: MemoryBudget, count: int, *, for_jobs: bool = True) -> None:
        self.budget = budget
        self.count = count
        self.for_jobs = for_jobs
        self.dropped = 0
        for _ in range(count):
            assert budget.take_free(10, for_jobs=for_jobs)
        budget.used(self)

    @property
    def idle_mib(self) -> int:
        return self.count * 10

    def drop_idle(self) -> None:
        self.count -= 1
        self.dropped += 1
        self.budget.leaving(10, for_jobs=self.for_jobs)

    def removed(self) -> None:
        self.budget.left(10, for_jobs=self.for_jobs)


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def lease(budget: MemoryBudget, mib: int) -> asyncio.Task[None]:
    return asyncio.create_task(budget.take(mib, for_jobs=False))


def job(budget: MemoryBudget, mib: int) -> asyncio.Task[None]:
    return asyncio.create_task(budget.take(mib, for_jobs=True))


async def test_who_comes_first_is_served_first_and_a_large_request_is_not_passed_by() -> None:
    budget = MemoryBudget(100)
    await budget.take(60, for_jobs=False)
    large, small = lease(budget, 80), lease(budget, 10)
    await settle()
    assert not large.done()
    assert not small.done()
    budget.release(60, for_jobs=False)
    await settle()
    assert large.done()
    assert small.done()
    assert budget.taken_mib == 90


async def test_idle_containers_of_the_least_recently_used_go_first_and_no_more_than_needed() -> None:
    budget = MemoryBudget(60)
    old, new = Idle(budget, 3), Idle(budget, 3)
    budget.used(old)
    budget.used(new)
    waiting = lease(budget, 20)
    await settle()
    assert (old.dropped, new.dropped) == (2, 0)
    assert not waiting.done(), "what is being removed still uses its memory"
    old.removed()
    old.removed()
    await settle()
    assert waiting.done()
    budget.used(old)
    lease(budget, 20)
    await settle()
    assert (old.dropped, new.dropped) == (2, 2)


async def test_nothing_is_removed_for_a_request_that_would_not_fit_even_then() -> None:
    budget = MemoryBudget(60)
    idle = Idle(budget, 2)
    await budget.take(40, for_jobs=False)
    waiting = lease(budget, 30)
    await settle()
    assert idle.dropped == 0
    budget.release(40, for_jobs=False)
    await settle()
    assert waiting.done()
    assert idle.dropped == 0


async def test_what_becomes_idle_makes_room_for_who_waits() -> None:
    budget = MemoryBudget(20)
    busy = Idle(budget, 2)
    busy.count = 0
    waiting = lease(budget, 20)
    await settle()
    assert busy.dropped == 0
    busy.count = 2
    budget.became_idle()
    assert busy.dropped == 2
    busy.removed()
    busy.removed()
    await settle()
    assert waiting.done()


async def test_jobs_pass_leases_and_leases_leave_memory_for_one() -> None:
    budget = MemoryBudget(50)
    budget.kept_for_jobs_mib = 20
    await budget.take(30, for_jobs=False)
    more, sample = lease(budget, 10), job(budget, 20)
    await settle()
    assert not more.done()
    assert sample.done(), "a job that is run under a lease would wait for that lease otherwise"
    budget.release(20, for_jobs=True)
    await settle()
    assert not more.done()
    budget.release(30, for_jobs=False)
    await settle()
    assert more.done()


async def test_a_lease_that_needs_all_gets_all() -> None:
    budget = MemoryBudget(50)
    budget.kept_for_jobs_mib = 20
    samples = Idle(budget, 2)
    whole = lease(budget, 50)
    await settle()
    assert samples.dropped == 2
    samples.removed()
    samples.removed()
    await settle()
    assert whole.done()


async def test_more_than_the_budget_is_refused_and_says_what_to_set() -> None:
    with pytest.raises(SandboxError, match="51 MiB does not fit the budget of 50 MiB.*set sandbox_budget_mib"):
        await MemoryBudget(50).take(51, for_jobs=False)


async def test_who_stops_waiting_takes_nothing_and_holds_up_nobody() -> None:
    budget = MemoryBudget(50)
    await budget.take(30, for_jobs=False)
    gone, next_one = lease(budget, 50), lease(budget, 20)
    await settle()
    gone.cancel()
    await settle()
    assert next_one.done()
    assert budget.taken_mib == 50


async def test_who_is_cancelled_as_it_is_served_gives_back() -> None:
    budget = MemoryBudget(50)
    await budget.take(50, for_jobs=False)
    served = lease(budget, 50)
    await settle()
    budget.release(50, for_jobs=False)
    served.cancel()
    await settle()
    assert served.cancelled()
    assert budget.taken_mib == 0


async def test_without_a_limit_everybody_is_served_at_once() -> None:
    budget = MemoryBudget()
    for _ in range(10):
        await budget.take(1 << 30, for_jobs=False)
    assert budget.can_take(1 << 40, for_jobs=True)


def test_the_default_size_fits_processors_and_memory() -> None:
    assert default_size(4096) >= 1
    assert default_size(1 << 30) == 1


def test_a_run_starts_with_as_many_containers_as_the_budget_has_memory_for() -> None:
    assert samples_at_once(Settings(sandboxes=7, sandbox_memory_mib=1000, sandbox_budget_mib=3500)) == 3
    assert samples_at_once(Settings(sandboxes=2, sandbox_memory_mib=1000, sandbox_budget_mib=3500)) == 2
    assert samples_at_once(Settings(sandboxes=2, sandbox_memory_mib=1000, sandbox_budget_mib=500)) == 1
    assert budget_mib(Settings(sandbox_memory_mib=1 << 30)) == 1 << 30, "one container always fits the default"
