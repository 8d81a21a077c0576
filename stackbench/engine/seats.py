"""The operator's seats at running agents: who is at work, and the calls that wait for approval."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from stackbench.errors import UsageError
from stackbench.types import ApprovalPolicy, AttemptKey, EventRecord, ToolCall

if TYPE_CHECKING:
    from stackbench.agents import Decision, Operator
    from stackbench.sandbox.session import Session

__all__ = ["AgentAttempt", "AgentSeat", "Seats", "WaitingCall"]


class AgentAttempt(Protocol):
    """What an operator sees of the attempt that an agent makes."""

    @property
    def events(self) -> Sequence[EventRecord]:
        """Its events so far."""
        ...

    @property
    def session(self) -> Session | None:
        """Its sandbox, while it has one."""
        ...

    def log(self, kind: str, payload: Mapping[str, Any]) -> None:
        """Logs an event."""
        ...


@dataclass(eq=False, slots=True)
class AgentSeat:
    """An agent at work."""

    key: AttemptKey
    operator: Operator
    attempt: AgentAttempt
    policy: ApprovalPolicy | None = None
    """Which of its calls wait, where that is not as for the run."""


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
    """One for every agent that runs. `policy` says which calls wait, where an agent has no policy of its own."""

    def __init__(self, policy: ApprovalPolicy = "never") -> None:
        self.policy: ApprovalPolicy = policy
        self._agents: dict[AttemptKey, AgentSeat] = {}
        self._waiting: dict[str, WaitingCall] = {}
        self._numbers = itertools.count(1)

    def take(self, key: AttemptKey, agent: Operator, attempt: AgentAttempt) -> None:
        """An agent begins."""
        self._agents[key] = AgentSeat(key, agent, attempt)

    def leave(self, key: AttemptKey) -> None:
        """It has ended."""
        self._agents.pop(key, None)

    def __iter__(self) -> Iterator[AgentSeat]:
        return iter([seat for seat in self._agents.values() if seat.operator.at_work])

    def policy_of(self, key: AttemptKey) -> ApprovalPolicy:
        """Which calls of this agent wait."""
        seat = self._agents.get(key)
        return (seat.policy if seat is not None else None) or self.policy

    def set_policy(self, policy: ApprovalPolicy) -> None:
        """For every agent of the run, those to come included."""
        self.policy = policy
        for seat in self._agents.values():
            seat.policy = None

    def end_chats(self) -> None:
        """The run is to end: agents that would wait for the operator's next message are stopped."""
        for seat in self._agents.values():
            if seat.operator.converses:
                seat.operator.stop()

    def ask(self, key: AttemptKey, call: ToolCall) -> WaitingCall:
        """Puts a call before the operator; `close` it when it no longer waits."""
        waiting = WaitingCall(str(next(self._numbers)), key, call)
        self._waiting[waiting.number] = waiting
        return waiting

    def close(self, waiting: WaitingCall) -> None:
        self._waiting.pop(waiting.number, None)

    def pending(self, *, content: bool = False, key: AttemptKey | None = None) -> list[dict[str, Any]]:
        """The calls that wait (of one agent), the oldest first; their arguments only with `content`, since a model
        wrote them."""
        from stackbench.agents.risk import is_risky

        return [
            {
                "call": waiting.number,
                "benchmark": waiting.key.benchmark,
                "task_id": waiting.key.task_id,
                "attempt": waiting.key.attempt,
                "seed": waiting.key.seed,
                "tool": waiting.call.name if content else known_tool(waiting.call),
                "risky": is_risky(waiting.call),
                **({"arguments": waiting.call.arguments} if content else {}),
            }
            for waiting in self._waiting.values()
            if key is None or waiting.key == key
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
            raise UsageError(
                'no call waits for the operator ("stackbench ctl policy risky" or --approve-calls has calls wait)'
            )
        if len(self._waiting) > 1:
            raise UsageError(f"{len(self._waiting)} calls wait: say which, of {', '.join(self._waiting)}")
        return next(iter(self._waiting.values()))

    def seat(self, target: str) -> AgentSeat:
        """The agent at a task (`task`, `benchmark/task`, and `#ATTEMPT` after either where several attempts at it are
        under way); without one, the only agent. Raises UsageError."""
        found = [seat for seat in self if not target or target in _names(seat.key)]
        if not found:
            at_work = ", ".join(sorted(seat.key.task_id for seat in self)[:5]) or "none"
            raise UsageError(
                f'no agent is at work on "{target}"; at work: {at_work}' if target else "no agent is at work"
            )
        if len(found) > 1:
            raise UsageError(
                f"{len(found)} agents are at work: say which task"
                if not target
                else f"{len(found)} attempts at {target} are at work: say which, as TASK#ATTEMPT or TASK#ATTEMPT/SEED"
            )
        return found[0]


def known_tool(call: ToolCall) -> str:
    """The tool's name, where there is such a tool: any other name is a text of the model's."""
    from stackbench.agents.tools import TOOLS

    return call.name if call.name in TOOLS else "(unknown tool)"


def _names(key: AttemptKey) -> list[str]:
    """What an agent may be called."""
    tasks = (key.task_id, f"{key.benchmark}/{key.task_id}")
    return [name for task in tasks for name in (task, f"{task}#{key.attempt}", f"{task}#{key.attempt}/{key.seed}")]
