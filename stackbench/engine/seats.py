"""Messages from the operator to running agents, and agents' calls that wait for approval."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from stackbench.errors import UsageError
from stackbench.types import AttemptKey, ToolCall

if TYPE_CHECKING:
    from stackbench.agents import Decision, Operator

__all__ = ["Seats", "WaitingCall"]


@dataclass(eq=False)
class WaitingCall:
    """A tool call that is not made before the operator has decided."""

    number: str
    key: AttemptKey
    call: ToolCall
    decided: asyncio.Future[Decision] = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    def decide(self, decision: Decision) -> None:
        """The first decision holds."""
        if not self.decided.done():
            self.decided.set_result(decision)


class Seats:
    """One for every agent that runs."""

    def __init__(self) -> None:
        self._agents: dict[AttemptKey, Operator] = {}
        self._waiting: dict[str, WaitingCall] = {}
        self._numbers = itertools.count(1)

    def take(self, key: AttemptKey, agent: Operator) -> None:
        """An agent begins."""
        self._agents[key] = agent

    def leave(self, key: AttemptKey) -> None:
        """It has ended."""
        self._agents.pop(key, None)

    def ask(self, key: AttemptKey, call: ToolCall) -> WaitingCall:
        """Puts a call before the operator; `close` it when it no longer waits."""
        waiting = WaitingCall(str(next(self._numbers)), key, call)
        self._waiting[waiting.number] = waiting
        return waiting

    def close(self, waiting: WaitingCall) -> None:
        self._waiting.pop(waiting.number, None)

    def pending(self, *, content: bool = False) -> list[dict[str, Any]]:
        """The calls that wait, the oldest first; their arguments only with `content`, since a model wrote them."""
        return [
            {
                "call": waiting.number,
                "benchmark": waiting.key.benchmark,
                "task_id": waiting.key.task_id,
                "attempt": waiting.key.attempt,
                "tool": waiting.call.name,
                **({"arguments": waiting.call.arguments} if content else {}),
            }
            for waiting in self._waiting.values()
        ]

    def waiting_call(self, number: str) -> WaitingCall:
        """The call of that number; without one, the only one. Raises UsageError."""
        if number:
            if number not in self._waiting:
                raise UsageError(
                    f'no call "{number}" waits for the operator; "stackbench ctl status" lists those that do'
                )
            return self._waiting[number]
        if not self._waiting:
            raise UsageError("no call waits for the operator (a run with --approve-calls has its calls wait)")
        if len(self._waiting) > 1:
            raise UsageError(f"{len(self._waiting)} calls wait: say which, of {', '.join(self._waiting)}")
        return next(iter(self._waiting.values()))

    def agent(self, task: str) -> Operator:
        """The agent at a task (`task` or `benchmark/task`); without one, the only agent. Raises UsageError."""
        found = [
            agent
            for key, agent in self._agents.items()
            if not task or task in (key.task_id, f"{key.benchmark}/{key.task_id}")
        ]
        if not found:
            raise UsageError(f'no agent is at work on "{task}"' if task else "no agent is at work")
        if len(found) > 1:
            raise UsageError(
                f"{len(found)} agents are at work: say which task"
                if not task
                else f"{len(found)} attempts at {task} are at work"
            )
        return found[0]
