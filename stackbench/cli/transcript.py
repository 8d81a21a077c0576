"""An agent's attempt as `show` prints it: its turns, each call with what it matched, expected calls and checks."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from textwrap import indent
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.rule import Rule
from rich.text import Text

from stackbench import nesting
from stackbench.cli.console import make_table, shown
from stackbench.visible_text import visible

__all__ = ["has_transcript", "print_transcript"]

SHOWN = 1200
Event = tuple[str, Mapping[str, Any]]


def has_transcript(events: Sequence[Event]) -> bool:
    """Whether an agent made the attempt."""
    return any(kind == "agent_start" for kind, _ in events)


def print_transcript(console: Console, events: Sequence[Event]) -> None:
    """Prints the turns, then the verdict where there is one."""
    verdict = next((payload for kind, payload in events if kind == "verdict"), {})
    matched = _matched(verdict)
    harmful = set(verdict.get("harmful", ()))
    number = 0
    turn = 0
    for kind, payload in events:
        if kind == "model_call":
            turn += 1
            took = f"{payload.get('completion_tokens', 0)} tokens, {payload.get('latency_s') or 0:.2f} s"
            console.print(Rule(shown(f"turn {turn}: {took}"), align="left", style="dim"))
            if payload.get("thought"):
                _print_indented(console, payload["thought"], 2, style="dim italic")
            if payload.get("text"):
                _print_indented(console, payload["text"], 2)
        elif kind == "tool_result":
            _print_call(console, payload, _standing(number, payload, matched, harmful, judged=bool(verdict)))
            number += 1
        elif kind == "operator":
            told = json.dumps(_without(payload, "seed"), ensure_ascii=False)
            console.print(shown(f"  operator: {told}", "cyan"))
        elif kind == "context_trimmed":
            console.print(shown(f"  {payload['messages']} old results were left out: the window is full", "cyan"))
    if verdict:
        _print_verdict(console, verdict)


def _matched(verdict: Mapping[str, Any]) -> dict[int, str]:
    """By call made: the expected call that it was."""
    expected = verdict.get("expected", [])
    return {made: _name(expected, int(index)) for index, made in verdict.get("matched", {}).items()}


def _name(expected: Sequence[Mapping[str, Any]], index: int) -> str:
    return expected[index].get("id") or f"#{index + 1}"


def _standing(
    number: int, payload: Mapping[str, Any], matched: Mapping[int, str], harmful: set[int], *, judged: bool
) -> Text:
    if not payload["valid"]:
        return Text("malformed", style="red")
    if number in matched:
        return shown(f"expected: {matched[number]}", "green")
    if not judged:
        return Text("")
    return Text("not expected", style="red") if number in harmful else Text("not expected, harmless", style="dim")


def _print_call(console: Console, payload: Mapping[str, Any], standing: Text) -> None:
    written = " (written as text)" if payload.get("repaired") else ""
    line = Text.assemble(("  > ", "bold"), shown(payload["tool"], "bold"), f"{written}  ", standing)
    console.print(line)
    _print_indented(console, _arguments(payload["arguments"]), 4, style="magenta")
    _print_indented(console, payload["text"], 4, style="red" if payload["failed"] else "dim")


def _arguments(written: str) -> str:
    """A call's arguments, one a line."""
    found = nesting.object_of(written)
    if found is None:
        return written
    return "\n".join(
        f"{name}: {value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}"
        for name, value in found.items()
    )


def _print_verdict(console: Console, verdict: Mapping[str, Any]) -> None:
    expected: list[Mapping[str, Any]] = verdict["expected"]
    matched: Mapping[str, int] = verdict["matched"]
    console.print(Rule("expected calls", align="left", style="dim"))
    for index, call in enumerate(expected):
        made = matched.get(str(index))
        after = f" after {', '.join(call['after'])}" if call["after"] else ""
        wanted = f"  with {json.dumps(call['with'], ensure_ascii=False)}" if call["with"] else ""
        mark = ("  + ", "green") if made is not None else ("  - ", "red")
        by = f"  was call {made + 1}" if made is not None else "  was not made"
        line = f"{_name(expected, index)}: {' or '.join(call['tools'])}{after}{wanted}{by}"
        console.print(Text.assemble(mark, shown(line)))
    if not expected:
        console.print("  none")
    console.print(Rule("checks", align="left", style="dim"))
    rows = [("ok" if check["passed"] else "FAILED", check["name"], check["why"]) for check in verdict["checks"]]
    console.print(make_table(["", "check", "found"], rows))
    failed = sum(not check["passed"] for check in verdict["checks"])
    console.print(
        Text("all checks hold", style="green")
        if not failed
        else Text(f"{failed} of {len(rows)} checks failed", style="red")
    )


def _print_indented(console: Console, text: str, by: int, style: str = "") -> None:
    """Folded lines are indented too on a terminal; nothing is folded or cut in a pipe."""
    legible = visible(_cut(text))
    if console.soft_wrap:
        console.print(shown(indent(legible, " " * by), style, lines=True))
    else:
        console.print(Padding(shown(legible, style, lines=True), (0, 0, 0, by), expand=False))


def _without(payload: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in payload.items() if key != name}


def _cut(text: str) -> str:
    left = len(text) - SHOWN
    return text if left <= 0 else f"{text[:SHOWN]}\n... {left} more characters; --json shows all"
