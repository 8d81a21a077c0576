"""What the verbs that look at something answer, as typed models, and what a command in a sandbox gave."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from stackbench.types import ApprovalPolicy

__all__ = [
    "AgentNow",
    "BenchmarkCounts",
    "FileEntry",
    "FileListed",
    "FileRead",
    "PendingCall",
    "QueuedRun",
    "RunNow",
    "RunningAttempt",
    "ShellResult",
    "SlotsNow",
    "TerminalAccess",
    "TranscriptNow",
    "TranscriptStep",
    "WhyNow",
]


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
    name: str | None = None
    tags: tuple[str, ...] = ()
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
    attempt: int = 0
    seed: int = 0
    risky: bool = True
    """Whether it may change something."""
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


class AgentNow(_Answer):
    """An agent at work, as `agents` lists them."""

    benchmark: str
    task_id: str
    attempt: int
    seed: int
    state: str
    """`running` or `paused`."""
    policy: ApprovalPolicy
    chat: bool = False
    """Whether it waits for the operator's next message once it has answered."""
    turns: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    events: int = 0
    """Of its transcript so far."""
    calls: tuple[PendingCall, ...] = ()
    """Those that wait for the operator."""


class TranscriptStep(_Answer):
    """An event of an agent's attempt. Without `content` the payload holds numbers and truths alone."""

    kind: str
    ts: str
    """UTC, ISO 8601."""
    payload: dict[str, Any]


class TranscriptNow(_Answer):
    """A part of an agent's transcript, as `transcript` answers it."""

    since: int
    next: int
    """What to ask for as `since` to have what follows."""
    total: int
    steps: tuple[TranscriptStep, ...] = ()


class FileEntry(_Answer):
    """What a folder of a sandbox holds."""

    name: str
    kind: str
    size: int
    mode: int
    target: str = ""
    """Where a symbolic link points."""


class FileListed(_Answer):
    """A folder of a sandbox, as `files` answers it."""

    path: str
    entries: tuple[FileEntry, ...] = ()
    cut: bool = False


class FileRead(_Answer):
    """A file of a sandbox, as `read` answers it; bytes that are no UTF-8 stand as escapes."""

    path: str
    size: int
    text: str
    cut: bool = False


class TerminalAccess(_Answer):
    """How a terminal in a sandbox is opened, as `terminal` answers it."""

    command: tuple[str, ...]
    """To be run on a terminal of this machine."""


class ShellResult(_Answer):
    """What a command line of the operator's gave."""

    exit_code: int | None
    ended: Literal["exited", "killed", "timed out"]
    signal: str = ""
    seconds: float
    output: str = ""
    """Standard output and error, the last of it; only with `content`."""
    cut: bool = False
    folder: str = ""
    """Where the shell stood at its end."""
