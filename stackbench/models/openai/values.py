"""Single values of a server's answer, of whatever type they came as."""

from __future__ import annotations

import math
from typing import Any

from stackbench.nesting import is_array, is_object

__all__ = ["MOST", "content_of", "number_of", "text_of", "tokens_of"]

MOST = 2**31 - 1
"""Of a count: what the database's columns hold. A larger one is a fault of the server's, and not known."""
THOUGHTS = ("thinking", "reasoning", "reasoning_content", "reasoning_text", "thought", "summary")
TEXTS = ("text", "value", "content", "output_text", "refusal")
DEEPEST = 8


def number_of(value: Any) -> int | None:
    """A whole number that is not negative, also one written as text or with a point; None for anything else."""
    if isinstance(value, int):
        return value if 0 <= value <= MOST and not isinstance(value, bool) else None
    if isinstance(value, str):
        text = value.strip()
        if not (text.isascii() and text.isdigit() and len(text) <= 10):
            return None
        return number_of(int(text))
    if isinstance(value, float) and math.isfinite(value) and value.is_integer():
        return number_of(int(value))
    return None


def tokens_of(usage: Any) -> tuple[int | None, int | None]:
    """Tokens of prompt and answer as a usage tells them; None for what is not told or no count."""
    if not is_object(usage):
        return None, None
    prompt, completion = usage.get("prompt_tokens"), usage.get("completion_tokens")
    return (
        number_of(usage.get("input_tokens") if prompt is None else prompt),
        number_of(usage.get("output_tokens") if completion is None else completion),
    )


def text_of(value: Any) -> str:
    """Text as it is, a number as text, anything else as none."""
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else ""


def content_of(value: Any) -> tuple[str, str]:
    """The answer and the thought that a message's content holds: a text, or a list of parts with their types.

    Raises:
        ValueError: it is neither.
    """
    if isinstance(value, str):
        return value, ""
    if value is None:
        return "", ""
    answer: list[str] = []
    thought: list[str] = []
    for part in value if is_array(value) else [value]:
        if isinstance(part, str):
            answer.append(part)
            continue
        if part is None:
            continue
        if not is_object(part):
            raise ValueError(f"content that is neither text nor parts: {str(value)[:100]}")
        kind = part.get("type")
        of_thought = isinstance(kind, str) and ("think" in kind or "reason" in kind or kind in THOUGHTS)
        if of_thought or (kind is None and not any(name in part for name in TEXTS)):
            thought.append(_first_text(part, (*THOUGHTS, *TEXTS)))
        else:
            answer.append(_first_text(part, TEXTS))
    return "".join(answer), "".join(thought)


def _first_text(part: dict[str, Any], names: tuple[str, ...], depth: int = 0) -> str:
    """The text under the first of these names that has any, in parts of its own perhaps."""
    for name in names:
        found = part.get(name)
        if isinstance(found, str) and found:
            return found
        inner: list[Any] = [found] if is_object(found) else found if is_array(found) else []
        if depth < DEEPEST and inner:
            text = "".join(
                one if isinstance(one, str) else _first_text(one, names, depth + 1) if is_object(one) else ""
                for one in inner
            )
            if text:
                return text
    return ""
