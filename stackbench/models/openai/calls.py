"""Reads tool calls as servers send them, whole or in chunks, and gives each an id."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from stackbench import nesting
from stackbench.models.openai.values import number_of, text_of
from stackbench.nesting import is_array, is_object
from stackbench.types import ToolCall

__all__ = ["StreamedCalls", "calls_of_message", "made_up_id"]

LONGEST_ID = 256


def made_up_id(number: int) -> str:
    """An id for a call that came without one: nine letters and digits, the only form that Mistral's models take."""
    return f"call{number:05d}"


def calls_of_message(message: dict[str, Any]) -> tuple[ToolCall, ...]:
    """The calls of a whole message, in its order.

    Raises:
        ValueError: they are no list of objects.
    """
    listed = message.get("tool_calls")
    if is_object(listed):
        listed = [listed] if listed else []
    if not listed:
        function = message.get("function_call")  # as the API had it before it had tools
        listed = [{"function": function}] if is_object(function) and function else []
    if not is_array(listed):
        raise ValueError(f"tool_calls that are no list: {str(listed)[:100]}")
    found: list[tuple[str, str, str]] = []
    for call in listed:
        if call is None:
            continue
        if not is_object(call):
            raise ValueError(f"a tool call that is no object: {str(call)[:100]}")
        name, arguments = _function(call)
        found.append((_id(call), name, arguments or "{}"))
    return _with_ids(found)


@dataclass(slots=True)
class _Call:
    index: int | None
    id: str = ""
    name: str = ""
    pieces: list[str] = field(default_factory=list[str])

    @property
    def arguments(self) -> str:
        """The pieces together; the last alone where each held all arguments so far, or where they were sent again."""
        joined = "".join(self.pieces)
        if len(self.pieces) > 1 and nesting.object_of(joined) is None and nesting.object_of(self.pieces[-1]):
            return self.pieces[-1]
        return joined or "{}"

    @property
    def is_whole(self) -> bool:
        return bool(self.pieces) and nesting.object_of("".join(self.pieces)) is not None


class StreamedCalls:
    """Gathers pieces of calls: which belong together is told by their id, else by index, else by their order."""

    def __init__(self) -> None:
        self._calls: list[_Call] = []

    def add(self, delta: dict[str, Any]) -> bool:
        """Takes what a piece of a stream says of calls; False where it says nothing of them.

        Raises:
            ValueError: it is no list of objects.
        """
        pieces = delta.get("tool_calls")
        if is_object(pieces):
            pieces = [pieces] if pieces else []
        if not pieces:
            function = delta.get("function_call")
            pieces = [{"function": function}] if is_object(function) and function else []
        if not is_array(pieces):
            raise ValueError(f"tool_calls that are no list: {str(pieces)[:100]}")
        for piece in pieces:
            if piece is None:
                continue
            if not is_object(piece):
                raise ValueError(f"a piece of a tool call that is no object: {str(piece)[:100]}")
            self._add(piece)
        return bool(pieces)

    def calls(self) -> tuple[ToolCall, ...]:
        """The calls so far, by index where each has one, else as they came."""
        calls = self._calls
        if all(call.index is not None for call in calls):
            calls = sorted(calls, key=lambda call: call.index or 0)
        return _with_ids([(call.id, call.name, call.arguments) for call in calls])

    def _add(self, piece: dict[str, Any]) -> None:
        index, call_id = number_of(piece.get("index")), _id(piece)
        name, arguments = _function(piece)
        call = self._find(index, call_id, name, arguments)
        if call is None:
            call = _Call(index)
            self._calls.append(call)
        call.id = call.id or call_id
        call.name = _joined(call.name, name) if not call.pieces else call.name or name
        if arguments:
            call.pieces.append(arguments)

    def _find(self, index: int | None, call_id: str, name: str, arguments: str) -> _Call | None:
        """The call that a piece goes on with; None where it begins one."""
        if call_id:
            known = next((call for call in self._calls if call.id == call_id), None)
            if known is not None:
                return known
        alike = [call for call in self._calls if index is None or call.index in (None, index)]
        if not alike:
            return None
        last = alike[-1]
        if call_id and last.id:
            return None
        if index is None and not call_id and name and last.name and not last.pieces and name != last.name:
            return None  # nothing but their order tells calls apart, and names are sent whole
        if name and last.name and last.is_whole:
            repeated = name == last.name and (not arguments or arguments == "".join(last.pieces))
            return last if repeated else None
        return last


def _joined(name: str, more: str) -> str:
    """A name that came in pieces, or whole each time."""
    return more if more.startswith(name) else name if name.startswith(more) else name + more


def _function(call: dict[str, Any]) -> tuple[str, str]:
    """Name and arguments; an object of arguments as its JSON."""
    function = call.get("function")
    if not is_object(function):
        function = call if isinstance(call.get("name"), str) else {}
    name, arguments = function.get("name"), function.get("arguments")
    if arguments is None and is_object(function.get("parameters")):
        arguments = function["parameters"]
    written = arguments if isinstance(arguments, str) else "" if arguments is None else json.dumps(arguments)
    return text_of(name), written


def _id(call: dict[str, Any]) -> str:
    found = call.get("id")
    if isinstance(found, int) and not isinstance(found, bool):
        found = str(found)
    return found if isinstance(found, str) and len(found) <= LONGEST_ID else ""


def _with_ids(found: Iterable[tuple[str, str, str]]) -> tuple[ToolCall, ...]:
    """The calls with the server's ids, and made-up ones where it sent none or one twice."""
    listed = list(found)
    taken = {call_id for call_id, _, _ in listed}
    used: set[str] = set()
    calls: list[ToolCall] = []
    number = 0
    for call_id, name, arguments in listed:
        while not call_id or call_id in used:
            number += 1
            call_id = made_up_id(number) if made_up_id(number) not in taken else ""
        used.add(call_id)
        calls.append(ToolCall(call_id, name, arguments))
    return tuple(calls)
