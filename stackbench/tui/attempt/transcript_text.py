"""An agent's attempt step by step: thoughts, texts, calls with arguments and results, operator's words, the checks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import indent
from typing import Any

from rich.text import Text

from stackbench.report.transcript import Event, Verdict, arguments_text, verdict_of
from stackbench.tui.safe_text import block, cut_line
from stackbench.tui.tones import Tones

__all__ = ["checks_text", "transcript_text"]

SHOWN = 4000
"""Characters of one result or text; the editor shows all."""


def transcript_text(events: Sequence[Event], tones: Tones, turn: int = 0) -> Text:
    """The turns, in their order; `turn` have come before."""
    verdict = verdict_of(events)
    text = Text()
    number = 0
    for kind, payload in events:
        if kind == "model_call":
            turn += 1
            took = f"{payload.get('completion_tokens', 0)} tokens, {payload.get('latency_s') or 0:.2f} s"
            text.append(f"turn {turn}", style=f"bold {tones['accent']}")
            text.append(f"  {took}\n", style=tones["dim"])
            _append(text, payload.get("thought"), 2, f"italic {tones['dim']}")
            _append(text, payload.get("text"), 2)
        elif kind == "tool_result":
            _append_call(text, payload, number, verdict, tones)
            number += 1
        elif kind == "operator":
            _append_operator(text, payload, tones)
        elif kind == "context_trimmed":
            line = f"  {payload.get('messages')} old results were left out: the window is full\n"
            text.append(line, style=tones["warn"])
    return text


def checks_text(events: Sequence[Event], tones: Tones) -> Text:
    """What the judge says: the expected calls, and each check with what it found."""
    verdict = verdict_of(events)
    text = Text()
    text.append("expected calls\n", style="bold")
    for index in range(len(verdict.expected)):
        made = verdict.made_by(index) is not None
        text.append("  ✓ " if made else "  ✗ ", style=tones["good" if made else "bad"])
        text.append(f"{cut_line(verdict.line(index), 2000)}\n")
    text.append("" if verdict.expected else "  none\n", style=tones["dim"])
    text.append("\nchecks\n", style="bold")
    for check in verdict.checks:
        text.append("  ✓ " if check["passed"] else "  ✗ ", style=tones["good" if check["passed"] else "bad"])
        text.append(cut_line(check["name"]))
        text.append(f"  {cut_line(check['why'], 2000)}\n", style=tones["dim"])
    text.append("" if verdict.checks else "  none\n", style=tones["dim"])
    return text


def _append_call(text: Text, payload: Mapping[str, Any], number: int, verdict: Verdict, tones: Tones) -> None:
    standing = verdict.standing(number, payload)
    text.append(f"  > {cut_line(payload.get('tool', ''))}", style="bold")
    text.append(" (written as text)" if payload.get("repaired") else "", style=tones["dim"])
    took = payload.get("duration_ms")
    text.append(f"  {took:.0f} ms" if isinstance(took, int | float) else "", style=tones["dim"])
    text.append(f"  {cut_line(standing.text)}\n", style=tones[standing.tone])
    _append(text, arguments_text(str(payload.get("arguments", ""))), 4, tones["accent"])
    _append(text, str(payload.get("text", "")), 4, tones["bad"] if payload.get("failed") else tones["dim"])


def _append_operator(text: Text, payload: Mapping[str, Any], tones: Tones) -> None:
    """What the operator said, ran or decided."""
    action = payload.get("action")
    if action == "message":
        text.append("operator\n", style=f"bold {tones['warn']}")
        _append(text, str(payload.get("text", "")), 2)
    elif action == "shell":
        code = cut_line(payload.get("exit_code"), 20)
        text.append(f"  operator ran in the sandbox (exit code {code})\n", style=tones["warn"])
        _append(text, str(payload.get("command", "")), 4, tones["accent"])
        _append(text, str(payload.get("output", "")), 4, tones["dim"])
    else:
        done = {
            "approve": "approved", "reject": "refused", "edit": "changed the arguments of",
            "interrupt": "ended the turn", "terminal": "opened a terminal in the sandbox",
        }  # fmt: skip
        what = f"{done.get(str(action), str(action))} {payload.get('tool', '')}".rstrip()
        text.append(f"  operator {cut_line(what)}\n", style=tones["warn"])


def _append(text: Text, shown: str | None, by: int, style: str = "") -> None:
    if shown:
        text.append(indent(block(shown, SHOWN), " " * by).rstrip("\n") + "\n", style=style)
