"""A model at the machine's edge that says what a test wrote down, turn by turn."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from stackbench.active_clock import ActiveClock
from stackbench.token_estimate import TokenEstimator
from stackbench.types import FinishReason, Generation, Message, Request, TokenCount, ToolCall, ToolCallRecord, ToolSpec

Turn = Generation | Exception | Callable[[Sequence[Message]], Generation]


def says(text: str, **fields: Any) -> Generation:
    return Generation(text, prompt_tokens=10, completion_tokens=3, **fields)


def calls(*made: tuple[str, Any], text: str = "") -> Generation:
    """Calls by name and arguments: an object, or the text that a model would write."""
    found = tuple(
        ToolCall(f"c{number}", name, arguments if isinstance(arguments, str) else json.dumps(arguments))
        for number, (name, arguments) in enumerate(made)
    )
    return says(text, tool_calls=found, finish_reason=FinishReason.TOOL_CALLS)


class ScriptedBackend:
    """Implements `Backend`; keeps what it was asked and what was logged."""

    def __init__(self, *turns: Turn, native_tools: bool = True, window: int | None = None) -> None:
        self.turns = list(turns)
        self.native_tools = native_tools
        self.window = window
        self.clock = ActiveClock()
        self.tokenizer: Callable[[str], int] | None = None
        """Counts tokens of a text; None for a model that only estimates."""
        self.asked: list[list[Message]] = []
        self.counted: list[list[Message]] = []
        self.tools: list[tuple[ToolSpec, ...]] = []
        self.events: list[tuple[str, Mapping[str, Any]]] = []
        self.started: list[ToolCall] = []
        self.records: list[ToolCallRecord] = []
        self.output: list[tuple[str, str]] = []

    async def generate(self, request: Request) -> Generation:
        self.asked.append(list(request.messages))
        self.tools.append(request.tools)
        await asyncio.sleep(0)
        turn = self.turns.pop(0) if self.turns else says("done")
        if isinstance(turn, Exception):
            raise turn
        generation = turn if isinstance(turn, Generation) else turn(request.messages)
        if request.on_text is not None:
            request.on_text(generation.text)
        return generation

    async def count_tokens(self, request: Request) -> TokenCount:
        self.counted.append(list(request.messages))
        if self.tokenizer is None:
            return TokenEstimator().count(request)
        return TokenCount(sum(self.tokenizer(message.content) for message in request.messages), exact=True)

    def log(self, kind: str, payload: Mapping[str, Any]) -> None:
        self.events.append((kind, payload))

    def call_started(self, step: int, call: ToolCall) -> None:
        self.started.append(call)

    def command_output(self, session_id: str, text: str) -> None:
        self.output.append((session_id, text))

    def log_call(self, call: ToolCallRecord) -> None:
        self.records.append(call)

    def kinds(self) -> list[str]:
        return [kind for kind, _ in self.events]
