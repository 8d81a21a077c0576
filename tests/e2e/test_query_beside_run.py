"""A slow query of the live engine's database while its run ends: the run's results come first, the query is ended."""

from __future__ import annotations

import asyncio
import json

import pytest

from tests.conftest import Program
from tests.fake_endpoint import FakeEndpoint
from tests.waiting import wait_for

pytestmark = pytest.mark.e2e

ENDLESS = "SELECT count(*) FROM range(1000000000) a, range(1000) b WHERE (a.range + b.range) % 7 = 3"
DEAF = "SELECT len(list_sort(list_reverse(range(30000000))))"
"""One call of a function over many elements: DuckDB looks for interrupts between batches of rows only."""


@pytest.mark.parametrize("sql", [ENDLESS, DEAF])
async def test_a_slow_query_does_not_spoil_the_run_that_ends_meanwhile(
    program: Program, endpoint: FakeEndpoint, sql: str
) -> None:
    released = asyncio.Event()

    async def wait_until_told() -> None:
        await released.wait()

    endpoint.reply = lambda body: "#### 18"
    endpoint.before_answer = wait_until_told
    run = program.start("eval", "gsm8k", "-m", endpoint.name, "--limit", "2", "--json")
    query = None
    try:
        await asyncio.to_thread(wait_for, lambda: endpoint.requests, within_s=60)
        query = program.start("query", sql)
        results = program.home.database.with_name(f"{program.home.database.name}.tmp")
        await asyncio.to_thread(wait_for, lambda: list(results.glob("result-*")), within_s=60)
        released.set()
        out, err = await asyncio.to_thread(run.communicate, timeout=120)
    finally:
        released.set()
        for process in (run, query):
            if process is not None:
                process.kill()
                process.communicate()
    assert run.returncode == 0, err
    assert json.loads(out)["status"] == "completed"
    assert "Exception" not in err
    assert program.query("SELECT status FROM runs") == [{"status": "completed"}]
