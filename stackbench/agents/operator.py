"""The operator's controls of a running agent: pause, message, approval of calls, stop."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

from stackbench.types import ToolCall

__all__ = ["Decision", "Operator"]


@dataclass(frozen=True, slots=True)
class Decision:
    """What becomes of a call that was shown to the operator."""

    verdict: Literal["approve", "edit", "reject"] = "approve"
    arguments: str = ""
    """With `edit`: the arguments to use, as JSON."""
    reason: str = ""
    """With `reject`: what the model is told."""


class Operator:
    """The controls of one agent; every method may be called from its event loop at any time."""

    def __init__(
        self,
        approve: Callable[[ToolCall], Awaitable[Decision]] | None = None,
        on_text: Callable[[str], None] | None = None,
    ) -> None:
        self.approve = approve
        """Asked before each call; None lets every call pass."""
        self.on_text = on_text
        """Is told the model's text piece by piece, where the model streams."""
        self._messages: deque[str] = deque()
        self._running = asyncio.Event()
        self._running.set()
        self._stopped = False

    @property
    def paused(self) -> bool:
        return not self._running.is_set()

    @property
    def stopped(self) -> bool:
        return self._stopped

    def pause(self) -> None:
        """Holds the agent before its next turn and its next call; its time limit waits with it."""
        self._running.clear()

    def resume(self) -> None:
        self._running.set()

    def stop(self) -> None:
        """Ends the agent before its next turn or call."""
        self._stopped = True
        self._running.set()

    def tell(self, text: str) -> None:
        """Puts a message before the model's next turn."""
        self._messages.append(text)

    def take_messages(self) -> list[str]:
        """The messages not told yet; they count as told."""
        found = list(self._messages)
        self._messages.clear()
        return found

    async def passage(self) -> bool:
        """Waits while paused; False when stopped."""
        await self._running.wait()
        return not self._stopped
