"""The resources that the attempts of a run share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from stackbench.control.messages import EventKind
from stackbench.engine.attempt_tracker import AttemptTracker
from stackbench.engine.controls import RunControls
from stackbench.models import Model
from stackbench.sandbox.sandboxes import Sandboxes
from stackbench.store import Reader, Writer

__all__ = ["AttemptResources", "RunResources", "RunSandboxes"]


class RunSandboxes(Protocol):
    """What a run asks of its sandboxes, wherever they are."""

    def describe(self) -> Mapping[str, str]: ...

    def resize(self, size: int) -> None: ...

    async def engine_answers(self) -> bool: ...

    def begin_closing(self) -> asyncio.Task[None]: ...

    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class AttemptResources:
    """What attempts are made with, on the machine that makes them."""

    model: Model
    sandbox: Sandboxes
    controls: RunControls
    tracker: AttemptTracker
    publish: Callable[[EventKind], None]
    """Tells whoever watches the run."""
    checkpoints: Path | None = None
    """The folder of checkpoints of long attempts; None: none are kept."""


@dataclass(frozen=True, slots=True)
class RunResources:
    """What a run works with, in the engine's process."""

    writer: Writer
    reader: Reader
    model: Model
    sandbox: RunSandboxes
    controls: RunControls
    tracker: AttemptTracker
    publish: Callable[[EventKind], None]
    """Tells whoever watches the run."""
