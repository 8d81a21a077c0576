"""The screens for one browser window, started by the web server.

Usage: python -m stackbench.tui.web.served_app HOME
"""

from __future__ import annotations

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
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True, name="server-watch").start()
    return StackbenchApp(Home.find(Path(home))).run() or 0


def _end_with(server: int) -> None:
    """A server that was killed closes nothing: this process ends when it has another parent."""
    while os.getppid() == server:
        time.sleep(LOOK_EVERY_S)
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
