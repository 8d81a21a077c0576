"""Adapters between this project's models and messages and LangChain's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatResult

from stackbench import nesting
from stackbench.agents.session import AgentSession
from stackbench.types import Message, ToolCall

__all__ = ["BridgedChatModel", "calls_of", "to_messages"]

ROLES = {"system": "system", "human": "user", "ai": "assistant", "tool": "tool"}
RAW = "raw_arguments"
"""Where an answer keeps its calls' arguments as the model wrote them, by call id: they may be no JSON."""


class BridgedChatModel(BaseChatModel):
    """Asks the session's model; raises what that raises (GenerationError)."""

    session: Any

    @property
    def _llm_type(self) -> str:
        return "stackbench"

    def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> BridgedChatModel:
        """The session knows the tools; nothing to bind."""
        return self

    def _generate(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> ChatResult:
        raise NotImplementedError("this model is asked on an event loop: use ainvoke")

    async def _agenerate(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> ChatResult:
        session: AgentSession = self.session
        answer = await session.ask(to_messages(messages))
        message = AIMessage(
            content=answer.text,
            tool_calls=[
                {"name": call.name, "args": nesting.object_of(call.arguments) or {}, "id": call.id, "type": "tool_call"}
                for call in answer.calls
            ],
            additional_kwargs={RAW: {call.id: call.arguments for call in answer.calls}},
        )
        return ChatResult(generations=[ChatGeneration(message=message)])


def to_messages(messages: Sequence[BaseMessage]) -> list[Message]:
    """A chat of LangChain's as this project's models take it."""
    return [
        Message(
            ROLES[message.type],
            message.text,
            calls_of(message) if isinstance(message, AIMessage) else (),
            message.tool_call_id if isinstance(message, ToolMessage) else "",
        )
        for message in messages
    ]


def calls_of(message: AIMessage) -> tuple[ToolCall, ...]:
    """The calls of an answer, with their arguments as the model wrote them."""
    raw = message.additional_kwargs.get(RAW, {})
    return tuple(ToolCall(call["id"] or "", call["name"], raw.get(call["id"], "{}")) for call in message.tool_calls)
