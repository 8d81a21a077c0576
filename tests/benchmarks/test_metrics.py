"""What holds for the metrics of every benchmark: tasks are the unit, and no interval has width zero."""

from __future__ import annotations

from typing import Any

import pytest

from stackbench.benchmarks import create_benchmark
from stackbench.benchmarks.mbpp import Mbpp, MbppOptions
from stackbench.types import AttemptSummary, Metric, Scored
from tests.benchmarks.scripted import summary

DETAILS: dict[str, dict[str, Any]] = {
    "humaneval": {},
    "mbpp": {"asserts": 3, "exec_s": 0.5},
    "humanevalplus": {"base_passed": True},
    "mbppplus": {"base_passed": True},
    "gsm8k": {"strict": True, "flexible": True},
    "mmlu": {},
    "tooluse": {
        "template": "a",
        "difficulty": 2,
        "tool_call_accuracy": 0.5,
        "parameter_correctness": 0.25,
        "workflow_success": 1.0,
        "recovered": 1.0,
        "efficiency": 0.5,
        "refused": 0.0,
        "calls": 4,
        "malformed": 1,
        "repaired": 1,
        "rejected": 1,
        "steps": 3,
        "seconds": 1.5,
    },
}


def attempt(benchmark: str, task: int, number: int, passed: bool) -> AttemptSummary:
    details = dict(DETAILS[benchmark])
    if benchmark == "mbpp":
        details["asserts_passed"] = 3 if passed else 1
    if benchmark == "tooluse":
        details["template"] = "ab"[task % 2]
    if benchmark == "gsm8k":
        details = dict.fromkeys(("strict", "flexible", "robust", *details), passed)
    scored = Scored(float(passed), passed, metrics=details)
    return summary(f"t/{task}", scored, category=("anatomy", "virology")[task % 2], attempt=number)


def metrics(benchmark: str, attempts: list[AttemptSummary]) -> list[Metric]:
    return list(create_benchmark(benchmark, {}).metrics(attempts))


def intervals(found: list[Metric]) -> dict[tuple[str, str], tuple[Any, ...]]:
    """Without metrics that only several attempts have."""
    shown = [m for m in found if not m.name.startswith("pass^")]
    return {(m.name, m.category): (m.value, m.stderr, m.ci_low, m.ci_high, m.n) for m in shown}


@pytest.mark.parametrize("benchmark", DETAILS)
def test_copies_of_attempts_change_nothing(benchmark: str) -> None:
    right = [task % 3 != 0 for task in range(20)]
    once = metrics(benchmark, [attempt(benchmark, t, 0, passed) for t, passed in enumerate(right)])
    copied = metrics(benchmark, [attempt(benchmark, t, n, passed) for t, passed in enumerate(right) for n in range(5)])
    assert intervals(copied).keys() == intervals(once).keys()
    for name, found in intervals(copied).items():
        assert found == pytest.approx(intervals(once)[name]), name


@pytest.mark.parametrize("benchmark", DETAILS)
@pytest.mark.parametrize("tasks", [1, 14, 15, 120])
@pytest.mark.parametrize("passes", ["none", "all", "one of two in each"])
def test_few_tasks_have_counts_alone_and_no_interval_has_width_zero(benchmark: str, tasks: int, passes: str) -> None:
    attempts = [
        attempt(benchmark, task, number, passes == "all" or (passes == "one of two in each" and number == 0))
        for task in range(tasks)
        for number in range(2)
    ]
    found = metrics(benchmark, attempts)
    assert found
    for metric in found:
        assert metric.n <= tasks
        if metric.ci_low is None or metric.n < 15:
            assert (metric.stderr, metric.ci_low, metric.ci_high) == (None, None, None)
            # Tasks of these two come in clusters, of which there are two here.
            assert metric is not found[0] or tasks < 100 or benchmark in ("tooluse", "mmlu")
            continue
        assert metric.stderr is not None and metric.ci_high is not None
        assert metric.ci_low <= metric.value <= metric.ci_high, metric
        assert metric.ci_high - metric.ci_low > 0.02, metric


@pytest.mark.parametrize("benchmark", DETAILS)
def test_no_attempts_have_no_metrics(benchmark: str) -> None:
    assert metrics(benchmark, []) == []


def test_tasks_are_the_unit_of_every_metric() -> None:
    """Copies of an attempt change no value, no interval and no n; an average is first taken within a task."""

    def attempts(copies: int) -> list[AttemptSummary]:
        return [
            summary(
                task,
                Scored(
                    float(right == 3), right == 3, metrics={"asserts": 3, "asserts_passed": right, "exec_s": seconds}
                ),
                attempt=number,
            )
            for task, right, seconds in (("11", 3, 1.0), ("12", 0, 2.0), ("13", 1, 3.0), ("14", 3, 4.0))
            for number in range(copies)
        ]

    once, copied = (Mbpp(MbppOptions()).metrics(attempts(copies)) for copies in (1, 5))
    assert copied == once
    found = {metric.name: metric for metric in copied}
    assert (found["pass@1"].n, found["execution_accuracy"].n, found["time_to_solution_s"].n) == (4, 4, 2)
    assert found["execution_accuracy"].value == pytest.approx((1 + 0 + 1 / 3 + 1) / 4)
    assert found["time_to_solution_s"].value == pytest.approx(1 + 2.5)
    slow = summary("11", Scored(1.0, True, metrics={"asserts": 3, "asserts_passed": 3, "exec_s": 5.0}), attempt=1)
    more = {metric.name: metric for metric in Mbpp(MbppOptions()).metrics([*attempts(1), slow])}
    assert more["time_to_solution_s"].value == pytest.approx(((2 + 6) / 2 + 5) / 2)
