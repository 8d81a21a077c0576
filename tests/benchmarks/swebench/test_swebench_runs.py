"""SWE-bench the whole way: images from mirrors, a model in the container, its patch graded in a fresh one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from stackbench.types import RunStatus
from tests.benchmarks.swebench.conftest import Runs
from tests.benchmarks.swebench.grader import Grader
from tests.benchmarks.swebench.small_repositories import CALC, CALC_ID, WORDS_ID, patch_of
from tests.engines import OneRun
from tests.fake_endpoint import Calls, FakeEndpoint

pytestmark = [pytest.mark.docker, pytest.mark.xdist_group("swebench")]


async def test_the_reference_patch_resolves_each_instance_and_an_empty_one_none(runs: Runs, tmp_path: Path) -> None:
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

    exported = runs.export(gold, tmp_path)
    assert {"all_preds.jsonl", "metadata.yaml", "README.md", "report.json", f"trajs/{CALC_ID}.json"} <= exported.keys()
    assert json.loads(exported["report.json"])["resolved_ids"] == [WORDS_ID, CALC_ID]
    assert json.loads(exported[f"logs/{CALC_ID}/report.json"])[CALC_ID]["resolved"] is True
    assert "test_calc.py::test_total" in exported[f"logs/{CALC_ID}/test_output.txt"]
    (first, _) = (json.loads(line) for line in exported["all_preds.jsonl"].splitlines())
    assert first == {"instance_id": WORDS_ID, "model_name_or_path": "oracle", "model_patch": attempts[WORDS_ID].patch}
    assert "2 of 2 instances resolved (100.0%)" in exported["README.md"]

    before = len(runs.said)
    null = await runs.make(runs.plan("null"))
    attempts = runs.attempts(null)
    assert not any(attempt.passed for attempt in attempts.values())
    assert attempts[WORDS_ID].metrics["pass_to_pass_rate"] == 1 and attempts[WORDS_ID].metrics["empty_patch"] == 1
    assert attempts[WORDS_ID].metrics["fail_to_pass_rate"] == 0
    figures = {m.name: m for m in null.results[0].metrics if not m.category}
    # the verdicts on the reference patches, which oracle played as git writes them, are known by now
    assert (figures["resolved_where_gold_passes"].value, figures["resolved_where_gold_passes"].n) == (0, 2)
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


async def test_a_row_with_a_script_of_its_own_is_taken_as_it_is(runs: Runs, grader: Grader, tmp_path: Path) -> None:
    row = runs.small.rows[CALC_ID]
    script = (
        "#!/bin/bash\nset -uxo pipefail\nsource /opt/miniconda3/bin/activate\nconda activate testbed\ncd /testbed\n"
        "git config --global --add safe.directory /testbed\npython -m pip install -e .\n"
        f"git checkout {row['base_commit']} tests/test_calc.py\n"
        f"git apply -v - <<'EOF_1'\n{row['test_patch']}\nEOF_1\n: '>>>>> Start Test Output'\n"
        "pytest -rA tests/test_calc.py\n: '>>>>> End Test Output'\n"
        f"git checkout {row['base_commit']} tests/test_calc.py\n"
    )
    scripted = row | {
        "repo": "some/project",
        "image": grader.image.name,
        "eval_script": script,
        "log_parser": "parse_log_pytest",
        "eval_type": "pass_and_fail",
    }
    plan = runs.plan("oracle", dataset=str(runs.small.written(tmp_path, scripted)))
    attempt = runs.attempts(await runs.make(plan))[CALC_ID]
    assert (attempt.passed, attempt.reason) == (True, "passed")
    assert attempt.metrics["image"] == grader.image.digest
    log = attempt.events["grading"]["test_output"]
    assert "pip install -e ." in log and "test_calc.py::test_total" in log


async def test_one_answer_is_shown_the_files_that_fit_the_issue(runs: Runs, endpoint: FakeEndpoint) -> None:
    row = runs.small.rows[CALC_ID]
    endpoint.reply = lambda body: f"The slice is wrong.\n```diff\n{row['patch']}```"
    plan = runs.plan(endpoint.name, (CALC_ID,), mode="oneshot", hints=True)
    attempt = runs.attempts(await runs.make(plan))[CALC_ID]
    assert attempt.passed and attempt.metrics["hints"] is True
    asked = endpoint.requests[-1]["messages"][-1]["content"]
    assert "[start of calc.py]" in asked and "leaves the first number out" in asked and "the slice is wrong" in asked
    assert "test_calc" not in asked
    assert any("shown what was said under each issue" in line for line in runs.said)


async def test_budgets_end_an_agent_and_what_it_changed_is_graded(runs: Runs, endpoint: FakeEndpoint) -> None:
    fix = json.dumps({"command": "sed -i 's/numbers\\[1:\\]/numbers/' calc.py; pwd; ls"})
    endpoint.reply = lambda body: [("exec", fix)]
    plan = runs.plan(endpoint.name, (CALC_ID,), max_steps=2)
    attempt = runs.attempts(await runs.make(plan))[CALC_ID]
    assert attempt.passed and (attempt.metrics["steps"], attempt.metrics["ending"]) == (2, "steps")
    assert attempt.metrics["edit_similarity"] == 1


async def test_a_model_that_removes_the_repository_is_told_of(runs: Runs, endpoint: FakeEndpoint) -> None:
    removal: Calls = [("exec", json.dumps({"command": "rm -rf /testbed/.git /testbed/*"}))]
    endpoint.reply = lambda body: "done" if body.get("messages", [{}])[-1].get("role") == "tool" else removal
    attempt = runs.attempts(await runs.make(runs.plan(endpoint.name, (CALC_ID,))))[CALC_ID]
    assert (attempt.status, attempt.passed) == ("completed", False)
    assert attempt.reason == "failed: the repository is gone, or git cannot read what is left of it"


async def test_whose_failure_it_is_shows_in_the_reference_patch(runs: Runs, tmp_path: Path) -> None:
    """Tests that end without a result are ambiguous; where the reference patch passes in the image, the model's."""
    path = tmp_path / "predictions.json"
    text = "import os\nos._exit(1)\n"
    rows = {
        CALC_ID: {"instance_id": CALC_ID, "model_name_or_path": "m", "model_patch": patch_of("calc.py", CALC, text)}
    }
    path.write_text(json.dumps(rows))
    plan = runs.plan("oracle", test_timeout=61)  # other limits, so that no verdict is kept for them
    attempt = runs.attempts(await runs.make(plan, predictions=path))[CALC_ID]
    assert (attempt.passed, attempt.metrics["failure"], attempt.metrics["gold_passes"]) == (False, "model", 1)
    assert attempt.events["gold_grading"]["resolved"] and not attempt.events["grading"]["resolved"]


