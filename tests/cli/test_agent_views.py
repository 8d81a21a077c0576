"""What `ctl` prints of agents: tables, a transcript, files, a command's output; texts of others stay data."""

from __future__ import annotations

from typing import Any

import pytest

from stackbench.cli.agent_views import print_agent_view, print_shell
from stackbench.control.answers import AgentNow, FileEntry, FileListed, FileRead, PendingCall, ShellResult
from tests.tui.hostile_strings import FORBIDDEN, hostile_strings

CALL = PendingCall(call="3", tool="exec", benchmark="tooluse", task_id="t")
AGENT = AgentNow(
    benchmark="tooluse", task_id="t", attempt=0, seed=0, state="paused", policy="risky", turns=2, calls=(CALL,)
)


def transcript(text: str) -> dict[str, Any]:
    steps = [
        {"kind": "model_call", "ts": "2026-11-26T10:00:00", "payload": {"text": text, "completion_tokens": 4}},
        {"kind": "operator", "ts": "2026-11-26T10:00:01", "payload": {"action": "message", "text": text}},
    ]
    return {"since": 0, "next": 2, "total": 5, "steps": steps}


def test_the_agents_and_the_calls_that_wait(capsys: pytest.CaptureFixture[str]) -> None:
    print_agent_view("agents", [AGENT.model_dump()])
    told = capsys.readouterr().out
    assert "tooluse/t" in told and "paused" in told and "risky" in told and "3 (exec)" in told
    print_agent_view("agents", [])
    assert capsys.readouterr().out == "no agent is at work\n"


def test_a_transcript_with_texts_and_one_with_numbers_alone(capsys: pytest.CaptureFixture[str]) -> None:
    print_agent_view("transcript", transcript("what it said"))
    told = capsys.readouterr().out
    assert "what it said" in told and "[2 of 5 events, from 0]" in told
    steps = [{"kind": "model_call", "ts": "2026-11-26T10:00:00", "payload": {"completion_tokens": 4}}]
    print_agent_view("transcript", {"since": 0, "next": 1, "total": 1, "steps": steps})
    assert "completion_tokens 4" in capsys.readouterr().out


def test_a_command_that_was_killed_or_took_too_long(capsys: pytest.CaptureFixture[str]) -> None:
    print_shell(ShellResult(exit_code=None, ended="killed", signal="SIGKILL", seconds=1).model_dump())
    print_shell(ShellResult(exit_code=None, ended="timed out", seconds=60).model_dump())
    print_shell(ShellResult(exit_code=3, ended="exited", seconds=0.1, output="two\nlines").model_dump())
    told = capsys.readouterr().out.splitlines()
    assert told == [
        "[killed by SIGKILL, 1.0 s]", "[ended by its time limit, 60.0 s]", "two", "lines",
        "[exited with code 3, 0.1 s]",
    ]  # fmt: skip


def test_hostile_texts_are_printed_as_data(capsys: pytest.CaptureFixture[str]) -> None:
    for text in hostile_strings():
        print_agent_view("transcript", transcript(text))
        entry = FileEntry(name=text, kind="link", size=1, mode=0o644, target=text)
        print_agent_view("files", FileListed(path=text, entries=(entry,), cut=True).model_dump())
        print_agent_view("read", FileRead(path=text, size=1, text=text, cut=True).model_dump())
        print_agent_view("agents", [AGENT.model_copy(update={"task_id": text}).model_dump()])
        print_shell(ShellResult(exit_code=0, ended="exited", seconds=0, output=text).model_dump())
        told = capsys.readouterr().out
        assert not [char for char in FORBIDDEN if char in told]
