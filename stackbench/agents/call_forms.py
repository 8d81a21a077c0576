"""The ways in which models write calls beside JSON: Qwen3-Coder's and GLM's tags, Llama's and Mistral's tokens, Kimi's.

Each reader goes through a text once: what has no end goes to the text's end, and is not looked for again.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator, Mapping
from typing import Any

from stackbench import nesting
from stackbench.agents.tools import TOOLS, parameters_schema
from stackbench.nesting import is_array, is_object

__all__ = ["function_tags", "marked", "pythonic", "tagged_arguments", "token_calls"]

Call = tuple[str, str]
"""Name and arguments as text, which may be no JSON."""
PYTHON_TAG = "<|python_tag|>"
TOOL_CALLS = "[TOOL_CALLS]"
FUNCTION, FUNCTION_END = "<function=", "</function>"
PARAMETER, PARAMETER_END = "<parameter=", "</parameter>"
KEY, KEY_END, VALUE, VALUE_END = "<arg_key>", "</arg_key>", "<arg_value>", "</arg_value>"
KIMI, KIMI_ARGUMENTS, KIMI_END = "<|tool_call_begin|>", "<|tool_call_argument_begin|>", "<|tool_call_end|>"
KIMI_SECTION = ("<|tool_calls_section_begin|>", "<|tool_calls_section_end|>")
ENDS = ("<|eom_id|>", "<|eot_id|>", "<|im_end|>", "</s>")
LONGEST_NAME = 100
LONGEST_PYTHON = 100_000


def marked(text: str) -> Iterator[tuple[int, int, str]]:
    """Where parts that a token begins begin and end, and what is in them, the tokens included."""
    for mark in (PYTHON_TAG, TOOL_CALLS):
        at = text.find(mark)
        if at >= 0:
            yield at, len(text), text[at:]
            return
    at = text.find(KIMI)
    if at >= 0:
        begin = text.find(KIMI_SECTION[0])
        end = text.rfind(KIMI_SECTION[1])
        stop = end + len(KIMI_SECTION[1]) if end > at else len(text)
        yield begin if 0 <= begin < at else at, stop, text[at:stop]
        return
    at = 0
    while (begin := text.find(FUNCTION, at)) >= 0:
        close = text.find(FUNCTION_END, begin)
        at = len(text) if close < 0 else close + len(FUNCTION_END)
        yield begin, at, text[begin:at]


def token_calls(body: str) -> list[Call]:
    """The calls of a part that a token begins."""
    if body.startswith(PYTHON_TAG):
        return _llama(body)
    if body.startswith(TOOL_CALLS):
        return [call for piece in body.split(TOOL_CALLS)[1:] for call in _mistral(_without_end(piece))]
    if body.startswith(KIMI):
        return [call for piece in body.split(KIMI)[1:] for call in _kimi(piece)]
    return list(function_tags(body))


def function_tags(body: str) -> Iterator[Call]:
    """`<function=exec><parameter=command>ls</parameter></function>`, as Qwen3-Coder writes it."""
    at = 0
    while (begin := body.find(FUNCTION, at)) >= 0:
        close = body.find(FUNCTION_END, begin)
        at = len(body) if close < 0 else close + len(FUNCTION_END)
        inside = body[begin + len(FUNCTION) : at if close < 0 else close]
        name, mark, rest = inside[: LONGEST_NAME + 1].partition(">")
        if not mark:
            continue
        yield name.strip(), _as_json(name.strip(), dict(_parameters(inside[len(name) + 1 :] if rest else "")))


def _parameters(inside: str) -> Iterator[tuple[str, str]]:
    at = 0
    while (begin := inside.find(PARAMETER, at)) >= 0:
        named = inside.find(">", begin, begin + len(PARAMETER) + LONGEST_NAME)
        if named < 0:
            return
        close = inside.find(PARAMETER_END, named)
        at = len(inside) if close < 0 else close + len(PARAMETER_END)
        value = inside[named + 1 : len(inside) if close < 0 else close]
        yield inside[begin + len(PARAMETER) : named].strip(), value.removeprefix("\n").removesuffix("\n")


def tagged_arguments(body: str) -> Iterator[Call]:
    """A name, then `<arg_key>` and `<arg_value>` in pairs, as GLM writes it."""
    first = body.find(KEY)
    name = body[: min(first, LONGEST_NAME + 1)].strip() if first >= 0 else ""
    if not name.isidentifier():
        return
    given: dict[str, str] = {}
    for piece in body[first:].split(KEY)[1:]:
        key, _, rest = piece.partition(KEY_END)
        _, _, value = rest.partition(VALUE)
        given[key.strip()] = value.partition(VALUE_END)[0]
    yield name, _as_json(name, given)


def _llama(body: str) -> list[Call]:
    inside = _without_end(body[len(PYTHON_TAG) :]).strip()
    return list(_named(inside)) or list(pythonic(inside))


def _mistral(piece: str) -> Iterator[Call]:
    """A list of calls, or `name[ARGS]{...}`, with an id between in some versions."""
    piece = piece.strip()
    if piece.startswith(("[", "{")):
        yield from _named(piece)
        return
    name = piece[: LONGEST_NAME + 1].partition("[")[0].partition("{")[0].strip()
    _, mark, arguments = piece.partition("[ARGS]")
    if not mark:
        arguments = piece[len(name) :]
    if name:
        yield name, _object_in_front(arguments.strip())


def _kimi(piece: str) -> Iterator[Call]:
    head, mark, rest = piece.partition(KIMI_ARGUMENTS)
    name = head[: LONGEST_NAME * 2].strip().rpartition(":")[0].removeprefix("functions.")
    if mark and name:
        yield name, _object_in_front(rest.partition(KIMI_END)[0].strip())


def pythonic(text: str) -> Iterator[Call]:
    """`[exec(command="ls"), read(path="a")]` or `exec.call(command="ls")`: literal arguments by name."""
    text = text.strip()
    if len(text) > LONGEST_PYTHON or not text.endswith((")", "]")) or nesting.is_deep(text):
        return
    try:
        tree = ast.parse(text, mode="eval").body
        nodes = tree.elts if isinstance(tree, ast.List) else [tree]
        found = [_call_node(node) for node in nodes]
    except (SyntaxError, ValueError, RecursionError, MemoryError, TypeError):
        return
    if found and all(found):
        yield from (call for call in found if call is not None)


def _call_node(node: ast.AST) -> Call | None:
    if not isinstance(node, ast.Call) or node.args or any(one.arg is None for one in node.keywords):
        return None
    function = node.func
    if isinstance(function, ast.Attribute) and function.attr == "call":
        function = function.value
    if not isinstance(function, ast.Name):
        return None
    return function.id, json.dumps({str(one.arg): ast.literal_eval(one.value) for one in node.keywords})


def _named(text: str) -> Iterator[Call]:
    """JSON objects with a name and arguments, one after the other or in a list; words behind them are left."""
    if nesting.is_deep(text):
        return
    decoder, at = json.JSONDecoder(strict=False), 0
    while at < len(text) and text[at] in "[{":
        try:
            value, at = decoder.raw_decode(text, at)
        except ValueError:
            return
        for one in value if is_array(value) else [value]:
            if is_object(one) and isinstance(one.get("name"), str):
                given = one.get("arguments", one.get("parameters", {}))
                yield str(one["name"]), given if isinstance(given, str) else json.dumps(given)
        while at < len(text) and text[at] in " \t\r\n,;":
            at += 1


def _object_in_front(text: str) -> str:
    """The JSON object that a text begins with; the text where it begins with none."""
    if nesting.is_deep(text):
        return text
    try:
        _, end = json.JSONDecoder(strict=False).raw_decode(text)
    except ValueError:
        return text
    return text[:end]


def _without_end(text: str) -> str:
    for end in ENDS:
        text = text.removesuffix(end)
    return text


def _as_json(name: str, given: Mapping[str, str]) -> str:
    """Arguments that came as text: where the tool does not take text, they are read as JSON."""
    known: Mapping[str, Any] = parameters_schema(TOOLS[name].parameters).get("properties", {}) if name in TOOLS else {}
    return json.dumps({key: _value(known.get(key, {}), text) for key, text in given.items()})


def _value(schema: Mapping[str, Any], text: str) -> Any:
    kinds = {schema.get("type"), *(one.get("type") for one in schema.get("anyOf", ()))}
    if "string" in kinds or not kinds - {None}:
        return text
    try:
        return nesting.loads(text)
    except ValueError:
        return text
