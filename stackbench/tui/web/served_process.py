"""A process of the screens behind one socket, spoken to as textual-serve does; it ends with the socket."""

from __future__ import annotations

import asyncio
import contextlib
from asyncio.subprocess import Process
from collections.abc import Sequence

from aiohttp import web
from textual_serve.app_service import AppService
from textual_serve.download_manager import DownloadManager

__all__ = ["ServedProcess"]

QUIT_WITHIN_S = 5.0
TERMINATED_WITHIN_S = 2.0


class ServedProcess(AppService):
    """Started without a shell; what does not quit when asked is ended."""

    def __init__(self, command: Sequence[str], websocket: web.WebSocketResponse, downloads: DownloadManager) -> None:
        super().__init__(
            command[0],
            write_bytes=websocket.send_bytes,
            write_str=websocket.send_str,
            close=self._close_socket,
            download_manager=downloads,
        )
        self._arguments = tuple(command)
        self._websocket = websocket

    async def stop(self) -> None:
        """Asks the process to quit, then makes it; returns when it has ended."""
        process, task = self._process, self._task
        if process is None:
            return
        await self._download_manager.cancel_app_downloads(app_service_id=self.app_service_id)
        with contextlib.suppress(OSError):
            await self.send_meta({"type": "quit"})
        await _ended(process, QUIT_WITHIN_S)
        for end in (process.terminate, process.kill):
            if process.returncode is None:
                end()
                await _ended(process, TERMINATED_WITHIN_S)
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            self._task = None

    async def run(self) -> None:
        """Passes on what the process writes; the socket is closed when it ends by itself."""
        with contextlib.suppress(ConnectionError):  # the browser has gone
            await super().run()
        await self._close_socket()

    async def _close_socket(self) -> None:
        await self._websocket.close()

    async def _open_app_process(self, width: int = 80, height: int = 24) -> Process:
        self._process = process = await asyncio.create_subprocess_exec(
            *self._arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=self._build_environment(width=width, height=height),
            start_new_session=True,  # Ctrl-C at the server's terminal is the server's
        )
        self._stdin = process.stdin
        return process


async def _ended(process: Process, within_s: float) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(within_s):
            await process.wait()
