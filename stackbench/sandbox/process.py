"""A command under way in a leased container."""

from __future__ import annotations

import asyncio
import base64
import signal as signals
from collections.abc import AsyncIterator
from typing import Any

from stackbench.sandbox.container import Container
from stackbench.sandbox.records import Completed, Output

__all__ = ["Process"]

PIECE = 1 << 20


class Process:
    """A command under way. Iterate over `output()` as it comes; `wait()` for its end; or both."""

    def __init__(self, container: Container, number: int, answer: asyncio.Task[dict[str, Any]]) -> None:
        self.pid = 0
        self._container = container
        self._number = number
        self._answer = answer
        self._pieces: asyncio.Queue[Output | None] = asyncio.Queue()
        self._started: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        answer.add_done_callback(self._on_end)

    def write(self, data: bytes, *, eof: bool = False) -> None:
        """Types into the command's standard input; `eof` ends it."""
        for at in range(0, max(1, len(data)), PIECE):
            piece = base64.b64encode(data[at : at + PIECE]).decode()
            last = at + PIECE >= len(data)
            self._container.tell({"op": "stdin", "target": self._number, "data": piece, "eof": eof and last})

    def send_signal(self, number: int, *, group: bool = True) -> None:
        """Signals the command and (`group`) what it started in its process group."""
        self._container.tell({"op": "signal", "target": self._number, "signal": int(number), "group": group})

    def kill(self) -> None:
        """Kills the command with what it started."""
        self._container.tell({"op": "signal", "target": self._number, "signal": int(signals.SIGKILL), "group": True})

    async def output(self) -> AsyncIterator[Output]:
        """Pieces of output as they come, until the command ends."""
        while (piece := await self._pieces.get()) is not None:
            yield piece

    async def wait(self) -> Completed:
        """How the command ended.

        Raises:
            SandboxError: the container died.
        """
        answer = await asyncio.shield(self._answer)
        return Completed(
            exit_code=answer.get("exit_code"),
            signal=answer.get("signal"),
            reason=answer["status"],
            wall_s=answer["wall_s"],
            cpu_s=answer["cpu_s"],
            max_rss_mib=answer["max_rss_kib"] / 1024,
        )

    async def started(self) -> None:
        """Waits until it runs. Raises ToolError where it cannot be started."""
        await asyncio.wait({self._started, self._answer}, return_when=asyncio.FIRST_COMPLETED)
        if not self._started.done():
            await self._answer

    def on_event(self, event: dict[str, Any]) -> None:
        """Takes in what the container says of it."""
        if "started" in event:
            self.pid = event["started"]
            if not self._started.done():
                self._started.set_result(None)
        else:
            self._pieces.put_nowait(Output(event["stream"], base64.b64decode(event["data"])))

    def _on_end(self, answer: asyncio.Task[dict[str, Any]]) -> None:
        self._pieces.put_nowait(None)
        if not answer.cancelled():
            answer.exception()  # told by `wait`, if anyone waits
