"""`stackbench --web`: the screens in a browser on this machine."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from stackbench.cli.console import notice, print_line
from stackbench.config import Home

__all__ = ["serve_screens"]


def serve_screens(home: Path | None, port: int) -> int:
    """Returns the exit code once it was interrupted.

    Raises:
        UsageError: the port cannot be had.
    """
    from stackbench.tui.web.web_server import serve

    place = Home.find(home)
    asyncio.run(serve([sys.executable, "-m", "stackbench.tui.web.served_app", str(place.path)], port, _tell))
    return 0


def _tell(address: str) -> None:
    print_line(address)
    notice("open this address in a browser on this machine; it works once. Ctrl-C ends the server and its windows")
