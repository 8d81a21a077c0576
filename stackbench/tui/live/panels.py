"""The lists of a run's screen beside its attempts: what is under way, and the log."""

from __future__ import annotations

from collections.abc import Callable

from stackbench.report.tally import clock as clock_of
from stackbench.tui.live.live_run import IDLE_AFTER_S, LogLine, UnderWay
from stackbench.tui.virtual_table import Cell, Column

__all__ = ["LOG_COLUMNS", "UNDER_WAY_COLUMNS", "log_cells", "under_way_cells"]

UNDER_WAY_COLUMNS = (
    Column("", 1),
    Column("benchmark", 10, needs=64),
    Column("task", 10, grows=True),
    Column("waits for", 10, grows=True),
    Column("for", 7, right=True),
    Column("runs", 7, right=True, needs=56),
)
LOG_COLUMNS = (Column("time", 8), Column("", 10, grows=True))
WAITS = {
    "slot": "a place at the model",
    "model": "the model",
    "retry": "another try",
    "container": "a container",
    "tests": "its tests",
    "operator": "you",
}


def under_way_cells(clock: Callable[[], float]) -> Callable[[UnderWay], list[Cell]]:
    """What an attempt waits for and since when; one idle over ten minutes is marked."""

    def cells(one: UnderWay) -> list[Cell]:
        now = clock()
        idle = one.idle_s(now)
        late = idle >= IDLE_AFTER_S
        benchmark, task, *_ = one.key
        what = WAITS.get(one.waits_for, one.waits_for) or one.last
        detail = f" ({one.detail})" if one.detail else ""
        return [
            ("!", "bad") if late else "",
            (benchmark, "dim"),
            task,
            (f"{what}{detail}", "warn" if one.waits_for == "operator" else ""),
            (clock_of(max(0.0, idle)), "bad" if late else ""),
            (clock_of(max(0.0, now - one.started)), "dim"),
        ]

    return cells


def log_cells(line: LogLine) -> list[Cell]:
    return [(line.at, "dim"), (line.text, "accent" if line.important else "")]
