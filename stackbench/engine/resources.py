"""The resources that the attempts of a run share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from stackbench.control.messages import EventKind
from stackbench.engine.attempt_tracker import AttemptTracker
from stackbench.engine.controls import RunControls
from stackbench.models import Model
from stackbench.sandbox.sandboxes import Sandboxes
from stackbench.store import Reader, Writer

__all__ = ["RunResources"]


@dataclass(frozen=True, slots=True)
class RunResources:
    """What a run works with."""

    writer: Writer
    reader: Reader
    model: Model
    sandbox: Sandboxes
    controls: RunControls
    tracker: AttemptTracker
    publish: Callable[[EventKind], None]
    """Tells whoever watches the run."""
