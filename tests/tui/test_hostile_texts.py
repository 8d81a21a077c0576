"""Texts of others on every screen: shown as data, nothing obeyed, nothing hidden, no screen broken."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import cast

import numpy as np
import pytest

from stackbench.config import Home
from stackbench.control.messages import (
    AttemptStarted,
    AttemptText,
    AttemptWaiting,
    BenchmarkSkipped,
    CommandOutput,
    Notice,
    OperatorAction,
    ToolCallStarted,
)
from stackbench.store import Writer
from stackbench.tui.agent.agent_screen import AgentScreen
from stackbench.tui.safe_text import block, cut_line
from stackbench.tui.voice.voice_screen import VoiceScreen
from stackbench.voice.agreement import PartialText
from stackbench.voice.app import Handled, Operator, Told, VoiceSession
from stackbench.voice.app import Notice as VoiceNotice
from stackbench.voice.intents import Intent
from stackbench.voice.recognition import Transcript
from stackbench.voice.turns import Dropped, Latency, Partial, Turn
from tests.tui.hostile_strings import FORBIDDEN, hostile_strings
from tests.tui.pilots import Screens, opened
from tests.tui.recorded_home import CLOCK, record_run
from tests.tui.scenes import SpokenTurns, at_agents
from tests.tui.scripted_engine import ref, scripted_engine

STRINGS = hostile_strings()
RUN = "20261126-090000-aaaaaa"


def check(screens: Screens) -> None:
    """What the terminal would be sent, cell by cell."""
    text = screens.text()
    assert not [char for char in FORBIDDEN if char in text.replace("\n", "")]
    width, height = screens.app.size
    strips = screens.app.screen._compositor.render_strips(screens.app.size)
    assert len(strips) == height
    assert {strip.cell_length for strip in strips} == {width}
    for strip in strips:
        for segment in strip:
            assert not (segment.style and segment.style.link)


def test_there_are_two_hundred_different_ones() -> None:
    assert len(STRINGS) == 200 and len(set(STRINGS)) > 190


@pytest.mark.parametrize("number", range(0, 200, 10))
def test_safe_texts_hold_no_control_character(number: int) -> None:
    for text in STRINGS[number : number + 10]:
        assert not any(char in cut_line(text) for char in (*FORBIDDEN, "\n"))
        assert len(cut_line(text)) <= 401 + 10 * 400
        assert not any(char in block(text) for char in FORBIDDEN)


@pytest.fixture(scope="module")
def hostile_home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    home = Home(tmp_path_factory.mktemp("hostile"))
    writer = Writer(home.database)
    for number, text in enumerate(STRINGS[:40]):
        record_run(
            writer, f"20261126-0{number // 10}{number % 10:02}00-ffffff", text or "-", tasks=1, passes=0,
            prompt=text, completion=text, error=text, minutes=-number - 1,
        )  # fmt: skip
    record_hostile_attempts(writer)
    writer.close()
    return home


def record_hostile_attempts(writer: Writer) -> None:
    """One run with an attempt for each text, as task, reason, prompt, answer, output and agent's turn."""
    from datetime import timedelta

    from stackbench.store import BenchmarkRow, RunRow
    from stackbench.types import AttemptKey, AttemptRecord, AttemptStatus, EventRecord
    from tests.tui.recorded_home import BEGAN

    writer.start_run(
        RunRow(RUN, "eval", BEGAN, "hostile", {"settings": {}}, (0,), None, {}),
        [BenchmarkRow("tooluse", 200, 200, 200, (), {}, {}, None)],
    )
    for number, text in enumerate(STRINGS):
        key = AttemptKey("tooluse", f"{number}{text}"[:300], 0, 0)
        at = BEGAN + timedelta(seconds=number)
        said = [
            ("agent_start", {}),
            ("model_call", {"text": text, "thought": text, "completion_tokens": 1, "latency_s": 0.1}),
            ("tool_result", {"tool": text, "arguments": text, "text": text, "valid": True, "failed": number % 2 == 0}),
            ("operator", {"text": text}),
            ("sandbox", {"code": text, "result": text, "output": text, "checks": [text]}),
            ("verdict", {"expected": [{"id": text, "tools": [text], "after": [text], "with": {text: text}}],
                         "matched": {}, "checks": [{"name": text, "passed": False, "why": text}]}),
        ]  # fmt: skip
        events = [
            EventRecord("tooluse", key.task_id, 0, 0, number * 10 + place, at, kind, {**payload, "seed": 0})
            for place, (kind, payload) in enumerate(said, 1)
        ]
        writer.attempt(
            RUN,
            AttemptRecord(
                key, text[:50], AttemptStatus.COMPLETED, 0.0, False, text, text, text, 1, 1, at, 0.1, {"m": text},
                thought=text, program=text,
            ),
            events,
        )  # fmt: skip
    writer.flush()


