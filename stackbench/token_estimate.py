"""How many tokens a request is, for models whose tokenizer is not at hand: estimated from its characters."""

from __future__ import annotations

from collections.abc import Sequence

from stackbench.types import Message, Request, TokenCount

__all__ = ["CHARACTERS_PER_TOKEN", "PER_MESSAGE", "TokenEstimator", "characters", "tokens_of_characters"]

CHARACTERS_PER_TOKEN = 3.0
"""Of code and logs under the tokenisers of code models: three to four; three errs on the safe side."""
PER_MESSAGE = 8
"""Tokens that a chat template writes around a message."""
ENOUGH_MEASURED = 1000
"""Characters from which on what a server counted tells more than the assumption."""


def characters(messages: Sequence[Message]) -> int:
    """Of a chat: its contents, and the names and arguments of its calls."""
    return sum(
        len(message.content) + sum(len(call.arguments) + len(call.name) for call in message.tool_calls)
        for message in messages
    )


def tokens_of_characters(count: int, messages: int, per_token: float = CHARACTERS_PER_TOKEN) -> int:
    """About how many tokens a chat of so many characters and messages takes."""
    return int(count / per_token) + PER_MESSAGE * messages


class TokenEstimator:
    """Estimates with the characters per token that a server's own counts of prompts have shown so far."""

    def __init__(self) -> None:
        self._characters = 0
        self._tokens = 0

    def learn(self, request: Request, prompt_tokens: int) -> None:
        """Takes in how many tokens the server counted of a request; 0 for one that does not tell."""
        counted = prompt_tokens - PER_MESSAGE * len(request.messages)
        if counted > 0:
            self._characters += _size(request)
            self._tokens += counted

    def count(self, request: Request) -> TokenCount:
        """The estimate."""
        per_token = CHARACTERS_PER_TOKEN
        if self._characters >= ENOUGH_MEASURED:
            per_token = self._characters / self._tokens
        return TokenCount(tokens_of_characters(_size(request), len(request.messages), per_token), exact=False)


def _size(request: Request) -> int:
    """Characters of all that is sent of a request."""
    if request.prompt is not None:
        return len(request.prompt)
    tools = sum(len(tool.name) + len(tool.description) + len(tool.parameters) for tool in request.tools)
    return characters(request.messages) + tools + len(request.prefill)
