"""Signal handling of a run: Ctrl-C and SIGTERM stop it, a second one at once; SIGHUP does not."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, NoReturn

from stackbench.cli.progress import write_at_once

__all__ = ["INTERRUPTED", "StopSignals", "leave"]

INTERRUPTED = 130
SHOW_CURSOR = b"\x1b[?25h"


class StopSignals:
    """While entered, the first SIGINT or SIGTERM calls `answer` at once and `stop` on the loop; the next ends the
    process, after the line that `farewell` gives.

    The handlers are the process's own rather than the loop's, which answers none while something blocks it. What is
    committed by then is safe, and containers end as their streams close. SIGHUP is let pass, unless it is ignored
    anyway (nohup): the run goes on without its terminal, and SIGTERM stops it.
    """

    def __init__(
        self,
        stop: Callable[[], None],
        stopping: Callable[[], bool],
        answer: Callable[[], None] = lambda: None,
        farewell: Callable[[], str] = lambda: "",
    ) -> None:
        self._stop = stop
        self._stopping = stopping
        self._answer = answer
        self._farewell = farewell
        self._asked = False
        self._loop = asyncio.get_running_loop()
        self._before: dict[int, Any] = {}

    def __enter__(self) -> StopSignals:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._ask)
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
            # A function, not SIG_IGN: what a run starts does not inherit it.
            self._before[signal.SIGHUP] = signal.signal(signal.SIGHUP, _let_pass)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self._asked or self._stopping():
            leave(self._farewell())
        self._asked = True
        self._answer()
        with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
            self._loop.call_soon_threadsafe(self._stop)


def _let_pass(number: int, frame: FrameType | None) -> None:
    """The terminal has gone; what is written to it from now on is dropped."""


def leave(line: str) -> NoReturn:
    """Ends the process at once, from wherever it is: the cursor that a live display hides, a last line, exit 130."""
    with contextlib.suppress(OSError, ValueError):
        if sys.stderr.isatty():
            os.write(sys.stderr.fileno(), SHOW_CURSOR + b"\n")
    if line:
        write_at_once(line)
    os._exit(INTERRUPTED)
