"""Serves the screens to a browser on this machine: one process of the screens for each socket."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import signal
import socket
from collections.abc import Callable, Sequence
from importlib import resources
from pathlib import Path

from aiohttp import WSMsgType, web
from textual_serve.download_manager import DownloadManager

from stackbench.errors import UsageError
from stackbench.tui.web.served_process import ServedProcess
from stackbench.tui.web.web_guard import WebGuard

__all__ = ["ADDRESS", "WebServer", "serve"]

ADDRESS = "127.0.0.1"
MOST_APPS = 8
MOST_CELLS = 1000
LONGEST_MESSAGE = 1 << 20
HEARTBEAT_S = 15.0
CLOSE_WITHIN_S = 10.0


class WebServer:
    """`command` starts the screens; each socket has its own process, which ends with it."""

    def __init__(self, command: Sequence[str], port: int) -> None:
        self._command = tuple(command)
        self._downloads = DownloadManager()
        self._sockets: set[web.WebSocketResponse] = set()
        self._page = resources.files("stackbench.tui.web").joinpath("page.html").read_bytes()
        self._script = resources.files("stackbench.tui.web").joinpath("page.js").read_bytes()
        self.guard = WebGuard(port)
        self.app = web.Application(middlewares=[self.guard.middleware])
        self.app.on_response_prepare.append(self.guard.add_headers)
        self.app.on_shutdown.append(self._close_sockets)
        self.app.add_routes(
            [
                web.get("/", self._index),
                web.get("/page.js", self._page_script),
                web.get("/ws", self._socket),
                web.get("/download/{key}", self._download),
                web.static("/static", Path(str(resources.files("textual_serve").joinpath("static")))),
            ]
        )

    async def _index(self, request: web.Request) -> web.Response:
        return web.Response(body=self._page, content_type="text/html", charset="utf-8")

    async def _page_script(self, request: web.Request) -> web.Response:
        return web.Response(body=self._script, content_type="text/javascript", charset="utf-8")

    async def _socket(self, request: web.Request) -> web.StreamResponse:
        if len(self._sockets) >= MOST_APPS:
            return web.Response(status=503, text=f"{MOST_APPS} windows are open; close one.\n")
        websocket = web.WebSocketResponse(heartbeat=HEARTBEAT_S, max_msg_size=LONGEST_MESSAGE)
        self._sockets.add(websocket)
        try:
            await websocket.prepare(request)
            process = ServedProcess(self._command, websocket, self._downloads)
            try:
                await process.start(_cells(request.query.get("width"), 80), _cells(request.query.get("height"), 24))
                async for message in websocket:
                    if message.type is WSMsgType.TEXT:
                        await _take(message.data, process, websocket)
            finally:
                await process.stop()
        finally:
            self._sockets.discard(websocket)
        return websocket

    async def _download(self, request: web.Request) -> web.StreamResponse:
        key = request.match_info["key"]
        try:
            about = await self._downloads.get_download_metadata(key)
        except KeyError:
            raise web.HTTPNotFound(text="There is no such download.\n") from None
        name = "".join(char if char.isalnum() or char in "-_." else "_" for char in about.file_name)
        response = web.StreamResponse(
            headers={
                "Content-Type": "application/octet-stream",
                "Content-Disposition": f'attachment; filename="{name}"',
            }
        )
        await response.prepare(request)
        async for chunk in self._downloads.download(key):
            await response.write(chunk)
        await response.write_eof()
        return response

    async def _close_sockets(self, app: web.Application) -> None:
        await asyncio.gather(*(one.close() for one in list(self._sockets)), return_exceptions=True)


async def serve(command: Sequence[str], port: int, tell: Callable[[str], None]) -> None:
    """Serves until SIGINT or SIGTERM; `tell` gets the address to open.

    Raises:
        UsageError: the port cannot be had.
    """
    listening = _listen(port)
    bound = listening.getsockname()[1]
    server = WebServer(command, bound)
    runner = web.AppRunner(server.app, access_log=None, shutdown_timeout=CLOSE_WITHIN_S)
    await runner.setup()
    try:
        await web.SockSite(runner, listening).start()
        done = asyncio.Event()
        loop = asyncio.get_running_loop()
        for one in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(one, done.set)
        tell(f"http://{ADDRESS}:{bound}/?token={server.guard.token}")
        await done.wait()
    finally:
        await runner.cleanup()


def _listen(port: int) -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind((ADDRESS, port))
        made.listen()
    except OSError as error:
        made.close()
        why = "is taken" if error.errno == errno.EADDRINUSE else f"cannot be had ({error.strerror})"
        raise UsageError(f"port {port} {why}; name another with --port, or 0 for any that is free") from error
    return made


async def _take(text: str, process: ServedProcess, websocket: web.WebSocketResponse) -> None:
    """One message of the browser's; what is none is passed over."""
    with contextlib.suppress(ValueError, TypeError, KeyError, IndexError, AttributeError):
        kind, *rest = json.loads(text)
        if kind == "stdin":
            await process.send_bytes(rest[0].encode("utf-8", "replace"))
        elif kind == "resize":
            await process.set_terminal_size(_cells(rest[0]["width"], 80), _cells(rest[0]["height"], 24))
        elif kind == "ping":
            await websocket.send_json(["pong", rest[0]])
        elif kind == "blur":
            await process.blur()
        elif kind == "focus":
            await process.focus()


def _cells(given: object, otherwise: int) -> int:
    try:
        return max(1, min(MOST_CELLS, int(str(given))))
    except ValueError:
        return otherwise
