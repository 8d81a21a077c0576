"""The state of one agent's run: requests to the model, tool calls, and the record of both."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from stackbench.agents.base import AgentLimits, AgentResult, Backend, CallMade, Ending, Script
from stackbench.agents.effects import Effects
from stackbench.agents.operator import Operator
from stackbench.agents.prompting import chat_without_tools
from stackbench.agents.repair import find_calls
from stackbench.agents.tools import TOOLS, CallResult, ToolOutcome, Workspace, call_tool
from stackbench.types import (
    FinishReason,
    Message,
    Request,
    Sampling,
    TokenCount,
    ToolCall,
    ToolCallRecord,
    ToolParser,
    ToolSpec,
)

__all__ = ["AgentEndedError", "AgentSession", "Answer"]


MOST_CALLS = 64
"""Of one turn; what a turn holds beyond them is not made."""


class AgentEndedError(Exception):
    """Ends an agent from within its loop."""

    def __init__(self, ending: Ending) -> None:
        super().__init__(ending)
        self.ending: Ending = ending


@dataclass(frozen=True, slots=True)
class Answer:
    """A turn of the model."""

    text: str
    calls: tuple[ToolCall, ...]


@dataclass(slots=True)
class AgentSession:
    """Asks and calls for one agent; the loop around it decides when."""

    backend: Backend
    workspace: Workspace
    tools: Sequence[ToolSpec]
    sampling: Sampling
    limits: AgentLimits
    parser: ToolParser
    operator: Operator | None = None
    script: Script | None = None
    step: int = 0
    tokens: tuple[int, int] = (0, 0)
    """Of prompts and of answers, all turns together."""
    last_prompt_tokens: int = 0
    model_s: float = 0.0
    rejected: int = 0
    answer: str = ""
    cut: bool = False
    """Whether the last turn came to no call and no answer: it ended at its token limit, or held thoughts only."""
    turn: tuple[ToolCall, ...] = ()
    """The calls of the last answer, in their order."""
    calls: list[CallMade] = field(default_factory=list[CallMade])
    _repaired: set[str] = field(default_factory=set[str])
    _ids: Any = field(default_factory=lambda: itertools.count(1))
    _taken: set[str] = field(default_factory=set[str])

    @property
    def names(self) -> list[str]:
        """Of the tools that are offered."""
        return [tool.name for tool in self.tools]

    def find(self, call_id: str | None) -> ToolCall:
        """A call of the last answer, as the model wrote it. Raises KeyError for one that is none."""
        return {call.id: call for call in self.turn}[call_id or ""]

    async def ask(self, messages: Sequence[Message]) -> Answer:
        """The model's next turn. Raises GenerationError."""
        backend = self.backend
        native = backend.native_tools
        request = self._request(messages)
        if self.script is not None:
            reference, reference_calls = self.script(self.calls)
            request = replace(request, reference=reference, reference_calls=tuple(reference_calls))
        clock = backend.clock
        began_s = clock.active_s
        try:
            generation = await backend.generate(request)
        finally:
            self.model_s += clock.active_s - began_s
        self.step += 1
        self.tokens = (self.tokens[0] + generation.prompt_tokens, self.tokens[1] + generation.completion_tokens)
        self.last_prompt_tokens = generation.prompt_tokens
        text, calls = generation.text, generation.tool_calls
        repaired = False
        if not calls:
            found = find_calls(text, self.names)
            if self.parser == "strict" and native:
                self.rejected += len(found.calls)
            elif found.calls:
                text, calls, repaired = found.text, found.calls, native
        if len(calls) > MOST_CALLS:
            backend.log("calls_cut", {"step": self.step, "calls": len(calls), "made": MOST_CALLS})
            calls = calls[:MOST_CALLS]
        own = bool(generation.tool_calls)  # those found in the text have no id that anybody knows
        self.turn = tuple(replace(call, id=self._unique(call.id if own else "")) for call in calls)
        if repaired:
            self._repaired.update(call.id for call in self.turn)
            backend.log("repair", {"step": self.step, "calls": len(self.turn)})
        thought_only = not text.strip() and bool(generation.thought.strip())
        self.cut = not calls and (generation.finish_reason is FinishReason.LENGTH or thought_only)
        if not calls and not self.cut:
            self.answer = text
        return Answer(text, self.turn)

    async def count_tokens(self, messages: Sequence[Message]) -> TokenCount:
        """How many tokens the model would read of its next turn. Raises GenerationError."""
        return await self.backend.count_tokens(self._request(messages))

    def _request(self, messages: Sequence[Message]) -> Request:
        """The request of a turn; where the model takes no tools, they stand in the chat."""
        native = self.backend.native_tools
        return Request(
            self.sampling,
            messages=tuple(messages if native else chat_without_tools(messages, self.tools)),
            tools=tuple(self.tools) if native else (),
            stream=True,
            on_text=self.operator.on_text if self.operator is not None else None,
        )

    async def call(self, call: ToolCall) -> CallMade:
        """Makes a call and logs it. Raises SandboxError."""
        started = time.perf_counter()
        effects: Effects | None = None
        self.backend.call_started(self.step, call)
        try:
            if call.name in self.names:
                result = await call_tool(call.name, call.arguments, self.workspace)
                effects = await self._effects(call)
            else:
                text = f'error: there is no tool "{call.name[:100]}" here. The tools: {", ".join(self.names)}'
                result = CallResult(ToolOutcome(text, failed=True), valid=False)
        except asyncio.CancelledError:
            text = "cut off: the turn or the attempt was ended"
            self.record(call, CallResult(ToolOutcome(text, failed=True), valid=True), started)
            raise
        return self.record(call, result, started, effects)

    async def _effects(self, call: ToolCall) -> Effects | None:
        """What a call did; calls that only read may run beside each other and are not looked at."""
        watch = self.workspace.watch
        return None if watch is None or TOOLS[call.name].read_only else await watch.look()

    def refuse(self, call: ToolCall, text: str) -> CallMade:
        """Logs a call that the operator did not let pass."""
        outcome = ToolOutcome(text, failed=True, details={"refused": True})
        return self.record(call, CallResult(outcome, valid=True), time.perf_counter(), Effects())

    def record(self, call: ToolCall, result: CallResult, started: float, effects: Effects | None = None) -> CallMade:
        """Logs a call with its result and its effects."""
        outcome = result.outcome
        made = CallMade(
            step=self.step,
            tool=call.name,
            arguments=call.arguments,
            valid=result.valid,
            failed=outcome.failed,
            text=outcome.text,
            repaired=call.id in self._repaired,
            details=outcome.details,
            effects=effects,
        )
        self.calls.append(made)
        duration_ms = (time.perf_counter() - started) * 1000
        ended_with = (None, outcome.text) if outcome.failed else (outcome.text, None)
        self.backend.log_call(
            ToolCallRecord(
                self.step,
                call.name,
                call.arguments,
                result.valid,
                ended_with[0],
                ended_with[1],
                duration_ms,
                call_id=call.id,
            )
        )
        self.backend.log(
            "tool_result",
            {
                "step": self.step,
                "call": call.id,
                "tool": call.name,
                "arguments": call.arguments,
                "valid": result.valid,
                "failed": outcome.failed,
                "repaired": made.repaired,
                "text": outcome.text,
                "details": dict(outcome.details),
                "effects": {} if effects is None else dict(effects.logged()),
                "duration_ms": round(duration_ms, 3),
            },
        )
        return made

    def saved(self) -> dict[str, Any]:
        """What `take_up` needs in a session of another process, as JSON values; effects of calls are left out."""
        return {
            "step": self.step,
            "tokens": list(self.tokens),
            "last_prompt_tokens": self.last_prompt_tokens,
            "model_s": self.model_s,
            "rejected": self.rejected,
            "calls": [asdict(replace(call, effects=None)) for call in self.calls],
            "call_ids": sorted(self._taken),
        }

    def take_up(self, saved: Mapping[str, Any]) -> None:
        """Goes on from what `saved` gave. Raises KeyError, TypeError or ValueError for anything else."""
        self.step = saved["step"]
        self.tokens = (saved["tokens"][0], saved["tokens"][1])
        self.last_prompt_tokens = saved["last_prompt_tokens"]
        self.model_s = saved["model_s"]
        self.rejected = saved["rejected"]
        self.calls = [CallMade(**call) for call in saved["calls"]]
        self._taken = set(saved["call_ids"])

    def result(self, ending: Ending) -> AgentResult:
        """The account so far."""
        return AgentResult(
            answer=self.answer,
            ending=ending,
            calls=tuple(self.calls),
            steps=self.step,
            prompt_tokens=self.tokens[0],
            completion_tokens=self.tokens[1],
            model_s=self.model_s,
            rejected=self.rejected,
        )

    def _unique(self, call_id: str) -> str:
        """The id as the server gave it, which it expects back; a new one where the chat has a call of that id already.

        New ones are nine letters and digits: the only form that Mistral's models take.
        """
        while not call_id or call_id in self._taken:
            call_id = f"call{next(self._ids):05d}"
        self._taken.add(call_id)
        return call_id
