"""Turns a suite into work and runs it: the only writer of the store, and the one who owns models and sandboxes."""

from stackbench.engine.cost import Cost, run_cost
from stackbench.engine.gates import GateResult
from stackbench.engine.outcome import RunOutcome
from stackbench.engine.plan import PACE, BenchmarkPlan, Gate, RunPlan
from stackbench.engine.replays import replay_settings
from stackbench.engine.run import new_run_id
from stackbench.engine.run_model import model_options, sampling_not_set
from stackbench.engine.samples import SampleFile, read_plan_samples, read_samples, write_results
from stackbench.engine.service import EngineService, Listener, SubmittedRun, outcome_adapter, run_plan
from stackbench.engine.suite import Suite, list_suites, load_suite, plan_benchmarks, plan_suite

__all__ = [
    "PACE",
    "BenchmarkPlan",
    "Cost",
    "EngineService",
    "Gate",
    "GateResult",
    "Listener",
    "RunOutcome",
    "RunPlan",
    "SampleFile",
    "SubmittedRun",
    "Suite",
    "list_suites",
    "load_suite",
    "model_options",
    "new_run_id",
    "outcome_adapter",
    "plan_benchmarks",
    "plan_suite",
    "read_plan_samples",
    "read_samples",
    "replay_settings",
    "run_cost",
    "run_plan",
    "sampling_not_set",
    "write_results",
]
