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

from stackbench.cli.console import make_table, shown
from stackbench.report.transcript import Event, Standing, Verdict, arguments_text, verdict_of
from stackbench.visible_text import visible

__all__ = ["print_transcript"]

SHOWN = 1200
STYLES = {"good": "green", "bad": "red", "dim": "dim", "": ""}


def print_transcript(console: Console, events: Sequence[Event]) -> None:
    """Prints the turns, then the verdict where there is one."""
    verdict = verdict_of(events)
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
            _print_call(console, payload, verdict.standing(number, payload))
            number += 1
        elif kind == "operator":
            payload_text = json.dumps(_without(payload, "seed"), ensure_ascii=False)
            console.print(shown(f"  operator: {payload_text}", "cyan"))
        elif kind == "context_trimmed":
            console.print(shown(f"  {payload['messages']} old results were left out: the window is full", "cyan"))
    if verdict:
        _print_verdict(console, verdict)


def _print_call(console: Console, payload: Mapping[str, Any], standing: Standing) -> None:
    written = " (written as text)" if payload.get("repaired") else ""
    judged = shown(standing.text, STYLES[standing.tone])
    line = Text.assemble(("  > ", "bold"), shown(payload["tool"], "bold"), f"{written}  ", judged)
    console.print(line)
    _print_indented(console, arguments_text(payload["arguments"]), 4, style="magenta")
    _print_indented(console, payload["text"], 4, style="red" if payload["failed"] else "dim")


def _print_verdict(console: Console, verdict: Verdict) -> None:
    console.print(Rule("expected calls", align="left", style="dim"))
    for index in range(len(verdict.expected)):
        mark = ("  + ", "green") if verdict.made_by(index) is not None else ("  - ", "red")
        console.print(Text.assemble(mark, shown(verdict.line(index))))
    if not verdict.expected:
        console.print("  none")
    console.print(Rule("checks", align="left", style="dim"))
    rows = [("ok" if check["passed"] else "FAILED", check["name"], check["why"]) for check in verdict.checks]
    console.print(make_table(["", "check", "found"], rows))
    failed = sum(not check["passed"] for check in verdict.checks)
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
