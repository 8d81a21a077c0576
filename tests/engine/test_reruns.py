"""Replicates that lie apart are run again, once for each of --reruns; all attempts count, and what differs is told."""

from __future__ import annotations

import json
from typing import Any

import pytest

from stackbench.cli.scoreboard import outcome_document
from stackbench.config import Home, Settings
from stackbench.datasets import DatasetStore
from stackbench.engine import RunOutcome, plan_benchmarks, run_plan
from stackbench.engine.context import request_seed
from stackbench.report.caveats import caveats
from stackbench.store import open_database
from stackbench.types import AttemptKey, RunStatus
from tests.fake_endpoint import FakeEndpoint

TASKS = 10


def answering(data: DatasetStore, endpoint: FakeEndpoint, right: dict[int, int], later: int = TASKS) -> None:
    """A seed's first attempts solve so many tasks; the attempts that repeat them `later` ones."""
    keys = {
        request_seed(AttemptKey("gsm8k", f"gsm8k/{task}", attempt, seed)): (seed, task, attempt)
        for seed in (0, 1)
        for task in range(TASKS)
        for attempt in range(4)
    }
    answers = [row["answer"].rsplit("####", 1)[-1].strip() for row in data.rows("gsm8k")[:TASKS]]

    def reply(body: dict[str, Any]) -> str:
        seed, task, attempt = keys[body["seed"]]
        return f"#### {answers[task] if task < (later if attempt else right[seed]) else -1}"

    endpoint.reply = reply


async def run(home: Home, endpoint: FakeEndpoint, **settings: Any) -> RunOutcome:
    made = Settings(
        model=f"openai:{endpoint.model}@{endpoint.url}", limit=TASKS, seeds=(0, 1), temperature=0.7, **settings
    )
    return await run_plan(home, plan_benchmarks(["gsm8k"], made))


def events(home: Home) -> list[dict[str, Any]]:
    connection = open_database(home.database, read_only=True)
    rows = connection.execute("SELECT payload FROM events WHERE kind = 'replicates'").fetchall()
    connection.close()
    return [json.loads(row[0]) for row in rows]


async def test_replicates_that_agree_are_not_run_again(home: Home, data: DatasetStore, endpoint: FakeEndpoint) -> None:
    answering(data, endpoint, {0: 6, 1: 6})
    outcome = await run(home, endpoint, reruns=2)
    (result,) = outcome.results
    assert (outcome.status, result.attempts, result.replicates) == (RunStatus.COMPLETED, 20, {0: 0.6, 1: 0.6})
    assert events(home) == [{"benchmark": "gsm8k", "scores": {"0": 0.6, "1": 0.6}, "repeated": [], "differ": False}]
    assert not [line for line in caveats(result, "completed") if "replicates" in line]


async def test_replicates_apart_are_run_once_more_and_all_attempts_count(
    home: Home, data: DatasetStore, endpoint: FakeEndpoint
) -> None:
    answering(data, endpoint, {0: 4, 1: 8})
    outcome = await run(home, endpoint, reruns=1)
    (result,) = outcome.results
    assert (outcome.status, outcome.problem) == (RunStatus.COMPLETED, "")
    assert result.planned is not None and result.attempts == result.planned.attempts_planned == 40
    assert result.replicates == {0: 0.7, 1: 0.9}
    assert result.metrics[0].value == 0.8, "the mean of all four attempts at each task"
    (event,) = events(home)
    assert (event["repeated"], event["differ"]) == ([0, 1], True)
    (line,) = [line for line in caveats(result, "completed") if "replicates" in line]
    assert "replicates lie 20.0 points apart, all of them are counted: seed 0 0.7000, seed 1 0.9000" in line
    (document,) = outcome_document(outcome)["results"]
    assert document["replicates"] == {
        "seeds": {"0": 0.7, "1": 0.9}, "mean": pytest.approx(0.8), "median": pytest.approx(0.8),
        "sd": pytest.approx(0.141421356), "differ": True,
    }  # fmt: skip


async def test_without_reruns_what_differs_is_told_all_the_same(
    home: Home, data: DatasetStore, endpoint: FakeEndpoint
) -> None:
    answering(data, endpoint, {0: 4, 1: 8})
    (result,) = (await run(home, endpoint)).results
    assert result.attempts == 20 and result.replicates == {0: 0.4, 1: 0.8}
    assert any("replicates lie 40.0 points apart" in line for line in caveats(result, "completed"))
