"""What of two runs is compared, and what a report says of it: the same as `compare`."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

from stackbench.benchmarks.tooluse.benchmark import published_editions
from stackbench.config import Home, Settings
from stackbench.engine import BenchmarkPlan, RunPlan
from stackbench.errors import UsageError
from stackbench.report.comparison import adjusted_together, compare_benchmark, compare_runs
from stackbench.report.markdown_page import markdown_page
from stackbench.report.summary_page import summary_page
from stackbench.store import BenchmarkRow, LocalQueries, Reader, RunRow, Writer
from stackbench.store.database import open_database
from stackbench.types import AttemptKey, AttemptRecord, AttemptStatus, RunStatus
from tests.report.recorded_results import collected
from tests.written_runs import write_run

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


def verdicts(tasks: int, passed: int) -> dict[str, list[bool]]:
    return {f"gsm8k/{n}": [n < passed] for n in range(tasks)}


def test_a_report_tells_counts_alone_where_compare_does(tmp_path: Path) -> None:
    write_run(tmp_path, "first", verdicts(12, 4))
    home = write_run(tmp_path, "second", verdicts(12, 9), minutes=10, model="hf:other")
    found = collected(home, "first", "second")
    (pair,) = found.comparisons
    assert (pair.low, pair.high, pair.p_value, pair.p_adjusted, pair.minimum_detectable_effect) == (None,) * 5
    assert (pair.n, pair.better, pair.worse) == (12, 5, 0)
    assert pair.why_counts == "12 tasks: too few independent ones for an interval and a p-value"
    text = markdown_page(summary_page(found, ()), str)
    (row,) = [line for line in text.splitlines() if line.startswith("| gsm8k | first | second |")]
    assert "| 5 better, 0 worse, no interval | 12 | - | - | - |" in row and "0.0625" not in row
    assert f"- gsm8k, runs first and second: {pair.why_counts}" in text


def test_holm_adjusts_over_the_p_values_that_exist(tmp_path: Path) -> None:
    """Three benchmarks, one of which has too few tasks for a p-value: the adjustment is that of two."""
    write_run(tmp_path, "first", verdicts(40, 10))
    write_run(tmp_path, "second", verdicts(40, 20), minutes=10)
    write_run(tmp_path, "few", verdicts(12, 4), minutes=20)
    home = write_run(tmp_path, "few-more", verdicts(12, 9), minutes=30)
    with open_database(home.database, read_only=True) as connection:
        reader = Reader(LocalQueries(connection))
        pairs = [("first", "second"), ("few", "few-more")]
        many, few = (compare_benchmark(reader, [reader.run(a), reader.run(b)], "gsm8k") for a, b in pairs)
    assert many is not None and few is not None and many.p_value is not None
    adjusted = [one.p_adjusted for one in adjusted_together([few, many, replace(many, benchmark="other")])]
    assert adjusted == [None, pytest.approx(2 * many.p_value), pytest.approx(2 * many.p_value)]
