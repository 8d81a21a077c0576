"""LangChain middleware around an agent's turns and calls: limits, the context window, the operator, call order."""

from __future__ import annotations

import asyncio
import re
from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

from langchain.agents.middleware import AgentMiddleware, ModelRequest, ModelResponse
from langchain.agents.middleware.types import ToolCallRequest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage, messages_to_dict

from stackbench import nesting
from stackbench.agents.base import CallMade
from stackbench.agents.chat_model import to_messages
from stackbench.agents.checkpoints import Checkpoints
from stackbench.agents.operator import Operator
from stackbench.agents.session import AgentEndedError, AgentSession
from stackbench.agents.tools import TOOLS
from stackbench.agents.trimming import estimate_tokens, trim
from stackbench.errors import GenerationError
from stackbench.types import ToolCall

__all__ = ["CallsInOrder", "Checkpointing", "ContextWindow", "CutTurns", "Limits", "OperatorControls", "ToolRunner"]

TOO_LONG = re.compile(r"window|context.length|maximum.{0,200}(length|tokens)|too (long|large)", re.IGNORECASE)
LONGEST_ERROR = 2000
TIGHTEN = 0.6
TRIES = 3
MOST_CUT = 3
"""Turns in a row that come to nothing."""
GO_ON = (
    "Your last message ended before it came to a call or an answer. Go on: make the next call, or give your answer, "
    "and keep it short."
)
INTERRUPTED = "the user ended this turn"
"""What stands in a chat in place of what was given up."""
NEAR = 0.8
"""Share of the window from which on the model's tokenizer is asked, in place of an estimate."""

CallModel = Callable[[ModelRequest[Any]], Awaitable[ModelResponse[Any]]]
CallTool = Callable[[ToolCallRequest], Awaitable[Any]]


class Limits(AgentMiddleware[Any, Any, Any]):
    """Ends the agent after so many turns or tokens, or the same call again and again. (Seconds end it outside.)"""

    def __init__(self, session: AgentSession) -> None:
        super().__init__()
        self._session = session

    async def awrap_model_call(self, request: ModelRequest[Any], handler: CallModel) -> ModelResponse[Any]:
        session = self._session
        if session.step >= session.limits.steps:
            raise AgentEndedError("steps")
        if session.limits.tokens is not None and sum(session.tokens) >= session.limits.tokens:
            raise AgentEndedError("tokens")
        latest = session.calls[-session.limits.repeats :]
        alike = len({(call.tool, call.arguments) for call in latest}) == 1
        if len(latest) == session.limits.repeats and alike and not _waits(latest[0]):
            raise AgentEndedError("repeats")
        return await handler(request)


class Checkpointing(AgentMiddleware[Any, Any, Any]):
    """Keeps the agent's state before a turn, so that another process can go on from there."""

    def __init__(self, session: AgentSession, checkpoints: Checkpoints) -> None:
        super().__init__()
        self._session = session
        self._checkpoints = checkpoints

    async def abefore_model(self, state: Any, runtime: Any) -> None:
        await self._checkpoints.before_turn(self._session, lambda: messages_to_dict(state["messages"]))


class CutTurns(AgentMiddleware[Any, Any, Any]):
    """Has the model go on after a turn that came to neither a call nor an answer; ends the agent after some of them."""

    def __init__(self, session: AgentSession) -> None:
        super().__init__()
        self._session = session

    async def awrap_model_call(self, request: ModelRequest[Any], handler: CallModel) -> ModelResponse[Any]:
        beside: list[Any] = []
        for _ in range(MOST_CUT):
            try:
                response = await handler(request.override(messages=[*request.messages, *beside]))
            except AgentEndedError as ended:
                raise AgentEndedError("length" if beside and ended.ending == "steps" else ended.ending) from ended
            if not self._session.cut:
                return ModelResponse(
                    result=[*beside, *response.result], structured_response=response.structured_response
                )
            beside += [*response.result, HumanMessage(GO_ON)]
        raise AgentEndedError("length")


