"""The parts of an attempt that can be looked at, copied and opened in an editor."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.text import Text

from stackbench.report.transcript import has_transcript
from stackbench.store import AttemptDetail
from stackbench.tui.attempt.transcript_text import checks_text, transcript_text
from stackbench.tui.safe_text import block, cut_line
from stackbench.tui.tones import Tones

__all__ = ["Part", "head_text", "parts_of"]


@dataclass(frozen=True, slots=True)
class Part:
    """One part. `raw` is the text as it is recorded, for the clipboard and the editor."""

    name: str
    raw: str
    suffix: str = ".txt"
    language: str = ""
    """Of code; empty for text."""
    shown: Callable[[Tones], Text] | None = None
    """How it is shown, where that is not the text itself."""


def parts_of(attempt: AttemptDetail, settings: Mapping[str, Any]) -> list[Part]:
    """In the order of looking: what was asked, what came back, what became of it."""
    parts = [Part("prompt", _prompt(attempt, settings), ".md")]
    events = attempt.events
    if has_transcript(events):
        written = json.dumps([{"kind": kind, **payload} for kind, payload in events], indent=2, ensure_ascii=False)
        parts.append(Part("transcript", written, ".json", shown=lambda tones: transcript_text(events, tones)))
        verdict = next((payload for kind, payload in events if kind == "verdict"), dict[str, Any]())
        checks = json.dumps(verdict, indent=2, ensure_ascii=False)
        parts.append(Part("checks", checks, ".json", shown=lambda tones: checks_text(events, tones)))
    elif attempt.completion or not attempt.error:
        language = "markdown" if "```" in attempt.completion else "python" if attempt.program is not None else ""
        parts.append(Part("answer", attempt.completion, ".md", language))
    if attempt.thought:
        parts.append(Part("thought", attempt.thought, ".md"))
    if attempt.program is not None:
        parts.append(Part("program", attempt.program, ".py", "python"))
    output = _output(events)
    if output:
        parts.append(Part("tests", output))
    parts.append(Part("details", _details(attempt), ".json", "json"))
    return parts


def head_text(attempt: AttemptDetail, tones: Tones) -> Text:
    """The verdict with its reason, tokens and times."""
    word, tone = {True: ("passed", "good"), False: ("failed", "bad"), None: ("error", "warn")}[attempt.passed]
    sign = {True: "✓", False: "✗", None: "!"}[attempt.passed]
    key = attempt.key
    text = Text(no_wrap=True, overflow="ellipsis", end="")
    text.append(f"{sign} {word}", style=f"bold {tones[tone]}")  # pyright: ignore[reportArgumentType]
    text.append(f"  {cut_line(key.benchmark)} {cut_line(key.task_id)}", style="bold")
    text.append(f"  attempt {key.attempt}, seed {key.seed}", style=tones["dim"])
    text.append(f"  {attempt.prompt_tokens} + {attempt.completion_tokens} tokens, {attempt.latency_s:.2f} s")
    if attempt.category:
        text.append(f"  {cut_line(attempt.category)}", style=tones["dim"])
    if attempt.finish_reason == "length":
        text.append("  an answer ended at its token limit", style=tones["warn"])
    for why in dict.fromkeys((attempt.reason, attempt.error)):  # once where both say the same
        if not why or why == word:
            continue
        text.append(f"\n{block(why, 1500)}", style=tones[tone])  # pyright: ignore[reportArgumentType]
    return text


def _prompt(attempt: AttemptDetail, settings: Mapping[str, Any]) -> str:
    """As it was sent: with the run's system prompt and the beginning of the answer, where it has them."""
    found: list[str] = []
    if settings.get("system_prompt"):
        found.append(f"[system]\n{settings['system_prompt']}\n\n[user]\n")
    found.append(attempt.prompt)
    if settings.get("prefill"):
        found.append(f"\n\n[beginning of the answer]\n{settings['prefill']}")
    return "".join(found)


def _output(events: Sequence[tuple[str, Mapping[str, Any]]]) -> str:
    """What executing the code gave: result, checks, output, times, of each execution."""
    found: list[str] = []
    for kind, payload in events:
        if kind == "sandbox":
            lines = [f"result: {payload.get('result', '')}"]
            times = [f"{name} {payload[name]}" for name in ("wall_s", "cpu_s", "max_rss_mib") if payload.get(name)]
            lines += [", ".join(times)] if times else []
            lines += [f"check {number}: {check}" for number, check in enumerate(payload.get("checks") or (), 1)]
            for name in ("output", "stdout", "stderr"):
                if payload.get(name):
                    lines += [f"--- {name}", str(payload[name])]
            found.append("\n".join(lines))
    return "\n\n".join(found)


def _details(attempt: AttemptDetail) -> str:
    """Figures, metrics and events; the texts stand in parts of their own."""
    calls = [
        {name: value for name, value in payload.items() if name not in ("code", "output") and value not in ("", [])}
        | {"kind": kind}
        for kind, payload in attempt.events
    ]
    about = {
        "status": attempt.status, "score": attempt.score, "passed": attempt.passed, "error": attempt.error,
        "reason": attempt.reason,
        "finish_reason": attempt.finish_reason, "prompt_tokens": attempt.prompt_tokens,
        "completion_tokens": attempt.completion_tokens, "latency_s": attempt.latency_s, "metrics": attempt.metrics,
        "events": calls,
    }  # fmt: skip
    return json.dumps(about, indent=2, ensure_ascii=False, default=str)
