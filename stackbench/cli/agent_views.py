"""`ctl`'s answers that tell of agents: who is at work, a transcript, a sandbox's files, what a command gave."""

from __future__ import annotations

import shlex
import subprocess
import sys
from typing import Any

from stackbench.cli.console import out, print_line, print_table, shown
from stackbench.cli.transcript import print_transcript
from stackbench.control.answers import AgentNow, FileListed, FileRead, ShellResult, TerminalAccess, TranscriptNow
from stackbench.errors import UsageError

__all__ = ["AGENT_VIEWS", "open_terminal", "print_agent_view", "print_shell"]

AGENT_VIEWS = ("agents", "transcript", "files", "read")


def print_agent_view(verb: str, answer: Any) -> None:
    """What `agents`, `transcript`, `files` or `read` answered."""
    if verb == "agents":
        _print_agents([AgentNow.model_validate(one) for one in answer])
    elif verb == "transcript":
        _print_transcript(TranscriptNow.model_validate(answer))
    elif verb == "files":
        _print_files(FileListed.model_validate(answer))
    else:
        found = FileRead.model_validate(answer)
        out().print(shown(found.text, lines=True), soft_wrap=True)
        if found.cut:
            out().print(shown(f"[{found.size} bytes; this is the beginning]"))


def print_shell(answer: Any) -> None:
    """What a command line gave: its output where it was asked for, and how it ended."""
    result = ShellResult.model_validate(answer)
    if result.output:
        out().print(shown(result.output, lines=True), soft_wrap=True)
    how = {"exited": f"exited with code {result.exit_code}", "killed": f"killed by {result.signal}"}
    out().print(shown(f"[{how.get(result.ended, 'ended by its time limit')}, {result.seconds:.1f} s]"))


def open_terminal(answer: Any) -> None:
    """Opens it on this terminal; elsewhere prints what opens it on one. Raises UsageError without Docker's client."""
    command = TerminalAccess.model_validate(answer).command
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        print_line(shlex.join(command))
        return
    try:
        subprocess.run(command, check=False)
    except OSError as error:
        raise UsageError(f"a terminal needs the docker command ({error.strerror}); install Docker's client") from error


def _print_agents(agents: list[AgentNow]) -> None:
    if not agents:
        out().print("no agent is at work")
        return
    print_table(
        ("task", "attempt", "state", "calls wait", "turns", "tokens", "of the calls wait"),
        [
            (
                f"{one.benchmark}/{one.task_id}",
                one.attempt,
                f"{one.state}{', a chat' if one.chat else ''}",
                one.policy,
                one.turns,
                one.completion_tokens,
                ", ".join(f"{call.call} ({call.tool})" for call in one.calls) or "none",
            )
            for one in agents
        ],
        right=("attempt", "turns", "tokens"),
    )


def _print_transcript(part: TranscriptNow) -> None:
    if any("text" in step.payload for step in part.steps if step.kind == "model_call"):
        print_transcript(out(), [(step.kind, step.payload) for step in part.steps])
    else:
        numbers = ("completion_tokens", "latency_s", "duration_ms", "failed")
        print_table(
            ("at", "what", "numbers"),
            [
                (
                    step.ts[11:19],
                    step.kind,
                    ", ".join(f"{name} {step.payload[name]}" for name in numbers if name in step.payload),
                )
                for step in part.steps
            ],
        )
    out().print(shown(f"[{part.next - part.since} of {part.total} events, from {part.since}]"))


def _print_files(folder: FileListed) -> None:
    print_table(
        ("mode", "bytes", "name"),
        [
            (f"{one.mode & 0o7777:04o}", one.size, f"{one.name}{'/' if one.kind == 'directory' else ''}"
             f"{f' -> {one.target}' if one.target else ''}")
            for one in folder.entries
        ],
        right=("bytes",),
    )  # fmt: skip
    if folder.cut:
        out().print(shown(f"[the first {len(folder.entries)}]"))
