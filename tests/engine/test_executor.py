"""Attempts are data: what an executor is given and gives back survives a trip to another process."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from stackbench.config import Home, Settings
from stackbench.datasets import DatasetStore
from stackbench.engine import RunPlan, plan_benchmarks, run_plan
from stackbench.engine.executor import AttemptResult, LocalExecutor
from stackbench.engine.work import AttemptSpec, list_attempts, load_benchmarks
from stackbench.store import Reader, open_queries
from stackbench.types import RunStatus
from tests.fake_endpoint import FakeEndpoint

BENCHMARKS = ["humaneval", "mbpp", "mbppplus", "gsm8k", "mmlu", "tooluse"]


@pytest.mark.parametrize("name", BENCHMARKS)
def test_the_specification_of_an_attempt_is_small_and_travels(name: str, home: Home) -> None:
    plan = plan_benchmarks([name], Settings(model="oracle", limit=3))
    (item,), _ = load_benchmarks(plan, DatasetStore(home.data, home.data_extra), None)
    for spec in list_attempts(plan, item, None):
        packed = pickle.dumps(spec)
        assert pickle.loads(packed) == spec
        assert len(packed) < 1000
    assert RunPlan.model_validate_json(plan.model_dump_json()) == plan


async def test_a_run_whose_every_specification_and_result_has_travelled_is_the_same(
    home: Home, endpoint: FakeEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = LocalExecutor.execute

    async def through_pickle(self: LocalExecutor, spec: AttemptSpec) -> AttemptResult:
        result = await real(self, pickle.loads(pickle.dumps(spec)))
        again: Any = pickle.loads(pickle.dumps(result))
        assert again == result
        return again

    endpoint.reply = lambda body: f"#### {len(str(body)) % 7}"
    plan = plan_benchmarks(["gsm8k"], Settings(model=endpoint.name, limit=20))
    first = await run_plan(home, plan)
    monkeypatch.setattr(LocalExecutor, "execute", through_pickle)
    second = await run_plan(home, plan)
    assert (second.status, second.results[0].metrics) == (RunStatus.COMPLETED, first.results[0].metrics)
    queries = open_queries(home.database, home.socket)
    try:
        rows = queries.rows("SELECT run_id, count(*), count(DISTINCT seq) FROM events GROUP BY run_id")
        assert [count == distinct for _, count, distinct in rows] == [True, True]
        assert Reader(queries).last_seq(second.run_id) >= 20
    finally:
        queries.close()
