"""Runs at different editions of a benchmark's own tasks are not compared."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest

from stackbench.benchmarks.tooluse.benchmark import published_editions
from stackbench.config import Home, Settings
from stackbench.engine import BenchmarkPlan, RunPlan
from stackbench.errors import UsageError
from stackbench.report.comparison import compare_runs
from stackbench.store import BenchmarkRow, LocalQueries, RunRow, Writer
from stackbench.store.database import open_database
from stackbench.types import AttemptKey, AttemptRecord, AttemptStatus, RunStatus

BEGAN = datetime(2026, 11, 26, 9, 0, 0)
NEW, OLD = sorted(published_editions(), key=lambda one: published_editions()[one], reverse=True)


def record(writer: Writer, run_id: str, *benchmarks: tuple[str, str]) -> None:
    """A run with one attempt at a task of each benchmark, whose tasks have that hash."""
    plan = RunPlan(
        suite="eval", settings=Settings(model="oracle"), benchmarks=tuple(BenchmarkPlan(name=n) for n, _ in benchmarks)
    )
    rows = [BenchmarkRow(n, 1, 1, 1, ("a-1",), {"by": "all"}, {"tasks": tasks}, None) for n, tasks in benchmarks]
    writer.start_run(RunRow(run_id, "eval", BEGAN, "oracle", plan.model_dump(mode="json"), (0,), None, {}), rows)
    for name, _ in benchmarks:
        writer.attempt(
            run_id,
            AttemptRecord(
                AttemptKey(name, "a-1", 0, 0), "files", AttemptStatus.COMPLETED, 1.0, True, None, "p", "c", 1, 1,
                BEGAN, 1.0, {"template": "a"},
            ),
        )  # fmt: skip
    writer.finish_run(run_id, RunStatus.COMPLETED, BEGAN, {})


def test_runs_at_different_editions_are_not_compared(tmp_path: Path) -> None:
    home = Home(tmp_path)
    writer = Writer(home.database)
    record(writer, "old", ("tooluse", OLD), ("humaneval", ""))
    record(writer, "new", ("tooluse", NEW), ("humaneval", ""))
    record(writer, "again", ("tooluse", NEW), ("humaneval", ""))
    record(writer, "alone", ("tooluse", OLD))
    writer.close()
    with open_database(home.database, read_only=True) as connection:
        queries = LocalQueries(connection)
        apart = "tooluse: the runs have different tasks (edition 1, edition 2), whose results are not comparable"
        compared = compare_runs(queries, "old", "new")
        assert [one.benchmark for one in compared.benchmarks] == compared.shared == ["humaneval"]
        assert f"{apart}; it is left out" in compared.warnings
        assert compare_runs(queries, "new", "again").shared == ["tooluse", "humaneval"]
        with pytest.raises(UsageError, match=r"tooluse: the runs have different tasks \(edition 1, edition 2\)"):
            compare_runs(queries, "alone", "new")
