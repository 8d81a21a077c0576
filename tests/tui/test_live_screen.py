"""One run: attached to while it is live, kept up by events, operated by keys, read from the database once it ended."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from textual.events import Key

from stackbench.config import Home
from stackbench.control.messages import (
    AttemptFinished,
    AttemptStarted,
    AttemptWaiting,
    BenchmarkFinished,
    Gauges,
    Notice,
    RunFinished,
)
from stackbench.control.verbs import VERBS
from stackbench.store import RunRow, Writer
from stackbench.tui.live.verb_keys import VERB_KEYS
from stackbench.types import AttemptKey, AttemptRecord, AttemptStatus, RunStatus
from tests.tui.pilots import Screens, opened
from tests.tui.recorded_home import BEGAN, CLOCK
from tests.tui.scripted_engine import ScriptedEngine, ref, scripted_engine

RUN = "20261126-092000-cccccc"


@asynccontextmanager
async def watched(home: Home, size: tuple[int, int] = (120, 40)) -> AsyncIterator[tuple[ScriptedEngine, Screens]]:
    """A live run with one attempt under way for 65 s, opened."""
    async with scripted_engine(home, RUN, clock=CLOCK) as engine:
        engine.attempts = [
            {"benchmark": "humaneval", "task_id": "HumanEval/90", "attempt": 0, "seed": 0, "waits_for": "model",
             "detail": "", "for_s": 65.0, "running_s": 70.0, "step": 1}
        ]  # fmt: skip
        async with opened(home, size) as screens:
            await screens.shows(f"run {RUN}", "6/164")
            yield engine, screens


def record(engine: ScriptedEngine, task: str, *, passed: bool | None = True, error: str | None = None) -> None:
    status = AttemptStatus.ERROR if passed is None else AttemptStatus.COMPLETED
    key = AttemptKey("humaneval", task, 0, 0)
    at = BEGAN + timedelta(minutes=30)
    engine.writer.attempt(RUN, AttemptRecord(key, "", status, None, passed, error, "p", "c", 1, 2, at, 1.0, {}))
    engine.writer.flush()
    engine.publish(AttemptFinished(attempt=ref(task), passed=passed, reason=error or "", completion_tokens=2))


async def test_attaching_shows_the_full_state(recorded: Home) -> None:
    async with watched(recorded) as (_, screens):
        text = await screens.shows("▶ running", "4 of 8 at the model", "attempts (6)", "HumanEval/5")
        assert "1.000 (6 of 6)" in text
        await screens.press("2")
        await screens.shows("HumanEval/90", "the model", "1:05", "1:10")


async def test_events_change_scores_and_lists(recorded: Home) -> None:
    async with watched(recorded) as (engine, screens):
        engine.publish(AttemptStarted(attempt=ref("HumanEval/91")))
        engine.publish(AttemptWaiting(attempt=ref("HumanEval/91"), reason="retry", detail="try 3 in 12 s"))
        record(engine, "HumanEval/50", passed=False, error="failed: wrong")
        record(engine, "HumanEval/51", passed=None, error="error: no answer")
        engine.publish(Gauges(values={"cpu": 0.5, "gpu_util": None, "tokens_per_s": 120.0}), Notice(text="a notice"))
        await screens.shows("8/164", "1 err", "50%", "120", "attempts (8)", "failed: wrong", "! error")
        await screens.press("2")
        await screens.shows("HumanEval/91", "another try (try 3 in 12 s)")
        await screens.press("3")
        await screens.shows("a notice")


async def test_an_attempt_idle_for_ten_minutes_is_marked(recorded: Home) -> None:
    async with scripted_engine(recorded, RUN, clock=CLOCK) as engine:
        engine.attempts = [
            {"benchmark": "humaneval", "task_id": "HumanEval/90", "attempt": 0, "seed": 0, "waits_for": "container",
             "detail": "", "for_s": 601.0, "running_s": 700.0, "step": 0}
        ]  # fmt: skip
        async with opened(recorded) as screens:
            await screens.shows("! 1 idle over 10 min")
            await screens.press("2")
            text = await screens.shows("HumanEval/90")
        assert next(line for line in text.splitlines() if "HumanEval/90" in line).strip().startswith("!")


@pytest.mark.parametrize(
    ("keys", "command"),
    [
        (["p"], ("pause", {})),
        (["P"], ("pause", {"now": True})),
        (["r"], ("resume", {})),
        (["E"], ("requeue", {"errors": True})),
        (["plus"], ("set", {"name": "concurrency", "value": 9})),
        (["minus"], ("set", {"name": "concurrency", "value": 7})),
        (["d", "?Drain", "y"], ("drain", {})),
        (["S", "?Stop the run", "y"], ("stop", {})),
        (["x", "?Leave out", "enter"], ("cancel", {"target": "humaneval"})),
        (["o", "?which setting", "down", "enter", "?sandboxes:", "backspace", "4", "enter"],
         ("set", {"name": "sandboxes", "value": "4"})),
    ],
)  # fmt: skip
async def test_keys_are_verbs(recorded: Home, keys: list[str], command: tuple[str, dict[str, object]]) -> None:
    async with watched(recorded) as (engine, screens):
        for key in keys:
            if key.startswith("?"):
                await screens.shows(key[1:])
            else:
                await screens.press(key)
        await screens.until(lambda: engine.commands, f"{command} was asked")
        assert engine.commands == [command]
        await screens.tells(command[0])


def test_every_verb_that_concerns_a_run_has_a_key() -> None:
    of_agents = {"approve", "reject", "edit", "message", "policy", "step", "interrupt", "abort", "shell", "terminal"}
    assert {one.verb for one in VERB_KEYS} == {name for name, verb in VERBS.items() if verb.changes} - of_agents


async def test_verbs_that_end_something_can_be_taken_back(recorded: Home) -> None:
    async with watched(recorded) as (engine, screens):
        for key in ("d", "S"):
            await screens.press(key)
            await screens.shows("y  yes")
            await screens.press("n")
            await screens.hides("y  yes")
        assert engine.commands == []


async def test_keys_typed_at_once_come_in_their_order(recorded: Home) -> None:
    async with opened(recorded, run="20261126-090000-aaaaaa") as screens:
        await screens.shows("attempts (8)")
        typed = {"slash": "/", "colon": ":"}
        for key in ("slash", "escape", "slash", "3", "enter", "t", "colon", "escape"):
            screens.app.post_message(Key(key, typed.get(key, key if len(key) == 1 else None)))
        await screens.shows("attempts (2)", '"3"', "oldest first", "/ 3")


async def test_the_stream_is_filtered_by_outcome_text_and_order(recorded: Home) -> None:
    async with opened(recorded, run="20261126-090000-aaaaaa") as screens:
        await screens.shows("attempts (8)", "newest first")
        await screens.press("f")
        text = await screens.shows("attempts (3)", "not passed")
        assert "✓ passed" not in text
        await screens.press("f", "f")
        await screens.shows("attempts (1)", "errors", "error: the endpoint")
        await screens.press("f", "f", "f")
        await screens.shows("attempts (8)")
        await screens.press("slash")
        await screens.type("humaneval/3")
        await screens.press("enter")
        await screens.shows("attempts (1)", '"humaneval/3"')
        await screens.press("slash", "escape")
        await screens.shows("attempts (8)")
        await screens.press("t")
        text = await screens.shows("oldest first")
        lines = [line for line in text.splitlines() if "HumanEval/" in line]
        assert "HumanEval/0" in lines[0] and "HumanEval/7" in lines[-1]
        await screens.press("b")
        await screens.shows("Attempts of which benchmark?")
        await screens.press("down", "enter")
        await screens.shows("attempts (8)  humaneval")


async def test_why_a_run_failed_before_it_began_is_kept_and_shown_whole(tmp_path: Path) -> None:
    home = Home(tmp_path)
    why = f"data not available (gsm8k/test.jsonl: {'no source has it; ' * 8}put the file into the folder)"
    writer = Writer(home.database)
    writer.start_run(RunRow(RUN, "eval", BEGAN, "oracle", {}, (0,), None, {}), status=RunStatus.QUEUED)
    writer.leave_queue(RUN, RunStatus.FAILED, BEGAN + timedelta(seconds=2), why)
    writer.close()
    async with opened(home) as screens:
        await screens.shows("✗ failed", "data not available (gsm8k/test.jsonl")
        await screens.press("enter")
        text = await screens.shows("✗ failed", "put the file into the folder)")
        assert "".join(text.split()).count("nosourcehasit") == 8
        await screens.press("3")
        await screens.shows("run failed: data not available")


async def test_a_run_that_ends_shows_what_is_recorded(recorded: Home) -> None:
    async with watched(recorded) as (engine, screens):
        record(engine, "HumanEval/50")
        engine.publish(BenchmarkFinished(benchmark="humaneval", tasks=7, attempts=7, errors=0))
        engine.live = False
        engine.writer.finish_run(RUN, RunStatus.COMPLETED, BEGAN + timedelta(hours=1), {})
        engine.publish(RunFinished(status="completed"))
        await screens.shows("✓ completed", "attempts (7)", "7/12")
        await screens.hides("p Pause")


@pytest.mark.parametrize(
    ("run", "offered"),
    [("20261126-090000-aaaaaa", []), ("20261126-091000-bbbbbb", ["Resume"])],
    ids=["completed", "failed"],
)
async def test_a_run_that_has_ended_offers_the_verbs_that_it_takes(
    recorded: Home, run: str, offered: list[str]
) -> None:
    async with opened(recorded, run=run) as screens:
        await screens.shows("attempts (", "b Benchmark")
        verbs = {"Pause", "Resume", "Stop"}
        await screens.until(  # the verbs come once the record is read, the foot of the screen after them
            lambda: verbs.intersection(screens.text().splitlines()[-1].split()) == set(offered),
            f"{offered} in\n{{text}}",
        )
        await screens.press("question_mark")
        text = await screens.shows("On this screen")
        assert "Drain" not in text and "Requeue" not in text and ("Resume" in text) == bool(offered)


async def test_a_run_in_the_queue_offers_to_be_taken_out_of_it(recorded: Home) -> None:
    async with scripted_engine(recorded, "20261126-110000-ffffff", clock=CLOCK) as engine:
        engine.queued = [
            {"run_id": RUN, "state": "queued", "phase": "queued", "suite": "eval", "model": "m", "position": 0}
        ]
        async with opened(recorded, run=RUN) as screens:
            await screens.shows("queued", "S Stop")
            assert "Pause" not in screens.text() and "Resume" not in screens.text()
            await screens.press("p", "d", "S")
            await screens.shows("Stop the run now?")
            await screens.press("y")
            await screens.until(lambda: engine.commands, "a verb")
            assert [verb for verb, _ in engine.commands] == ["stop"]


async def test_an_engine_that_dies_is_said_to_have_died_and_the_run_can_be_resumed(recorded: Home) -> None:
    async with opened(recorded, run=RUN) as screens:
        await screens.shows("attempts (6)")
        await screens.until(lambda: screens.app.link._local is None)
        async with scripted_engine(recorded, RUN, clock=CLOCK):
            await screens.shows("▶ running")
        await screens.shows("† engine died", "attempts (6)")
        # within one process DuckDB opens a file in one way at a time
        await screens.until(lambda: screens.app.link._local is None)
        async with scripted_engine(recorded, "20261126-110000-ffffff", clock=CLOCK) as other:
            await screens.press("r")
            await screens.until(lambda: other.commands)
            assert other.commands[0][1]["resume"] == RUN


async def test_two_may_watch_at_once(recorded: Home) -> None:
    async with watched(recorded) as (engine, first), opened(recorded) as second:
        await second.shows("▶ running")
        record(engine, "HumanEval/50", passed=False)
        await first.shows("7/164")
        await second.shows("7/164")
        await first.press("p")
        await first.shows("‖ paused")
        await second.shows("‖ paused")
