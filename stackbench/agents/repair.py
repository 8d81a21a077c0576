"""Calls that a model wrote into its text instead of making them: in tags, behind tokens, in fences, as bare JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

from stackbench import nesting
from stackbench.agents.call_forms import function_tags, marked, pythonic, tagged_arguments, token_calls
from stackbench.nesting import is_array, is_object
from stackbench.types import ToolCall

__all__ = ["Found", "find_calls"]

OPENED = re.compile(r"<(tool_call|tools|function_call)>")
FENCE = "```"
FENCE_CLOSED = re.compile(r"\n[ \t]*```")
LANGUAGES = ("", "json", "tool_call", "tool", "xml")
LONGEST_INFO = 60
"""Characters of a fence's first line that are read."""
NAME = re.compile(r'"(?:name|tool|function)"\s*:\s*"([^"]+)"')
ARGUMENTS = ("arguments", "parameters", "args", "input")
NAMES = ("name", "tool", "function")


@dataclass(frozen=True, slots=True)
class Found:
    """The text without the calls, and the calls."""

    text: str
    calls: tuple[ToolCall, ...]


def find_calls(text: str, tools: Collection[str]) -> Found:
    """Calls in an answer, in their order; thoughts are no part of it.

    In tags or behind tokens, which stand for calls alone, calls of any tool are found, and so they are where an answer
    is nothing else; elsewhere those of the named tools. What plainly was to be such a call but is no JSON comes as a
    call whose arguments are the text that was written, so that the model can be told.
    """
    for parts, calls_in in ((_tagged, _tagged_calls), (marked, _marked_calls), (_fenced, _calls_in)):
        calls: list[tuple[str, str]] = []
        rest: list[str] = []
        at = 0
        for begin, end, body in parts(text):
            found = list(calls_in(body, tools))
            if found:
                calls += found
                rest.append(text[at:begin])
                at = end
        if calls:
            rest.append(text[at:])
            return Found("".join(rest).strip(), _numbered(calls))
    stripped = text.strip()
    if stripped.startswith(("{", "[")):
        if not any(_json_values(stripped)) and (behind := _with_words_behind(stripped, tools)) is not None:
            return behind
        found = list(_calls_in(stripped, tools)) or [call for call in pythonic(stripped) if call[0] in tools]
        if found:
            return Found("", _numbered(found))
    return Found("", _numbered(unknown)) if (unknown := _unknown_alone(stripped)) else Found(text, ())


def _unknown_alone(text: str) -> list[tuple[str, str]]:
    """Calls of tools that are not on offer, where they are all that the answer holds: the model is told.

    An answer that is data is left alone: a call has a name like a tool's, an object of arguments, and nothing else.
    """
    blocks = list(_fenced(text))
    if len(blocks) == 1 and blocks[0][:2] == (0, len(text)):
        text = blocks[0][2]
    values = [one for value in _json_values(text) for one in (value if is_array(value) else [value])]
    found = [_call(value, None) for value in values if _is_call_alone(value)]
    return [call for call in found if call is not None] if len(found) == len(values) else []


def _is_call_alone(value: Any) -> bool:
    if not is_object(value) or len(value) != 2:
        return False
    name = value.get("name", value.get("tool"))
    arguments = value.get("arguments", value.get("parameters"))
    return isinstance(name, str) and name.isidentifier() and is_object(arguments)


def _with_words_behind(text: str, tools: Collection[str]) -> Found | None:
    """A call as bare JSON that words follow."""
    if nesting.is_deep(text):
        return None
    try:
        value, end = json.JSONDecoder(strict=False).raw_decode(text)
    except ValueError:
        return None
    found = [call for one in (value if is_array(value) else [value]) if (call := _call(one, tools)) is not None]
    return Found(text[end:].strip(), _numbered(found)) if found else None


def _tagged_calls(body: str, tools: Collection[str]) -> Iterator[tuple[str, str]]:
    found = list(_calls_in(body, tools)) or list(function_tags(body)) or list(tagged_arguments(body))
    if not found:  # a tool that is not on offer: the model is told
        found = [call for one in _json_values(body) if (call := _call(one, None)) is not None]
    yield from found


def _marked_calls(body: str, tools: Collection[str]) -> Iterator[tuple[str, str]]:
    yield from token_calls(body)


def _tagged(text: str) -> Iterator[tuple[int, int, str]]:
    """Where each tagged part begins and ends, and what is in it. A last one that was cut off ends with the text."""
    at = 0
    while opened := OPENED.search(text, at):
        close = f"</{opened[1]}>"
        end = text.find(close, opened.end())
        at = len(text) if end < 0 else end + len(close)
        yield opened.start(), at, text[opened.end() : at if end < 0 else end].strip()


def _fenced(text: str) -> Iterator[tuple[int, int, str]]:
    """The same of fenced blocks in a language that a call may be written in; blocks in others are passed over."""
    at = 0
    while (begin := text.find(FENCE, at)) >= 0:
        line_end = text.find("\n", begin, begin + LONGEST_INFO)
        language = text[begin + len(FENCE) : max(begin, line_end)].strip(" \t")
        if line_end < 0 or "`" in language:
            at = begin + len(FENCE)
            continue
        closed = FENCE_CLOSED.search(text, line_end)
        at = closed.end() if closed else len(text)
        if language in LANGUAGES:
            yield begin, at, text[line_end + 1 : closed.start() if closed else len(text)]


def _numbered(calls: list[tuple[str, str]]) -> tuple[ToolCall, ...]:
    return tuple(ToolCall(f"text_{number}", name, arguments) for number, (name, arguments) in enumerate(calls, 1))


def _calls_in(body: str, tools: Collection[str]) -> Iterator[tuple[str, str]]:
    values = list(_json_values(body))
    for value in values:
        for one in value if is_array(value) else [value]:
            found = _call(one, tools)
            if found is not None:
                yield found
    if not values:
        named = NAME.search(body)
        if named and named.group(1) in tools and any(f'"{key}"' in body for key in ARGUMENTS):
            yield named.group(1), body


def _json_values(body: str) -> Iterator[Any]:
    """The JSON values that a text is made of, one after the other; none where it is anything else."""
    if nesting.is_deep(body):
        return
    decoder = json.JSONDecoder(strict=False)
    values: list[Any] = []
    at = 0
    while at < len(body):
        try:
            value, at = decoder.raw_decode(body, at)
        except ValueError:
            return
        values.append(value)
        while at < len(body) and body[at] in " \t\r\n,":
            at += 1
    yield from values


def _call(value: Any, tools: Collection[str] | None) -> tuple[str, str] | None:
    if not is_object(value):
        return None
    if is_object(value.get("function")):
        value = value["function"]
    name = next((value[key] for key in NAMES if isinstance(value.get(key), str)), None)
    if name is None or (tools is not None and name not in tools):
        return None
    arguments = next((value[key] for key in ARGUMENTS if key in value), None)
    if arguments is None:
        return None
    return name, arguments if isinstance(arguments, str) else json.dumps(arguments)
