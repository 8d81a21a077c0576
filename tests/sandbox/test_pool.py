"""Containers that are made ahead, handed out once, waited for and replaced."""

from __future__ import annotations

import asyncio
import gc
from pathlib import Path

import pytest

from stackbench.config import Settings
from stackbench.errors import DockerNotAvailableError, SandboxError
from stackbench.sandbox import CodeJob, Outcome, Section
from stackbench.sandbox import container as container_module
from stackbench.sandbox.head_start import HeadStart
from stackbench.sandbox.pool import SandboxPool
from stackbench.sandbox.sandboxes import Sandboxes
from stackbench.sandbox.scorer import Scorer
from stackbench.sandbox.session import Session
from stackbench.sandbox.spec import SandboxSpec

pytestmark = pytest.mark.docker

JOB = CodeJob((Section("x = 1"),))


async def test_a_spare_that_died_is_not_handed_out(image: str) -> None:
    pool = SandboxPool(SandboxSpec(image), size=2, spare=1)
    try:
        await pool.warm_up()
        first = await pool.take()
        async with asyncio.timeout(30):
            while not pool._ready:
                await asyncio.sleep(0.01)
        spare = pool._ready[0]
        assert spare is not first
        await asyncio.to_thread(spare.container.kill)
        async with asyncio.timeout(30):
            while spare.alive:
                await asyncio.sleep(0.01)
        second = await pool.take()
        assert second is not spare
        assert (await second.run(JOB)).passed
    finally:
        await pool.close()


async def test_an_image_that_is_not_there_is_one_clear_error(image: str) -> None:
    pool = SandboxPool(SandboxSpec("no-such-image:1"))
    with pytest.raises(SandboxError, match="no-such-image"):
        await pool.take()
    await pool.close()


async def test_a_closed_pool_hands_nothing_out(image: str) -> None:
    pool = SandboxPool(SandboxSpec(image), size=1)
    await pool.close()
    with pytest.raises(SandboxError, match="closed"):
        await pool.take()


