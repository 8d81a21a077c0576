"""Calls of tools in the format that a chat template teaches its model, and chats as templates take them."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from stackbench import nesting
from stackbench.types import Message, ToolCall, ToolSpec

__all__ = ["chat_for_template", "take_calls", "tools_for_template"]

OPEN, CLOSE = "<tool_call>", "</tool_call>"
"""Hermes and Qwen: one JSON object between tags. A last one that was cut off has no end."""


def take_calls(text: str) -> tuple[str, tuple[ToolCall, ...]]:
    """The text without its tagged calls, and the calls; one whose content is no call keeps its content as arguments.

    The text is an answer: a call that is only drafted in a thought has been taken out of it before.
    """
    rest: list[str] = []
    calls: list[ToolCall] = []
    at = 0
    while (begin := text.find(OPEN, at)) >= 0:
        rest.append(text[at:begin])
        inside = begin + len(OPEN)
        end = text.find(CLOSE, inside)
        at = len(text) if end < 0 else end + len(CLOSE)
        calls.append(_call(len(calls) + 1, text[inside : at if end < 0 else end].strip()))
    if not calls:
        return text, ()
    return "".join((*rest, text[at:])).strip(), tuple(calls)


def _call(number: int, content: str) -> ToolCall:
    try:
        found = nesting.loads(content)
        arguments = found.get("arguments", {})
        return ToolCall(
            f"call_{number}", str(found["name"]), arguments if isinstance(arguments, str) else json.dumps(arguments)
        )
    except (ValueError, KeyError, AttributeError):
        named = re.search(r'"name"\s*:\s*"([^"]*)"', content)
        return ToolCall(f"call_{number}", named.group(1) if named else "", content)


def tools_for_template(tools: Sequence[ToolSpec]) -> list[dict[str, Any]] | None:
    """Tools as a chat template and the OpenAI API take them."""
    if not tools:
        return None
    return [
        {
            "type": "function",
            "function": {
                "name": tool.name,
                "description": tool.description,
                "parameters": json.loads(tool.parameters),
            },
        }
        for tool in tools
    ]


def chat_for_template(messages: Sequence[Message], *, parsed: bool = True) -> list[dict[str, Any]]:
    """A chat as a template takes it (`parsed`: with arguments as objects) or as the OpenAI API does (as text)."""
    return [_turn(message, parsed) for message in messages]


def _turn(message: Message, parsed: bool) -> dict[str, Any]:
    turn: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.tool_calls:
        turn["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {
                    "name": call.name,
                    "arguments": _object(call.arguments) if parsed else _object_text(call.arguments),
                },
            }
            for call in message.tool_calls
        ]
    if message.tool_call_id:
        turn["tool_call_id"] = message.tool_call_id
    return turn


def _object(arguments: str) -> dict[str, Any]:
    """The arguments' object; what is none is shown to the model as it wrote it."""
    found = nesting.object_of(arguments)
    return {"malformed": arguments} if found is None else found


def _object_text(arguments: str) -> str:
    """The arguments as they were written, where they are an object: servers refuse a chat in which they are none."""
    return arguments or "{}" if nesting.object_of(arguments) is not None else json.dumps(_object(arguments))
