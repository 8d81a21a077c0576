"""What an operator sees while a run is live: a display on a terminal, plain lines elsewhere."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from types import TracebackType
from typing import Protocol

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from stackbench.cli.console import err, notice, shown
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
from stackbench.control.verbs import change_line
from stackbench.report.tally import BenchmarkTally, RunTally, clock, counted_tokens
from stackbench.visible_text import in_one_line

__all__ = ["LiveProgress", "PlainProgress", "Progress", "SilentProgress", "make_progress", "write_at_once"]

PLAIN_EVERY_S = 10.0
QUIET_AT_MOST_S = 60.0
WIDE_ENOUGH_FOR_BARS = 120


class Progress(Protocol):
    """Takes the engine's events; a context manager around the run. `run_id` is known once the run is recorded."""

    run_id: str | None

    def __call__(self, run_id: str, event: EventKind) -> None: ...
    def say_stopping(self) -> None:
        """Answers the operator who asked for the end. May be called from a signal handler."""
        ...

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


def write_at_once(line: str) -> None:
    """A line on standard error past its buffer: in a signal handler, which may have interrupted a write to that."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        os.write(sys.stderr.fileno(), f"{in_one_line(line)}\n".encode(errors="backslashreplace"))


class SilentProgress:
    """Counts, and says nothing but that the run is about to stop."""

    def __init__(self) -> None:
        self.run_id: str | None = None
        self._tally = RunTally()

    def __enter__(self) -> SilentProgress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing to take down."""

    def __call__(self, run_id: str, event: EventKind) -> None:
        if isinstance(event, RunStarted):
            self.run_id = run_id
        self._tally.take(event)

    def say_stopping(self) -> None:
        write_at_once(self._stopping())

    def _stopping(self) -> str:
        return f"stopping, {self._tally.under_way} under way; Ctrl-C again to leave"


class PlainProgress(SilentProgress):
    """A line when something begins or ends, every ten seconds between, and every minute in which nothing ends."""

    def __init__(self) -> None:
        super().__init__()
        self.run_id: str | None = None
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
        with self._lock:
            self._take(run_id, event)

    def _take(self, run_id: str, event: EventKind) -> None:
        tally = self._tally.take(event)
        if isinstance(event, AttemptFinished):
            if time.monotonic() - self._last >= PLAIN_EVERY_S:
                self._report_all()
        elif isinstance(event, BenchmarkStarted):
            resumed = f", {event.done} of them done before" if event.done else ""
            count = "1 attempt" if event.total == 1 else f"{event.total} attempts"
            self._say(f"{event.benchmark}: {count}{resumed}")
        elif isinstance(event, BenchmarkFinished):
            if tally is not None and tally.finished != self._said.get(event.benchmark):
                self._report(tally)
        elif isinstance(event, BenchmarkSkipped):
            self._say(f"{event.benchmark}: skipped: {event.reason.split(' (')[0]}")  # the results say all of it
        elif isinstance(event, RunStarted):
            self.run_id = run_id
            self._say(f"run {run_id} of {event.model}")
        else:
            line = line_of(run_id, event)
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
        for tally in self._tally.benchmarks.values():
            if tally.ended is None:
                self._report(tally)

    def _report(self, tally: BenchmarkTally) -> None:
        parts = [f"{tally.finished}/{tally.total} done", f"pass rate {tally.rate()}"]
        parts.append("1 error" if tally.errors == 1 else f"{tally.errors} errors")
        parts += [f"{tally.cut} cut"] if tally.cut else []
        if tally.under_way:
            parts.append(f"{len(tally.under_way)} under way")
            parts += [f"{counted_tokens(self._tally.tokens)} so far"] if self._tally.tokens else []
        parts += [tally.speed()] if tally.done else []
        self._say(f"{tally.benchmark}: {', '.join([*parts, tally.time()])}")
        self._said[tally.benchmark] = tally.finished

    def _say(self, line: str) -> None:
        notice(f"{time.strftime('%H:%M:%SZ', time.gmtime())} {line}")
        self._last = time.monotonic()


class LiveProgress(SilentProgress):
    """A table that redraws itself: a row per benchmark, the last notices above it."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self._model = ""
        self._skipped: dict[str, str] = {}
        self._asked_to_stop = False
        self._live = Live(console=console, get_renderable=self.render, refresh_per_second=4, transient=False)

    def __enter__(self) -> LiveProgress:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._asked_to_stop = False
        self._live.stop()

    def __call__(self, run_id: str, event: EventKind) -> None:
        super().__call__(run_id, event)
        if isinstance(event, RunStarted):
            self._model = event.model
        elif isinstance(event, BenchmarkSkipped):
            self._skipped[event.benchmark] = event.reason
        else:
            line = line_of(run_id, event)
            if line:
                self._live.console.print(shown(line, "dim"))

    def say_stopping(self) -> None:
        self._asked_to_stop = True  # the display's own thread shows it, whatever holds the event loop up

    def render(self) -> RenderableType:
        parts: list[RenderableType] = []
        if self.run_id is None:
            parts.append(Text(f"starting ... {clock(self._tally.elapsed_s)}", style="dim"))
        else:
            parts += [self._title(), self._table()]
        for name, reason in self._skipped.items():
            line = shown(f"{name}: skipped: {reason}", "yellow")
            line.truncate(self._live.console.width, overflow="ellipsis")  # the scoreboard says all of it
            parts.append(line)
        if self._asked_to_stop:
            parts.append(Text(self._stopping(), style="bold yellow"))
        return Group(*parts)

    def _title(self) -> Text:
        tally = self._tally
        parts = [clock(tally.elapsed_s), f"{tally.under_way} under way"]
        parts += [counted_tokens(tally.tokens)] if tally.tokens else []
        return Text.assemble(
            ("run ", "dim"), shown(self.run_id), ("  model ", "dim"), shown(self._model),
            (f"\n{', '.join(parts)}", "dim"),
        )  # fmt: skip

    def _table(self) -> Table:
        narrow = self._live.console.width < WIDE_ENOUGH_FOR_BARS
        table = Table(box=None, pad_edge=False, header_style="dim")
        for name in ("benchmark", "done", "pass rate", "err", "cut", "speed", "time"):
            table.add_column(name, justify="left" if name == "benchmark" else "right", no_wrap=True)
        if not narrow:
            table.add_column("", no_wrap=True)
        for tally in self._tally.benchmarks.values():
            cells: list[RenderableType] = [
                shown(tally.benchmark),
                Text(f"{tally.finished}/{tally.total}"),
                Text(tally.rate().split(" ")[0] if narrow else tally.rate()),
                Text(str(tally.errors), style="red" if tally.errors else ""),
                Text(str(tally.cut), style="yellow" if tally.cut else ""),
                Text(tally.speed()),
                Text(tally.time()),
            ]
            if not narrow:
                cells.append(ProgressBar(total=max(tally.total, 1), completed=tally.finished, width=20))
            table.add_row(*cells)
        return table


def line_of(run_id: str, event: EventKind) -> str:
    """The line that an event is worth; empty for none."""
    if isinstance(event, Notice):
        return event.text
    if isinstance(event, RunQueued):
        queued = "1 queued run" if event.position == 1 else f"{event.position} queued runs"
        before = f"{queued} and the live one are" if event.position else "one run is"
        return f"run {run_id} is queued: {before} before it"
    if isinstance(event, OperatorAction):
        return f"operator ({event.who or 'unnamed'}): {change_line(event.verb, event.arguments, event.old, event.new)}"
    return ""
