"""Keeps a chat within the model's window: results of tools are left out or cut, the oldest first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from stackbench.token_estimate import CHARACTERS_PER_TOKEN, PER_MESSAGE, characters, tokens_of_characters
from stackbench.types import Message

__all__ = ["estimate_tokens", "trim"]

RECENT = 4
SHORT = 200


def estimate_tokens(messages: Sequence[Message]) -> int:
    """About how many tokens a chat takes, from its characters."""
    return tokens_of_characters(characters(messages), len(messages))


def trim(messages: Sequence[Message], most: int) -> tuple[list[Message], int]:
    """The chat in about `most` tokens, and how many messages were shortened.

    The oldest results go first, the newest messages last; the system's message and the task stay whole. What is left
    out is named, so that the model can ask for it again.
    """
    trimmed = list(messages)
    shortened = 0
    left_over = characters(trimmed)
    first = next((index for index, message in enumerate(trimmed) if message.role == "user"), 0) + 1
    for index in range(first, len(trimmed)):
        over = tokens_of_characters(left_over, len(trimmed)) - most
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
        left_over += len(trimmed[index].content) - len(content)
        shortened += 1
    return trimmed, shortened
