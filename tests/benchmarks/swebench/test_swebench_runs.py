"""SWE-bench the whole way: images from mirrors, a model in the container, its patch graded in a fresh one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from stackbench.types import RunStatus
from tests.benchmarks.swebench.conftest import Runs
from tests.benchmarks.swebench.small_repositories import CALC_ID, WORDS_ID

pytestmark = [pytest.mark.docker, pytest.mark.xdist_group("swebench")]


async def test_the_reference_patch_resolves_each_instance_and_an_empty_one_none(runs: Runs) -> None:
    gold = await runs.make(runs.plan("oracle"))
    assert gold.status is RunStatus.COMPLETED
    attempts = runs.attempts(gold)
    assert {task: attempt.passed for task, attempt in attempts.items()} == {CALC_ID: True, WORDS_ID: True}
    assert attempts[CALC_ID].metrics["fail_to_pass_rate"] == attempts[CALC_ID].metrics["edit_similarity"] == 1
    assert "Python 3.11 in place of 3.9" in attempts[CALC_ID].events["image"]["notes"]
    assert any("Python 3.11 in place of 3.9" in line for line in runs.said)
    figures = {m.name: m for m in gold.results[0].metrics if not m.category}
    assert (figures["resolved"].value, figures["resolved"].n) == (1, 2)
    assert (figures["resolved_where_gold_passes"].value, figures["resolved_where_gold_passes"].n) == (1, 2)

    before = len(runs.said)
    null = await runs.make(runs.plan("null"))
    attempts = runs.attempts(null)
    assert not any(attempt.passed for attempt in attempts.values())
    assert attempts[WORDS_ID].metrics["pass_to_pass_rate"] == 1 and attempts[WORDS_ID].metrics["empty_patch"] == 1
    assert attempts[WORDS_ID].metrics["fail_to_pass_rate"] == 0
    assert not [line for line in runs.said[before:] if line.startswith(("building", "built"))]


async def test_predictions_are_graded_and_written_back_with_verdicts(runs: Runs, tmp_path: Path) -> None:
    calc, words = (runs.small.rows[name] for name in (CALC_ID, WORDS_ID))
    path = tmp_path / "predictions.jsonl"
    rows = [
        {"instance_id": CALC_ID, "model_name_or_path": "m", "model_patch": calc["patch"]},
        {"instance_id": WORDS_ID, "model_name_or_path": "m", "model_patch": words["patch"].replace('"!"', '"?"')},
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    outcome = await runs.make(runs.plan("oracle"), predictions=path)
    attempts = runs.attempts(outcome)
    assert (attempts[CALC_ID].passed, attempts[WORDS_ID].passed) == (True, False)
    assert attempts[WORDS_ID].reason == "failed: 0 of 1 FAIL_TO_PASS and 1 of 1 PASS_TO_PASS tests pass"
    assert attempts[WORDS_ID].metrics["file_recall"] == 1
    assert 0 < attempts[WORDS_ID].metrics["edit_similarity"] < 1
