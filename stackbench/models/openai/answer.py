"""Validates what a server sends: completions and the chunks of streams."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stackbench.models.openai.calls import calls_of_message
from stackbench.models.openai.values import content_of, number_of, tokens_of
from stackbench.nesting import is_array, is_object
from stackbench.types import FinishReason, ToolCall

__all__ = ["Choice", "Piece", "choices_of", "piece_of", "served_window", "tokens_of"]

CUT = {"length", "max_tokens", "max_length", "model_length", "max_output_tokens", "max_new_tokens", "token_limit"}
CALLS = {"tool_calls", "function_call", "tool_use"}
THOUGHT_FIELDS = ("reasoning_content", "reasoning", "thinking", "thought")
WORD_STARTS = " \t\r\n\u2581\u0120"
"""White space, as text and as tokenizers mark it."""
WINDOWS = ("max_model_len", "context_length", "context_window", "max_context_length", "max_context_window")


@dataclass(frozen=True, slots=True)
class Choice:
    """One answer of a completion."""

    text: str
    thought: str
    calls: tuple[ToolCall, ...]
    finish: FinishReason
    logprobs: tuple[float, ...] | None


@dataclass(frozen=True, slots=True)
class Piece:
    """What one event of a stream adds to an answer."""

    text: str
    thought: str
    delta: dict[str, Any]
    """For its pieces of calls."""
    finish: FinishReason | None


def choices_of(answer: Mapping[str, Any], wanted: Sequence[str], *, chat: bool) -> list[Choice]:
    """The answers of a completion, in the order of their indices, with log-probabilities of the `wanted` first tokens.

    Raises:
        ValueError: something in it is of a type that cannot be read as what it stands for.
    """
    listed = answer.get("choices")
    if is_object(listed):
        listed = [listed]
    if not is_array(listed) or not listed:
        raise ValueError(f"no list of choices: {str(listed)[:100]}")
    last = len(listed)
    if last > 1:
        listed = sorted(listed, key=lambda one: _place(one, last))
    return [_choice(one, wanted, chat=chat) for one in listed]


def piece_of(event: Mapping[str, Any], *, chat: bool) -> Piece | None:
    """What an event adds; None for one without a choice.

    Raises:
        ValueError: something in it is of a type that cannot be read as what it stands for.
    """
    listed = event.get("choices")
    if not listed:
        return None
    choice = listed[0] if is_array(listed) else listed
    if not is_object(choice):
        raise ValueError(f"a choice that is no object: {str(choice)[:100]}")
    reason = choice.get("finish_reason")
    finish = _finish(reason) if isinstance(reason, str) and reason else None
    if chat:
        delta = choice.get("delta")
        if delta is None:
            delta = choice.get("message")  # a server that does not stream sends it whole
        if delta is None:
            delta = {"content": choice["text"]} if "text" in choice else {}
        if not is_object(delta):
            raise ValueError(f"a delta that is no object: {str(delta)[:100]}")
        content = delta.get("content")
        text, thought = (content, "") if isinstance(content, str) else content_of(content)
        thought = thought or _thought(delta)
        if not text and isinstance(delta.get("refusal"), str):
            text = delta["refusal"]
        return Piece(text, thought, delta, finish)
    text, thought = content_of(choice["text"] if "text" in choice else _content(choice))
    return Piece(text, thought or _thought(choice), {}, finish)


def served_window(entry: Mapping[str, Any]) -> int | None:
    """Tokens of prompt and answer together, as an entry of the list of models tells it."""
    return next((found for name in WINDOWS if (found := number_of(entry.get(name)))), None)


def _choice(choice: Any, wanted: Sequence[str], *, chat: bool) -> Choice:
    if not is_object(choice):
        raise ValueError(f"a choice that is no object: {str(choice)[:100]}")
    message = choice.get("message")
    if message is None and is_object(choice.get("delta")):
        message = choice["delta"]
    if not is_object(message):
        if message is not None or not isinstance(choice.get("text"), str | list | None) or "text" not in choice:
            raise ValueError(f"a choice without an answer: {str(choice)[:100]}")
        message = {}
    content = message.get("content") if chat or "text" not in choice else None
    if content is None:
        content = choice.get("text")
    text, thought = (content, "") if isinstance(content, str) else content_of(content)
    calls: tuple[ToolCall, ...] = ()
    if len(message) > 2 or not text:  # beside role and content
        if not text and isinstance(message.get("refusal"), str):
            text = message["refusal"]
        thought = thought or _thought(message)
        calls = calls_of_message(message) if chat else ()
    reason = choice.get("finish_reason")
    return Choice(
        text,
        thought if message else thought or _thought(choice),
        calls,
        FinishReason.STOP if reason == "stop" else _finish(reason),
        _choice_logprobs(choice.get("logprobs"), wanted) if wanted else None,
    )


def _content(choice: Mapping[str, Any]) -> Any:
    for name in ("delta", "message"):
        if is_object(choice.get(name)):
            return choice[name].get("content")
    return None


def _thought(message: Mapping[str, Any]) -> str:
    """The reasoning that stands beside the content; some servers send it under two names."""
    for name in THOUGHT_FIELDS:
        found = message.get(name)
        if found:
            text, thought = content_of(found) if isinstance(found, str | list | dict) else ("", "")
            if text or thought:
                return text + thought
    return ""


def _finish(reason: Any) -> FinishReason:
    if not isinstance(reason, str):
        return FinishReason.STOP
    reason = reason.lower()
    if reason in CUT:
        return FinishReason.LENGTH
    return FinishReason.TOOL_CALLS if reason in CALLS else FinishReason.STOP


def _place(choice: Any, last: int) -> int:
    found = number_of(choice.get("index")) if is_object(choice) else None
    return last if found is None else found


def _choice_logprobs(logprobs: Any, wanted: Sequence[str]) -> tuple[float, ...] | None:
    """The best log-probability of a first token that is the choice, white space aside; None when none was given."""
    best = {want.strip(): -math.inf for want in wanted}
    for token, value in _first_token(logprobs):
        name = token.strip(WORD_STARTS)
        if name in best and value is not None:
            best[name] = max(best[name], value)
    if all(value == -math.inf for value in best.values()):
        return None
    return tuple(best[want.strip()] for want in wanted)


def _first_token(logprobs: Any) -> list[tuple[str, float | None]]:
    """Tokens that might have come first, with their log-probabilities, in the form of chats or of completions."""
    if not is_object(logprobs):
        return []
    content = logprobs.get("content")
    first = content[0] if is_array(content) and content else None
    if is_object(first):
        top = first.get("top_logprobs")
        entries = [first, *(top if is_array(top) else [])]
        pairs = [(one.get("token"), one.get("logprob")) for one in entries if is_object(one)]
        pairs += list(top.items()) if is_object(top) else []
    else:
        listed = logprobs.get("top_logprobs")
        first = listed[0] if is_array(listed) and listed else None
        if is_array(first):
            pairs = [(one.get("token"), one.get("logprob")) for one in first if is_object(one)]
        else:
            pairs = list(first.items()) if is_object(first) else []
    return [(token, _real(value)) for token, value in pairs if isinstance(token, str)]


def _real(value: Any) -> float | None:
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        found = float(value)
    except OverflowError:
        return None
    return None if math.isnan(found) else found
