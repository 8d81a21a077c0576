from __future__ import annotations

from stackbench.cli.batch_stages import missed_gates_of
from stackbench.config import Settings
from stackbench.engine import GateResult, RunOutcome
from stackbench.engine.plan import BenchmarkPlan, Gate, RunPlan
from stackbench.types import RunStatus


def test_a_first_suite_is_held_against_its_own_gates_alone() -> None:
    works = Gate(name="works", benchmark="gsm8k", metric="exact_match_robust", min=0.5)
    plan = RunPlan(suite="first", settings=Settings(), benchmarks=(BenchmarkPlan(name="gsm8k"),), gates=(works,))
    bound = GateResult("longcontext truncated", 0.05, 0.5, passed=False)
    for passed, missed in ((True, []), (False, ["works"])):
        gates = (GateResult("works", 0.5, float(passed), passed=passed), bound)
        outcome = RunOutcome("r", RunStatus.COMPLETED, "null", 1.0, gates=gates)
        assert missed_gates_of(plan, outcome) == missed
