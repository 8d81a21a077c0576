"""One attempt as `show RUN TASK` prints it: its texts, its events, or its transcript where an agent made it."""

from __future__ import annotations

import json
from typing import Any

from rich.rule import Rule
from rich.syntax import Syntax

from stackbench.cli.console import out, shown
from stackbench.cli.transcript import print_transcript
from stackbench.report.transcript import has_transcript
from stackbench.store import AttemptDetail
from stackbench.types import FinishReason
from stackbench.visible_text import visible

__all__ = ["attempt_document", "print_attempt"]

SHOWN_IN_TERMINAL = 6000


def attempt_document(attempt: AttemptDetail) -> dict[str, Any]:
    key = attempt.key
    return {
        "benchmark": key.benchmark,
        "task_id": key.task_id,
        "attempt": key.attempt,
        "seed": key.seed,
        "category": attempt.category,
        "status": attempt.status,
        "score": attempt.score,
        "passed": attempt.passed,
        "error": attempt.error,
        "reason": attempt.reason,
        "prompt": attempt.prompt,
        "completion": attempt.completion,
        "prompt_tokens": attempt.prompt_tokens,
        "completion_tokens": attempt.completion_tokens,
        "finish_reason": attempt.finish_reason,
        "latency_s": attempt.latency_s,
        "metrics": attempt.metrics,
        "events": [{"kind": kind, "payload": payload} for kind, payload in attempt.events],
    }


def print_attempt(attempt: AttemptDetail) -> None:
    console = out()
    key = attempt.key
    word, style = {True: ("passed", "green"), False: ("failed", "red"), None: ("error", "yellow")}[attempt.passed]
    console.print(Rule(shown(f"{key.benchmark} {key.task_id}  attempt {key.attempt}  seed {key.seed}: {word}", style)))
    for why in dict.fromkeys((attempt.reason, attempt.error)):  # once where both say the same
        if not why or why == word:
            continue
        console.print(shown(why, style, lines=True))
    console.print(
        f"{attempt.prompt_tokens} prompt tokens, {attempt.completion_tokens} completion tokens, "
        f"{attempt.latency_s:.2f} s"
    )
    if attempt.finish_reason == FinishReason.LENGTH:
        console.print(shown("an answer ended at its token limit", "yellow"))
    measures = [
        f"{name} {json.dumps(value)}" for name, value in attempt.metrics.items() if value not in (None, "", [], {})
    ]
    if measures:
        console.print(shown(", ".join(measures), "dim"))
    if has_transcript(attempt.events):
        console.print(Rule("task", align="left", style="dim"))
        console.print(shown(_cut(attempt.prompt), lines=True))
        print_transcript(console, attempt.events)
        return
    for title, text in (("prompt", attempt.prompt), ("completion", attempt.completion)):
        console.print(Rule(title, align="left", style="dim"))
        console.print(shown(_cut(text), lines=True))
    for kind, payload in attempt.events:
        console.print(Rule(shown(kind), align="left", style="dim"))
        code = payload.get("code")
        if code:
            legible = visible(_cut(str(code)))
            if console.soft_wrap:  # in a pipe, where Syntax would cut long lines
                console.print(shown(legible, lines=True))
            else:
                console.print(Syntax(legible, "python", theme="ansi_dark", background_color="default", word_wrap=True))
        rest = {
            name: value
            for name, value in payload.items()
            if name not in ("code", "seed", "request") and value not in ("", [])
        }
        console.print(shown(_cut(json.dumps(rest, ensure_ascii=False)), lines=True))


def _cut(text: str) -> str:
    left = len(text) - SHOWN_IN_TERMINAL
    return text if left <= 0 else f"{text[:SHOWN_IN_TERMINAL]}\n... {left} more characters; --json shows all"
