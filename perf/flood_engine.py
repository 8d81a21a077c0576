"""An engine's socket whose run floods its watchers with events, over a real database; for perf/tui.py.

Usage: python -m perf.flood_engine HOME EVENTS_PER_SECOND    Prints `ready` when it serves. The events are a run's own:
an attempt begins, waits for its model, waits for its tests, ends.
"""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

from stackbench.config import Home
from stackbench.control.messages import AttemptFinished, AttemptStarted, AttemptWaiting, Gauges
from stackbench.engine.monitor import EVERY_S
from tests.tui.recorded_home import record_run
from tests.tui.scripted_engine import ScriptedEngine, ref

RUN = "20261126-100000-f100d0"
SLICE_S = 0.02


async def serve(home: Home, per_second: int) -> None:
    engine = ScriptedEngine(home, RUN, clock=time.time())
    record_run(engine.writer, RUN, "flood", tasks=400, status=None, planned=1_000_000)
    engine.benchmarks[0] |= {"total": 1_000_000}
    await engine.start()
    print("ready", flush=True)
    sent, began, task = 0, time.monotonic(), 0
    gauges_due = began
    while True:
        await asyncio.sleep(SLICE_S)
        due = int((time.monotonic() - began) * per_second)
        while sent < due:
            attempt = ref(f"HumanEval/{task}")
            task += 1
            engine.publish(
                AttemptStarted(attempt=attempt),
                AttemptWaiting(attempt=attempt, reason="model"),
                AttemptWaiting(attempt=attempt, reason="tests"),
                AttemptFinished(attempt=attempt, passed=task % 3 > 0, reason="failed: no", completion_tokens=90),
            )
            sent += 4
        if time.monotonic() >= gauges_due:  # as often as a real engine
            gauges_due += EVERY_S
            engine.publish(Gauges(values={"cpu": 0.5, "tokens_per_s": 900.0, "running": 64.0, "waiting": 4.0}))


if __name__ == "__main__":
    asyncio.run(serve(Home(Path(sys.argv[1])), int(sys.argv[2])))
