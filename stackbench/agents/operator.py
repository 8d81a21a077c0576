"""The operator's controls of a running agent: pause, step, message, approval of calls, stop."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from stackbench.agents.risk import is_risky
from stackbench.types import ApprovalPolicy, ToolCall

__all__ = ["Decision", "Operator"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Decision:
    """What becomes of a call that was shown to the operator."""

    verdict: Literal["approve", "edit", "reject"] = "approve"
    arguments: str = ""
    """With `edit`: the arguments to use, as JSON."""
    reason: str = ""
    """With `reject`: what the model is told."""


def _always() -> ApprovalPolicy:
    return "always"


def _untold(wait: str) -> AbstractContextManager[None]:
    return nullcontext()


class Operator:
    """The controls of one agent; every method may be called from its event loop at any time."""

    def __init__(
        self,
        approve: Callable[[ToolCall], Awaitable[Decision]] | None = None,
        on_text: Callable[[str], None] | None = None,
        *,
        policy: Callable[[], ApprovalPolicy] = _always,
        waits: Callable[[str], AbstractContextManager[None]] = _untold,
    ) -> None:
        self.on_text = on_text
        """Is told the model's text piece by piece, where the model streams."""
        self.stopped = asyncio.Event()
        self.interrupted = asyncio.Event()
        """Set from `interrupt` until the next message."""
        self.converses = False
        """Whether the agent waits for the operator's next message once it has answered."""
        self.listens = False
        """Whether it does so now."""
        self.at_work = False
        """Whether the agent runs: not before its first turn, nor while what it left is judged."""
        self._approve = approve
        self._policy = policy
        self._waits = waits
        """Entered while the agent waits for the operator; is told for what."""
        self._messages: deque[str] = deque()
        self._paused = False
        self._steps = 0
        self._changed = asyncio.Event()

    @property
    def paused(self) -> bool:
        return self._paused

    def pause(self) -> None:
        """Holds the agent before its next turn and its next call; its time limit waits with it."""
        self._paused, self._steps = True, 0

    def resume(self) -> None:
        self._paused, self._steps = False, 0
        self._changed.set()

    def step(self) -> None:
        """Lets one turn of the model, or one call, pass, and holds the agent before the next."""
        self._paused = True
        self._steps += 1
        self._changed.set()

    def stop(self) -> None:
        """Ends the agent: what it is doing is given up."""
        self.stopped.set()
        self._changed.set()

    def interrupt(self) -> None:
        """Ends what the agent of a chat is at: its turn and calls are given up, and it waits for the next message."""
        self.interrupted.set()

    async def unless_interrupted(self, work: Coroutine[Any, Any, T]) -> T | None:
        """What the work gives; None where it was given up, or not begun, since the agent was interrupted."""
        if self.interrupted.is_set():
            work.close()
            return None
        task, interrupted = asyncio.create_task(work), asyncio.create_task(self.interrupted.wait())
        try:
            await asyncio.wait({task, interrupted}, return_when=asyncio.FIRST_COMPLETED)
            return task.result() if task.done() else None
        finally:
            for one in (task, interrupted):
                one.cancel()
            await asyncio.gather(task, interrupted, return_exceptions=True)

    def tell(self, text: str) -> None:
        """Puts a message before the model's next turn."""
        self.interrupted.clear()
        self.listens = False
        self._messages.append(text)
        self._changed.set()

    def take_messages(self) -> list[str]:
        """The messages not told yet; they count as told."""
        found = list(self._messages)
        self._messages.clear()
        return found

    async def passage(self) -> bool:
        """Waits while paused; False when stopped."""
        if self._paused and not self._steps and not self.stopped.is_set():
            with self._waits("paused by the operator"):
                while self._paused and not self._steps and not self.stopped.is_set():
                    await self._next_change()
        if self._paused and self._steps:
            self._steps -= 1
        return not self.stopped.is_set()

    async def message(self) -> str | None:
        """Waits for what the operator says next; None when stopped."""
        if not self._messages and not self.stopped.is_set():
            self.listens = True
            with self._waits("a message of the operator"):
                while not self._messages and not self.stopped.is_set():
                    await self._next_change()
            self.listens = False
        return None if self.stopped.is_set() else "\n\n".join(self.take_messages())

    async def decide(self, call: ToolCall) -> Decision | None:
        """The operator's decision on a call; None where the policy lets it pass unasked."""
        policy = self._policy()
        if self._approve is None or policy == "never" or (policy == "risky" and not is_risky(call)):
            return None
        return await self._approve(call)

    async def _next_change(self) -> None:
        self._changed.clear()
        await self._changed.wait()