async def test_no_docker_engine_at_the_start_is_told_at_once(
    image: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    pool = SandboxPool(SandboxSpec(image))
    with pytest.raises(DockerNotAvailableError):
        await asyncio.wait_for(pool.take(), 5)
    await pool.close()
    gc.collect()  # a socket left open would be an error here


async def test_a_container_that_stops_answering_is_replaced(image: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(container_module, "PING_EVERY_S", 0.2)
    monkeypatch.setattr(container_module, "ANSWERS_WITHIN_S", 1.0)
    said: list[str] = []
    scorer = Scorer(SandboxPool(SandboxSpec(image), size=1), say=said.append)
    try:
        assert (await scorer.run(JOB)).passed
        frozen = scorer.containers[0]
        await asyncio.to_thread(frozen.container.pause)
        result = await asyncio.wait_for(scorer.run(JOB), 30)
        assert result.passed
        assert scorer.containers[0] is not frozen
        assert said == ["sandbox container 0 died; another takes its place"]
    finally:
        await scorer.close()


async def test_a_container_per_sample_is_a_new_one_each_time(image: str) -> None:
    scorer = Scorer(SandboxPool(SandboxSpec(image), size=2, spare=2, prepare=True), scope="sample")
    look = "import os\nassert not os.path.exists('/tmp/x')\nopen('/tmp/x', 'w')\nassert os.getuid() % 2000 == 0"
    try:
        await scorer.warm_up()
        results = await asyncio.gather(*(scorer.run(CodeJob((Section(look),))) for _ in range(5)))
        assert {result.reason for result in results} == {"passed"}
    finally:
        await scorer.close()


async def test_a_pool_that_closes_while_it_makes_a_spare_has_nothing_to_say(image: str) -> None:
    said: list[str] = []
    pool = SandboxPool(SandboxSpec(image), size=1, spare=1, say=said.append)
    await pool.take()
    await pool.close()
    assert said == []


async def test_a_head_start_is_used_and_what_nobody_took_is_removed(image: str) -> None:
    head_start = HeadStart(SandboxSpec(image), 2)
    pool = SandboxPool(SandboxSpec(image), size=1, head_start=head_start)
    try:
        container = await pool.take()
        assert (await container.run(JOB)).passed
        left = head_start.take()
        assert left is not None
        launched = await asyncio.wrap_future(left)
        assert launched.container.id != container.container.id
        launched.stream.close()
    finally:
        await pool.close()


async def test_a_head_start_that_failed_is_made_up_for(image: str) -> None:
    pool = SandboxPool(SandboxSpec(image), size=1, head_start=HeadStart(SandboxSpec("no-such-image:1"), 1))
    try:
        assert (await (await pool.take()).run(JOB)).passed
    finally:
        await pool.close()


async def test_a_head_start_without_its_image_leaves_the_image_to_be_made(image: str) -> None:
    settings = Settings(sandboxes=1)
    head_start = HeadStart(SandboxSpec("no-such-image:1"), 1)
    sandbox = Sandboxes(settings, "run", lambda line: None, head_start)
    try:
        await sandbox.ready()
        assert (await sandbox.run(JOB)).passed
        assert head_start.found.result() is False
    finally:
        await sandbox.close()


async def test_a_sample_that_kills_its_container_fails_and_its_neighbours_do_not(image: str) -> None:
    """Who of those in a container killed it shows when each runs alone."""
    scorer = Scorer(SandboxPool(SandboxSpec(image), size=1))
    culprit = CodeJob((Section("import time\nopen('/tmp/culprit', 'w')\ntime.sleep(60)"),), timeout_s=90.0)
    slow = CodeJob((Section("import time\ntime.sleep(1)"),), timeout_s=90.0)

    async def die() -> None:
        """Stands for the culprit's deed: any container dies that it runs in."""
        for _ in range(3):
            while not await culprit_runs():
                await asyncio.sleep(0.02)
            container = scorer.containers[0]
            await asyncio.to_thread(container.container.kill)
            while container.alive:
                await asyncio.sleep(0.02)

    async def culprit_runs() -> bool:
        if not scorer.containers or not scorer.containers[0].alive:
            return False
        found = await Session(scorer.containers[0]).list("/tmp", root="/", privileged=True)
        return any(entry.path.endswith("culprit") for entry in found)

    try:
        await scorer.warm_up()
        dying = asyncio.create_task(die())
        results = await asyncio.gather(*(scorer.run(job) for job in (slow, culprit, slow)))
        await dying
        assert [result.reason for result in (results[0], results[2])] == ["passed"] * 2
        assert results[1].outcome is Outcome.FAILED
        assert results[1].reason.startswith(
            "failed: 3 sandbox containers died under it, the last 2 with nothing else in them"
        )
        assert (await scorer.run(JOB)).passed
    finally:
        await scorer.close()


async def test_verdicts_near_the_time_limit_are_marked(sandbox: Scorer) -> None:
    nap = CodeJob((Section("import time\ntime.sleep(0.9)"),), timeout_s=1.0)
    results = await asyncio.gather(sandbox.run(nap), sandbox.run(JOB))
    assert [(result.reason, result.near_limit) for result in results] == [("passed", True), ("passed", False)]


async def test_the_number_of_containers_can_change_while_they_work(image: str) -> None:
    scorer = Scorer(SandboxPool(SandboxSpec(image), size=1, prepare=True))
    try:
        await scorer.warm_up()
        assert len(scorer.containers) == 1
        scorer.resize(3)
        slow_job = CodeJob((Section("import time\ntime.sleep(0.5)"),))
        slow = [asyncio.create_task(scorer.run(slow_job)) for _ in range(3)]
        assert all(result.passed for result in await asyncio.gather(*slow))
        assert len(scorer.containers) == 3
        scorer.resize(1)
        assert len(scorer.containers) == 1
        assert (await scorer.run(JOB)).passed
        assert scorer.pool.size == 1
    finally:
        await scorer.close()
