"""Counts tokens with the server's own tokenizer, where it offers that: vLLM's and llama.cpp's `/tokenize`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from stackbench.models.openai.connection import Connection
from stackbench.models.openai.values import number_of
from stackbench.models.tool_calls import chat_for_template, tools_for_template
from stackbench.nesting import is_array
from stackbench.token_estimate import TokenEstimator
from stackbench.types import Generation, Request, TokenCount

__all__ = ["TokenCounter"]

Way = Callable[[Request], Awaitable[int | None]]


class TokenCounter:
    """Asks the server how many tokens a request is; estimates where it does not tell. No answer is asked for.

    The way that worked for chats, or for bare prompts, is kept; so is the finding that none does.
    """

    def __init__(self, connection: Connection, model: str) -> None:
        self._connection = connection
        self._model = model
        self._estimator = TokenEstimator()
        self._ways: dict[bool, Way | None] = {}
        """By whether the request is a chat."""

    def learn(self, request: Request, answers: list[Generation]) -> None:
        """Takes in what the server counted of a request that it answered; each answer has its share of the count."""
        self._estimator.learn(request, sum(answer.prompt_tokens for answer in answers))

    async def count(self, request: Request) -> TokenCount:
        """How many tokens the model reads of a request."""
        chat = request.prompt is None
        if chat not in self._ways:
            for way in (self._as_vllm, self._as_llama_cpp):
                tokens = await way(request)
                if tokens is not None:
                    self._ways[chat] = way
                    return TokenCount(tokens, exact=True)
            self._ways[chat] = None
        way = self._ways[chat]
        tokens = await way(request) if way is not None else None
        return TokenCount(tokens, exact=True) if tokens is not None else self._estimator.count(request)

    async def _as_vllm(self, request: Request) -> int | None:
        """vLLM applies the chat template itself; the answer's `count` is the number of tokens."""
        body: dict[str, Any] = {"model": self._model}
        if request.prompt is not None:
            body["prompt"] = request.prompt
        else:
            body |= _chat(request)
            if request.prefill:
                body |= {"continue_final_message": True, "add_generation_prompt": False}
        answer = await self._connection.ask_server("tokenize", body)
        return number_of(answer.get("count"))

    async def _as_llama_cpp(self, request: Request) -> int | None:
        """llama.cpp renders a chat at `/apply-template`; `/tokenize` answers with the tokens."""
        text, special = request.prompt, True
        if text is None:
            rendered = (await self._connection.ask_server("apply-template", _chat(request))).get("prompt")
            if not isinstance(rendered, str):
                return None
            text, special = rendered, False  # the template writes them
        body = {"content": text, "add_special": special, "parse_special": True}
        tokens = (await self._connection.ask_server("tokenize", body)).get("tokens")
        return len(tokens) if is_array(tokens) and (tokens or not text) else None


def _chat(request: Request) -> Mapping[str, Any]:
    messages = chat_for_template(request.messages, parsed=False)
    if request.prefill:
        messages.append({"role": "assistant", "content": request.prefill})
    tools = tools_for_template(request.tools)
    return {"messages": messages, **({"tools": tools} if tools else {})}
