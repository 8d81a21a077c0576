"""The export of a run of SWE-bench: the leaderboard's layout, and the summary that swebench writes of the same logs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from stackbench.errors import UsageError
from stackbench.report.export import export
from stackbench.report.leaderboard import Graded, run_report

REPORT = {"patch_is_None": False, "patch_exists": True, "patch_successfully_applied": True, "infra_failure": False}


def graded(task_id: str, patch: str = "p", *, resolved: bool = False, **grading: Any) -> Graded:
    facts = {
        "applied": True,
        "timed_out": False,
        "resolved": resolved,
        "report": REPORT | {"resolved": resolved},
        "test_output": "",
        "signature": None,
    }
    return Graded(task_id, "completed", patch, "", {}, facts | grading)


def test_the_summary_is_swebenchs_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Our summary beside the one that `make_run_report` writes of logs in its layout."""
    reporting = pytest.importorskip("swebench.harness.reporting")
    attempts = [
        graded("a__a-1", resolved=True),
        graded("a__a-2", test_output="FAILED x"),
        graded("a__a-3", ""),
        graded("a__a-4", applied=False),
        graded(
            "a__a-5",
            timed_out=True,
            test_output="Timeout error: 5 seconds exceeded.",
            signature=("tests_timed_out", "ambiguous"),
        ),
        graded("a__a-6", test_output="Could not resolve host", signature=("network_unreachable", "environment")),
    ]
    monkeypatch.chdir(tmp_path)
    predictions = {
        one.task_id: {"instance_id": one.task_id, "model_name_or_path": "m/x", "model_patch": one.patch}
        for one in attempts
    }
    for one in attempts:
        if one.empty:
            continue
        folder = Path("logs/run_evaluation/r/m__x", one.task_id)
        folder.mkdir(parents=True)
        (folder / "test_output.txt").write_text(one.grading["test_output"])
        if one.completed:
            (folder / "report.json").write_text(json.dumps({one.task_id: one.grading["report"]}))
    dataset = [{"instance_id": f"a__a-{number}"} for number in range(1, 9)]
    written = json.loads(reporting.make_run_report(predictions, dataset, "r").read_text())
    assert run_report(attempts, len(dataset), [one["instance_id"] for one in dataset]) == written
    assert written["incomplete_ids"] == ["a__a-7", "a__a-8"]
    assert written["error_ids"] == ["a__a-4", "a__a-5"] and written["infra_failure_ids"] == ["a__a-6"]


class NoRows:
    """A database without attempts."""

    def rows(self, sql: str, parameters: Any = ()) -> list[Any]:
        return []


def test_a_run_without_the_benchmark_has_nothing_to_submit(tmp_path: Path) -> None:
    queries: Any = NoRows()
    with pytest.raises(UsageError, match="run r has no attempt at SWE-bench"):
        list(export(queries, "r", tmp_path, ["swebench"]))
