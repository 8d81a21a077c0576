"""What goes wrong under a run: no attempt is lost or doubled, and the metrics are those of an undisturbed run."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import random
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from stackbench.config import Home, Settings
from stackbench.control.messages import AttemptFinished, EventKind, Notice
from stackbench.datasets import DatasetStore
from stackbench.engine import EngineService, RunOutcome, RunPlan, SampleFile, plan_benchmarks, read_samples, run_plan
from stackbench.engine.executor import kind_of
from stackbench.engine.run_order import utc_now
from stackbench.engine.work import load_benchmarks
from stackbench.errors import DockerNotAvailableError, EndpointError, ErrorKind, ImageError, SandboxError, StoreError
from stackbench.models.openai import retrying
from stackbench.sandbox.docker import connect, ran_out_of_memory
from stackbench.store import open_queries
from stackbench.types import RunStatus
from tests.engines import OneRun
from tests.fake_endpoint import FakeEndpoint

EACH_ONCE = "SELECT count(*), count(DISTINCT (benchmark, task_id, attempt, seed)) FROM attempts WHERE run_id = ?"
UNWRITTEN = b"\0" * (1 << 16)


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrying, "FIRST_BACKOFF_S", 0.01)


def gsm8k(endpoint: FakeEndpoint, **settings: Any) -> RunPlan:
    return plan_benchmarks(["gsm8k"], Settings(**{"model": endpoint.name, "limit": 40, "concurrency": 8, **settings}))


def answer(body: dict[str, Any]) -> str:
    """The same to the same question, some right and most wrong."""
    return f"#### {len(str(body['messages'])) % 30}"


def assert_each_once(home: Home, outcome: RunOutcome, wanted: int) -> None:
    queries = open_queries(home.database, home.socket)
    try:
        assert queries.rows(EACH_ONCE, [outcome.run_id]) == [(wanted, wanted)]
    finally:
        queries.close()


async def test_an_endpoint_that_fails_at_a_third_of_its_calls_changes_no_score(
    home: Home, endpoint: FakeEndpoint
) -> None:
    endpoint.reply = answer
    expected = await run_plan(home, gsm8k(endpoint))
    draw = random.Random(23)
    broken: list[str] = []

    def respond(request: web.Request, body: dict[str, Any]) -> Any:
        if draw.random() >= 0.3:
            return None
        fault = draw.choice(["429", "500", "garbage", "slow", "drop"])
        broken.append(fault)
        if fault == "slow":
            return late(request)
        if fault == "drop":
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        if fault == "garbage":
            return web.Response(text="<html>not json</html>", content_type="application/json")
        return web.json_response({"error": {"message": f"fault {fault}"}}, status=int(fault))

    async def late(request: web.Request) -> web.Response:
        await asyncio.sleep(1.0)
        return web.json_response({"error": {"message": "too late"}}, status=503)

    endpoint.respond = respond
    outcome = await run_plan(home, gsm8k(endpoint))
    assert len(set(broken)) == 5
    assert (outcome.status, outcome.results[0].errors) == (RunStatus.COMPLETED, 0)
    assert outcome.results[0].metrics == expected.results[0].metrics
    assert_each_once(home, outcome, 40)


async def test_a_clock_that_jumps_changes_nothing_but_what_is_dated(home: Home, endpoint: FakeEndpoint) -> None:
    endpoint.reply = answer
    expected = await run_plan(home, gsm8k(endpoint))
    jumps = itertools.cycle([timedelta(0), timedelta(days=1), timedelta(days=-400), timedelta(hours=5)])

    def now() -> datetime:
        return utc_now() + next(jumps)

    async with EngineService(home, now=now) as service:
        outcome = await service.submit(gsm8k(endpoint, max_hours=1.0)).outcome()
    assert (outcome.status, outcome.results[0].metrics) == (RunStatus.COMPLETED, expected.results[0].metrics)
    assert 0 <= outcome.seconds < 600
    assert_each_once(home, outcome, 40)


# -- full disks


@contextmanager
def small_disk(folder: Path, mib: int) -> Iterator[None]:
    """A file system of its own at this folder."""
    if os.geteuid() != 0:
        pytest.skip("needs root to mount a small disk")
    folder.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={mib}m", "none", str(folder)], capture_output=True)
    if done.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {done.stderr.decode()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def enlarge(folder: Path, mib: int) -> None:
    subprocess.run(["mount", "-o", f"remount,size={mib}m", str(folder)], check=True)


async def test_a_database_whose_disk_is_full_ends_the_run_resumably(
    home: Home, endpoint: FakeEndpoint, tmp_path: Path
) -> None:
    endpoint.reply = lambda body: answer(body) + " " + random.Random(str(body)).randbytes(100_000).hex()
    small = Home(tmp_path / "small", home.data_extra)
    expected = await run_plan(home, gsm8k(endpoint))
    with small_disk(small.path, 6):
        plan = gsm8k(endpoint)
        async with EngineService(small) as service:
            run = service.submit(plan)
            with pytest.raises(StoreError, match=r"stackbench\.duckdb cannot be written"):
                await run.outcome()
        enlarge(small.path, mib=200)
        queries = open_queries(small.database, small.socket)
        before = queries.rows("SELECT count(*) FROM attempts")[0][0]
        queries.close()
        outcome = await OneRun(small, plan, resume=run.run_id).run()
        assert before < 40
        assert (outcome.status, outcome.results[0].metrics) == (RunStatus.COMPLETED, expected.results[0].metrics)
        assert_each_once(small, outcome, 40)


async def test_a_run_folder_whose_disk_is_full_is_said_and_costs_the_log_alone(
    home: Home, endpoint: FakeEndpoint
) -> None:
    endpoint.reply = answer
    expected = await run_plan(home, gsm8k(endpoint))
    with small_disk(home.path / "runs", 1):
        with (home.path / "runs" / "filler").open("wb") as filler, pytest.raises(OSError, match="No space left"):
            while True:
                filler.write(UNWRITTEN)
                filler.flush()
        said: list[str] = []

        def listen(event: EventKind) -> None:
            if isinstance(event, Notice):
                said.append(event.text)

        outcome = await OneRun(home, gsm8k(endpoint), listen).run()
    assert any("No space left on device; the run goes on" in line for line in said), said
    assert (outcome.status, outcome.results[0].metrics) == (RunStatus.COMPLETED, expected.results[0].metrics)


# -- containers


@pytest.fixture
def samples(home: Home, tmp_path: Path) -> SampleFile:
    """Two samples of some tasks, one of them wrong for every other task; each takes a while."""
    plan = plan_benchmarks(["humaneval"], Settings(limit=12))
    (item,), _ = load_benchmarks(plan, DatasetStore(home.data, home.data_extra), None)
    tasks: Any = item.tasks
    wait, path = "    import time; time.sleep(0.1)\n", tmp_path / "samples.jsonl"
    rows = [
        {"task_id": task.task_id, "completion": wait + code}
        for number, task in enumerate(tasks)
        for code in (task.canonical_solution, "    return None\n" if number % 2 else task.canonical_solution)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return read_samples(path, "humaneval", home)


async def scored(home: Home, samples: SampleFile, listen: Callable[[EventKind], None]) -> RunOutcome:
    plan = plan_benchmarks(["humaneval"], Settings(model="recorded", sandboxes=2))
    plan = plan.model_copy(update={"samples_file": str(samples.path), "samples_sha256": samples.sha256})
    return await OneRun(home, plan, listen, samples=samples).run()


@pytest.mark.docker
async def test_containers_that_are_killed_under_a_run_change_no_score(home: Home, samples: SampleFile) -> None:
    expected = await scored(home, samples, lambda event: None)
    ended = 0
    killing: list[asyncio.Future[None]] = []

    def listen(event: EventKind) -> None:
        nonlocal ended
        ended += isinstance(event, AttemptFinished)
        if isinstance(event, AttemptFinished) and ended in (3, 10):
            killing.append(asyncio.get_running_loop().run_in_executor(None, kill_own_containers))

    outcome = await scored(home, samples, listen)
    await asyncio.gather(*killing)
    assert len(killing) == 2
    assert (outcome.status, outcome.results[0].errors) == (RunStatus.COMPLETED, 0)
    assert outcome.results[0].metrics == expected.results[0].metrics
    assert_each_once(home, outcome, 24)


def kill_own_containers() -> None:
    from docker.errors import APIError

    client = connect()
    try:
        for container in client.containers.list(filters={"label": f"stackbench.pid={os.getpid()}"}):
            try:
                container.kill()
            except APIError:  # it ended meanwhile
                continue
    finally:
        client.close()


@pytest.mark.docker
def test_a_container_that_lacked_memory_is_told_from_one_that_was_killed(image: str) -> None:
    """The container outlives the kill: of one whose first process is killed the engine may look for the cause after its
    cgroup has gone, and then tells nothing (containerd's watcher of cgroups 1)."""
    hungry = "x = bytearray(1 << 27); print(len(x))"
    client = connect()
    try:
        ids: dict[str, str] = {}
        for name, code in (("hungry", hungry), ("modest", "print(1)")):
            container = client.containers.run(
                image,
                ["sh", "-c", 'python3 -c "$0"; sleep 1', code],
                detach=True,
                mem_limit="24m",
                memswap_limit="24m",
                network_disabled=True,
            )
            ids[name] = container.id
            container.wait()
            container.remove(force=True)
    finally:
        client.close()
    assert (ran_out_of_memory(ids["hungry"]), ran_out_of_memory(ids["modest"])) == (True, False)


# -- kinds


def behind(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("problem", "kind"),
    [
        (EndpointError("failed 5 times"), ErrorKind.ENDPOINT),
        (DockerNotAvailableError("no engine"), ErrorKind.DOCKER),
        (SandboxError("the container died"), ErrorKind.CONTAINER),
        (SandboxError("waited 60 s", kind=ErrorKind.PROCESSOR), ErrorKind.PROCESSOR),
        (ImageError("cannot be pulled", kind=ErrorKind.IMAGE_PULL), ErrorKind.IMAGE_PULL),
        (ImageError("the build failed"), ErrorKind.IMAGE_BUILD),
        (behind(SandboxError("x"), OSError(28, "No space left on device")), ErrorKind.DISK),
        (SandboxError("mkdir /var/lib/docker/x: no space left on device"), ErrorKind.DISK),
        (MemoryError(), ErrorKind.MEMORY),
        (KeyError("x"), ErrorKind.FAULT),
    ],
)
def test_kinds_of_errors(problem: Exception, kind: ErrorKind) -> None:
    assert kind_of(problem) is kind
    assert kind.of_infrastructure == (kind not in (ErrorKind.IMAGE_BUILD, ErrorKind.FAULT))
