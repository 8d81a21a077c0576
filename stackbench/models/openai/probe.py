"""Finds out what an endpoint can do, by asking it for one token in each way."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from typing import Any

from stackbench.errors import GenerationError
from stackbench.models.openai.connection import Connection, RefusedError

__all__ = ["Capabilities", "probe"]

NEWER_LIMIT = "max_completion_tokens"
HEADERS = {"X-Stackbench": "capability probe"}
MESSAGES = [{"role": "user", "content": "Say yes."}]
TOOL = {
    "type": "function",
    "function": {
        "name": "say",
        "description": "Says a word.",
        "parameters": {"type": "object", "properties": {"word": {"type": "string"}}, "required": ["word"]},
    },
}


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What an endpoint does for one model; None where it could not be found out."""

    chat: bool | None = None
    completions: bool | None = None
    tools: bool | None = None
    chat_logprobs: bool | None = None
    completion_logprobs: bool | None = None
    stream_usage: bool | None = None
    chat_limit: str = "max_tokens"
    """What the limit of a chat's answer is called."""
    chat_refusal: str = ""
    """Why it takes no chats, where it takes none."""

    def describe(self) -> dict[str, Any]:
        return {name: value for name, value in asdict(self).items() if name != "chat_refusal"}


async def probe(connection: Connection, model: str) -> Capabilities:
    """Five requests of one token each, side by side. What the server refuses, it cannot do; what fails stays open."""
    found = await _probe(connection, model, "max_tokens")
    if found.chat is False and NEWER_LIMIT in found.chat_refusal:
        found = await _probe(connection, model, NEWER_LIMIT)
    return found


async def _probe(connection: Connection, model: str, limit: str) -> Capabilities:
    one = {"model": model, "max_tokens": 1, "temperature": 0}
    chat = {"model": model, limit: 1, "temperature": 0, "messages": MESSAGES}
    refusals: dict[str, str] = {}

    async def ask(name: str, path: str, body: dict[str, Any]) -> Any:
        return await _try(name, connection.post(path, body, HEADERS), refusals)

    async def stream() -> Any:
        asked = {**chat, "stream": True, "stream_options": {"include_usage": True}}
        events = connection.stream("chat/completions", asked, HEADERS)

        async def last_usage() -> bool:
            return bool([event async for _, event in events if event.get("usage")])

        return await _try("stream", last_usage(), refusals)

    plain, tools, logprobs, completion, usage = await asyncio.gather(
        ask("chat", "chat/completions", chat),
        ask("tools", "chat/completions", {**chat, "tools": [TOOL], "tool_choice": "auto"}),
        ask("logprobs", "chat/completions", {**chat, "logprobs": True, "top_logprobs": 2}),
        ask("completions", "completions", {**one, "prompt": "Say", "logprobs": 2}),
        stream(),
    )
    without = completion
    if "completions" in refusals:  # perhaps of the log-probabilities alone
        without = await ask("completions without", "completions", {**one, "prompt": "Say"})
    can_chat = _state(plain, "chat", refusals)
    can_complete = _state(without, "completions without" if without is not completion else "completions", refusals)
    return Capabilities(
        chat=can_chat,
        completions=can_complete,
        tools=_state(tools, "tools", refusals),
        chat_logprobs=_state(logprobs, "logprobs", refusals, _has_logprobs),
        completion_logprobs=_state(completion, "completions", refusals, _has_logprobs),
        stream_usage=_state(usage, "stream", refusals, bool),
        chat_limit=limit,
        chat_refusal=refusals.get("chat", ""),
    )


async def _try(name: str, request: Awaitable[Any], refusals: dict[str, str]) -> Any:
    """The answer; None when there is none, in which case a refusal is noted."""
    try:
        return await request
    except RefusedError as error:
        if error.status not in (401, 403):
            refusals[name] = str(error)
    except GenerationError:
        pass
    return None


def _state(
    answer: Any, name: str, refusals: dict[str, str], holds: Callable[[Any], bool] = lambda answer: True
) -> bool | None:
    if name in refusals:
        return False
    return None if answer is None else holds(answer)


def _has_logprobs(answer: Any) -> bool:
    try:
        return bool(answer["choices"][0]["logprobs"])
    except (KeyError, IndexError, TypeError):
        return False
