from __future__ import annotations

import io
import re
import time

import pytest
from rich.console import Console

from stackbench.cli.console import VisibleConsole
from stackbench.cli.progress import LiveProgress, PlainProgress, SilentProgress
from stackbench.control.messages import (
    AttemptFinished,
    AttemptRef,
    AttemptStarted,
    BenchmarkFinished,
    BenchmarkSkipped,
    BenchmarkStarted,
    EventKind,
    Gauges,
    Notice,
    OperatorAction,
    RunQueued,
    RunStarted,
)
from stackbench.report.tally import RunTally
from tests.waiting import wait_for


def finished(task: str, passed: bool | None, reason: str, tokens: int, benchmark: str = "humaneval") -> AttemptFinished:
    ref = AttemptRef(benchmark=benchmark, task_id=task, attempt=0, seed=0)
    return AttemptFinished(attempt=ref, passed=passed, reason=reason, completion_tokens=tokens)


EVENTS: list[EventKind] = [
    Notice(text="loading [bold]x"),
    BenchmarkSkipped(benchmark="mbpp", reason="data not available"),
    RunStarted(suite="s", model="hf:m"),
    BenchmarkStarted(benchmark="humaneval", total=10, done=2, passed=1),
    finished("t/1", True, "", 100),
    finished("t/2", False, "timed out", 100),
    finished("t/3", None, "error: x", 0),
    BenchmarkFinished(benchmark="humaneval", tasks=10, attempts=5, errors=1),
]


def test_plain_lines_say_what_begins_and_ends(capsys: pytest.CaptureFixture[str]) -> None:
    progress = PlainProgress()
    with progress:
        for event in EVENTS:
            progress("run-1", event)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert progress.run_id == "run-1"
    lines = [re.sub(r"^\d\d:\d\d:\d\dZ ", "", line) for line in captured.err.splitlines()]
    assert lines[:4] == [
        "loading [bold]x",
        "mbpp: skipped: data not available",
        "run run-1 of hf:m",
        "humaneval: 10 attempts, 2 of them done before",
    ]
    assert re.match(r"humaneval: 5/10 done, pass rate 0\.500 \(2 of 4\), 1 error, \d+ tok/s, 0:00", lines[4])


