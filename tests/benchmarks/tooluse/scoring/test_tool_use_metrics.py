"""The benchmark's metrics over attempts."""

from __future__ import annotations

from typing import Any

import pytest

from stackbench.benchmarks.tooluse.checks.matchers import is_legacy
from stackbench.benchmarks.tooluse.scoring.tool_use_metrics import tool_use_metrics
from stackbench.types import AttemptKey, AttemptStatus, AttemptSummary, Metric
from tests.benchmarks.tooluse.made import call


def attempt(task: str, passed: bool, *, n: int = 0, category: str = "files", **metrics: Any) -> AttemptSummary:
    recorded = {
        "template": task.rsplit("-", 1)[0],
        "difficulty": 2,
        "tool_call_accuracy": 0.5,
        "parameter_correctness": 1.0,
        "workflow_success": None,
        "recovered": None,
        "efficiency": None,
        "refused": None,
        "calls": 4,
        "malformed": 1,
        "repaired": 2,
        "rejected": 0,
        "steps": 3,
        "seconds": 1.5,
        **metrics,
    }
    key = AttemptKey("tooluse", task, n, 0)
    return AttemptSummary(key, category, AttemptStatus.COMPLETED, float(passed), passed, 1.0, 20, recorded)


def by_name(metrics: list[Metric], category: str = "") -> dict[str, Metric]:
    return {metric.name: metric for metric in metrics if metric.category == category}


def test_completion_comes_first_and_every_group_has_its_own() -> None:
    found = tool_use_metrics(
        [attempt("a-1", True), attempt("a-2", False), attempt("b-1", True, category="api", difficulty=4)]
    )
    assert found[0].name == "completion"
    assert found[0].value == pytest.approx(2 / 3)
    assert by_name(found, "api")["completion"].value == 1.0
    assert by_name(found, "difficulty 2")["completion"].value == 0.5
    assert by_name(found, "difficulty 4")["completion"].n == 1
    whole = by_name(found)
    assert whole["malformed_call_rate"].value == 0.25
    assert whole["repaired_call_rate"].value == 0.5
    assert whole["tokens"].value == 20
    assert "workflow_success" not in whole and "recovery_rate" not in whole


def test_calls_in_an_older_form_are_counted_where_they_were_looked_for() -> None:
    found = by_name(tool_use_metrics([attempt("a-1", True, legacy=1), attempt("b-1", True)]))
    assert found["legacy_call_rate"].value == 0.25
    assert "legacy_call_rate" not in by_name(tool_use_metrics([attempt("a-1", True)]))
    flat, listed = call("edit", path="a", oldText="x", newText="y"), call("edit", path="a", edits=[])
    assert (is_legacy(flat), is_legacy(listed), is_legacy(call("read", path="a"))) == (True, False, False)


def test_long_tasks_have_figures_of_their_own_beside_others() -> None:
    short, long = attempt("a-1", True, long=False), attempt("b-1", False, long=True)
    assert by_name(tool_use_metrics([short, long]), "long")["completion"].value == 0.0
    assert by_name(tool_use_metrics([long]), "long") == {}


def test_what_does_not_apply_is_left_out() -> None:
    found = by_name(
        tool_use_metrics(
            [
                attempt("a-1", True, workflow_success=1.0, recovered=1.0),
                attempt("a-2", False, recovered=0.0),
                attempt("b-1", False, calls=0, malformed=0, repaired=0),
            ]
        )
    )
    assert (found["workflow_success"].value, found["workflow_success"].n) == (1.0, 1)
    assert (found["recovery_rate"].value, found["recovery_rate"].n) == (0.5, 2)
    assert found["malformed_call_rate"].n == 2


def test_the_interval_takes_a_template_as_a_cluster() -> None:
    """A hundred tasks of 20 templates, ten all right, ten all wrong: the interval is that of 20 units, not of 100."""
    alike = [attempt(f"t{name}-{n}", name < 10) for name in range(20) for n in range(5)]
    apart = [attempt(f"t{n}-1", n < 50) for n in range(100)]
    narrow, wide = tool_use_metrics(apart)[0], tool_use_metrics(alike)[0]
    assert narrow.value == wide.value == 0.5
    assert wide.stderr > 2 * narrow.stderr


def test_pass_hat_k() -> None:
    """3 of 4 attempts passed: pass^2 = C(3,2)/C(4,2) = 1/2, pass^4 = 0."""
    metrics = tool_use_metrics([attempt("a-1", n < 3, n=n) for n in range(4)])
    assert [metric.name for metric in metrics[:4]] == ["completion", "pass^2", "pass^4", "tool_call_accuracy"]
    found = by_name(metrics)
    assert found["pass^2"].value == pytest.approx(0.5)
    assert found["pass^4"].value == 0.0
    assert found["completion"].value == 0.75


def test_no_attempts_no_metrics() -> None:
    assert tool_use_metrics([]) == []
