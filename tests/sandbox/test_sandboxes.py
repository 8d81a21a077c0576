"""The sandboxes of a run: pools by spec under one memory budget, images made once."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable

import pytest

from stackbench.config import Settings
from stackbench.errors import SandboxError
from stackbench.sandbox import CodeJob, Section
from stackbench.sandbox.images import Images
from stackbench.sandbox.sandboxes import Sandboxes
from stackbench.sandbox.spec import SandboxSpec

pytestmark = pytest.mark.docker

JOB = CodeJob((Section("x = 1"),))
SLOW = CodeJob((Section("import time\ntime.sleep(0.5)"),))
MIB = 512

Make = Callable[..., Sandboxes]


@pytest.fixture
async def make(image: str) -> AsyncIterator[Make]:
    """Makes sandboxes of 512 MiB each in a budget of so many; what they say goes to `said`."""
    made: list[Sandboxes] = []

    def new(fitting: int, *, said: list[str] | None = None, sandboxes: int | None = 2) -> Sandboxes:
        settings = Settings(
            sandboxes=sandboxes, sandbox_memory_mib=MIB, agent_memory_mib=MIB, sandbox_budget_mib=fitting * MIB
        )
        made.append(Sandboxes(settings, "run", (said if said is not None else []).append))
        return made[-1]

    yield new
    for sandboxes in made:
        await sandboxes.close()
        assert sandboxes.budget.taken_mib == 0


async def test_samples_and_agents_share_the_budget(make: Make) -> None:
    """Memory for two: an agent's container takes the place of one that runs no samples, and samples go on."""
    sandboxes = make(2)
    await sandboxes.ready()
    assert sandboxes.budget.taken_mib == 2 * MIB
    async with sandboxes.lease() as session:
        assert (await session.run("echo x")).stdout == b"x\n"
        results = await asyncio.gather(*(sandboxes.run(SLOW) for _ in range(3)))
        assert all(result.passed for result in results)
        assert sandboxes.budget.taken_mib == 2 * MIB


async def test_a_second_lease_waits_for_the_memory_of_the_first(make: Make) -> None:
    sandboxes = make(1)
    order: list[str] = []

    async def use() -> None:
        async with sandboxes.lease() as session:
            order.append("second")
            assert (await session.run("true")).exit_code == 0

    async with sandboxes.lease() as first:
        second = asyncio.create_task(use())
        await first.run("sleep 1")
        order.append("first")
    await asyncio.wait_for(second, 30)
    assert order == ["first", "second"]


async def test_a_job_under_a_lease_is_run_though_leases_want_all_memory(make: Make) -> None:
    sandboxes = make(3, sandboxes=3)
    await sandboxes.ready()

    async def attempt() -> bool:
        async with sandboxes.lease():
            return (await sandboxes.run(JOB)).passed

    assert all(await asyncio.wait_for(asyncio.gather(*(attempt() for _ in range(5))), 60))


async def test_specs_differ_in_what_they_may_use(make: Make, image: str) -> None:
    sandboxes = make(4)
    small = SandboxSpec(image, memory_mib=256, cpus=0.5, processes=99)
    async with sandboxes.lease(small) as session:
        limits = session.container.container.client.api.inspect_container(session.container.container.id)["HostConfig"]
        assert limits["Memory"] == 256 << 20
        assert limits["NanoCpus"] == 500_000_000
        assert limits["PidsLimit"] == 99
        assert limits["NetworkMode"] == "none"
        assert sandboxes.budget.taken_mib == 256
    async with sandboxes.lease(SandboxSpec(image, workdir="/home/project", memory_mib=MIB)) as session:
        await session.write("a", b"1")
        assert (await session.run("pwd; ls")).stdout == b"/home/project\na\n"
        checked = await session.check("cat /home/project/a")
        assert checked.stdout == b"1"


async def test_a_spec_larger_than_the_budget_is_one_clear_error(make: Make, image: str) -> None:
    sandboxes = make(1)
    with pytest.raises(SandboxError, match="4096 MiB does not fit the budget of 512 MiB"):
        async with sandboxes.lease(SandboxSpec(image, memory_mib=4096)):
            pass


async def test_more_sandboxes_than_memory_is_told_and_samples_run_on_those_that_fit(make: Make) -> None:
    said: list[str] = []
    sandboxes = make(2, said=said, sandboxes=6)
    assert said[0].startswith("6 sandboxes of 512 MiB do not fit 1024 MiB")
    results = await asyncio.gather(*(sandboxes.run(SLOW) for _ in range(8)))
    assert all(result.passed for result in results)
    assert sandboxes.budget.taken_mib == 2 * MIB
    sandboxes.resize(1)
    assert (await sandboxes.run(JOB)).passed


async def test_an_operator_may_change_the_number_of_leases(make: Make) -> None:
    sandboxes = make(4, sandboxes=1)
    order: list[str] = []

    async def use() -> None:
        async with sandboxes.lease():
            order.append("second")

    async with sandboxes.lease() as first:
        second = asyncio.create_task(use())
        await first.run("sleep 1")
        order.append("resized")
        sandboxes.resize(2)
        await asyncio.wait_for(second, 30)
    assert order == ["resized", "second"]


async def test_an_image_that_is_not_there_is_told_to_everybody_who_asks(make: Make) -> None:
    sandboxes = make(2)
    job = CodeJob((Section("x = 1"),), image="localhost:1/no-such-image:1")
    outcomes = await asyncio.gather(*(sandboxes.run(job) for _ in range(3)), return_exceptions=True)
    assert all("no-such-image:1 is not there and cannot be pulled" in str(outcome) for outcome in outcomes)


async def test_an_image_is_made_once_for_all_who_ask_meanwhile() -> None:
    made: list[int] = []
    go = threading.Event()

    def build(say: Callable[[str], None]) -> str:
        made.append(1)
        go.wait(30)
        return "built"

    images = Images(lambda line: None)
    asking = [asyncio.create_task(images.ready("x", build)) for _ in range(5)]
    await asyncio.sleep(0)
    go.set()
    assert await asyncio.gather(*asking) == ["built"] * 5
    assert await images.ready("x", build) == "built"
    assert len(made) == 1


async def test_a_failure_is_told_to_all_who_waited_and_tried_again_for_who_comes_later() -> None:
    made: list[int] = []

    def build(say: Callable[[str], None]) -> str:
        made.append(1)
        if len(made) == 1:
            raise SandboxError("the registry is away")
        return "built"

    images = Images(lambda line: None)
    first = await asyncio.gather(*(images.ready("x", build) for _ in range(3)), return_exceptions=True)
    assert [str(problem) for problem in first] == ["the registry is away"] * 3
    assert len(made) == 1
    assert await images.ready("x", build) == "built"


async def test_who_stops_waiting_for_an_image_takes_it_from_nobody() -> None:
    go = threading.Event()

    def build(say: Callable[[str], None]) -> str:
        go.wait(30)
        return "built"

    images = Images(lambda line: None)
    gone, stays = (asyncio.create_task(images.ready("x", build)) for _ in range(2))
    await asyncio.sleep(0)
    gone.cancel()
    go.set()
    assert await stays == "built"
