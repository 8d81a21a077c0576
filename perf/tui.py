"""The screens' speed: in a real pseudo-terminal, with a real socket and a real database.

Usage: python -m perf.tui [SECONDS]    First paint; a flood of 2,000 events a second for SECONDS (20): how soon a key
shows and how much of a core the process takes; the idle share of a live screen; a run of 1,000,000 attempts: opening,
scrolling, filtering; memory after each.
       python -m perf.tui soak [SECONDS]    Memory of the screens over SECONDS (300) of 2,400 events a second.
       python -m perf.tui attached [ROUNDS]    An engine's requests a second with two screens at its run, in turn with
none; medians over ROUNDS (3). Needs GSM8K (STACKBENCH_DATA).
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import pty
import re
import select
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

from perf.peers import served, stackbench, timed
from stackbench.config import Home
from stackbench.control.answers import RunNow
from stackbench.control.client import connect
from stackbench.store import open_database
from stackbench.tui.app import StackbenchApp
from stackbench.tui.live.live_screen import LiveScreen
from tests.tui.recorded_home import make_home

SIZE = (40, 120)
FLOOD = 2000
SOAK = 2400
MILLION = "20261126-080000-a11100"
KEYS = 60
SCREENS = 2
CONCURRENCY = 64
WINDOW_S = 15.0
CODES = re.compile(rb"\x1b\[[0-9;?]*[a-zA-Z]")
ATTEMPTS = """
INSERT INTO attempts SELECT ?, CASE WHEN i % 2 = 0 THEN 'humaneval' ELSE 'mbpp' END, 'HumanEval/' || (i % 16400),
    (i // 16400)::INT, 0, '', CASE WHEN i % 97 = 0 THEN 'error' ELSE 'completed' END, 1.0,
    CASE WHEN i % 97 = 0 THEN NULL ELSE i % 3 > 0 END, CASE WHEN i % 3 = 0 THEN 'failed: case ' || i END,
    repeat('prompt ', 20), repeat('answer ', 20), 100, 100, TIMESTAMP '2026-11-26 08:00:00' + INTERVAL (i) MILLISECOND,
    1.5, '{}', '', NULL, 'stop', CASE WHEN i % 3 = 0 THEN 'failed: case ' || i ELSE 'passed' END, NULL
FROM range(1000000) t(i)
"""
RUN = """
INSERT INTO runs
VALUES (?, 'eval', 'completed', '2026-11-26 08:00:00', '2026-11-26 09:00:00', 'm', '{}', [0], NULL, '{}')
"""


class Terminal:
    """The program in a pseudo-terminal of its own."""

    def __init__(self, home: Home, *arguments: str) -> None:
        self.began = time.monotonic()
        self.pid, self._fd = pty.fork()
        if self.pid == 0:
            os.environ |= {"STACKBENCH_HOME": str(home.path), "TERM": "xterm-256color", "COLORTERM": "truecolor"}
            os.execv(sys.executable, [sys.executable, "-m", "stackbench", *arguments])
        fcntl.ioctl(self._fd, termios.TIOCSWINSZ, struct.pack("HHHH", *SIZE, 0, 0))
        self.process = psutil.Process(self.pid)

    def until(self, wanted: bytes, within_s: float = 30.0) -> float:
        """Reads until this was written; seconds since the call."""
        began, seen = time.monotonic(), b""
        while wanted not in CODES.sub(b"", seen):
            ready, _, _ = select.select([self._fd], [], [], 0.5)
            if ready:
                seen = (seen + os.read(self._fd, 1 << 16))[-(1 << 15) :]
            if time.monotonic() - began > within_s:
                raise TimeoutError(f"{wanted!r} did not appear")
        return time.monotonic() - began

    def read_for(self, seconds: float) -> None:
        ends = time.monotonic() + seconds
        while (left := ends - time.monotonic()) > 0:
            ready, _, _ = select.select([self._fd], [], [], left)
            if ready:
                os.read(self._fd, 1 << 16)

    def press(self, keys: bytes) -> None:
        os.write(self._fd, keys)

    def share_of_a_core(self, seconds: float) -> float:
        before, began = self.process.cpu_times(), time.monotonic()
        self.read_for(seconds)
        after = self.process.cpu_times()
        return (after.user + after.system - before.user - before.system) / (time.monotonic() - began)

    @property
    def memory_mb(self) -> float:
        return self.process.memory_info().rss / 1e6

    def close(self) -> None:
        os.kill(self.pid, signal.SIGTERM)
        with contextlib.suppress(OSError):
            self.read_for(0.5)
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self._fd)


@contextlib.contextmanager
def opened(home: Home, *arguments: str) -> Iterator[Terminal]:
    terminal = Terminal(home, *arguments)
    try:
        yield terminal
    finally:
        terminal.close()


@contextlib.contextmanager
def flood(home: Home, per_second: int) -> Iterator[None]:
    command = [sys.executable, "-m", "perf.flood_engine", str(home.path), str(per_second)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None and process.stdout.readline().strip() == "ready"
            yield
        finally:
            process.kill()


def first_paint(home: Home) -> None:
    times: list[float] = []
    for _ in range(5):
        with opened(home) as terminal:
            terminal.until(b"Smoke suite")
            times.append(time.monotonic() - terminal.began)
            terminal.read_for(0.5)
    print(f"first paint: median {statistics.median(times):.2f} s, most {max(times):.2f} s of {len(times)}")


def under_flood(folder: Path, seconds: float) -> None:
    home = Home(folder / "flood")
    home.path.mkdir()
    with flood(home, FLOOD), opened(home) as terminal:
        terminal.until(b"1000000")
        terminal.read_for(3)
        share = terminal.share_of_a_core(seconds)
        times: list[float] = []
        for _ in range(KEYS):
            terminal.press(b"/")
            times.append(terminal.until(b"a text in task"))
            terminal.press(b"\x1b")
            terminal.read_for(0.25)
        times.sort()
        middle, late = statistics.median(times) * 1000, times[int(len(times) * 0.95)] * 1000
        print(f"{FLOOD} events/s: {share:.0%} of a core; {terminal.memory_mb:.0f} MB")
        print(f"a key shows in {middle:.0f} ms (median), {late:.0f} ms (95% of {len(times)})")


def idle(folder: Path, seconds: float) -> None:
    home = Home(folder / "idle")
    home.path.mkdir()
    with flood(home, 0), opened(home) as terminal:
        terminal.until(b"1000000")
        terminal.read_for(3)
        print(f"idle on a live run: {terminal.share_of_a_core(seconds):.1%} of a core")


def soak(folder: Path, seconds: float) -> None:
    home = Home(folder / "soak")
    home.path.mkdir()
    with flood(home, SOAK), opened(home) as terminal:
        terminal.until(b"1000000")
        began, ends = terminal.memory_mb, time.monotonic() + seconds
        most = began
        while time.monotonic() < ends:
            terminal.read_for(min(5.0, max(0.1, ends - time.monotonic())))
            most = max(most, terminal.memory_mb)
        print(
            f"{SOAK} events/s for {seconds:.0f} s: {began:.0f} MB at the start, "
            f"{terminal.memory_mb:.0f} MB at the end, at most {most:.0f} MB"
        )


def attached(folder: Path, rounds: int) -> None:
    """Requests/s within a window of a run that goes on beyond it."""
    rates: dict[int, list[float]] = {0: [], SCREENS: []}
    with served("perf.slow_server") as url:
        for number in range(rounds):
            for screens, found in rates.items():
                home = Home(folder / f"attached-{number}-{screens}")
                found.append(rate_with(home, url, screens))
    alone, watched = (statistics.median(found) for found in rates.values())
    print(
        f"{alone:.0f} requests/s unwatched, {watched:.0f}/s with {SCREENS} screens; ratio {watched / alone:.3f} "
        "(asked: 0.97)"
    )


def rate_with(home: Home, url: str, screens: int) -> float:
    """Requests/s of an engine of its own that so many screens are at."""
    home.path.mkdir()
    here = ("--home", str(home.path))
    run = ("eval", "gsm8k", "-m", f"openai:fake@{url}", "-n", "200", "--concurrency", str(CONCURRENCY))
    engine = json.loads(timed(stackbench(*run, "--detach", "--json", *here)).stdout)["pid"]
    try:
        with contextlib.ExitStack() as stack:
            terminals = [stack.enter_context(opened(home)) for _ in range(screens)]
            for terminal in terminals:
                terminal.until(b"at the model")
            readers = [threading.Thread(target=one.read_for, args=(WINDOW_S + 4,)) for one in terminals]
            for reader in readers:
                reader.start()
            time.sleep(2)
            before, began = asyncio.run(done(home)), time.monotonic()
            time.sleep(WINDOW_S)
            after, ended = asyncio.run(done(home)), time.monotonic()
            for reader in readers:
                reader.join()
    finally:
        timed(stackbench("ctl", "stop", *here))
        psutil.wait_procs([psutil.Process(engine)] if psutil.pid_exists(engine) else [], timeout=30)
    return (after - before) / (ended - began)


async def done(home: Home) -> int:
    """Attempts of the live run so far."""
    client = await connect(home.socket, "perf")
    try:
        return sum(one.done for one in RunNow.model_validate(await client.command("status")).benchmarks)
    finally:
        await client.close()


def million_home(folder: Path) -> Home:
    home = make_home(folder / "million")
    connection = open_database(home.database)
    connection.execute(RUN, [MILLION])
    connection.execute(ATTEMPTS, [MILLION])
    connection.close()
    return home


async def million(home: Home) -> None:
    app = StackbenchApp(home)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.pause(0.5)
        began = time.monotonic()
        screen = LiveScreen(MILLION)
        app.push_screen(screen)

        async def shown() -> float:
            """Until every row in view is there."""
            while True:
                await asyncio.sleep(0.002)
                if not screen.is_mounted:
                    continue
                table = screen.attempts
                top, height = table.scroll_offset.y, table.size.height - 1
                rows = table.rows
                if rows.total and all(rows.held(top + y) is not None for y in range(min(height, rows.total - top))):
                    return time.monotonic() - began

        print(f"1,000,000 attempts open in {await shown():.2f} s")
        table = screen.attempts
        times: list[float] = []
        for place in (999_999, 0, 500_000, 250_000, 750_000, *range(10_000, 500_000, 12_345)):
            began = time.monotonic()
            table.move_to(place)
            times.append(await shown())
        print(f"scrolled to {len(times)} places: most {max(times) * 1000:.0f} ms")
        for name, act in (
            ("failed", lambda: screen.action_outcome()),
            ("a text", lambda: screen.set_filter("case 12")),
        ):
            before, began = screen.attempts.rows, time.monotonic()
            act()
            while screen.attempts.rows is before:  # noqa: ASYNC110
                await asyncio.sleep(0.002)
            await shown()
            took = (time.monotonic() - began) * 1000
            print(f"filtered by {name} ({screen.attempts.rows.total:,} left) in {took:.0f} ms")
        print(f"memory: {psutil.Process().memory_info().rss / 1e6:.0f} MB, the database's included")


def main() -> None:
    what = next((one for one in sys.argv[1:2] if one in ("soak", "attached")), "")
    given = sys.argv[1 + bool(what) :]
    seconds = float(given[0]) if given else 300.0 if what == "soak" else 20.0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if what == "attached":
            attached(folder, int(given[0]) if given else 3)
            return
        if what == "soak":
            soak(folder, seconds)
            return
        first_paint(make_home(folder / "small"))
        idle(folder, seconds)
        under_flood(folder, seconds)
        asyncio.run(million(million_home(folder)))


if __name__ == "__main__":
    main()
