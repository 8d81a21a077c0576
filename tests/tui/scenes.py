"""Each screen in a state that is always the same: for snapshots, and for the pictures of docs/tui.md."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, cast

import numpy as np
from textual.widgets import Static

from stackbench.config import Home
from stackbench.control.messages import (
    AttemptStarted,
    AttemptText,
    AttemptWaiting,
    BenchmarkSkipped,
    CommandOutput,
    Gauges,
    Notice,
    OperatorAction,
    ToolCallStarted,
)
from stackbench.store import Writer
from stackbench.tui.sql.sql_editor import SqlEditor
from stackbench.tui.sql.sql_screen import SqlScreen
from stackbench.tui.voice.voice_screen import VoiceScreen
from stackbench.voice.agreement import PartialText
from stackbench.voice.app import Handled, Told, VoiceSession
from stackbench.voice.app import Notice as VoiceNotice
from stackbench.voice.intents import Intent
from stackbench.voice.recognition import Transcript
from stackbench.voice.turns import Latency, Level, Partial, Turn
from tests.tui.pilots import Screens, opened
from tests.tui.recorded_home import CLOCK, make_home, record_run
from tests.tui.scripted_engine import ScriptedEngine, ref, scripted_engine

__all__ = ["SCENES", "Scene", "SpokenTurns"]

Size = tuple[int, int]
Scene = Callable[[Path, Size], AbstractAsyncContextManager[Screens]]
LIVE = "20261126-092000-cccccc"
COMPLETED = "20261126-090000-aaaaaa"
PROMPT = '''Complete the Python function below.

def below_zero(operations: list[int]) -> bool:
    """Returns True if the balance falls below zero.

    >>> below_zero([1, 2, -4, 5])
    True
    """
'''
ANSWER = """```python
def below_zero(operations: list[int]) -> bool:
    balance = 0
    for change in operations:
        balance += change
        if balance < 1:  # one too many
            return True
    return False
```
"""


@asynccontextmanager
async def first_start(folder: Path, size: Size) -> AsyncIterator[Screens]:
    async with opened(Home(folder), size) as screens:
        await screens.shows("Nothing has been run here yet", "no engine is live")
        yield screens


@asynccontextmanager
async def home(folder: Path, size: Size) -> AsyncIterator[Screens]:
    async with opened(make_home(folder / "home"), size) as screens:
        await screens.shows(COMPLETED, "no engine is live")
        yield screens


@asynccontextmanager
async def live(folder: Path, size: Size) -> AsyncIterator[Screens]:
    place = make_home(folder / "home")
    async with scripted_engine(place, LIVE, clock=CLOCK) as engine:
        engine.benchmarks.append(
            {"benchmark": "tooluse", "total": 90, "before": 12, "done": 20, "passed": 21, "tokens": 9000, "queued": 50,
             "running": 4, "errors": 2, "cancelled": 0}
        )  # fmt: skip
        engine.attempts = [
            {"benchmark": "humaneval", "task_id": f"HumanEval/{90 + n}", "attempt": 0, "seed": 0, "waits_for": reason,
             "detail": detail, "for_s": seconds, "running_s": seconds + 4, "step": 1}
            for n, (reason, detail, seconds) in enumerate(
                [("container", "", 640.0), ("model", "", 41.0), ("retry", "try 3 in 12 s", 9.0), ("tests", "", 0.5)]
            )
        ]  # fmt: skip
        async with opened(place, size) as screens:
            await screens.shows(f"run {LIVE}", "32/90", "attempts (6)")
            engine.publish(AttemptStarted(attempt=ref("files/fix-rounding-function#2", benchmark="tooluse")))
            engine.publish(
                AttemptWaiting(attempt=ref("files/fix-rounding-function#2", benchmark="tooluse"), reason="operator")
            )
            for second in range(12):
                engine.publish(
                    Gauges(
                        values={
                            "gpu_util": 0.7 + second % 4 / 15, "vram_used": 38e9 + second * 1e9, "vram_total": 80e9,
                            "kv_cache": 0.2 + second / 40, "cpu": 0.3 + second % 5 / 20, "rss": 3.1e9,
                            "tokens_per_s": 700.0 + second * 30, "running": 8.0, "waiting": float(second % 3),
                        }
                    )
                )  # fmt: skip
            engine.publish(
                Notice(text="the endpoint answered 503; requests wait 4 s"),
                OperatorAction(verb="set", who="ctl (ada)", arguments={"name": "concurrency"}, old=4, new=8),
                BenchmarkSkipped(benchmark="mmlu", reason="data not available; run: stackbench data pull mmlu"),
                Notice(text="the last notice"),
            )
            await screens.until(lambda: any("last notice" in line.text for line in screens.app.screen.live.log))  # type: ignore[attr-defined]
            await screens.shows("mmlu: skipped")
            yield screens


@asynccontextmanager
async def ended(folder: Path, size: Size) -> AsyncIterator[Screens]:
    async with opened(make_home(folder / "home"), size, COMPLETED) as screens:
        await screens.shows("✓ completed", "attempts (8)", "0.714", "HumanEval/0")
        yield screens


@asynccontextmanager
async def attempt(folder: Path, size: Size) -> AsyncIterator[Screens]:
    folder.mkdir(exist_ok=True)
    place = Home(folder)
    writer = Writer(place.database)
    record_run(writer, COMPLETED, "hf:qwen2.5-coder-7b-instruct", tasks=4, prompt=PROMPT, completion=ANSWER)
    writer.close()
    async with opened(place, size, COMPLETED) as screens:
        await screens.shows("attempts (4)", "HumanEval/3")
        await screens.press("enter")
        await screens.shows("[2] answer", "one too many")
        yield screens


@asynccontextmanager
async def new_run(folder: Path, size: Size) -> AsyncIterator[Screens]:
    async with opened(Home(folder), size) as screens:
        await screens.shows("Nothing has been run here yet")
        await screens.press("n")
        await screens.shows("choose what to run", "[ ]  suite smoke", "the embedded model")
        yield screens


@asynccontextmanager
async def help_of_runs(folder: Path, size: Size) -> AsyncIterator[Screens]:
    async with home(folder, size) as screens:
        await screens.press("question_mark")
        await screens.shows("On this screen", "Smoke suite")
        yield screens


AGENT_STEPS: list[tuple[str, dict[str, Any]]] = [
    ("agent_start", {"task": "The service answers 500 for /orders. Find out why, fix it, and say what it was."}),
    ("model_call", {"text": "I look at the service's log first.", "completion_tokens": 41, "latency_s": 0.82,
                    "prompt_tokens": 1210}),
    ("tool_result", {"tool": "exec", "arguments": '{"command": "tail -n 3 service.log"}', "valid": True,
                     "failed": False, "duration_ms": 31.0, "call": "c1",
                     "text": "GET /orders 500\nKeyError: 'total'\n  orders.py:14 in as_json"}),
    ("operator", {"action": "message", "text": "Do not change the database."}),
    ("model_call", {"text": "A row without a total breaks as_json. I read the function.", "completion_tokens": 38,
                    "latency_s": 0.74, "prompt_tokens": 1384}),
    ("tool_result", {"tool": "read", "arguments": '{"path": "orders.py"}', "valid": True, "failed": False,
                     "duration_ms": 2.0, "call": "c2",
                     "text": "def as_json(row):\n    return {'id': row['id'], 'total': row['total']}"}),
    ("operator", {"action": "approve", "tool": "exec"}),
]  # fmt: skip
PATCH = '{"path": "orders.py", "old": "row[\'total\']", "new": "row.get(\'total\', 0)"}'
TASK = "workflow/broken-orders#3"


def agent_at(task: str, *, turns: int, tokens: int, state: str = "running", waits: bool = False) -> dict[str, Any]:
    call = {"call": "4", "tool": "edit", "benchmark": "tooluse", "task_id": task, "risky": True, "arguments": PATCH}
    return {
        "benchmark": "tooluse", "task_id": task, "attempt": 0, "seed": 0, "state": state, "policy": "risky",
        "turns": turns, "prompt_tokens": turns * 1300, "completion_tokens": tokens, "calls": [call] if waits else [],
    }  # fmt: skip


@asynccontextmanager
async def at_agents(folder: Path, size: Size) -> AsyncIterator[tuple[ScriptedEngine, Screens]]:
    """Three agents at work, the one in view has a call that waits."""
    place = make_home(folder / "home")
    async with scripted_engine(place, LIVE, clock=CLOCK) as engine:
        engine.agents = [
            agent_at(TASK, turns=2, tokens=79, waits=True),
            agent_at("files/rename-by-date#1", turns=5, tokens=210, state="paused"),
            agent_at("api/paginate-users#2", turns=1, tokens=33),
        ]
        engine.transcript = list(AGENT_STEPS)
        engine.files = {"orders.py": "def as_json(row):\n    ...\n", "service.log": "GET /orders 500\n",
                        "tests/test_orders.py": "def test(): ...\n"}  # fmt: skip
        async with opened(place, size) as screens:
            await screens.shows(LIVE)
            screens.app.go_to("agents")
            await screens.shows("! asks you", "broken-orders", "call 4 waits for you")
            yield engine, screens


@asynccontextmanager
async def agents(folder: Path, size: Size) -> AsyncIterator[Screens]:
    async with at_agents(folder, size) as (engine, screens):
        engine.publish(
            AttemptText(attempt=ref(TASK, benchmark="tooluse"), step=3, text="A total may be missing: I set 0."),
            ToolCallStarted(attempt=ref(TASK, benchmark="tooluse"), step=3, call_id="c3", tool="exec",
                            arguments='{"command": "python -m pytest -q tests"}'),
            CommandOutput(attempt=ref(TASK, benchmark="tooluse"), command="s1", text="collected 4 items\n..F"),
        )  # fmt: skip
        await screens.shows("collected 4 items")
        yield screens


@asynccontextmanager
async def sandbox(folder: Path, size: Size) -> AsyncIterator[Screens]:
    async with at_agents(folder, size) as (_, screens):
        await screens.press("2")
        await screens.shows("tests/", "orders.py")
        await screens.press("down", "enter")
        await screens.shows("def as_json")
        yield screens


@asynccontextmanager
async def sql(folder: Path, size: Size) -> AsyncIterator[Screens]:
    async with home(folder, size) as screens:
        screens.app.go_to("sql")
        await screens.shows("f5 runs the statement")
        screen = cast(SqlScreen, screens.app.screen)
        await screens.until(lambda: screen.query_one(SqlEditor).catalog.tables)
        await screens.press("f5")
        await screens.shows("3 rows")
        screen.query_one("#query-state", Static).update("3 rows   5 columns   0.01 s")  # the time differs each time
        await screens.press("i")
        await screens.type(", tok")
        await screens.shows("completion_tokens", "INTEGER")
        yield screens


@asynccontextmanager
async def plot(folder: Path, size: Size) -> AsyncIterator[Screens]:
    async with home(folder, size) as screens:
        screens.app.go_to("sql")
        await screens.shows("f5 runs the statement")
        screen = cast(SqlScreen, screens.app.screen)
        screen.query_one(SqlEditor).text = "SELECT latency_s, completion_tokens FROM attempts ORDER BY 1"
        await screens.press("f5")
        await screens.shows("19 rows")
        screen.query_one("#query-state", Static).update("19 rows   2 columns   0.01 s")
        await screens.press("p")
        await screens.shows("Plot which column?")
        await screens.press("down", "enter")
        await screens.shows("Against which column?")
        await screens.press("enter")
        await screens.shows("completion_tokens by latency_s")
        yield screens


@asynccontextmanager
async def compare(folder: Path, size: Size) -> AsyncIterator[Screens]:
    place = Home(folder)
    folder.mkdir(exist_ok=True)
    writer = Writer(place.database)
    record_run(writer, COMPLETED, "hf:qwen2.5-coder-7b-instruct", tasks=40, passes=31)
    record_run(writer, LIVE, "hf:qwen2.5-coder-0.5b-instruct", tasks=40, minutes=20)
    writer.close()
    async with opened(place, size) as screens:
        await screens.shows(COMPLETED)
        await screens.press("end", "space", "up", "c")
        await screens.shows(f"A  {COMPLETED}", f"B  {LIVE}", "◀ only A")
        yield screens


class SpokenTurns:
    """Stands in for a session of the voice screen: what was said, and a turn that is being said."""

    def __init__(self, tell: Callable[[Told], None]) -> None:
        self._tell = tell
        self._stopped = asyncio.Event()

    async def run(self) -> None:
        self._tell(VoiceNotice('listening to "USB microphone" with whisper-base'))
        said = [
            ("start humaneval with ten tasks", Intent(action="start", name="benchmark"), "started run "
             f"{LIVE}: humaneval 10 tasks", Latency(1.9, 0.5, 0.61, 0.38, 0), 0.21),
            ("pause", Intent(action="verb", name="pause"), f"pause: running -> paused (run {LIVE})",
             Latency(0.5, 0.5, 0.58, 0.31, 0), 0.02),
            ("stop", Intent(action="verb", name="stop"), 'stop? say "confirm" within 10 s',
             Latency(0.4, 0.5, 0.56, 0.3, 1), 0.0),
        ]  # fmt: skip
        for text, intent, became, latency, carried_out_s in said:
            turn = Turn(
                Transcript(text, 0.94), latency, "silence", 0.0, latency.speech_s, np.zeros(1, np.float32), False
            )
            self._tell(turn)
            self._tell(Handled(turn, intent, became, False, carried_out_s))
        self._tell(Level(-21.5, 0.97, True))
        self._tell(Partial(PartialText("show the failures of", "human eval")))
        await self._stopped.wait()

    def stop(self) -> None:
        self._stopped.set()

    def press(self) -> None: ...

    def release(self) -> None: ...

    def set_push_to_talk(self, wanted: bool) -> None: ...


@asynccontextmanager
async def voice(folder: Path, size: Size) -> AsyncIterator[Screens]:
    async with home(folder, size) as screens:
        await screens.app.push_screen(VoiceScreen(lambda _home, _operator, tell: cast(VoiceSession, SpokenTurns(tell))))
        await screens.shows("listening to", "human eval", "n=3")
        await screens.press("o")
        await screens.shows("open microphone")
        yield screens


SCENES: dict[str, Scene] = {
    "first-start": first_start,
    "home": home,
    "new-run": new_run,
    "live": live,
    "ended": ended,
    "attempt": attempt,
    "help": help_of_runs,
    "agents": agents,
    "sandbox": sandbox,
    "sql": sql,
    "plot": plot,
    "compare": compare,
    "voice": voice,
}
