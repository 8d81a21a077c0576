"""What cannot be true fails a run, and is told in a line."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pytest

from stackbench.benchmarks import create_benchmark
from stackbench.config import Home, Settings
from stackbench.engine import BenchmarkPlan, RunPlan, plan_benchmarks, run_plan
from stackbench.engine.sanity import Sanity, check_same_data, check_sanity
from stackbench.engine.work import LoadedBenchmark
from stackbench.errors import UsageError
from stackbench.store import BenchmarkRow, LocalQueries, PlannedBenchmark, Reader, open_database
from stackbench.types import Metric, RunStatus
from tests.fake_endpoint import FakeEndpoint
from tests.written_runs import write_run

MODEL = "openai:m@http://127.0.0.1:9/v1"
LONG = "Let us think about it step by step, carefully and slowly. #### "


def checked(
    home: Home, *, benchmark: str = "gsm8k", metrics: tuple[Metric, ...] = (), whole: bool = True, **settings: Any
) -> Sanity:
    """The checks of the run `r` as its record has it, or with other metrics."""
    plan = RunPlan(
        suite="eval", settings=Settings(**{"model": MODEL, **settings}), benchmarks=(BenchmarkPlan(name=benchmark),)
    )
    item = LoadedBenchmark(plan.benchmarks[0], create_benchmark(benchmark, {}), (), 10)
    connection = open_database(home.database, read_only=True)
    try:
        reader = Reader(LocalQueries(connection))
        results = [replace(one, metrics=metrics or one.metrics) for one in reader.results("r")]
        return check_sanity(plan, [item], results, reader, "r", whole=whole)
    finally:
        connection.close()


def test_a_run_as_it_should_be_has_no_faults(tmp_path: Path) -> None:
    home = write_run(tmp_path, "r", {f"gsm8k/{n}": [True, n % 2 == 0] for n in range(20)})
    assert checked(home) == Sanity()


def test_a_score_outside_0_to_1_is_a_fault(tmp_path: Path) -> None:
    home = write_run(tmp_path, "r", {f"gsm8k/{n}": [True] for n in range(20)})
    with duckdb.connect(str(home.database)) as connection:
        connection.execute("UPDATE attempts SET score = 1.5 WHERE task_id = 'gsm8k/3'")
        connection.execute("UPDATE attempts SET score = NULL WHERE task_id = 'gsm8k/4'")
    assert checked(home).faults == ("gsm8k: 2 completed attempts have no score between 0 and 1",)


@pytest.mark.parametrize(
    ("metrics", "fault"),
    [
        ((Metric("exact_match_robust", 1.2, None, None, None, 9),), "exact_match_robust is 1.2, which is not between"),
        (
            (Metric("pass@10_robust", 0.5, None, None, None, 9), Metric("pass@100_robust", 0.4, None, None, None, 9)),
            "pass@100_robust is 0.4000, less than pass@10_robust, 0.5000",
        ),
    ],
)
def test_figures_that_cannot_be_are_faults(tmp_path: Path, metrics: tuple[Metric, ...], fault: str) -> None:
    home = write_run(tmp_path, "r", {f"gsm8k/{n}": [True] for n in range(20)})
    (found,) = checked(home, metrics=metrics).faults
    assert fault in found


def test_attempts_are_as_many_as_planned_unless_somebody_left_some_out(tmp_path: Path) -> None:
    scores = {f"gsm8k/{n}": [True] for n in range(20)}
    more = write_run(tmp_path / "more", "r", scores, planned=19)
    assert checked(more, whole=False).faults == ("gsm8k: 20 attempts were recorded, 19 were planned",)
    fewer = write_run(tmp_path / "fewer", "r", scores, planned=25)
    assert checked(fewer).faults == ("gsm8k: 20 attempts were recorded of 25 planned",)
    assert checked(fewer, whole=False).faults == ()


def test_equal_answers_at_a_temperature_are_a_fault(tmp_path: Path) -> None:
    scores = {f"gsm8k/{n}": [True, True] for n in range(20)}
    alike = {task: [f"{LONG}{task}"] * 2 for task in scores}
    home = write_run(tmp_path / "alike", "r", scores, answers=alike)
    (fault,) = checked(home, samples=2, temperature=0.8).faults
    assert "all attempts at each of 20 tasks have the same answer" in fault
    assert checked(home, samples=2, temperature=0.0).faults == ()
    assert checked(home, samples=2, temperature=0.8, model="oracle").faults == ()
    drawn = alike | {"gsm8k/3": [f"{LONG}1", f"{LONG}2"]}
    assert checked(write_run(tmp_path / "drawn", "r", scores, answers=drawn), samples=2, temperature=0.8) == Sanity()


def test_the_reference_solutions_come_to_one(tmp_path: Path) -> None:
    home = write_run(tmp_path, "r", {f"gsm8k/{n}": [n > 0] for n in range(20)})
    (fault,) = checked(home, model="oracle").faults
    assert "the reference solutions come to exact_match_robust 0.9500, not 1" in fault


def test_answers_faster_than_any_model_writes_are_a_fault(tmp_path: Path) -> None:
    home = write_run(tmp_path, "r", {f"gsm8k/{n}": [True] for n in range(20)})
    with duckdb.connect(str(home.database)) as connection:
        connection.execute("UPDATE attempts SET completion_tokens = 500, latency_s = 0.0001")
    (fault,) = checked(home).faults
    assert "which no model writes" in fault


async def test_answers_that_are_the_published_solutions_are_told(home: Home, endpoint: FakeEndpoint) -> None:
    """A model that knows HumanEval's solutions by heart: its score stands, with a line beside it."""
    write_run(home.path, "r", {f"HumanEval/{n}": [True] for n in range(12)}, benchmark="humaneval")
    benchmark = create_benchmark("humaneval", {})
    from stackbench.datasets import DatasetStore

    tasks = tuple(benchmark.tasks(DatasetStore.of_home(home))[:12])
    plan = RunPlan(suite="eval", settings=Settings(model=MODEL), benchmarks=(BenchmarkPlan(name="humaneval"),))
    item = LoadedBenchmark(plan.benchmarks[0], benchmark, tasks, 164)
    for known, told in ((True, 1), (False, 0)):
        with duckdb.connect(str(home.database)) as connection:
            for task in tasks:
                text = task.canonical_solution if known else "    return 1\n"  # type: ignore[attr-defined]
                connection.execute("UPDATE attempts SET completion = ? WHERE task_id = ?", [text, task.task_id])
        connection = open_database(home.database, read_only=True)
        reader = Reader(LocalQueries(connection))
        found = check_sanity(plan, [item], reader.results("r"), reader, "r", whole=True)
        connection.close()
        assert found.faults == () and len(found.hints) == told
        assert all("hold the reference solution to the letter" in line for line in found.hints)


