"""What is known of the agents at work, and of the one in view: its transcript, and what has not come to it yet."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from stackbench.control.answers import AgentNow, PendingCall, RunningAttempt, TranscriptNow
from stackbench.control.messages import (
    AttemptFinished,
    AttemptQueued,
    AttemptRef,
    AttemptStarted,
    AttemptText,
    AttemptWaiting,
    CallDecided,
    CallWaiting,
    CommandOutput,
    Event,
    Missed,
    Notice,
    OperatorAction,
    RunFinished,
    ToolCallEnded,
    ToolCallStarted,
)
from stackbench.report.transcript import Event as TranscriptEvent

__all__ = ["AgentKey", "AgentsNow", "Tail", "key_of", "target_of"]

TAIL_KEPT = 16_000
"""Characters of a text that comes piece by piece, the last ones; the transcript has all of it."""

AgentKey = tuple[str, str, int, int]


def target_of(key: AgentKey) -> str:
    """How the verbs name an agent."""
    return f"{key[0]}/{key[1]}#{key[2]}/{key[3]}"


@dataclass(slots=True)
class Tail:
    """What the agent in view is doing, before it stands in its transcript."""

    text: str = ""
    """Of the model's turn under way."""
    thought: str = ""
    """Of that turn, where its thought comes apart from the answer."""
    step: int = 0
    calls: dict[str, tuple[str, str]] = field(default_factory=dict[str, tuple[str, str]])
    """Calls under way, by id: tool and arguments."""
    output: str = ""
    """What their commands have written."""
    waits: str = ""
    waits_since: float = 0.0

    def settle(self, turns: int) -> None:
        """The transcript has so many turns now: the text of those is not repeated."""
        if self.step <= turns:
            self.text = self.thought = ""