@pytest.mark.parametrize(("tasks", "told"), [(20, "[0.299, 0.701]"), (2, "(50 of 100)")])
def test_the_interval_shown_counts_tasks_not_attempts(
    tasks: int, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A hundred attempts at 20 tasks: Wilson's interval of 10 of 20; of few tasks there are counts alone."""
    with PlainProgress() as progress:
        progress("r", BenchmarkStarted(benchmark="humaneval", total=100, done=0, passed=0))
        for number in range(100):
            progress("r", finished(f"t/{number % tasks}", number % 2 == 0, "", 0))
        progress("r", BenchmarkFinished(benchmark="humaneval", tasks=tasks, attempts=100, errors=0))
    assert f"humaneval: 100/100 done, pass rate 0.500 {told}, 0 errors" in capsys.readouterr().err


def test_plain_lines_go_on_while_nothing_ends(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stackbench.cli.progress.QUIET_AT_MOST_S", 0.05)
    beats: list[float] = []
    report_all = PlainProgress._report_all

    def count_beats(progress: PlainProgress) -> None:
        report_all(progress)
        beats.append(time.monotonic())

    monkeypatch.setattr(PlainProgress, "_report_all", count_beats)
    with PlainProgress() as progress:
        progress("r", BenchmarkStarted(benchmark="tooluse", total=5, done=0, passed=0))
        for _ in range(2):
            wait_for(
                lambda: "0/5 done, pass rate -, 0 errors, 0:0" in capsys.readouterr().err, within_s=20, every_s=0.01
            )
        progress("r", BenchmarkFinished(benchmark="tooluse", tasks=5, attempts=0, errors=0))
        capsys.readouterr()
        before = len(beats)
        wait_for(lambda: len(beats) >= before + 3, within_s=20, every_s=0.01)
        assert capsys.readouterr().err == ""


def started(task: str) -> AttemptStarted:
    return AttemptStarted(attempt=AttemptRef(benchmark="humaneval", task_id=task, attempt=0, seed=0))


def test_of_a_slow_model_is_told_what_is_under_way_and_no_time_left(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stackbench.cli.progress.QUIET_AT_MOST_S", 0.05)
    with PlainProgress() as progress:
        progress("r", BenchmarkStarted(benchmark="humaneval", total=20, done=0, passed=0))
        for number in range(3):
            progress("r", started(f"t/{number}"))
        progress("r", Gauges(values={"completion_tokens": 1234}))
        wanted = r"humaneval: 0/20 done, pass rate -, 0 errors, 3 under way, 1,234 tokens so far, 0:00\n"
        wait_for(lambda: re.search(wanted, capsys.readouterr().err), within_s=20, every_s=0.01)
        progress("r", OperatorAction(verb="cancel", who="ctl", arguments={"target": "humaneval/t/1"}))
        progress("r", finished("t/0", True, "", 9))
        wait_for(
            lambda: "1/20 done, pass rate 1.000" in (said := capsys.readouterr().err) and "1 under way" in said,
            within_s=20,
        )


def test_the_time_left_is_told_when_it_is_known_and_never_grows() -> None:
    now = [0.0]
    tally = RunTally(lambda: now[0])
    tally.take(BenchmarkStarted(benchmark="humaneval", total=100, done=0, passed=0))
    shown: list[float] = []

    def end(number: int, after_s: float) -> None:
        now[0] += after_s
        tally.take(started(f"t/{number}"))
        tally.take(finished(f"t/{number}", True, "", 1))
        left = tally.benchmarks["humaneval"].left_s()
        if left is not None:
            shown.append(left)

    for number in range(7):
        end(number, 1)
    assert shown == []
    for number in range(7, 20):
        end(number, 1)
    assert shown[0] == pytest.approx(92) and shown[-1] == pytest.approx(80)
    known = len(shown)
    for number in range(20, 30):  # ten times as slow: the estimate grows, and is not told
        end(number, 10)
    assert len(shown) == known
    for number in range(30, 99):
        end(number, 1)
    assert len(shown) > known
    assert shown == sorted(shown, reverse=True)


def test_the_speed_counts_tokens_of_attempts_under_way_and_none_that_another_benchmark_lost() -> None:
    now = [0.0]
    tally = RunTally(lambda: now[0])

    def reports(tokens: int) -> None:
        tally.take(Gauges(values={"completion_tokens": tokens}))

    tally.take(BenchmarkStarted(benchmark="humaneval", total=4, done=0, passed=0))
    now[0] = 10.0
    tally.take(finished("t/1", True, "", 100))
    reports(500)
    assert (tally.tokens, tally.benchmarks["humaneval"].speed()) == (500, "50 tok/s")
    tally.take(finished("t/2", True, "", 300))
    assert tally.benchmarks["humaneval"].speed() == "50 tok/s"
    tally.take(finished("t/3", None, "error: x", 0))  # with the 100 tokens that no attempt has
    tally.take(BenchmarkFinished(benchmark="humaneval", tasks=4, attempts=3, errors=1))
    assert tally.benchmarks["humaneval"].speed() == "40 tok/s"
    tally.take(BenchmarkStarted(benchmark="mbpp", total=4, done=0, passed=0))
    now[0] = 20.0
    tally.take(finished("t/1", True, "", 40, "mbpp"))
    reports(560)
    assert tally.benchmarks["mbpp"].speed() == "6 tok/s"


def test_no_time_left_is_told_from_the_attempts_that_began_together() -> None:
    tally = RunTally(lambda: 0.0)
    tally.take(BenchmarkStarted(benchmark="humaneval", total=100, done=0, passed=0))
    for number in range(16):
        tally.take(started(f"t/{number}"))
    for number in range(16):
        tally.take(finished(f"t/{number}", True, "", 1))
    assert tally.benchmarks["humaneval"].left_s() is None


@pytest.mark.parametrize("make", [SilentProgress, PlainProgress])
def test_a_request_to_stop_is_answered_at_once(make: type[SilentProgress], capfd: pytest.CaptureFixture[str]) -> None:
    with make() as progress:
        progress("r", BenchmarkStarted(benchmark="humaneval", total=20, done=0, passed=0))
        for number in range(8):
            progress("r", started(f"t/{number}"))
        progress.say_stopping()
        assert "stopping, 8 under way; Ctrl-C again to leave\n" in capfd.readouterr().err


def test_the_live_display_answers_a_request_to_stop_and_shows_skipped_benchmarks_once() -> None:
    screen = io.StringIO()
    progress = LiveProgress(VisibleConsole(file=screen, width=80, force_terminal=True))
    progress("r", BenchmarkSkipped(benchmark="mbpp", reason="data not available (" + "x" * 200 + ")"))
    progress("r", RunStarted(suite="s", model=":fire: [red]m[/red]"))
    progress("r", BenchmarkStarted(benchmark="humaneval", total=20, done=0, passed=0))
    progress("r", started("t/0"))
    progress.say_stopping()
    console = VisibleConsole(file=io.StringIO(), width=80, record=True)
    console.print(progress.render())
    text = console.export_text()
    assert "stopping, 1 under way; Ctrl-C again to leave" in text
    assert text.count("mbpp: skipped: data not available") == 1
    assert "model :fire: [red]m[/red]" in text
    assert all(len(line.rstrip()) <= 80 for line in text.splitlines())
    assert screen.getvalue() == "", "nothing stays above the display: the scoreboard says it"


@pytest.mark.parametrize("width", [60, 80, 140])
def test_the_live_display_fits_and_shows_the_numbers(width: int) -> None:
    screen = io.StringIO()
    progress = LiveProgress(Console(file=screen, width=width, force_terminal=True))
    with progress:
        for event in EVENTS:
            progress("run-1", event)
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
            progress("run-1", event)
    assert capsys.readouterr() == ("", "")
    assert progress.run_id == "run-1"


def test_benchmarks_that_run_side_by_side_are_counted_apart(capsys: pytest.CaptureFixture[str]) -> None:
    with PlainProgress() as progress:
        for name in ("gsm8k", "mmlu"):
            progress("r", BenchmarkStarted(benchmark=name, total=2, done=0, passed=0))
        progress("r", finished("a", True, "", 1, "gsm8k"))
        progress("r", finished("b", False, "", 1, "mmlu"))
        progress("r", finished("c", False, "", 1, "mmlu"))
        for name in ("gsm8k", "mmlu"):
            progress("r", BenchmarkFinished(benchmark=name, tasks=2, attempts=2, errors=0))
    shown = capsys.readouterr().err
    assert re.search(r"gsm8k: 1/2 done, pass rate 1\.000", shown)
    assert re.search(r"mmlu: 2/2 done, pass rate 0\.000", shown)


def test_what_the_operator_did_and_a_place_in_the_queue_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    with PlainProgress() as progress:
        progress("r2", RunQueued(suite="s", model="m", position=0))
        progress("r1", OperatorAction(verb="set", who="ctl", arguments={"name": "concurrency"}, old=4, new=8))
        progress("r1", OperatorAction(verb="set", who="ctl", arguments={"name": "timeout"}, old=None, new=7.0))
        progress("r1", OperatorAction(verb="cancel", who="ctl", arguments={"target": "gsm8k/3"}))
    shown = capsys.readouterr().err
    assert "run r2 is queued: one run is before it" in shown
    assert "operator (ctl): set concurrency: 4 -> 8" in shown
    assert "operator (ctl): set timeout: not set -> 7.0" in shown
    assert "operator (ctl): cancel gsm8k/3\n" in shown
