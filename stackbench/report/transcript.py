"""An agent's calls, read from an attempt's events: which expected call each one was, and what it was given."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from stackbench import nesting

__all__ = ["Event", "Standing", "Verdict", "arguments_text", "has_transcript", "verdict_of"]

Event = tuple[str, Mapping[str, Any]]
Tone = Literal["good", "bad", "dim", ""]


@dataclass(frozen=True, slots=True)
class Standing:
    """What a call counts as."""

    text: str
    tone: Tone


class Verdict:
    """The judge's event: expected calls, those that were made, checks. Empty for an attempt that was not judged."""

    def __init__(self, payload: Mapping[str, Any]) -> None:
        self._payload = payload
        self.expected: Sequence[Mapping[str, Any]] = payload.get("expected", ())
        self.checks: Sequence[Mapping[str, Any]] = payload.get("checks", ())
        self._made = {int(expected): int(made) for expected, made in payload.get("matched", {}).items()}
        self._repeats = {int(made): int(expected) for made, expected in payload.get("repeats", {}).items()}
        self._wrong = {int(made): str(why) for made, why in payload.get("wrong", {}).items()}

    def __bool__(self) -> bool:
        return bool(self._payload)

    def name(self, index: int) -> str:
        """An expected call's name, or its number."""
        return self.expected[index].get("id") or f"#{index + 1}"

    def made_by(self, index: int) -> int | None:
        """The call that was this expected one, counted from 0; None where none was."""
        return self._made.get(index)

    def line(self, index: int) -> str:
        """An expected call in a line: tools, order, arguments, and by which call it was made."""
        call = self.expected[index]
        after = f" after {', '.join(call['after'])}" if call["after"] else ""
        wanted = f"  with {json.dumps(call['with'], ensure_ascii=False)}" if call["with"] else ""
        made = self.made_by(index)
        by = f"  was call {made + 1}" if made is not None else "  was not made"
        return f"{self.name(index)}: {' or '.join(call['tools'])}{after}{wanted}{by}"

    def standing(self, number: int, payload: Mapping[str, Any]) -> Standing:
        """Of the call with this number, counted from 0, as its `tool_result` event has it."""
        if not payload["valid"]:
            return Standing("malformed", "bad")
        if not self:
            return Standing("", "")
        if number in self._wrong:
            return Standing(f"wrong: {self._wrong[number]}", "bad")
        stood_for = [expected for expected, made in self._made.items() if made == number]
        stood_for += [expected for made, expected in self._repeats.items() if made == number]
        if stood_for:
            return Standing(f"expected: {', '.join(self.name(index) for index in stood_for)}", "good")
        return Standing("not expected, not wrong", "dim")


def has_transcript(events: Sequence[Event]) -> bool:
    """Whether an agent made the attempt."""
    return any(kind == "agent_start" for kind, _ in events)


def verdict_of(events: Sequence[Event]) -> Verdict:
    return Verdict(next((payload for kind, payload in events if kind == "verdict"), dict[str, Any]()))


def arguments_text(written: str) -> str:
    """A call's arguments, one a line; what is no JSON object stays as the model wrote it."""
    found = nesting.object_of(written)
    if found is None:
        return written
    return "\n".join(
        f"{name}: {value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}"
        for name, value in found.items()
    )