class OperatorControls(AgentMiddleware[Any, Any, Any]):
    """Pause, stop, interruption, messages between turns; calls shown for approval, edited or refused."""

    def __init__(self, session: AgentSession, operator: Operator) -> None:
        super().__init__()
        self._session = session
        self._operator = operator

    async def awrap_model_call(self, request: ModelRequest[Any], handler: CallModel) -> ModelResponse[Any]:
        written: list[Any] = []

        async def ask() -> ModelResponse[Any]:
            await self._pass()
            for text in self._operator.take_messages():
                written.append(HumanMessage(text))
                self._session.backend.log("operator", {"action": "message", "text": text})
            return await handler(request.override(messages=[*request.messages, *written]) if written else request)

        response = await self._operator.unless_interrupted(ask())
        if response is None:  # an answer without a call is the end of a turn
            self._session.cut = False
            self._session.backend.log("operator", {"action": "interrupt"})
            return ModelResponse(result=[*written, AIMessage(f"[{INTERRUPTED}]")])
        if not written:
            return response
        return ModelResponse(result=[*written, *response.result], structured_response=response.structured_response)

    async def awrap_tool_call(self, request: ToolCallRequest, handler: CallTool) -> Any:
        done = await self._operator.unless_interrupted(self._call(request, handler))
        return _tool_message(request, f"error: {INTERRUPTED}", failed=True) if done is None else done

    async def _call(self, request: ToolCallRequest, handler: CallTool) -> Any:
        await self._pass()
        call = self._session.find(request.tool_call["id"])
        decision = await self._operator.decide(call)
        if decision is None:
            return await handler(request)
        self._session.backend.log(
            "operator", {"action": decision.verdict, "tool": call.name, "arguments": call.arguments}
        )
        if decision.verdict == "reject":
            reason = decision.reason or "no reason was given"
            made = self._session.refuse(call, f"error: the operator refused this call: {reason}")
            return _tool_message(request, made.text, failed=True)
        if decision.verdict == "edit":
            made = await self._session.call(replace(call, arguments=decision.arguments))
            text = f"[the operator changed the arguments to {decision.arguments}]\n{made.text}"
            return _tool_message(request, text, failed=made.failed)
        return await handler(request)

    async def _pass(self) -> None:
        with self._session.backend.clock.waiting():
            passed = await self._operator.passage()
        if not passed:
            raise AgentEndedError("stopped")


class ContextWindow(AgentMiddleware[Any, Any, Any]):
    """Shortens old results when the chat would not fit the window, more when the model still finds it too long."""

    def __init__(self, session: AgentSession) -> None:
        super().__init__()
        self._session = session
        self._tools = sum(len(tool.parameters) + len(tool.description) for tool in session.tools) // 3
        self._scale = 1.0
        """Tokens per estimated token, as the model last counted."""

    async def awrap_model_call(self, request: ModelRequest[Any], handler: CallModel) -> ModelResponse[Any]:
        session = self._session
        window = session.backend.window
        # An answer may be long, but not at the price of the chat: a small window is left to it by half at least.
        most = None if window is None else max(1, window - min(session.sampling.max_tokens, window // 2))
        for turn in range(TRIES):
            asked, estimate = await self._fitted(request, most)
            try:
                response = await handler(asked)
            except GenerationError as error:
                if not TOO_LONG.search(str(error)[:LONGEST_ERROR]):
                    raise
                if turn == TRIES - 1:
                    raise AgentEndedError("window") from error
                most = int(TIGHTEN * min(most or estimate, estimate * self._scale))
                continue
            if session.last_prompt_tokens:
                self._scale = min(max(session.last_prompt_tokens / estimate, 0.5), 3.0)
            return response
        raise AssertionError("unreachable")

    async def _fitted(self, request: ModelRequest[Any], most: int | None) -> tuple[ModelRequest[Any], int]:
        """The request with its chat in `most` tokens, and the estimate of its length before scaling."""
        messages = to_messages(request.messages)
        estimate = estimate_tokens(messages) + self._tools
        if most is None or estimate * self._scale <= NEAR * most:
            return request, estimate
        counted = await self._session.count_tokens(messages)
        if counted.exact:
            self._scale = counted.tokens / estimate
        if estimate * self._scale <= most:
            return request, estimate
        trimmed, shortened = trim(messages, int(most / self._scale) - self._tools)
        self._session.backend.log("context_trimmed", {"step": self._session.step + 1, "messages": shortened})
        changed = [
            old.model_copy(update={"content": new.content}) if old.text != new.content else old
            for old, new in zip(request.messages, trimmed, strict=True)
        ]
        return request.override(messages=changed), estimate_tokens(trimmed) + self._tools


class CallsInOrder(AgentMiddleware[Any, Any, Any]):
    """Calls of one turn run in order, except that calls which only read do not wait for each other."""

    def __init__(self, session: AgentSession) -> None:
        super().__init__()
        self._session = session
        self._done: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)

    async def awrap_tool_call(self, request: ToolCallRequest, handler: CallTool) -> Any:
        session = self._session
        call = session.find(request.tool_call["id"])
        for earlier in session.turn[: session.turn.index(call)]:
            if not (_reads(earlier) and _reads(call)):
                await self._done[earlier.id].wait()
        try:
            return await handler(request)
        finally:
            self._done[call.id].set()


def _waits(call: CallMade) -> bool:
    """Whether a call looks after a background command: that is done again until it has ended."""
    return call.tool == "process" and (nesting.object_of(call.arguments) or {}).get("action") in ("poll", "log")


def _reads(call: ToolCall) -> bool:
    return call.name in TOOLS and TOOLS[call.name].read_only


class ToolRunner(AgentMiddleware[Any, Any, Any]):
    """Makes a call in the sandbox; whatever is wrong with it comes back as text for the model."""

    def __init__(self, session: AgentSession) -> None:
        super().__init__()
        self._session = session

    async def awrap_tool_call(self, request: ToolCallRequest, handler: CallTool) -> ToolMessage:
        made = await self._session.call(self._session.find(request.tool_call["id"]))
        return _tool_message(request, made.text, failed=made.failed)


def _tool_message(request: ToolCallRequest, text: str, *, failed: bool) -> ToolMessage:
    return ToolMessage(text, tool_call_id=request.tool_call["id"] or "", status="error" if failed else "success")
