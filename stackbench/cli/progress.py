"""What an operator sees while a run is live: a display on a terminal, plain lines elsewhere."""

from __future__ import annotations

import threading
import time
from types import TracebackType
from typing import Protocol

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from stackbench.cli.console import err, notice
from stackbench.control.messages import (
    AttemptFinished,
    BenchmarkFinished,
    BenchmarkSkipped,
    BenchmarkStarted,
    EventKind,
    Notice,
    OperatorAction,
    RunQueued,
    RunStarted,
)
from stackbench.report.benchmark_progress import BenchmarkProgress
from stackbench.visible_text import in_one_line

__all__ = ["LiveProgress", "PlainProgress", "Progress", "SilentProgress", "make_progress"]

PLAIN_EVERY_S = 10.0
QUIET_AT_MOST_S = 60.0
WIDE_ENOUGH_FOR_BARS = 100


class Progress(Protocol):
    """Takes the engine's events; a context manager around the run. `run_id` is known once the run is recorded."""

    run_id: str | None

    def __call__(self, run_id: str, event: EventKind) -> None: ...
    def __enter__(self) -> Progress: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def make_progress(*, quiet: bool) -> Progress:
    """The display for this stderr."""
    if quiet:
        return SilentProgress()
    console = err()
    return LiveProgress(console) if console.is_terminal else PlainProgress()


class SilentProgress:
    """Says nothing."""

    def __init__(self) -> None:
        self.run_id: str | None = None

    def __enter__(self) -> SilentProgress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing to take down."""

    def __call__(self, run_id: str, event: EventKind) -> None:
        if isinstance(event, RunStarted):
            self.run_id = run_id


class PlainProgress(SilentProgress):
    """A line when something begins or ends, every ten seconds between, and every minute in which nothing ends."""

    def __init__(self) -> None:
        super().__init__()
        self._tallies: dict[str, BenchmarkProgress] = {}
        self._last = time.monotonic()
        self._said: dict[str, int] = {}
        self._lock = threading.Lock()
        """The pulse speaks from a thread of its own."""
        self._over = threading.Event()
        self._pulse = threading.Thread(target=self._beat, name="progress", daemon=True)

    def __enter__(self) -> PlainProgress:
        self._pulse.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._pulse.join()

    def __call__(self, run_id: str, event: EventKind) -> None:
        super().__call__(run_id, event)
        with self._lock:
            self._take(run_id, event)

    def _take(self, run_id: str, event: EventKind) -> None:
        if isinstance(event, AttemptFinished):
            tally = self._tallies.get(event.attempt.benchmark)
            if tally is None:
                return
            tally.take(event)
            if time.monotonic() - self._last >= PLAIN_EVERY_S:
                self._report_all()
        elif isinstance(event, BenchmarkStarted):
            self._tallies[event.benchmark] = BenchmarkProgress(event.benchmark, event.total, event.done, event.passed)
            resumed = f", {event.done} of them done before" if event.done else ""
            self._say(f"{event.benchmark}: {event.total} attempts{resumed}")
        elif isinstance(event, BenchmarkFinished) and event.benchmark in self._tallies:
            tally = self._tallies[event.benchmark]
            tally.ended = time.monotonic()
            if tally.finished != self._said.get(event.benchmark):
                self._report(tally)
        elif isinstance(event, BenchmarkSkipped):
            self._say(f"{event.benchmark}: skipped: {event.reason}")
        elif isinstance(event, RunStarted):
            self._say(f"run {run_id} of {event.model}")
        else:
            line = told(run_id, event)
            if line:
                self._say(line)

    def _beat(self) -> None:
        """Says where things are when nothing has been said for long."""
        while not self._over.wait(self._last + QUIET_AT_MOST_S - time.monotonic()):
            with self._lock:
                if time.monotonic() - self._last < QUIET_AT_MOST_S:
                    continue
                self._report_all()
                self._last = time.monotonic()

    def _report_all(self) -> None:
        for tally in self._tallies.values():
            if tally.ended is None:
                self._report(tally)

    def _report(self, tally: BenchmarkProgress) -> None:
        self._say(
            f"{tally.benchmark}: {tally.finished}/{tally.total} passed {tally.rate()} "
            f"errors {tally.errors} {f'cut {tally.cut} ' if tally.cut else ''}{tally.speed()} {tally.eta()}"
        )
        self._said[tally.benchmark] = tally.finished

    def _say(self, line: str) -> None:
        notice(f"{time.strftime('%H:%M:%S')} {line}")
        self._last = time.monotonic()


class LiveProgress(SilentProgress):
    """A table that redraws itself: a row per benchmark, the last notices above it."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self._tallies: dict[str, BenchmarkProgress] = {}
        self._model = ""
        self._live = Live(console=console, get_renderable=self.render, refresh_per_second=4, transient=False)

    def __enter__(self) -> LiveProgress:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def __call__(self, run_id: str, event: EventKind) -> None:
        super().__call__(run_id, event)
        if isinstance(event, AttemptFinished):
            if event.attempt.benchmark in self._tallies:
                self._tallies[event.attempt.benchmark].take(event)
        elif isinstance(event, BenchmarkStarted):
            self._tallies[event.benchmark] = BenchmarkProgress(event.benchmark, event.total, event.done, event.passed)
        elif isinstance(event, BenchmarkFinished):
            if event.benchmark in self._tallies:
                self._tallies[event.benchmark].ended = time.monotonic()
        elif isinstance(event, RunStarted):
            self._model = in_one_line(event.model)
        elif isinstance(event, BenchmarkSkipped):
            self._live.console.print(Text(in_one_line(f"{event.benchmark}: skipped: {event.reason}"), style="yellow"))
        else:
            line = told(run_id, event)
            if line:
                self._live.console.print(Text(in_one_line(line), style="dim"))

    def render(self) -> RenderableType:
        if self.run_id is None:
            return Text("starting ...", style="dim")
        title = Text.assemble(("run ", "dim"), self.run_id, ("  model ", "dim"), self._model)
        narrow = self._live.console.width < WIDE_ENOUGH_FOR_BARS
        table = Table(box=None, pad_edge=False, header_style="dim")
        for name in ("benchmark", "done", "pass rate", "err", "cut", "speed", "time"):
            table.add_column(name, justify="left" if name == "benchmark" else "right", no_wrap=True)
        if not narrow:
            table.add_column("", no_wrap=True)
        for tally in self._tallies.values():
            cells: list[RenderableType] = [
                Text(in_one_line(tally.benchmark)),
                f"{tally.finished}/{tally.total}",
                Text(tally.rate().split(" ")[0] if narrow else tally.rate()),
                Text(str(tally.errors), style="red" if tally.errors else ""),
                Text(str(tally.cut), style="yellow" if tally.cut else ""),
                tally.speed(),
                tally.eta(),
            ]
            if not narrow:
                cells.append(ProgressBar(total=max(tally.total, 1), completed=tally.finished, width=20))
            table.add_row(*cells)
        return Group(title, table)


def told(run_id: str, event: EventKind) -> str:
    """The line that an event is worth; empty for none."""
    if isinstance(event, Notice):
        return event.text
    if isinstance(event, RunQueued):
        before = f"{event.position} queued runs and the live one are" if event.position else "one run is"
        return f"run {run_id} is queued: {before} before it"
    if isinstance(event, OperatorAction):
        changed = "" if event.old is None else f": {event.old} -> {event.new}"
        return f"operator ({event.who or 'unnamed'}): {event.verb}{changed}"
    return ""
