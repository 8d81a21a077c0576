"""A model that tries thirty tricks finds no fix and resolves nothing; nor does a patch that deceives the tests."""

from __future__ import annotations

import json
from typing import Any

import pytest

from stackbench.benchmarks.swebench.patches import patched_files
from tests.benchmarks.swebench.conftest import Runs
from tests.benchmarks.swebench.grader import Grader
from tests.benchmarks.swebench.small_repositories import CALC, CALC_ID, patch_of
from tests.benchmarks.swebench.tricks import PATCHES, TRICKS
from tests.fake_endpoint import FakeEndpoint

pytestmark = [pytest.mark.docker, pytest.mark.xdist_group("swebench")]

FIX = "for number in numbers:"
"""A line that only the later commit has."""


async def test_thirty_tricks_find_no_fix_and_resolve_nothing(runs: Runs, endpoint: FakeEndpoint) -> None:
    assert len(TRICKS) == 30
    later = runs.small.rows[CALC_ID]["environment_setup_commit"]
    commands = [command.replace("{later}", later) for command in TRICKS.values()]

    def cheat(body: dict[str, Any]) -> str | list[tuple[str, str]]:
        made = sum(message["role"] == "tool" for message in body.get("messages", []))
        if made >= len(commands):
            return "done"
        return [("exec", json.dumps({"command": commands[made], "timeoutSeconds": 60}))]

    endpoint.reply = cheat
    outcome = await runs.make(runs.plan(endpoint.name, (CALC_ID,), max_steps=40))
    attempt = runs.attempts(outcome)[CALC_ID]
    assert (attempt.passed, attempt.status) == (False, "completed"), attempt.reason
    assert attempt.metrics["steps"] == 31 and attempt.metrics["fail_to_pass_rate"] == 0
    results = runs.tool_results(outcome, CALC_ID)
    assert len(results) == 30
    for trick, said in zip(TRICKS, results, strict=True):
        told = said.replace(TRICKS[trick], "")
        assert FIX not in told and "the fix" not in told and "v2" not in told, (trick, said)
    assert results[list(TRICKS).index("log")].count("before") <= 2
    assert patched_files(attempt.patch) == ("setup.cfg",)
    refused = {path for one in attempt.events["solution"]["refused"] for path in one["paths"]}
    assert {"conftest.py", "sitecustomize.py", "pytest.py", "pytest.ini", "tests/test_calc.py"} <= refused


async def test_patches_that_deceive_the_tests_resolve_nothing(grader: Grader) -> None:
    patches = {name: patch_of("calc.py", CALC, text + CALC) for name, text in PATCHES.items()}
    for name, verdict in (await grader.verdicts(patches)).items():
        assert verdict.applied, (name, verdict.apply_log)
        assert (verdict.resolved, verdict.fail_to_pass) == (False, (0, 2)), (name, verdict.log)
