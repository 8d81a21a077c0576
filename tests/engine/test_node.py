"""The node's side of a run on a cluster, without a cluster: what is given, taken and acknowledged."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from stackbench.config import Home, Settings
from stackbench.datasets import DatasetStore
from stackbench.engine import plan_benchmarks
from stackbench.engine.node import Node, NodeNews, NodeOrder, NodeWishes
from stackbench.engine.work import AttemptSpec, list_attempts, load_benchmarks
from stackbench.errors import UsageError
from stackbench.types import AttemptKey
from tests.fake_endpoint import FakeEndpoint

WISHES = NodeWishes()


def order_of(home: Home, model: str) -> tuple[NodeOrder, list[AttemptSpec]]:
    plan = plan_benchmarks(["gsm8k"], Settings(model=model, limit=5))
    (item,), _ = load_benchmarks(plan, DatasetStore(home.data, home.data_extra), None)
    task_ids = {"gsm8k": tuple(task.task_id for task in item.tasks)}
    order = NodeOrder("a-run", plan, task_ids, {"gsm8k": item.datasets}, home.data_extra, processors=1)
    return order, list_attempts(plan, item, None)


@pytest.fixture
async def node(
    home: Home, endpoint: FakeEndpoint, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[Node, list[AttemptSpec]]]:
    monkeypatch.setenv("STACKBENCH_HOME", str(home.path))
    endpoint.reply = lambda body: "#### 7"
    order, specs = order_of(home, endpoint.name)
    node = Node(order)
    await node.start()
    await node.prepare("gsm8k", order.task_ids["gsm8k"])
    yield node, specs
    await node.close()


async def taken(node: Node, count: int, *, again: bool = False) -> list[AttemptKey]:
    """Keys of results, as many as are waited for."""
    found: list[AttemptKey] = []
    while len(found) < count:
        news: NodeNews = await node.take([], WISHES, again=again)
        again = False
        found += [result.record.key for result in news.results]
    return found


async def test_an_attempt_that_is_given_twice_is_made_once(
    node: tuple[Node, list[AttemptSpec]], endpoint: FakeEndpoint
) -> None:
    made, specs = node
    await made.give(specs)
    await made.give(specs)
    assert sorted(await taken(made, 5), key=str) == sorted((spec.key for spec in specs), key=str)
    assert (await made.take([], WISHES)).results == ()
    assert len(endpoint.requests) == 5


async def test_results_are_kept_until_they_are_acknowledged(node: tuple[Node, list[AttemptSpec]]) -> None:
    made, specs = node
    await made.give(specs[:3])
    first = await taken(made, 3)
    await made.take(first[:1], WISHES)
    assert sorted(await taken(made, 2, again=True), key=str) == sorted(first[1:], key=str)
    await made.take(first, WISHES)
    assert (await made.take([], WISHES, again=True)).results == ()


async def test_an_attempt_whose_result_the_engine_has_is_made_anew_when_it_is_given_again(
    node: tuple[Node, list[AttemptSpec]], endpoint: FakeEndpoint
) -> None:
    made, specs = node
    await made.give(specs[:1])
    assert await taken(made, 1) == [specs[0].key]
    await made.give(specs[:1])
    assert await taken(made, 1) == [specs[0].key]
    assert len(endpoint.requests) == 2


async def test_an_attempt_that_is_cancelled_leaves_no_result(
    node: tuple[Node, list[AttemptSpec]], endpoint: FakeEndpoint
) -> None:
    made, specs = node
    await made.take([], replace(WISHES, held=True))
    await made.give(specs[:2])
    await asyncio.sleep(0)
    await made.cancel([specs[0].key])
    await made.take([], WISHES)
    assert await taken(made, 1, again=True) == [specs[1].key]


async def test_a_node_of_another_version_refuses(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STACKBENCH_HOME", str(home.path))
    order, _ = order_of(home, "oracle")
    with pytest.raises(UsageError, match=r"stackbench is 0\.0 at the engine"):
        await Node(replace(order, version="0.0")).start()


async def test_a_node_with_other_data_refuses(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STACKBENCH_HOME", str(home.path))
    order, _ = order_of(home, "oracle")
    with pytest.raises(UsageError, match="data of gsm8k differ"):
        await Node(replace(order, datasets={"gsm8k": {"test.jsonl": "0" * 64}})).start()