@pytest.mark.parametrize("size", [(80, 24), (200, 60)])
async def test_the_list_of_runs(hostile_home: Home, size: tuple[int, int]) -> None:
    async with opened(hostile_home, size) as screens:
        await screens.shows("20261126-0")
        for _ in range(41):
            check(screens)
            await screens.press("down")


@pytest.mark.parametrize("size", [(80, 24), (200, 60)])
async def test_a_run_and_its_attempts(hostile_home: Home, size: tuple[int, int]) -> None:
    async with opened(hostile_home, size, RUN) as screens:
        await screens.shows("attempts (200)")
        for _ in range(12):
            await screens.press("pagedown")
            check(screens)


async def test_every_part_of_every_attempt(hostile_home: Home) -> None:
    async with opened(hostile_home, (120, 40), RUN) as screens:
        await screens.shows("attempts (200)")
        await screens.press("enter")
        await screens.shows("transcript", "details")
        for number in range(200):
            if number % 40 == 0:
                await screens.press(str(2 + number // 40))
            check(screens)
            if number < 199:
                before = screens.static("#place")
                await screens.press("n")
                await screens.until(lambda before=before: screens.static("#place") != before)


async def test_live_events(hostile_home: Home, tmp_path: Path) -> None:
    home = Home(tmp_path / "live")
    home.path.mkdir()
    writer = Writer(home.database)
    record_run(writer, RUN, "oracle", tasks=2, status=None)
    writer.close()
    async with scripted_engine(home, RUN, clock=CLOCK) as engine:
        engine.model = "".join(STRINGS[:20])
        async with opened(home, (160, 50)) as screens:
            await screens.shows("humaneval")
            for text in STRINGS:
                engine.publish(
                    Notice(text=text),
                    AttemptStarted(attempt=ref(text, benchmark=text)),
                    AttemptWaiting(attempt=ref(text, benchmark=text), reason="retry", detail=text),
                    OperatorAction(verb=text, who=text, old=text, new=text),
                )
            engine.publish(BenchmarkSkipped(benchmark=STRINGS[0], reason=STRINGS[12]), Notice(text="the last of them"))
            await screens.shows("the last of them")
            check(screens)
            for key in ("3", "end", "home", "2", "end"):
                await screens.press(key)
                check(screens)


async def test_notifications_and_dialogs(hostile_home: Home) -> None:
    from stackbench.tui.dialogs import AskScreen, ChooseScreen, ConfirmScreen

    async with opened(hostile_home) as screens:
        await screens.shows("20261126-0")
        for text in STRINGS:
            screens.app.notify(text, title=text)
            screens.app.clear_notifications()
        for text in STRINGS[::8]:
            for dialog in (ConfirmScreen(text), AskScreen(text, text, text), ChooseScreen(text, [text, text])):
                screens.app.push_screen(dialog)
                await screens.pilot.pause()
                check(screens)
                screens.app.pop_screen()


async def test_rows_of_a_query_and_a_row_in_full(hostile_home: Home) -> None:
    async with opened(hostile_home, (120, 40)) as screens:
        await screens.shows("20261126-0")
        screens.app.go_to("sql")
        await screens.shows("f5 runs the statement")
        await screens.press("f5")
        await screens.shows(" columns ")
        statement = (
            f"SELECT task_id, error, prompt, completion AS \"[bold]\x1b[31m\" FROM attempts WHERE run_id = '{RUN}' "
            "ORDER BY started_at"
        )
        screens.app.screen.query_one("#editor").text = statement  # type: ignore[attr-defined]
        await screens.press("f5")
        await screens.shows("200 rows")
        for number in range(200):
            check(screens)
            if number % 10 == 0:
                await screens.press("enter")
                await screens.shows("y  copy")
                check(screens)
                await screens.press("escape")
                await screens.hides("y  copy")
            await screens.press("down")
        await screens.press("ctrl+o")
        await screens.shows("Which query?")
        check(screens)


async def test_a_query_that_holds_hostile_texts_fails_in_one_safe_line(hostile_home: Home) -> None:
    async with opened(hostile_home, (80, 24)) as screens:
        await screens.shows("20261126-0")
        screens.app.go_to("sql")
        await screens.shows("f5 runs the statement")
        for text in STRINGS[:12] + STRINGS[12:60:4]:
            screens.app.screen.query_one("#editor").text = f"SELECT error('{text.replace(chr(39), chr(39) * 2)}')"  # type: ignore[attr-defined]
            await screens.press("f5")
            await screens.shows("✗ ")
            line = next(one for one in screens.text().splitlines() if "✗ " in one)
            assert not any(char in line for char in FORBIDDEN)


@pytest.mark.parametrize("plotted", ["error", "completion"])
async def test_a_plot_of_hostile_labels(hostile_home: Home, plotted: str) -> None:
    async with opened(hostile_home, (120, 40)) as screens:
        await screens.shows("20261126-0")
        screens.app.go_to("sql")
        await screens.shows("f5 runs the statement")
        screens.app.screen.query_one("#editor").text = (  # type: ignore[attr-defined]
            f"SELECT {plotted}, latency_s FROM attempts WHERE run_id = '{RUN}' ORDER BY started_at LIMIT 40"
        )
        await screens.press("f5")
        await screens.shows("40 rows")
        await screens.press("p")
        await screens.shows("Plot which column?")
        await screens.press("enter")
        await screens.shows("Against which column?")
        await screens.press("enter")
        await screens.shows(f"latency_s by {plotted}")
        check(screens)


async def test_comparing_runs_of_hostile_models_and_tasks(hostile_home: Home, tmp_path: Path) -> None:
    home = Home(tmp_path / "compared")
    home.path.mkdir()
    writer = Writer(home.database)
    for minutes, model in ((0, STRINGS[12]), (5, STRINGS[0])):
        record_run(writer, f"20261126-09{minutes:02}00-aaaaaa", model, tasks=3, passes=minutes // 2, minutes=minutes,
                   task_prefix="[red]\x1b]52;c;AA\x07\u202e/", prompt=STRINGS[13], completion=STRINGS[15])  # fmt: skip
    writer.close()
    async with opened(home, (120, 40)) as screens:
        await screens.shows("20261126-090000")
        await screens.press("home", "space", "down", "c")
        await screens.shows("flips 2")
        check(screens)
        await screens.press("w")
        await screens.shows("Settings that differ (A | B)")
        check(screens)
        await screens.press("escape")
        await screens.hides("Settings that differ (A")
        await screens.press("enter")
        await screens.shows("side by side")
        check(screens)


@pytest.mark.parametrize("size", [(80, 24)])
async def test_agents_their_calls_files_and_shell(tmp_path: Path, size: tuple[int, int]) -> None:
    async with at_agents(tmp_path, size) as (engine, screens):
        for number, text in enumerate(STRINGS):
            engine.agents[0] |= {
                "task_id": text,
                "benchmark": text,
                "calls": [
                    {"call": text, "tool": text, "benchmark": text, "task_id": text, "arguments": text, "risky": True}
                ],
            }
            here = ref(text, benchmark=text)
            engine.transcript += [
                ("model_call", {"text": text, "thought": text}),
                ("operator", {"action": text, "tool": text}),
                ("operator", {"action": "message", "text": text}),
                ("operator", {"action": "shell", "command": text, "output": text, "exit_code": text}),
                ("tool_result", {"tool": text, "arguments": text, "text": text, "failed": True, "valid": True}),
            ]
            engine.publish(
                AttemptWaiting(attempt=here, reason="operator", detail=text),
                AttemptText(attempt=here, step=number + 9000, text=text),
                ToolCallStarted(attempt=here, step=1, call_id=text, tool=text, arguments=text),
                CommandOutput(attempt=here, command=text, text=text),
                Notice(text=text),
            )
            await screens.pilot.pause(0.001)
            check(screens)
        engine.agents[0] |= {"task_id": STRINGS[12], "benchmark": STRINGS[0]}
        now = cast(AgentScreen, screens.app.screen).now
        await screens.until(lambda: now.agents[0].task_id == STRINGS[12])
        now.choose((STRINGS[0], STRINGS[12], 0, 0))
        engine.publish(Notice(text="the last of them"))
        await screens.until(lambda: len(now.events) == len(engine.transcript))
        check(screens)
        await screens.press("1", "home")
        for _ in range(20):
            await screens.press("pagedown")
            check(screens)
        await screens.press("e")
        await screens.shows("the arguments, a JSON object")
        check(screens)
        await screens.press("escape")
        engine.files = {text.replace("/", "_"): text for text in STRINGS}
        await screens.press("2")
        for _ in range(30):
            await screens.press("down", "enter")
            check(screens)
        await screens.press("3")
        for text in STRINGS[::10]:
            engine.shell_result = {"exit_code": 1, "ended": "exited", "seconds": 0.1, "output": text, "folder": text}
            await screens.press("l", "s", "enter")
            await screens.pilot.pause(0.01)
            check(screens)


async def test_what_was_said_and_what_became_of_it(tmp_path: Path) -> None:
    tells: list[Callable[[Told], None]] = []

    def make(home: Home, operator: Operator, tell: Callable[[Told], None]) -> VoiceSession:
        tells.append(tell)
        return cast(VoiceSession, SpokenTurns(tell))

    async with opened(Home(tmp_path), (80, 24)) as screens:
        await screens.app.push_screen(VoiceScreen(make))
        await screens.shows("n=3")
        (tell,) = tells
        for text in STRINGS:
            turn = Turn(Transcript(text), Latency(1, 0.5, 0.6, 0.3, 0), "silence", 0, 1, np.zeros(1, np.float32), False)
            tell(VoiceNotice(text, bad=True))
            tell(Partial(PartialText(text, text)))
            tell(Dropped(text, 0.5, 1.0))
            tell(Handled(turn, Intent(action="prompt", text=text), text, True, 0.0))
            await screens.pilot.pause(0.001)
            check(screens)
