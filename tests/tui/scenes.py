"""Each screen in a state that is always the same: for snapshots, and for the pictures of docs/tui.md."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import cast

from textual.widgets import Static

from stackbench.config import Home
from stackbench.control.messages import (
    AttemptStarted,
    AttemptWaiting,
    BenchmarkSkipped,
    Gauges,
    Notice,
    OperatorAction,
)
from stackbench.store import Writer
from stackbench.tui.sql.sql_editor import SqlEditor
from stackbench.tui.sql.sql_screen import SqlScreen
from tests.tui.pilots import Screens, opened
from tests.tui.recorded_home import CLOCK, make_home, record_run
from tests.tui.scripted_engine import ref, scripted_engine

__all__ = ["SCENES", "Scene"]

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
        await screens.shows("2 answer", "one too many")
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


SCENES: dict[str, Scene] = {
    "first-start": first_start,
    "home": home,
    "new-run": new_run,
    "live": live,
    "ended": ended,
    "attempt": attempt,
    "help": help_of_runs,
    "sql": sql,
    "plot": plot,
    "compare": compare,
}
