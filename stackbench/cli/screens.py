"""`stackbench tui`, and `stackbench` alone on a terminal: opens the screens."""

from __future__ import annotations

import sys
from pathlib import Path

from stackbench.config import Home
from stackbench.errors import UsageError

__all__ = ["open_screens"]


def open_screens(home: Path | None, run: str | None) -> int:
    """Returns the exit code.

    Raises:
        UsageError: this is no terminal.
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError('the screens need a terminal; "stackbench runs" and "stackbench attach" work without one')
    from stackbench.tui.app import StackbenchApp

    return StackbenchApp(Home.find(home), run).run() or 0
