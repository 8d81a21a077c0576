from __future__ import annotations

from collections.abc import Iterable

import pytest

from stackbench.benchmarks import create_benchmark
from stackbench.engine.completeness import sum_up
from stackbench.types import AttemptKey, AttemptStatus, AttemptSummary

Outcomes = dict[str, str]
"""By task, a letter per attempt: p passed, f failed, e ended in an error."""


def summaries(outcomes: Outcomes, category: str = "") -> list[AttemptSummary]:
    return [
        AttemptSummary(
            key=AttemptKey("b", task, number, 0),
            category=category,
            status=AttemptStatus.ERROR if letter == "e" else AttemptStatus.COMPLETED,
            score=None if letter == "e" else float(letter == "p"),
            passed=None if letter == "e" else letter == "p",
            latency_s=1.0,
            completion_tokens=1,
            metrics={},
        )
        for task, letters in outcomes.items()
        for number, letter in enumerate(letters)
    ]


def figures(outcomes: Outcomes, attempts: int, *, planned: Iterable[str] = (), name: str = "humaneval"):
    each = dict.fromkeys([*outcomes, *planned], attempts)
    made = summaries(outcomes, "anatomy" if name == "mmlu" else "")
    return sum_up(create_benchmark(name, {}), made, each, "the run was interrupted before the others")


@pytest.mark.parametrize("name", ["humaneval", "mmlu"])
def test_the_bound_counts_errors_as_failures(name: str) -> None:
    found = figures({"a": "p", "b": "p", "c": "f", "d": "e"}, 1, name=name)
    headline = found.metrics[0]
    assert headline.value == pytest.approx(2 / 3)
    assert found.lower_bounds == {headline.name: pytest.approx(2 / 4)}


def test_without_errors_the_bound_is_the_value() -> None:
    found = figures({"a": "p", "b": "f"}, 1)
    assert found.lower_bounds == {"pass@1": 0.5}
    assert found.missing == ()


def test_errors_count_within_their_task() -> None:
    found = figures({"a": "pe", "b": "pp"}, 2)
    assert found.metrics[0].value == 1.0
    assert found.lower_bounds["pass@1"] == pytest.approx(0.75)


def test_pass_at_10_has_a_bound_where_it_has_a_value() -> None:
    found = figures({"a": "p" + "f" * 9 + "e", "b": "f" * 11}, 11)
    assert {m.name: m.value for m in found.metrics}["pass@10"] == pytest.approx(0.5)
    assert found.lower_bounds["pass@10"] == pytest.approx((10 / 11) / 2)


def test_a_metric_that_an_error_prevents_is_named_with_the_reason() -> None:
    found = figures({"a": "p" * 10, "b": "p" * 9 + "e"}, 10)
    (missing,) = found.missing
    assert missing.name == "pass@10"
    assert missing.reason == "1 task has fewer than 10 completed attempts (b has 9): 1 attempt at them ended in errors"


def test_a_metric_that_an_interruption_prevents_is_named_with_the_reason() -> None:
    found = figures({"a": "p" * 10, "b": "pp", "c": "p"}, 10, planned=["d"])
    (missing,) = found.missing
    assert missing.reason == (
        "2 tasks have fewer than 10 completed attempts (c has 1): the run was interrupted before the others"
    )


def test_a_samples_file_with_fewer_samples_of_a_task_says_so() -> None:
    made = summaries({"a": "p" * 10, "b": "p" * 9})
    found = sum_up(create_benchmark("humaneval", {}), made, {"a": 10, "b": 9}, "")
    (missing,) = found.missing
    assert missing.name == "pass@10"
    assert missing.reason == (
        "1 task has fewer than 10 completed attempts (b has 9): 1 of them has fewer than 10 samples"
    )


def test_metrics_that_were_not_planned_are_not_missing() -> None:
    assert figures({"a": "ppppp", "b": "ppppp"}, 5).missing == ()
    assert figures({"a": "pe", "b": "pp"}, 2).missing == ()


def test_no_completed_attempt_gives_no_figures_and_no_fault() -> None:
    found = figures({"a": "e"}, 1)
    assert (found.metrics, found.lower_bounds, found.missing) == ((), {}, ())
