"""The agents' screen in words: a row of the list, the head, what stands in the transcript, what is under way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from textwrap import indent

from rich.text import Text

from stackbench.control.answers import AgentNow, PendingCall
from stackbench.report.transcript import arguments_text
from stackbench.tui.agent.agents_now import AgentsNow, Tail, key_of
from stackbench.tui.attempt.transcript_text import transcript_text
from stackbench.tui.safe_text import block, cut_line
from stackbench.tui.tones import Tones
from stackbench.tui.virtual_table import Cell, Column

__all__ = ["AGENT_COLUMNS", "agent_cells", "call_text", "head_line", "past_text", "tail_text"]

AGENT_COLUMNS = (
    Column("", 1),
    Column("task", 10, grows=True),
    Column("is", 9),
    Column("turns", 5, right=True, needs=46),
    Column("tokens", 7, right=True, needs=54),
)
EVENTS_SHOWN = 200
"""Of a transcript, the last ones; the editor has all."""
ARGUMENTS_SHOWN = 1500
OUTPUT_SHOWN = 4000


def agent_cells(now: Callable[[], AgentsNow]) -> Callable[[AgentNow], list[Cell]]:
    """A row of the list: a sign where a call waits, the task, what the agent is at."""

    def cells(agent: AgentNow) -> list[Cell]:
        waits = now().waits.get(key_of(agent), "")
        doing = "paused" if agent.state == "paused" else _short(waits) or "works"
        if now().agent is None and key_of(agent) == now().chosen:
            return [
                "",
                (agent.task_id, "dim"),
                ("ended", "dim"),
                str(agent.turns),
                (f"{agent.completion_tokens:,}", "dim"),
            ]
        many = f" #{agent.attempt}" if agent.attempt else ""
        return [
            ("!", "warn") if agent.calls else "",
            f"{agent.task_id}{many}",
            ("asks you", "warn") if agent.calls else (doing, "warn" if agent.state == "paused" else "dim"),
            str(agent.turns),
            (f"{agent.completion_tokens:,}", "dim"),
        ]

    return cells


def head_line(now: AgentsNow, tones: Tones) -> Text:
    """Which agent is in view, and what it is at."""
    text = Text(no_wrap=True, overflow="ellipsis", end="")
    agent = now.agent
    if agent is None:
        if now.chosen is not None and now.ended:
            text.append("■ ended  ", style=f"bold {tones['dim']}")
            text.append(cut_line(f"{now.chosen[0]} {now.chosen[1]}", 120), style="bold")
            text.append(f"  {cut_line(now.ended, 300)}", style=tones["dim"])
        else:
            text.append(cut_line(now.state or "attaching ..."), style=tones["dim"])
            text.append(f"   {cut_line(now.notice, 200)}" if now.notice else "", style=tones["dim"])
        return text
    if agent.calls:
        text.append("! asks you  ", style=f"bold {tones['warn']}")
    elif agent.state == "paused":
        text.append("‖ paused  ", style=f"bold {tones['warn']}")
    else:
        text.append("▶ at work  ", style=f"bold {tones['accent']}")
    text.append(cut_line(f"{agent.benchmark} {agent.task_id}", 120) if not agent.chat else "chat", style="bold")
    text.append(f"  {agent.turns} turns  {agent.prompt_tokens:,} + {agent.completion_tokens:,} tokens")
    text.append(f"  calls wait: {agent.policy}", style=tones["dim"])
    waits = now.tail.waits or now.waits.get(key_of(agent), "")
    text.append(f"  {cut_line(waits, 100)}" if waits else "", style=tones["dim"])
    return text


def past_text(now: AgentsNow, tones: Tones) -> Text:
    """The transcript so far, its last events."""
    events = now.events
    shown = events[-EVENTS_SHOWN:]
    text = Text()
    task = next((str(payload.get("task", "")) for kind, payload in events[:5] if kind == "agent_start"), "")
    if len(shown) < len(events):
        text.append(f"… {len(events) - len(shown)} earlier events: e opens them all\n", style=tones["dim"])
    elif task:
        text.append("task\n", style=f"bold {tones['warn']}")
        text.append(f"{indent(block(task, 8000), '  ')}\n")
    before = sum(kind == "model_call" for kind, _ in events[: len(events) - len(shown)])
    text.append_text(transcript_text(shown, tones, before))
    text.rstrip()
    return text


def tail_text(tail: Tail, tones: Tones, *, turns: int) -> Text:
    """What is under way: the turn's text as it comes, calls that run, what they write."""
    text = Text()
    if (tail.text or tail.thought) and tail.step > turns:
        text.append(f"turn {tail.step}", style=f"bold {tones['accent']}")
        text.append("  …\n", style=tones["dim"])
        if tail.thought:
            text.append(f"{indent(block(tail.thought), '  | ')}\n", style=tones["dim"])
        if tail.text:
            text.append(f"{indent(block(tail.text), '  ')}\n")
    for tool, arguments in tail.calls.values():
        text.append(f"  > {cut_line(tool)}", style="bold")
        text.append("  runs …\n", style=tones["dim"])
        text.append(f"{indent(block(arguments_text(arguments), ARGUMENTS_SHOWN), '    ')}\n", style=tones["accent"])
    if tail.output and tail.calls:
        text.append(f"{indent(block(tail.output[-OUTPUT_SHOWN:]), '    ')}\n", style=tones["dim"])
    return text


def call_text(calls: Sequence[PendingCall], tones: Tones) -> Text:
    """The call that waits for the operator, with what can be done about it."""
    text = Text()
    if not calls:
        return text
    call = calls[0]
    text.append(f"call {cut_line(call.call, 20)} waits for you: ", style=f"bold {tones['warn']}")
    text.append(cut_line(call.tool, 120), style="bold")
    text.append("  may change something" if call.risky else "  only looks", style=tones["dim"])
    text.append(f"  ({len(calls) - 1} more behind it)" if len(calls) > 1 else "", style=tones["dim"])
    text.append(f"\n{block(arguments_text(call.arguments), ARGUMENTS_SHOWN)}", style=tones["accent"])
    return text


def _short(waits: str) -> str:
    """What an attempt waits for, in a word."""
    if waits.startswith("a message"):
        return "listens"
    words = {"model": "thinks", "slot": "queues", "container": "starts", "retry": "retries", "tests": "is judged"}
    return words.get(waits, "")
