"""Detects the capabilities of an endpoint by requesting one token through each interface."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import asdict, dataclass, replace
from typing import Any

from stackbench.errors import GenerationError
from stackbench.models.openai.answer import tokens_of
from stackbench.models.openai.connection import Connection
from stackbench.models.openai.dialect import Change, Dialect
from stackbench.models.openai.faults import RefusedError
from stackbench.models.openai.settling import settled
from stackbench.models.openai.wire import Manner, request_body
from stackbench.types import Message, Request, Sampling, ToolSpec

__all__ = ["Capabilities", "probe"]

HEADERS = {"X-Stackbench": "capability probe"}
RETRIES = 3
STOPS = ("\n\n\n\n", "<end of a>", "<end of b>", "<end of c>")
SAMPLING = Sampling(temperature=0.0, max_tokens=1, seed=1, stop=STOPS)
CHAT = Request(SAMPLING, messages=(Message("user", "Say yes."),))
TOOL = ToolSpec(
    "say",
    "Says a word.",
    '{"type": "object", "properties": {"word": {"type": "string"}}, "required": ["word"]}',
)
LETTERS = ("A", "B", "C", "D")
PROMPT = Request(SAMPLING, prompt="Say", choices=LETTERS)


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What an endpoint does for one model; None where it could not be found out."""

    chat: bool | None = None
    completions: bool | None = None
    tools: bool | None = None
    chat_logprobs: bool | None = None
    completion_logprobs: bool | None = None
    stream_usage: bool | None = None
    chat_refusal: str = ""
    """Why it takes no chats, where it takes none."""

    def describe(self) -> dict[str, Any]:
        return {name: value for name, value in asdict(self).items() if name != "chat_refusal"}


async def probe(
    connection: Connection,
    model: str,
    chats: Dialect,
    prompts: Dialect,
    manner: Manner,
    changed: Callable[[str, Change], None],
) -> Capabilities:
    """Five requests of one token each, where nothing is refused; the dialects learn what is left out of requests.

    What the server refuses, it cannot do; what fails stays open. `changed` is told of each change to a dialect.
    """
    found = _Probe(connection, model, {True: chats, False: prompts}, manner, changed)
    plain, completion = await asyncio.gather(found.ask(CHAT), found.ask(PROMPT))
    tools = logprobs = usage = plain
    if not plain.refusal:
        tools, logprobs, usage = await asyncio.gather(
            found.ask(replace(CHAT, tools=(TOOL,))),
            found.ask(replace(CHAT, choices=LETTERS)),
            found.stream(replace(CHAT, stream=True)),
        )
    return Capabilities(
        chat=_state(plain),
        completions=_state(completion),
        tools=_state(tools),
        chat_logprobs=_state(logprobs, _has_logprobs),
        completion_logprobs=_state(completion, _has_logprobs),
        stream_usage=_state(usage, bool),
        chat_refusal=plain.refusal,
    )


@dataclass(frozen=True, slots=True)
class _Found:
    answer: Any = None
    refusal: str = ""


class _Probe:
    def __init__(
        self,
        connection: Connection,
        model: str,
        dialects: Mapping[bool, Dialect],
        manner: Manner,
        changed: Callable[[str, Change], None],
    ) -> None:
        self._connection = connection
        self._model = model
        self._dialects = dialects
        self._manner = manner
        self._changed = changed

    async def ask(self, request: Request) -> _Found:
        """The answer, or the refusal; neither where it failed."""

        async def post(body: dict[str, Any]) -> Any:
            path = "completions" if request.prompt is not None else "chat/completions"
            return await self._connection.post(path, body, HEADERS, retries=RETRIES)

        return await self._settled(request, post)

    async def stream(self, request: Request) -> _Found:
        """Whether the usage comes with a stream."""

        async def last_usage(body: dict[str, Any]) -> Any:
            async with aclosing(self._connection.stream("chat/completions", body, HEADERS)) as events:
                return any([tokens_of(event.get("usage"))[1] is not None async for _, event in events])

        return await self._settled(request, last_usage)

    async def _settled(self, request: Request, ask: Callable[[dict[str, Any]], Awaitable[Any]]) -> _Found:
        chat = request.prompt is None
        dialect = self._dialects[chat]
        try:
            answer = await settled(
                ask,
                lambda: request_body(self._model, request, 1, dialect, self._manner),
                dialect,
                lambda change: self._changed("chat" if chat else "completions", change),
                by_trial=ask,
            )
        except RefusedError as error:
            return _Found() if error.status in (401, 403) else _Found(refusal=str(error))
        except GenerationError:
            return _Found()
        return _Found(answer)


def _state(found: _Found, holds: Callable[[Any], bool] = lambda answer: True) -> bool | None:
    if found.refusal:
        return False
    return None if found.answer is None else holds(found.answer)


def _has_logprobs(answer: Any) -> bool:
    try:
        return bool(answer["choices"][0]["logprobs"])
    except (KeyError, IndexError, TypeError):
        return False
