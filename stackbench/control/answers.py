"""What the verbs that only look answer, as typed models: `runs`, `status` and `why`."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["BenchmarkCounts", "PendingCall", "QueuedRun", "RunNow", "RunningAttempt", "SlotsNow", "WhyNow"]


class _Answer(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, defer_build=True)


class QueuedRun(_Answer):
    """A live or queued run, as `runs` lists them."""

    run_id: str
    state: str
    """`running` or `queued`."""
    phase: str
    """`running`, `paused`, `held`, `draining`, `stopping`, or `queued`."""
    suite: str
    model: str
    benchmarks: tuple[str, ...] = ()
    position: int | None = None


class BenchmarkCounts(_Answer):
    """A benchmark of the live run."""

    benchmark: str
    total: int
    before: int = 0
    """Attempts that an earlier part of the run made."""
    done: int = 0
    """Attempts of this part."""
    passed: int = 0
    tokens: int = 0
    queued: int = 0
    running: int = 0
    errors: int = 0
    cancelled: int = 0


class SlotsNow(_Answer):
    """Places at the model."""

    size: int = 0
    taken: int = 0


class PendingCall(_Answer):
    """A tool call that waits for the operator."""

    call: str
    tool: str
    benchmark: str
    task_id: str
    arguments: str = ""


class RunNow(_Answer):
    """The live run, as `status` tells it."""

    run_id: str
    suite: str
    model: str
    phase: str
    benchmarks: tuple[BenchmarkCounts, ...] = ()
    settings: dict[str, Any] = Field(default_factory=dict[str, Any])
    slots: SlotsNow = SlotsNow()
    last_error: str = ""
    calls_to_approve: tuple[PendingCall, ...] = ()
    next_seq: int = 0


class RunningAttempt(_Answer):
    """An attempt under way, as `why` and an engine's trace tell it; seconds."""

    benchmark: str
    task_id: str
    attempt: int
    seed: int
    waits_for: str | None = None
    detail: str = ""
    for_s: float = 0.0
    running_s: float = 0.0
    step: int = 0


class WhyNow(_Answer):
    """What every attempt under way waits for."""

    run_id: str | None = None
    phase: str = "idle"
    attempts: tuple[RunningAttempt, ...] = ()
