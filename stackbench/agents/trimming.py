"""Keeps a chat within the model's window: results of tools are left out or cut, the oldest first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from stackbench.types import Message

__all__ = ["estimate_tokens", "trim"]

CHARACTERS_PER_TOKEN = 3.0
"""Of code and logs under the tokenisers of code models: three to four; three errs on the safe side."""
PER_MESSAGE = 8
RECENT = 4
SHORT = 200


def estimate_tokens(messages: Sequence[Message]) -> int:
    """About how many tokens a chat takes, from its characters."""
    return _tokens(_characters(messages), len(messages))


def _characters(messages: Sequence[Message]) -> int:
    return sum(
        len(message.content) + sum(len(call.arguments) + len(call.name) for call in message.tool_calls)
        for message in messages
    )


def _tokens(characters: int, messages: int) -> int:
    return int(characters / CHARACTERS_PER_TOKEN) + PER_MESSAGE * messages


def trim(messages: Sequence[Message], most: int) -> tuple[list[Message], int]:
    """The chat in about `most` tokens, and how many messages were shortened.

    The oldest results go first, the newest messages last; the system's message and the task stay whole. What is left
    out is named, so that the model can ask for it again.
    """
    trimmed = list(messages)
    shortened = 0
    characters = _characters(trimmed)
    first = next((index for index, message in enumerate(trimmed) if message.role == "user"), 0) + 1
    for index in range(first, len(trimmed)):
        over = _tokens(characters, len(trimmed)) - most
        if over <= 0:
            break
        content = trimmed[index].content
        if trimmed[index].role != "tool" or len(content) <= SHORT:
            continue
        recent = index >= len(trimmed) - RECENT
        keep = max(SHORT, len(content) - int((over + PER_MESSAGE) * CHARACTERS_PER_TOKEN) - SHORT) if recent else 0
        left = len(content) - keep
        note = f"[{left} characters left out: the chat is near the model's limit. Call again for a part of it.]"
        trimmed[index] = replace(trimmed[index], content=f"{content[:keep]}\n{note}".lstrip())
        characters += len(trimmed[index].content) - len(content)
        shortened += 1
    return trimmed, shortened
