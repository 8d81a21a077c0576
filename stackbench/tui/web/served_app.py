"""The screens for one browser window, started by the web server.

Usage: python -m stackbench.tui.web.served_app HOME
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from pathlib import Path

from stackbench.config import Home
from stackbench.tui.app import StackbenchApp

__all__ = ["main"]

LOOK_EVERY_S = 1.0


def main(home: str) -> int:
    """Returns the exit code."""
    place = Home.find(Path(home))
    _log_to(place.path / "screens.log")
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True, name="server-watch").start()
    return StackbenchApp(place).run() or 0


def _log_to(path: Path) -> None:
    """What goes to standard error is kept: the server's terminal is not to show it."""
    with contextlib.suppress(OSError):
        log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(log, 2)
        os.close(log)


def _end_with(server: int) -> None:
    """A server that was killed closes nothing: this process ends when it has another parent."""
    while os.getppid() == server:
        time.sleep(LOOK_EVERY_S)
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
