from __future__ import annotations

import io
import re
import time

import pytest
from rich.console import Console

from stackbench.cli.progress import LiveProgress, PlainProgress, SilentProgress
from stackbench.engine import (
    AttemptFinished,
    BenchmarkFinished,
    BenchmarkSkipped,
    BenchmarkStarted,
    EngineEvent,
    Notice,
    RunStarted,
)
from stackbench.store import BenchmarkResult
from tests.waiting import wait_for

EVENTS: list[EngineEvent] = [
    Notice("loading [bold]x"),
    BenchmarkSkipped("mbpp", "data not available"),
    RunStarted("run-1", "hf:m"),
    BenchmarkStarted("humaneval", 10, 2, 1),
    AttemptFinished("humaneval", "t/1", True, "", 100),
    AttemptFinished("humaneval", "t/2", False, "timed out", 100),
    AttemptFinished("humaneval", "t/3", None, "error: x", 0),
    BenchmarkFinished(BenchmarkResult("humaneval", 10, 5, 1, ())),
]


def test_plain_lines_say_what_begins_and_ends(capsys: pytest.CaptureFixture[str]) -> None:
    progress = PlainProgress()
    with progress:
        for event in EVENTS:
            progress(event)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert progress.run_id == "run-1"
    lines = [re.sub(r"^\d\d:\d\d:\d\d ", "", line) for line in captured.err.splitlines()]
    assert lines[:4] == [
        "loading [bold]x",
        "mbpp: skipped: data not available",
        "run run-1 of hf:m",
        "humaneval: 10 attempts, 2 of them done before",
    ]
    assert re.match(r"humaneval: 5/10 passed 0\.500 \[0\.150, 0\.850\] errors 1 \d+ tok/s 0:00", lines[4])


def test_the_interval_shown_counts_tasks_not_attempts(capsys: pytest.CaptureFixture[str]) -> None:
    """Two tasks, five attempts at each: Wilson's interval of 1 of 2."""
    with PlainProgress() as progress:
        progress(BenchmarkStarted("humaneval", 10, 0, 0))
        for number in range(10):
            progress(AttemptFinished("humaneval", f"t/{number % 2}", number % 2 == 0, "", 0))
        progress(BenchmarkFinished(BenchmarkResult("humaneval", 2, 10, 0, ())))
    assert "humaneval: 10/10 passed 0.500 [0.095, 0.905]" in capsys.readouterr().err


def test_plain_lines_go_on_while_nothing_ends(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stackbench.cli.progress.QUIET_AT_MOST_S", 0.05)
    with PlainProgress() as progress:
        progress(BenchmarkStarted("tooluse", 5, 0, 0))
        for _ in range(2):
            wait_for(lambda: "0/5 passed - errors 0" in capsys.readouterr().err, within_s=20, every_s=0.01)
        progress(BenchmarkFinished(BenchmarkResult("tooluse", 5, 0, 0, ())))
        capsys.readouterr()
        time.sleep(0.2)
        assert capsys.readouterr().err == ""


@pytest.mark.parametrize("width", [60, 80, 140])
def test_the_live_display_fits_and_shows_the_numbers(width: int) -> None:
    screen = io.StringIO()
    progress = LiveProgress(Console(file=screen, width=width, force_terminal=True))
    with progress:
        for event in EVENTS:
            progress(event)
    console = Console(file=io.StringIO(), width=width, record=True)
    console.print(progress.render())
    text = console.export_text()
    assert all(len(line.rstrip()) <= width for line in text.splitlines())
    for part in ("run-1", "hf:m", "humaneval", "5/10", "0.500", "tok/s"):
        assert part in text
    assert "loading [bold]x" in screen.getvalue()


def test_quiet_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    progress = SilentProgress()
    with progress:
        for event in EVENTS:
            progress(event)
    assert capsys.readouterr() == ("", "")
    assert progress.run_id == "run-1"
