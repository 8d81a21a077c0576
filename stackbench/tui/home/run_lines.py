"""A run as the list shows it: what is recorded, and what its engine is at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from stackbench.control.answers import RunNow
from stackbench.report.headlines import headline, interval_text
from stackbench.tui.engine_link import EngineNow
from stackbench.tui.virtual_table import Cell, Column, Tone
from stackbench.types import RunStatus

if TYPE_CHECKING:
    from stackbench.store.run_list import ListedRun

__all__ = ["COLUMNS", "RunLine", "RunState", "fits", "merge", "run_cells", "score"]

RunState = Literal[
    "running", "paused", "held", "draining", "stopping", "queued", "completed", "failed", "interrupted", "dead"
]
SIGNS: Mapping[str, tuple[str, Tone]] = {
    "running": ("▶", "accent"),
    "paused": ("‖", "warn"),
    "held": ("‖", "warn"),
    "draining": ("▷", "warn"),
    "stopping": ("▷", "warn"),
    "queued": ("…", "dim"),
    "completed": ("✓", "good"),
    "failed": ("✗", "bad"),
    "interrupted": ("◌", "warn"),
    "dead": ("†", "bad"),
}
RUN_WIDTH = 22
"""Of a run's id."""
DATED = 15
"""Of it, date and time."""
COLUMNS = (
    Column("", 1),
    Column("status", 13),
    Column("run", RUN_WIDTH),
    Column("model", 8, grows=True),
    Column("suite", 8, needs=100),
    Column("done", 13, right=True),
    Column("err", 5, right=True, needs=110),
    Column("score", 5, grows=True, needs=80),
    Column("started (UTC)", 16, needs=130),
)
BAR = 6


@dataclass(frozen=True, slots=True)
class RunLine:
    """One run."""

    run: ListedRun
    state: RunState
    done: int
    total: int
    marked: bool = False

    @property
    def live(self) -> bool:
        """Whether an engine has it."""
        return self.state in ("running", "paused", "held", "draining", "stopping", "queued")

    @property
    def resumable(self) -> bool:
        return self.state in ("dead", "interrupted", "failed")


def merge(
    runs: Sequence[ListedRun], engine: EngineNow, now: RunNow | None, marked: Sequence[str] = ()
) -> list[RunLine]:
    """The list: what is live first, then what is queued, then the rest, the newest first."""
    from stackbench.store import Labels  # loads DuckDB: not before the first painting
    from stackbench.store.run_list import ListedBenchmark, ListedRun

    order = {run.run_id: (number, run) for number, run in enumerate(engine.runs)}
    lines: list[RunLine] = []
    known = {run.run_id for run in runs}
    for queued in engine.runs:
        if queued.run_id not in known:  # not recorded yet: its model loads
            benchmarks = tuple(ListedBenchmark(name, 0) for name in queued.benchmarks)
            labels = Labels(queued.name or "", queued.tags)
            run = ListedRun(queued.run_id, queued.suite, "running", "", None, queued.model, benchmarks, labels)
            lines.append(_line(run, queued.phase, now, marked))
    for run in runs:
        if run.run_id in order:
            state = order[run.run_id][1].phase
        elif run.status in (RunStatus.RUNNING, RunStatus.QUEUED) and engine.state != "busy":
            state = "dead"
        else:
            state = run.status
        lines.append(_line(run, state, now, marked))
    return sorted(lines, key=lambda line: order.get(line.run.run_id, (len(order),))[0])


def _line(run: ListedRun, state: str, now: RunNow | None, marked: Sequence[str]) -> RunLine:
    done, total = run.attempts, run.planned
    if now is not None and now.run_id == run.run_id:
        done = sum(one.before + one.done for one in now.benchmarks)
        total = max(total, sum(one.total for one in now.benchmarks))
    return RunLine(run, state if state in SIGNS else "interrupted", done, total, run.run_id in marked)  # pyright: ignore[reportArgumentType]


def run_cells(line: RunLine) -> list[Cell]:
    """One cell per column of `COLUMNS`."""
    sign, tone = SIGNS[line.state]
    errors = line.run.errors
    return [
        ("•", "accent") if line.marked else "",
        (f"{sign} {'engine died' if line.state == 'dead' else line.state}", tone),
        called(line.run),
        line.run.model,
        (line.run.suite, "dim"),
        _done(line),
        (str(errors), "bad") if errors else ("0", "dim"),
        score(line.run),
        (line.run.created_at[:16], "dim"),
    ]


def called(run: ListedRun) -> str:
    """The run's name, which no other has, and its date and time where there is room; without a name its id."""
    name = run.labels.name
    if not name:
        return run.run_id
    dated = f"{name} {run.run_id[:DATED]}"
    return dated if len(dated) <= RUN_WIDTH else name


def score(run: ListedRun) -> str:
    """The headline of the first benchmark that has one, and how many more there are."""
    found = [(one, metric) for one in run.benchmarks if (metric := headline(one.metrics)) is not None]
    if not found:
        return ""
    one, metric = found[0]
    interval = interval_text(one.name, metric)
    more = f" +{len(found) - 1}" if len(found) > 1 else ""
    return f"{metric.value:.3f}{interval}{more} {one.name} {metric.name}"


def fits(line: RunLine, words: Sequence[str]) -> bool:
    """Whether each word is somewhere in the run."""
    text = " ".join(
        (line.run.run_id, line.run.labels.name, *line.run.labels.tags, line.run.model,
         line.run.suite, line.state, line.run.created_at,
         *(one.name for one in line.run.benchmarks))
    ).lower()  # fmt: skip
    return all(word in text for word in words)


def _done(line: RunLine) -> str:
    if not line.total:
        return "-"
    share = min(1.0, line.done / line.total)
    full = round(share * BAR)
    bar = "━" * full + "─" * (BAR - full) + " " if line.live else ""
    counted = f"{line.done}/{line.total}" if not line.live else f"{share:.0%}"
    return f"{bar}{counted}"
