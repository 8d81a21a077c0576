"""Turns a suite into work and runs it: the only writer of the store, and the one who owns models and sandboxes.

A name is imported from its module when it is first used, so that a command loads no more than it needs.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stackbench.engine.cost import Cost, run_cost
    from stackbench.engine.early_sandboxes import HeadStart, begin_sandboxes
    from stackbench.engine.gates import GateResult
    from stackbench.engine.outcome import RunOutcome
    from stackbench.engine.plan import BenchmarkPlan, Gate, RunPlan
    from stackbench.engine.replays import replay_settings
    from stackbench.engine.run_model import check_model_name, model_options, sampling_not_set
    from stackbench.engine.run_order import new_run_id
    from stackbench.engine.samples import SampleFile, read_plan_samples, read_samples, write_results
    from stackbench.engine.service import (
        EngineService,
        Listener,
        SubmittedRun,
        foreground_engine,
        outcome_adapter,
        run_plan,
    )
    from stackbench.engine.suite import Suite, list_suites, load_suite, plan_benchmarks, plan_suite

__all__ = [
    "BenchmarkPlan",
    "Cost",
    "EngineService",
    "Gate",
    "GateResult",
    "HeadStart",
    "Listener",
    "RunOutcome",
    "RunPlan",
    "SampleFile",
    "SubmittedRun",
    "Suite",
    "begin_sandboxes",
    "check_model_name",
    "foreground_engine",
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

MODULES = {
    "cost": ("Cost", "run_cost"),
    "early_sandboxes": ("HeadStart", "begin_sandboxes"),
    "gates": ("GateResult",),
    "outcome": ("RunOutcome",),
    "plan": ("BenchmarkPlan", "Gate", "RunPlan"),
    "replays": ("replay_settings",),
    "run_model": ("check_model_name", "model_options", "sampling_not_set"),
    "run_order": ("new_run_id",),
    "samples": ("SampleFile", "read_plan_samples", "read_samples", "write_results"),
    "service": ("EngineService", "Listener", "SubmittedRun", "foreground_engine", "outcome_adapter", "run_plan"),
    "suite": ("Suite", "list_suites", "load_suite", "plan_benchmarks", "plan_suite"),
}


def __getattr__(name: str) -> Any:
    for module, names in MODULES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
