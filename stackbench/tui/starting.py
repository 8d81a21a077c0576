"""Makes the plans of runs that a screen starts or goes on with."""

from __future__ import annotations

import asyncio

from stackbench.errors import UsageError
from stackbench.store.reader import RunInfo
from stackbench.tui.engine_link import Submission

__all__ = ["resumed", "smoke"]

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
