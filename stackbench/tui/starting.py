"""Makes the plans of runs that a screen starts or goes on with."""

from __future__ import annotations

import asyncio

from stackbench.errors import UsageError
from stackbench.store.reader import RunInfo
from stackbench.tui.engine_link import Submission
from stackbench.types import AttemptKey

__all__ = ["once_more", "resumed", "smoke"]

HIDDEN_HEADER = "a resumed run needs its secret headers again: stackbench eval --resume {run} --header NAME:VALUE"


async def smoke() -> Submission:
    """The smoke suite with the settings in force. Raises ConfigError."""
    return await asyncio.to_thread(_smoke)


def _smoke() -> Submission:
    from stackbench.config import load_settings
    from stackbench.engine import new_run_id, plan_suite

    plan = plan_suite("smoke", load_settings().settings)
    return Submission(new_run_id(), plan.model_dump(mode="json"))


async def resumed(run: RunInfo) -> Submission:
    """The rest of a run. Raises UsageError where it cannot be resumed from here."""
    return await asyncio.to_thread(_resumed, run)


def _resumed(run: RunInfo) -> Submission:
    from stackbench.config import HIDDEN
    from stackbench.engine import RunPlan

    try:
        plan = RunPlan.model_validate(run.config)
    except ValueError as error:
        raise UsageError(f"run {run.run_id} was made by another version of stackbench and cannot be resumed") from error
    if any(header.endswith(f":{HIDDEN}") for header in plan.settings.headers):
        raise UsageError(HIDDEN_HEADER.format(run=run.run_id))
    return Submission(run.run_id, plan.model_dump(mode="json"), resume=True)


async def once_more(run: RunInfo, key: AttemptKey, model: str) -> Submission:
    """A run of one task as that run asked it, with this model. Raises UsageError for what cannot be asked so."""
    return await asyncio.to_thread(_once_more, run, key, model)


def _once_more(run: RunInfo, key: AttemptKey, model: str) -> Submission:
    from stackbench.engine import RunPlan, new_run_id
    from stackbench.models import parse_model_name

    parse_model_name(model)
    try:
        plan = RunPlan.model_validate(run.config)
    except ValueError as error:
        raise UsageError(f"run {run.run_id} was made by another version of stackbench: start a new one") from error
    asked = next((part for part in plan.benchmarks if part.name == key.benchmark), None)
    if asked is None or plan.samples_file is not None:
        raise UsageError(f"run {run.run_id} asked no model: there is nothing to ask again")
    part = asked.model_copy(
        update={"limit": None, "sample_ids": (key.task_id,), "samples": 1, "temperature": plan.temperature(asked)}
    )
    settings = plan.settings.model_copy(update={"model": model, "seeds": (key.seed,), "limit": None, "samples": 1})
    fresh = plan.model_copy(
        update={"suite": "again", "settings": settings, "benchmarks": (part,), "gates": (), "replays": None}
    )
    return Submission(new_run_id(), RunPlan.model_validate(fresh.model_dump()).model_dump(mode="json"))
