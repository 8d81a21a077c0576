"""Turns a suite into work and runs it: the only writer of the store, and the one who owns models and sandboxes."""

from stackbench.engine.events import (
    AttemptFinished,
    BenchmarkFinished,
    BenchmarkSkipped,
    BenchmarkStarted,
    EngineEvent,
    Listener,
    Notice,
    RunStarted,
)
from stackbench.engine.outcome import GateResult, RunOutcome
from stackbench.engine.plan import PACE, BenchmarkPlan, Gate, RunPlan
from stackbench.engine.replays import replay_settings
from stackbench.engine.run import Engine
from stackbench.engine.run_model import model_options, sampling_not_set
from stackbench.engine.samples import SampleFile, read_plan_samples, read_samples, write_results
from stackbench.engine.suite import Suite, list_suites, load_suite, plan_benchmarks, plan_suite

__all__ = [
    "PACE",
    "AttemptFinished",
    "BenchmarkFinished",
    "BenchmarkPlan",
    "BenchmarkSkipped",
    "BenchmarkStarted",
    "Engine",
    "EngineEvent",
    "Gate",
    "GateResult",
    "Listener",
    "Notice",
    "RunOutcome",
    "RunPlan",
    "RunStarted",
    "SampleFile",
    "Suite",
    "list_suites",
    "load_suite",
    "model_options",
    "plan_benchmarks",
    "plan_suite",
    "read_plan_samples",
    "read_samples",
    "replay_settings",
    "sampling_not_set",
    "write_results",
]
