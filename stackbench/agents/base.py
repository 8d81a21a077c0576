"""The inputs and the result of an agent's run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from stackbench.active_clock import ActiveClock
from stackbench.agents.effects import Effects
from stackbench.types import Generation, Request, TokenCount, ToolCall, ToolCallRecord

__all__ = ["AgentLimits", "AgentResult", "Backend", "CallMade", "Ending", "Script"]

Ending = Literal["answered", "steps", "tokens", "seconds", "repeats", "stopped", "window", "length"]
"""Why an agent ended: it gave its answer, a limit was reached, it was told to stop, its chat outgrew the window, or its
turns ended at their token limit again and again."""


class Backend(Protocol):
    """The model behind an agent, and the log before it."""

    @property
    def native_tools(self) -> bool:
        """Whether the model takes tools and answers with calls."""
        ...

    @property
    def clock(self) -> ActiveClock:
        """What counts against the agent's time limit; stands while it waits for anything but model and tools."""
        ...

    @property
    def window(self) -> int | None:
        """Tokens of prompt and answer together, where known."""
        ...

    async def generate(self, request: Request) -> Generation:
        """Asks the model; logged as an event. Raises GenerationError."""
        ...

    async def count_tokens(self, request: Request) -> TokenCount:
        """How many tokens the model would read of a request. Raises GenerationError."""
        ...

    def log(self, kind: str, payload: Mapping[str, Any]) -> None:
        """Logs an event."""
        ...

    def call_started(self, step: int, call: ToolCall) -> None:
        """Publishes the start of a tool call to subscribers."""
        ...

    def command_output(self, session_id: str, text: str) -> None:
        """Publishes a piece of what a command of the agent's writes to subscribers."""
        ...

    def log_call(self, call: ToolCallRecord) -> None:
        """Logs a call of a tool that has ended."""
        ...


@dataclass(frozen=True, slots=True)
class AgentLimits:
    """What an agent may use up."""

    steps: int = 30
    """Turns of the model."""
    seconds: float = 600.0
    """Of the model and of its tools together; what it waits for does not count."""
    tokens: int | None = None
    """Of all prompts and answers together."""
    repeats: int = 5
    """The same call with the same arguments so many times in a row ends it."""


@dataclass(frozen=True, slots=True)
class CallMade:
    """A call as the agent made it, and what came of it."""

    step: int
    tool: str
    arguments: str
    valid: bool
    failed: bool
    """Whether the model was told of an error: a malformed call, a failure, an exit code other than 0."""
    text: str
    """What the model was told."""
    repaired: bool = False
    """Whether it was found in the model's text."""
    details: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Of the tool's: exit code, HTTP status."""
    effects: Effects | None = None
    """What it did, where that was looked at."""


@dataclass(frozen=True, slots=True)
class AgentResult:
    """What an agent did."""

    answer: str
    """Its last text without a call; empty where it came to none."""
    ending: Ending
    calls: tuple[CallMade, ...]
    steps: int
    prompt_tokens: int
    """Of all turns; what a later turn repeats counts again."""
    completion_tokens: int
    model_s: float
    """Time spent waiting for the model."""
    rejected: int
    """Calls in the model's text that `strict` did not take."""


Script = Callable[[Sequence[CallMade]], tuple[str, Sequence[ToolCall]]]
"""What the reference solution says and calls next, after the calls made so far; only the oracle is shown it."""
