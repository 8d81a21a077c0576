"""The database at 1,000,000 attempts with events, written while a reader queries; and requests in flight.

Usage: python -m perf.scale [ATTEMPTS [EVENTS]]   events/s (2 of each attempt), what is left, scoreboard, bytes
       python -m perf.scale requests [N]          requests/s of `eval` at 256, 512 and 1,024 in flight

Prints wall and processor time of this process with the machine's load: on a busy machine the second says more.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from perf.peers import served, stackbench, timed
from stackbench.benchmarks import create_benchmark
from stackbench.config import Settings
from stackbench.engine import plan_benchmarks
from stackbench.engine.run_order import utc_now
from stackbench.engine.work import LoadedBenchmark, list_attempts
from stackbench.store import BenchmarkRow, LocalQueries, Reader, RunRow, Writer
from stackbench.store.run_list import list_runs
from stackbench.types import AttemptKey, AttemptRecord, AttemptStatus, EventRecord, Task

RUN = "20261126-000000-aaaaaa"
BENCHMARK, TASKS = "humaneval", 1000
PROMPT, ANSWER = "def f(x):\n    ", "    return x + "
AT_ONCE = 20_000
PAYLOADS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("model_call", {"prompt_tokens": 20, "completion_tokens": 10, "finish_reason": "stop", "latency_s": 0.5}),
    ("sandbox", {"result": "passed", "wall_s": 0.01, "cpu_s": 0.01}),
)
IN_FLIGHT = (256, 512, 1024)


def main() -> None:
    if sys.argv[1:2] == ["requests"]:
        requests(int(sys.argv[2]) if len(sys.argv) > 2 else 20_000)
        return
    attempts = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    events = int(sys.argv[2]) if len(sys.argv) > 2 else 2
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "stackbench.duckdb"
        writer = Writer(path)
        begin(writer, attempts)
        texts = write(writer, attempts, events)
        look(Reader(LocalQueries(writer.cursor())), writer, attempts)
        writer.close()
        size = sum(file.stat().st_size for file in Path(folder).glob("stackbench.duckdb*"))
        each = (size - texts) / attempts
        print(f"database: {size / 1e6:.0f} MB, {each:.0f} bytes per attempt beyond its texts (under 400)")


def begin(writer: Writer, attempts: int) -> None:
    row = RunRow(RUN, "perf", utc_now(), "perf", {"suite": "perf"}, (0,), None, {})
    names = [f"T/{number}" for number in range(TASKS)]
    writer.start_run(row, [BenchmarkRow(BENCHMARK, TASKS, TASKS, attempts, names, {"by": "all"}, {})])


def write(writer: Writer, attempts: int, events: int) -> int:
    """Writes them all while a reader asks for the scoreboard; returns the bytes of their texts."""
    reader = Reader(LocalQueries(writer.cursor()))
    asked: list[float] = []
    over = threading.Event()

    def read() -> None:
        while not over.wait(0.2):
            began = time.perf_counter()
            reader.results(RUN)
            asked.append(time.perf_counter() - began)

    reading = threading.Thread(target=read)
    reading.start()
    now, texts = utc_now(), 0
    wall, cpu = time.perf_counter(), time.process_time()
    for number in range(attempts):
        key = AttemptKey(BENCHMARK, f"T/{number % TASKS}", number // TASKS, 0)
        completion = f"{ANSWER}{number}"
        texts += len(PROMPT) + len(completion)
        record = AttemptRecord(
            key, "", AttemptStatus.COMPLETED, float(number % 2), bool(number % 2), None, PROMPT, completion, 20, 10,
            now, 0.5, {},
        )  # fmt: skip
        made = [
            EventRecord(BENCHMARK, key.task_id, key.attempt, 0, events * number + one, now, *PAYLOADS[one % 2])
            for one in range(events)
        ]
        writer.attempt(RUN, record, made)
        if number % AT_ONCE == AT_ONCE - 1:  # rows in memory are bounded, as an engine's are by what is under way
            writer.flush()
    writer.flush()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    over.set()
    reading.join()
    print(
        f"load {os.getloadavg()[0]:.1f}: {attempts:,} attempts with {events * attempts:,} events in {wall:.1f} s: "
        f"{events * attempts / wall:,.0f} events/s (50,000), {attempts / wall:,.0f} attempts/s; "
        f"{cpu / attempts * 1e6:.0f} us of processor time per attempt; "
        f"meanwhile {len(asked)} scoreboards, median {statistics.median(asked) * 1e3:.0f} ms"
    )
    return texts


def look(reader: Reader, writer: Writer, attempts: int) -> None:
    plan = plan_benchmarks([BENCHMARK], Settings(model="null", samples=attempts // TASKS + 1))
    (part,) = plan.benchmarks
    tasks = tuple(Task(f"T/{number}") for number in range(TASKS))
    loaded = LoadedBenchmark(part, create_benchmark(BENCHMARK, part.options), tasks, TASKS)
    began, cpu = time.perf_counter(), time.process_time()
    left = len(list_attempts(plan, loaded, None, reader.done(RUN)))
    wall, cpu = time.perf_counter() - began, time.process_time() - cpu
    print(f"what is left ({left}) is known in {wall:.2f} s, {cpu:.2f} s of processor time (2)")
    for name, ask in (
        ("the scoreboard", lambda: reader.results(RUN)),
        ("the list of runs", lambda: list_runs(LocalQueries(writer.cursor()), ["pass@1"])),
    ):
        times: list[float] = []
        for _ in range(5):
            began, cpu = time.perf_counter(), time.process_time()
            ask()
            times.append(time.perf_counter() - began)
            used = time.process_time() - cpu
        print(f"{name}: median {statistics.median(times) * 1e3:.0f} ms, {used * 1e3:.0f} ms of processor time (100)")


def requests(prompts: int) -> None:
    """GSM8K's prompts, several attempts each, against an endpoint that answers after 20 ms."""
    attempts = max(1, prompts // 1319)
    with tempfile.TemporaryDirectory() as folder, served("perf.slow_server") as url:
        rates: dict[int, float] = {}
        for at_once in IN_FLIGHT:
            command = stackbench(
                "eval", "gsm8k", "-m", f"openai:fake@{url}", "-n", str(attempts), "--concurrency", str(at_once),
                "--quiet", "--json", "--home", f"{folder}/{at_once}", "--metrics-port", str(9400 + at_once),
            )  # fmt: skip
            done = timed(command)
            rates[at_once] = attempts * 1319 / done.wall_s
            print(
                f"{at_once} in flight, load {os.getloadavg()[0]:.1f}: {rates[at_once]:,.0f} requests/s over the whole "
                f"command, {done.cpu_s / attempts / 1319 * 1e3:.2f} ms of processor time each",
                flush=True,
            )
        best = max(rates.values())
        print(", ".join(f"{at_once}: {rate / best:.1%} of the best" for at_once, rate in rates.items()), "(97%)")


if __name__ == "__main__":
    main()
