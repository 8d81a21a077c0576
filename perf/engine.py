"""What watching costs the engine: requests with and without a subscriber, events to two watchers, the start of a
detached engine.

Usage: python -m perf.engine [ROUNDS]    The peer of a watched run is the same run unwatched, in turn with it;
each figure is the median over the rounds.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from perf.peers import served, stackbench, timed
from stackbench.control.messages import AttemptRef, AttemptText
from stackbench.engine.control_server import ControlServer
from stackbench.engine.event_stream import EventStream

PROMPTS = 2000
CONCURRENCY = 64
EVENTS_PER_S = 2000
EVENTS_FOR_S = 5

WATCH = """
import asyncio, sys, time
from pathlib import Path
from stackbench.control.client import connect
from stackbench.errors import EngineUnreachableError

async def main():
    deadline = time.monotonic() + 30
    while True:
        try:
            client = await connect(Path(sys.argv[1]), "perf")
            break
        except EngineUnreachableError:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.01)
    events = 0
    async for _ in client.events(since=1):
        events += 1
    print(events)

asyncio.run(main())
"""


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    with tempfile.TemporaryDirectory() as name, served("perf.slow_server") as url:
        folder = Path(name)
        watched(folder, url, rounds)
        detached(folder, url, rounds)
    asyncio.run(streamed())


def watched(folder: Path, url: str, rounds: int) -> None:
    """Requests/s of whole commands, their start-up included in both."""
    rates: dict[bool, list[float]] = {False: [], True: []}
    for _ in range(rounds):
        for watching in (False, True):
            home = folder / f"home-{len(rates[watching])}-{watching}"
            home.mkdir()
            watcher = None
            if watching:
                command = [sys.executable, "-c", WATCH, str(home / "engine.sock")]
                watcher = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
            command = stackbench("eval", "gsm8k", "-m", f"openai:fake@{url}", "--limit", str(PROMPTS // 2), "-n", "2")
            done = timed([*command, "--concurrency", str(CONCURRENCY), "--json", "--home", str(home)])
            rates[watching].append(PROMPTS / json.loads(done.stdout)["seconds"])
            if watcher is not None:
                counted, _ = watcher.communicate()
                assert int(counted) > 2 * PROMPTS, "the watcher saw too little"
    alone, with_watcher = (statistics.median(rates[watching]) for watching in (False, True))
    print(
        f"{PROMPTS} requests: {alone:.0f}/s unwatched, {with_watcher:.0f}/s with a subscriber; "
        f"ratio {with_watcher / alone:.3f} (asked: 0.97)"
    )


def detached(folder: Path, url: str, rounds: int) -> None:
    """Seconds until `--detach` returns with the engine reachable."""
    times: list[float] = []
    for number in range(max(3, rounds)):
        home = folder / f"detached-{number}"
        command = stackbench("eval", "gsm8k", "-m", f"openai:fake@{url}", "--limit", "5", "--detach")
        done = timed([*command, "--home", str(home)])
        times.append(done.wall_s)
        pid = json.loads(done.stdout)["pid"]
        psutil.wait_procs([psutil.Process(pid)] if psutil.pid_exists(pid) else [], timeout=30)
    print(f"--detach returns in {statistics.median(times):.2f} s (asked: under 0.5)")


async def streamed() -> None:
    """The engine's share of a processor while it sends 2,000 pieces of text a second to two watchers."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "engine.sock"
        stream = EventStream()
        server = ControlServer(path, _Door(), stream)  # type: ignore[arg-type]
        assert await server.start() is None
        watchers = [
            await asyncio.create_subprocess_exec(sys.executable, "-c", WATCH, str(path), stdout=subprocess.PIPE)
            for _ in range(2)
        ]
        while len(stream._subscriptions) < 2:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        ref = AttemptRef(benchmark="b", task_id="t", attempt=0, seed=0)
        process = psutil.Process(os.getpid())
        before, began = process.cpu_times(), time.perf_counter()
        for tick in range(EVENTS_FOR_S * 100):
            for _ in range(EVENTS_PER_S // 100):
                stream.publish("r", AttemptText(attempt=ref, step=1, text="four "))
            await asyncio.sleep(max(0.0, began + (tick + 1) / 100 - time.perf_counter()))
        wall = time.perf_counter() - began
        after = process.cpu_times()
        used = after.user + after.system - before.user - before.system
        await server.close()
        counted = [int((await watcher.communicate())[0]) for watcher in watchers]
        print(
            f"{EVENTS_PER_S} events/s to two watchers: {100 * used / wall:.1f} % of a processor in the engine "
            f"(asked: under 5); they got {counted[0]} and {counted[1]} of {EVENTS_PER_S * EVENTS_FOR_S}"
        )


class _Door:
    def welcome(self) -> object:
        from stackbench.control.messages import Welcome

        return Welcome(version="", pid=os.getpid(), home="", started_at="", seq=1)


if __name__ == "__main__":
    main()
