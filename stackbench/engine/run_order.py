"""What an engine is asked to run, and the name of a run; light: an engine is reached before the rest is loaded."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from stackbench.engine.plan import RunPlan

if TYPE_CHECKING:
    from stackbench.engine.samples import SampleFile
    from stackbench.sandbox.head_start import HeadStart

__all__ = ["RunOrder", "new_run_id", "utc_now"]


@dataclass(frozen=True, slots=True)
class RunOrder:
    """What an engine is asked to run."""

    plan: RunPlan
    run_id: str
    resume: bool = False
    """Whether the run is recorded already and is to be finished."""
    samples: SampleFile | None = None
    head_start: HeadStart | None = None


def utc_now() -> datetime:
    """Now in UTC, without a zone: as the database holds it."""
    return datetime.now(UTC).replace(tzinfo=None)


def new_run_id(now: Callable[[], datetime] = utc_now) -> str:
    """A name for a run: when it was asked for, and six random letters."""
    return f"{now():%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"