@dataclass(slots=True)
class AgentsNow:
    """`version` grows with every change that is worth painting; `stale` says that the engine is to be asked."""

    clock: Callable[[], float]
    run_id: str = ""
    state: str = ""
    """Why there is no agent, in a line."""
    notice: str = ""
    agents: list[AgentNow] = field(default_factory=list[AgentNow])
    chosen: AgentKey | None = None
    last: AgentNow | None = None
    """The agent in view, as it was last told of."""
    ended: str = ""
    """How the agent in view ended; empty while it is at work."""
    settled: bool = False
    """Whether the events are those of the record: there are no more to come."""
    events: list[TranscriptEvent] = field(default_factory=list[TranscriptEvent])
    tail: Tail = field(default_factory=Tail)
    waits: dict[AgentKey, str] = field(default_factory=dict[AgentKey, str])
    """What each attempt under way waits for."""
    version: int = 0
    stale: bool = True

    @property
    def agent(self) -> AgentNow | None:
        """The agent in view, while it is at work."""
        return next((one for one in self.agents if key_of(one) == self.chosen), None)

    @property
    def rows(self) -> list[AgentNow]:
        """The agents at work; the one in view stays among them once it has ended, until another is chosen."""
        ended = self.last is not None and self.chosen is not None and self.agent is None
        return [*self.agents, self.last] if ended and self.last is not None else list(self.agents)

    @property
    def calls(self) -> Sequence[PendingCall]:
        """Calls of the agent in view that wait for the operator."""
        agent = self.agent
        return agent.calls if agent is not None else ()

    @property
    def turns(self) -> int:
        return sum(kind in ("model_call", "model_call_failed") for kind, _ in self.events)

    def choose(self, key: AgentKey | None) -> None:
        """Another agent comes into view."""
        if key != self.chosen:
            self.chosen, self.ended, self.settled, self.events, self.tail = key, "", False, [], Tail()
            self.last = self.agent
            self._changed(stale=True)

    def attach(self, run_id: str) -> None:
        """To a run whose events follow; what is known of another one is forgotten."""
        if run_id != self.run_id:
            self.run_id, self.agents = run_id, []
            self.waits.clear()
            self.choose(None)
        self.state = ""
        self._changed(stale=True)

    def detach(self, why: str) -> None:
        """There is no agent to be seen; what the last one did stays in view."""
        if self.agents or self.state != why:
            self.state, self.agents, self.notice = why, [], ""
            if self.chosen is not None:
                self.ended = self.ended or "it is no longer at work"
            self._changed()

    def adopt(self, agents: Sequence[AgentNow]) -> None:
        """The agents that the engine has at work."""
        self.agents = list(agents)
        keys = [key_of(one) for one in self.agents]
        if self.chosen is None and keys:
            self.choose(keys[0])
        elif self.chosen is not None and self.chosen not in keys:
            self.ended = self.ended or "it is no longer at work"
        elif self.chosen is not None:
            self.ended, self.last = "", self.agent
        self._changed()

    def adopt_waits(self, attempts: Sequence[RunningAttempt]) -> None:
        """What attempts under way waited for as this was attached; events tell what follows."""
        for one in attempts:
            key = (one.benchmark, one.task_id, one.attempt, one.seed)
            self.waits[key] = one.detail or one.waits_for or ""

    def adopt_transcript(self, key: AgentKey, part: TranscriptNow) -> None:
        """What follows in the transcript of the agent in view."""
        if key != self.chosen or part.since != len(self.events):
            return
        self.events += [(step.kind, step.payload) for step in part.steps]
        done = {str(step.payload.get("call")) for step in part.steps if step.kind == "tool_result"}
        for call_id in done & self.tail.calls.keys():
            del self.tail.calls[call_id]
        if done and not self.tail.calls:
            self.tail.output = ""
        self.tail.settle(self.turns)
        if part.steps:
            self._changed()

    def adopt_recorded(self, key: AgentKey, events: Sequence[TranscriptEvent]) -> None:
        """The whole transcript of the agent in view, which has ended."""
        if key == self.chosen and self.ended:
            self.events, self.settled, self.tail = list(events), True, Tail()
            self._changed()

    # -- events

    def take(self, event: Event | Missed) -> None:
        """Takes an event in."""
        if isinstance(event, Missed):
            self.stale = True
            return
        what = event.what
        if isinstance(what, AttemptText | CommandOutput | ToolCallStarted | ToolCallEnded):
            if _key(what.attempt) == self.chosen:
                self._take_doing(what)
        elif isinstance(what, AttemptWaiting):
            self.waits[_key(what.attempt)] = what.detail or what.reason
            if _key(what.attempt) == self.chosen:
                self.tail.waits, self.tail.waits_since = what.detail or what.reason, self.clock()
                self._changed()
        elif isinstance(what, AttemptFinished):
            self.waits.pop(_key(what.attempt), None)
            if _key(what.attempt) == self.chosen:
                passed = {True: "passed", False: "failed", None: "error"}[what.passed]
                self.ended = f"{passed}: {what.reason}" if what.reason else passed
                self.tail = Tail()
            self._changed(stale=True)
        elif isinstance(what, Notice):
            self.notice = what.text
            self._changed()
        elif isinstance(
            what, AttemptStarted | AttemptQueued | CallWaiting | CallDecided | OperatorAction | RunFinished
        ):
            self._changed(stale=True)

    def _take_doing(self, what: AttemptText | CommandOutput | ToolCallStarted | ToolCallEnded) -> None:
        tail = self.tail
        if isinstance(what, AttemptText):
            if what.step != tail.step:
                tail.step, tail.text, tail.thought = what.step, "", ""
            if what.thought:
                tail.thought = (tail.thought + what.text)[-TAIL_KEPT:]
            else:
                tail.text = (tail.text + what.text)[-TAIL_KEPT:]
        elif isinstance(what, CommandOutput):
            tail.output = (tail.output + what.text)[-TAIL_KEPT:]
        elif isinstance(what, ToolCallStarted):
            tail.calls[what.call_id] = (what.tool, what.arguments)
            self.stale = True
        else:
            self.stale = True
        self._changed()

    def _changed(self, *, stale: bool = False) -> None:
        self.version += 1
        self.stale = self.stale or stale


def key_of(agent: AgentNow) -> AgentKey:
    return (agent.benchmark, agent.task_id, agent.attempt, agent.seed)


def _key(ref: AttemptRef) -> AgentKey:
    return (ref.benchmark, ref.task_id, ref.attempt, ref.seed)
