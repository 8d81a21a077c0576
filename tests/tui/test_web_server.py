"""`--web`: nothing without the token, which works once; Host and Origin are checked; an app ends with its socket."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import psutil
import pytest

from stackbench.config import Home
from stackbench.tui.web.web_server import WebServer
from tests.command_line import said_by
from tests.tui.recorded_home import make_home

ROUTES = ["/", "/ws", "/download/abc", "/static/js/textual.js", "/page.js", "/nothing", "/static/"]
WITHIN_S = 60.0


@dataclass
class Served:
    """The program's own server."""

    address: str
    origin: str
    process: asyncio.subprocess.Process

    def apps(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children()


@asynccontextmanager
async def served(home: Home) -> AsyncIterator[Served]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "stackbench", "--web", "--port", "0", "--home", str(home.path),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )  # fmt: skip
    assert process.stdout is not None
    try:
        async with asyncio.timeout(WITHIN_S):
            address = (await process.stdout.readline()).decode().strip()
        yield Served(address, address.split("/?")[0], process)
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGINT)
        async with asyncio.timeout(WITHIN_S):
            await process.communicate()


@pytest.fixture(scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """A server in this process, which starts no app; its origin."""
    made = WebServer(["false"], 0)
    runner = aiohttp.web.AppRunner(made.app)
    await runner.setup()
    site = aiohttp.web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


async def until(condition: object, what: str) -> None:
    deadline = asyncio.get_running_loop().time() + WITHIN_S
    while not condition():  # type: ignore[operator]
        assert asyncio.get_running_loop().time() < deadline, what
        await asyncio.sleep(0.05)


@pytest.mark.parametrize("path", ROUTES)
@pytest.mark.parametrize("cookie", ["", "stackbench_0=guess", "stackbench_0=\u00e9"])
async def test_every_route_answers_401_without_the_token(server: str, path: str, cookie: str) -> None:
    async with aiohttp.ClientSession() as client:
        for query in ("", "?token=", "?token=guess"):
            headers = {"Cookie": cookie, "Origin": server} if cookie else {}
            async with client.get(f"{server}{path}{query}", headers=headers) as answer:
                assert answer.status == 401
                assert "Set-Cookie" not in answer.headers
            async with client.post(f"{server}{path}{query}") as answer:
                assert answer.status == 401


async def test_the_token_works_once_and_becomes_a_strict_cookie(recorded: Home) -> None:
    async with served(recorded) as one, aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as client:
        async with client.get(one.address, headers={"Host": "evil.example"}) as answer:
            assert answer.status == 403 and "Set-Cookie" not in answer.headers
        async with client.get(one.address, allow_redirects=False) as answer:
            assert answer.status == 303 and answer.headers["Location"] == "/"
            cookie = answer.headers["Set-Cookie"]
        assert "HttpOnly" in cookie and "SameSite=Strict" in cookie and one.address.split("=")[1] not in cookie
        async with aiohttp.ClientSession() as other, other.get(one.address) as answer:
            assert answer.status == 401
        for path, status in (("/", 200), ("/page.js", 200), ("/static/js/textual.js", 200), ("/download/x", 404),
                             ("/nothing", 404), ("/static/", 403), ("/static/../web_server.py", 404)):  # fmt: skip
            async with client.get(one.origin + path) as answer:
                assert answer.status == status, path
                assert answer.headers["X-Content-Type-Options"] == "nosniff"
                assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        for path in ROUTES:
            async with client.get(one.origin + path, headers={"Host": "evil.example:80"}) as answer:
                assert answer.status == 403, path
            async with client.get(one.origin + path, headers={"Origin": "http://evil.example"}) as answer:
                assert answer.status == 403, path
        async with client.get(f"{one.origin}/ws") as answer:  # a socket has to say where it comes from
            assert answer.status == 403
        async with client.post(one.origin, headers={"Origin": one.origin}) as answer:
            assert answer.status == 405
        assert one.apps() == []


async def test_it_listens_on_loopback_alone(recorded: Home) -> None:
    async with served(recorded) as one:
        listening = [c for c in psutil.Process(one.process.pid).net_connections() if c.status == psutil.CONN_LISTEN]
        assert [c.laddr.ip for c in listening] == ["127.0.0.1"]


async def opened_socket(one: Served, client: aiohttp.ClientSession) -> aiohttp.ClientWebSocketResponse:
    async with client.get(one.address) as answer:
        assert answer.status == 200
    socket = await client.ws_connect(f"{one.origin}/ws?width=100&height=30", origin=one.origin)
    shown = b""
    async with asyncio.timeout(WITHIN_S):
        while b"20261126" not in shown:
            message = await socket.receive()
            assert message.type in (aiohttp.WSMsgType.BINARY, aiohttp.WSMsgType.TEXT)
            shown += message.data if isinstance(message.data, bytes) else b""
    return socket


async def test_an_app_shows_the_home_takes_keys_and_ends_with_its_socket(recorded: Home) -> None:
    async with served(recorded) as one, aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as client:
        socket = await opened_socket(one, client)
        assert len(one.apps()) == 1
        for bad in (
            "not json",
            "[]",
            "{}",
            '["resize", {}]',
            '["stdin", 5]',
            '["resize", {"width": "x", "height": "y"}]',
        ):
            await socket.send_str(bad)
        await socket.send_json(["ping", "7"])
        await socket.send_json(["stdin", "?"])
        shown = b""
        async with asyncio.timeout(WITHIN_S):
            while b"On this screen" not in shown:
                message = await socket.receive()
                shown += message.data if isinstance(message.data, bytes) else str(message.data).encode()
        assert b'["pong", "7"]' in shown
        await socket.close()
        await until(lambda: not one.apps(), "the app has ended")


async def test_an_app_that_quits_closes_its_socket(recorded: Home) -> None:
    async with served(recorded) as one, aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as client:
        socket = await opened_socket(one, client)
        await socket.send_json(["stdin", "q"])
        async with asyncio.timeout(WITHIN_S):
            while (await socket.receive()).type not in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED):
                pass
        await until(lambda: not one.apps(), "the app has ended")


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
async def test_no_app_outlives_the_server(recorded: Home, how: signal.Signals) -> None:
    async with served(recorded) as one, aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as client:
        await opened_socket(one, client)
        apps = one.apps()
        one.process.send_signal(how)
        await until(lambda: not any(app.is_running() and app.status() != psutil.STATUS_ZOMBIE for app in apps), "ended")
        code = await one.process.wait()
        assert code == (0 if how == signal.SIGINT else -signal.SIGKILL)


def test_a_port_that_is_taken_is_one_clear_line(tmp_path: Path) -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code, out, err = said_by("--web", "--port", str(port), "--home", str(make_home(tmp_path / "home").path))
    assert (code, out) == (2, "")
    assert err.strip() == (
        f"stackbench: error: port {port} is taken; name another with --port, or 0 for any that is free"
    )  # fmt: skip


@pytest.mark.parametrize("port", ["-1", "65536", "x"])
def test_a_port_that_is_none_is_refused(port: str) -> None:
    code, _, err = said_by("--web", "--port", port)
    assert code == 2 and "--port" in err and len(err.strip().splitlines()) == 1