async def test_a_run_with_a_fault_has_failed_and_says_why(home: Home, endpoint: FakeEndpoint) -> None:
    endpoint.reply = lambda body: f"{LONG}18"
    settings = Settings(model=f"openai:{endpoint.model}@{endpoint.url}", samples=2, temperature=0.8, limit=6)
    outcome = await run_plan(home, plan_benchmarks(["gsm8k"], settings))
    assert outcome.status is RunStatus.FAILED
    assert "all attempts at each of 6 tasks have the same answer" in outcome.problem
    connection = open_database(home.database, read_only=True)
    rows = connection.execute("SELECT payload ->> '$.fault' FROM events WHERE kind = 'sanity'").fetchall()
    connection.close()
    assert [row[0] in outcome.problem for row in rows] == [True]


def test_a_run_is_not_resumed_with_other_data() -> None:
    before = [PlannedBenchmark("gsm8k", 9, 9, 9, {"by": "all"}, {"test.jsonl": "a" * 64})]
    row = BenchmarkRow("gsm8k", 9, 9, 9, (), {"by": "all"}, {"test.jsonl": "a" * 64})
    check_same_data("r", before, [row])
    with pytest.raises(UsageError, match="was made with other data of gsm8k"):
        check_same_data("r", before, [replace(row, datasets={"test.jsonl": "b" * 64})])
