"""Benchmarks that turn out not to be possible once they are looked at."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from stackbench.benchmarks.gsm8k import Gsm8k
from stackbench.benchmarks.mmlu import Mmlu
from stackbench.config import Home, Settings
from stackbench.engine import RunOutcome, plan_benchmarks
from stackbench.errors import DataNotAvailableError
from stackbench.store import Reader, open_queries
from stackbench.types import RunStatus
from tests.engines import OneRun


async def run(home: Home, *benchmarks: str) -> RunOutcome:
    return await OneRun(home, plan_benchmarks(benchmarks, Settings(model="oracle", limit=3))).run()


def not_possible(monkeypatch: pytest.MonkeyPatch, kind: type[Any], why: str) -> None:
    """Puts a class of its own in the benchmark's place: what a class is found to implement is remembered for good."""

    class NotPossible(kind):
        async def unavailable(self, tasks: Any, context: Any) -> str:
            return why

    monkeypatch.setattr(f"{kind.__module__}.{kind.__name__}", NotPossible)


@pytest.fixture
def home(tmp_path: Path, data_dir: Path) -> Home:
    return Home(tmp_path, data_dir)


async def test_a_benchmark_that_is_not_possible_here_is_left_out_of_a_suite(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    not_possible(monkeypatch, Gsm8k, "no image can be had")
    outcome = await run(home, "gsm8k", "mmlu")
    assert outcome.status is RunStatus.COMPLETED
    assert [result.benchmark for result in outcome.results] == ["mmlu"]
    assert outcome.skipped == {"gsm8k": "no image can be had"}
    queries = open_queries(home.database, home.socket)
    assert Reader(queries).skipped(outcome.run_id) == outcome.skipped
    queries.close()
    alone = await run(home, "gsm8k")  # asked for by itself: its attempts tell what is wrong
    assert [result.attempts for result in alone.results] == [3]


async def test_what_cannot_be_prepared_for_want_of_data_is_left_out(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def prepare(self: object, tasks: Any, context: Any) -> None:
        raise DataNotAvailableError("its tables cannot be had")

    monkeypatch.setattr(Gsm8k, "prepare", prepare)
    outcome = await run(home, "gsm8k", "mmlu")
    assert (outcome.status, outcome.skipped) == (RunStatus.COMPLETED, {"gsm8k": "its tables cannot be had"})
    alone = await run(home, "gsm8k")
    assert (alone.status, alone.problem) == (RunStatus.FAILED, "its tables cannot be had")


async def test_a_run_of_which_nothing_is_possible_has_failed(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in (Gsm8k, Mmlu):
        not_possible(monkeypatch, kind, "not here")
    outcome = await run(home, "gsm8k", "mmlu")
    assert outcome.status is RunStatus.FAILED
    assert "gsm8k: not here" in outcome.problem and "mmlu: not here" in outcome.problem
