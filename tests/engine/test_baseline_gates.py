"""A suite whose gate names a baseline, run for real with the answers that need no model."""

from __future__ import annotations

from dataclasses import replace

import pytest

from stackbench.config import Home, Settings
from stackbench.engine import RunOutcome, plan_suite, run_plan
from stackbench.errors import UsageError

SUITE = """
gates = ["gsm8k.exact_match_robust >= baseline - 2 points"]
baseline = "last"
[[benchmarks]]
name = "gsm8k"
limit = 40
"""


async def run(home: Home, model: str, *, gates: bool = True, baseline: str = "", suite: str = SUITE) -> RunOutcome:
    path = home.path / "s.toml"
    path.write_text(suite)
    plan = plan_suite(str(path), Settings(model=model, baseline=baseline))
    return await run_plan(home, plan if gates else plan.model_copy(update={"gates": ()}))


async def test_last_is_the_run_before_and_its_tasks_are_paired(home: Home) -> None:
    first = await run(home, "oracle", gates=False)
    same = (await run(home, "oracle")).gates[0]
    assert (same.baseline, same.verdict, same.value) == (first.run_id, "undecided", 0.0)  # 40 tasks are too few
    assert same.needed is not None and same.needed > 40
    worse = (await run(home, "null", baseline=first.run_id)).gates[0]
    assert (worse.verdict, worse.passed, worse.value) == ("fail", False, -1.0)
    assert worse.ci_high is not None and worse.ci_high < -0.8
    assert replace(worse, needed=None).bounds == f"not worse than {first.run_id} by more than 2 points"


async def test_a_model_with_published_results_may_be_the_baseline(home: Home) -> None:
    gate = (await run(home, "null", baseline="qwen2.5-coder-7b-instruct")).gates[0]
    assert (gate.verdict, gate.value) == ("fail", pytest.approx(-0.867)), "run minus published"


async def test_a_gate_on_too_few_tasks_has_no_interval_and_says_why(home: Home) -> None:
    few = SUITE.replace("40", "5")
    for baseline in ((await run(home, "oracle", gates=False)).run_id, "qwen2.5-coder-7b-instruct"):
        gate = (await run(home, "null", baseline=baseline, suite=few)).gates[0]
        assert (gate.verdict, gate.ci_low, gate.ci_high, gate.needed) == ("undecided", None, None, 15)
        assert gate.why == "5 tasks: too few independent ones for an interval"


async def test_a_baseline_that_does_not_exist_ends_the_run_before_it_begins(home: Home) -> None:
    with pytest.raises(UsageError, match='no run and no published model "nobody"'):
        await run(home, "oracle", baseline="nobody")