async def test_where_the_reference_patch_fails_too_the_reason_says_so(runs: Runs, tmp_path: Path) -> None:
    leaves = [patch_of("calc.py", CALC, f"import os\nos._exit({code})\n") for code in (1, 2)]
    dataset = runs.small.written(tmp_path, runs.small.rows[CALC_ID] | {"patch": leaves[0]})
    path = tmp_path / "predictions.json"
    path.write_text(json.dumps([{"instance_id": CALC_ID, "model_name_or_path": "m", "model_patch": leaves[1]}]))
    outcome = await runs.make(runs.plan("oracle", dataset=str(dataset)), predictions=path)
    attempt = runs.attempts(outcome)[CALC_ID]
    assert (attempt.passed, attempt.metrics["failure"]) == (False, "ambiguous")
    assert "; the reference patch does not pass here either, so it may be" in attempt.reason


FIX = "sed -i 's/numbers\\[1:\\]/numbers/' calc.py; echo note > ../tmp/note; echo x > build.pyc"
WORKING = [
    ("exec", json.dumps({"command": "ls"})),
    ("exec", json.dumps({"command": FIX})),
    ("exec", json.dumps({"command": "cat ../tmp/note build.pyc; git diff --stat"})),
    ("exec", json.dumps({"command": "true"})),
]


async def test_an_attempt_that_was_cut_off_goes_on_from_its_checkpoint(runs: Runs, endpoint: FakeEndpoint) -> None:
    """The result is that of a run that was not cut off, and says that it was."""

    def reply(body: Any) -> str | Calls:
        turns = sum(message["role"] == "assistant" for message in body.get("messages", []))
        return [WORKING[turns]] if turns < len(WORKING) else "Done."

    endpoint.reply = reply
    plan = runs.plan(endpoint.name, (CALC_ID,), checkpoint_steps=1)
    straight = await runs.make(plan)
    whole = runs.attempts(straight)[CALC_ID]
    assert whole.passed and whole.metrics["steps"] == 5 and whole.metrics["resumed_at_step"] is None
    results = runs.tool_results(straight, CALC_ID)
    assert "note\nx" in results[2] and "calc.py | 2 +-" in results[2]

    cut = OneRun(runs.home, plan, lambda event: None)

    def cut_after_the_fourth_turn(body: Any) -> str | Calls:
        turn = reply(body)
        if turn == [WORKING[3]] and not cut.stopping:
            cut.stop()
            endpoint.delay_s = 60
        return turn

    endpoint.reply = cut_after_the_fourth_turn
    interrupted = await cut.run()
    assert interrupted.status is RunStatus.INTERRUPTED
    kept = list((runs.home.run(interrupted.run_id) / "checkpoints").iterdir())
    assert [path.suffix for path in kept] == [".zip"] and kept[0].stat().st_mode & 0o777 == 0o600

    endpoint.delay_s = 0
    before = len(endpoint.requests)
    resumed = await OneRun(runs.home, cut.plan, resume=interrupted.run_id).run()
    assert len(endpoint.requests) - before == 1  # the answer
    attempt = runs.attempts(resumed)[CALC_ID]
    assert attempt.passed and attempt.patch == whole.patch
    assert (attempt.metrics["resumed_at_step"], attempt.metrics["steps"]) == (4, 5)
    assert attempt.metrics["tokens"] == whole.metrics["tokens"]
    assert attempt.events["agent_resumed"]["step"] == 4
    assert runs.tool_results(resumed, CALC_ID) == results
    assert runs.kinds(resumed, CALC_ID).count("model_call") == 5
    assert not (runs.home.run(resumed.run_id) / "checkpoints").exists()
