"""Runs on a real Ray cluster of two nodes on this machine, whose nodes and processes are killed."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from stackbench.config import Home, Settings
from stackbench.control.messages import AttemptFinished, EventKind, Notice
from stackbench.datasets import DatasetStore
from stackbench.engine import RunOutcome, SampleFile, plan_benchmarks, read_samples
from stackbench.engine.node import NodeOrder
from stackbench.engine.ray_cluster import RayCluster
from stackbench.engine.work import load_benchmarks
from stackbench.errors import StackbenchError
from stackbench.sandbox.hygiene import remove_leftovers
from stackbench.store import open_queries
from stackbench.types import RunStatus
from tests.conftest import Program
from tests.engines import OneRun
from tests.waiting import wait_for

pytest.importorskip("ray", reason="needs the ray extra")

pytestmark = [pytest.mark.docker, pytest.mark.xdist_group("ray")]

TASKS = 12
SETTINGS: dict[str, Any] = {"model": "recorded"}
SMALL = {"num_cpus": 1, "object_store_memory": 80_000_000, "include_dashboard": False}
WATCHED_CLOSELY = {
    "health_check_period_ms": 500, "health_check_failure_threshold": 4, "health_check_initial_delay_ms": 0,
}  # fmt: skip
Doing = Callable[[], Any]


@dataclass(frozen=True)
class TwoNodes:
    address: str
    kill_second: Callable[[], None]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TwoNodes]:
    """Ray's own cluster for tests: a head and raylets that are processes of this machine."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("STACKBENCH_HOME", str(tmp_path_factory.mktemp("nodes")))
        from ray.cluster_utils import Cluster

        before = signal.getsignal(signal.SIGTERM)
        made = Cluster(initialize_head=True, head_node_args={**SMALL, "_system_config": WATCHED_CLOSELY})
        try:
            second = made.add_node(**SMALL)
            signal.signal(signal.SIGTERM, before)
            yield TwoNodes(made.address, lambda: made.remove_node(second, allow_graceful=False))
        finally:
            made.shutdown()
    remove_leftovers()  # a killed process takes none of its containers with it


@pytest.fixture
def samples(home: Home, tmp_path: Path) -> SampleFile:
    """Two samples of each task, one that passes and one that does not, each of a fifth of a second."""
    plan = plan_benchmarks(["humaneval"], Settings(limit=TASKS))
    (item,), _ = load_benchmarks(plan, DatasetStore(home.data, home.data_extra), None)
    wait = "    import time; time.sleep(0.2)\n"
    path = tmp_path / "samples.jsonl"
    tasks: Any = item.tasks
    rows = [
        {"task_id": task.task_id, "completion": wait + answer}
        for number, task in enumerate(tasks)
        for answer in (task.canonical_solution, "    return None\n" if number % 2 else task.canonical_solution)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return read_samples(path, "humaneval", home)


async def scored(
    home: Home,
    samples: SampleFile,
    at: int = 0,
    do: Doing = lambda: None,
    said: list[str] | None = None,
    **more: Any,
) -> RunOutcome:
    """A run that scores the samples; `do` is done beside it when so many attempts have ended."""
    said = [] if said is None else said
    ended = 0
    doing: list[asyncio.Future[Any]] = []

    def listen(event: EventKind) -> None:
        nonlocal ended
        if isinstance(event, Notice):
            said.append(event.text)
        if isinstance(event, AttemptFinished):
            ended += 1
            if ended == at:
                doing.append(asyncio.get_running_loop().run_in_executor(None, do))

    plan = plan_benchmarks(["humaneval"], Settings(**SETTINGS, **more))
    plan = plan.model_copy(update={"samples_file": str(samples.path), "samples_sha256": samples.sha256})
    outcome = await OneRun(home, plan, listen, samples=samples).run()
    await asyncio.gather(*doing)
    assert (outcome.status, outcome.problem) == (RunStatus.COMPLETED, ""), said
    if at:
        assert any("attempts are made again" in line for line in said), said
    return outcome


def assert_each_once(home: Home, run_id: str) -> None:
    queries = open_queries(home.database, home.socket)
    try:
        (row,) = queries.rows(
            "SELECT count(*), count(DISTINCT (task_id, attempt, seed)), count_if(status = 'error') FROM attempts "
            f"WHERE run_id = '{run_id}'"
        )
        assert row == (2 * TASKS, 2 * TASKS, 0)
        (numbers,) = queries.rows(f"SELECT count(*), count(DISTINCT seq) FROM events WHERE run_id = '{run_id}'")
        assert numbers[0] == numbers[1]
    finally:
        queries.close()


async def leave_an_actor(home: Home, address: str) -> None:
    """What an engine leaves that is killed and whose run is not resumed: it keeps a node's processors."""
    left = RayCluster(address, str(home.path))
    await asyncio.to_thread(left.connect)
    plan = plan_benchmarks(["humaneval"], Settings(model="oracle", limit=1))
    order = NodeOrder("an-earlier-run", plan, {"humaneval": ("HumanEval/0",)}, {"humaneval": {}}, None, processors=1)
    await left.answer(left.place((await asyncio.to_thread(left.nodes))[0], order).fit.remote())
    await asyncio.to_thread(left.close)


def kill_one_node_process() -> None:
    """SIGKILL to one of the processes in which nodes of this test's cluster make attempts."""
    victims = [p for p in psutil.Process().children(recursive=True) if "_RayNode" in " ".join(p.cmdline())]
    assert victims
    os.kill(victims[0].pid, signal.SIGKILL)


async def test_a_run_on_two_nodes_that_loses_a_process_and_then_a_node_ends_as_the_undisturbed_one(
    cluster: TwoNodes, home: Home, samples: SampleFile
) -> None:
    expected = await scored(home, samples)
    on_ray = {"executor": "ray", "address": cluster.address}
    said: list[str] = []
    await leave_an_actor(home, cluster.address)
    one = await scored(home, samples, at=4, do=kill_one_node_process, said=said, **on_ray)
    assert "ended 1 node actors that another run of this home had left" in said
    other = await scored(home, samples, at=4, do=cluster.kill_second, **on_ray)
    for outcome in (one, other):
        assert outcome.results[0].metrics == expected.results[0].metrics
        assert_each_once(home, outcome.run_id)


async def test_an_engine_that_is_killed_finds_its_node_again(
    cluster: TwoNodes, home: Home, samples: SampleFile, program: Program
) -> None:
    expected = await scored(home, samples)
    command = ("score", str(samples.path), "-b", "humaneval", "--executor", "ray", "--address", cluster.address)
    engine = program.start(*command)
    try:
        made = await asyncio.to_thread(wait_for, lambda: recorded(home), within_s=60)
    finally:
        engine.kill()
        engine.communicate()
    (run_id, before) = made
    assert before < 2 * TASKS
    done = await asyncio.to_thread(program.run, "eval", "--resume", run_id, "--json")
    assert "found as an engine before this one left it" in done.stderr
    resumed = json.loads(done.stdout)
    assert resumed["results"][0]["metrics"]["pass@1"]["value"] == expected.results[0].metrics[0].value
    assert_each_once(home, run_id)


def recorded(home: Home) -> tuple[str, int] | None:
    """The newest run with attempts, and how many it has."""
    try:
        queries = open_queries(home.database, home.socket)
    except StackbenchError:  # the engine starts
        return None
    try:
        rows = queries.rows("SELECT run_id, count(*) FROM attempts GROUP BY run_id ORDER BY run_id DESC LIMIT 1")
    finally:
        queries.close()
    return (str(rows[0][0]), int(rows[0][1])) if rows and rows[0][1] < 2 * TASKS else None
