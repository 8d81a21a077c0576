"""The engine as a service, through the real program: detached, queued, followed, operated, killed."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.conftest import Program
from tests.fake_endpoint import FakeEndpoint
from tests.waiting import wait_for

pytestmark = pytest.mark.e2e


@pytest.fixture
def detached(program: Program) -> Iterator[Any]:
    """Starts detached runs; whatever is left of their engines is killed at the end."""
    pids: list[int] = []

    async def start(*arguments: str) -> dict[str, Any]:
        done = await program.run_beside("eval", *arguments, "--detach")
        assert done.returncode == 0, done.stderr
        detached_run = json.loads(done.stdout)
        pids.append(detached_run["pid"])
        return detached_run

    yield start
    for pid in pids:
        try:
            process = psutil.Process(pid)
            process.resume()
            process.kill()
        except psutil.NoSuchProcess:
            continue


async def ctl(program: Program, *words: str, code: int = 0) -> Any:
    done = await program.run_beside("ctl", *words, "--json")
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout) if code == 0 else done.stderr


async def ended(program: Program, run_id: str, *, status: str = "", within_s: float = 60) -> str:
    """The status of a run once no engine works on it, or once it is the one named."""

    def look() -> str | None:
        done = program.run("runs", "--json")
        found = {run["run_id"]: run["status"] for run in json.loads(done.stdout)}.get(run_id)
        return found if found not in ("running", "queued", None) and status in ("", found) else None

    return await asyncio.to_thread(wait_for, look, within_s=within_s)


def gsm8k(endpoint: FakeEndpoint, limit: int, *more: str) -> list[str]:
    return ["gsm8k", "-m", endpoint.name, "--limit", str(limit), *more]


async def test_a_detached_run_is_reached_followed_and_outlives_its_watchers(
    program: Program, endpoint: FakeEndpoint, detached: Any
) -> None:
    endpoint.delay_s = 0.1
    endpoint.reply = lambda body: "#### 18"
    detached_run = await detached(*gsm8k(endpoint, 60, "--concurrency", "2"))
    assert set(detached_run) == {"run_id", "pid", "socket"}
    assert psutil.Process(detached_run["pid"]).ppid() == 1 or os.getsid(detached_run["pid"]) != os.getsid(0)
    victim = program.start("attach")
    follower = program.start("attach", detached_run["run_id"], "--json")
    await asyncio.sleep(0)
    wait = asyncio.to_thread(wait_for, lambda: len(endpoint.requests) > 10, within_s=30)
    await wait
    victim.kill()
    out, err = await asyncio.to_thread(follower.communicate, timeout=60)
    victim.communicate()
    assert follower.returncode == 0, err
    outcome = json.loads(out)
    assert (outcome["run_id"], outcome["status"]) == (detached_run["run_id"], "completed")
    assert outcome["results"][0]["attempts"] == 60
    await asyncio.to_thread(wait_for, lambda: not psutil.pid_exists(detached_run["pid"]), within_s=20)
    assert (program.home.run(detached_run["run_id"]) / "engine.log").read_text()
    assert not program.home.socket.exists()


async def test_wait_prints_a_second_line_when_the_run_is_done(program: Program, endpoint: FakeEndpoint) -> None:
    done = await program.run_beside("eval", *gsm8k(endpoint, 5, "--detach", "--wait"))
    assert done.returncode == 0, done.stderr
    started, outcome = map(json.loads, done.stdout.splitlines())
    assert outcome["run_id"] == started["run_id"]
    assert outcome["status"] == "completed"


async def test_a_second_eval_waits_in_the_queue_and_both_finish(program: Program, endpoint: FakeEndpoint) -> None:
    endpoint.delay_s = 0.05
    first = program.start("eval", *gsm8k(endpoint, 200, "--concurrency", "2", "--json"))
    await asyncio.to_thread(wait_for, program.home.socket.exists, within_s=30)
    refused = await program.run_beside("eval", *gsm8k(endpoint, 3, "--no-queue"))
    assert refused.returncode == 2
    assert f"process {first.pid} is the engine of" in refused.stderr
    second = program.start("eval", *gsm8k(endpoint, 3, "--json"))
    outputs = [await asyncio.to_thread(process.communicate, timeout=90) for process in (first, second)]
    assert (first.returncode, second.returncode) == (0, 0), outputs
    outcomes = [json.loads(out) for out, _ in outputs]
    assert [outcome["results"][0]["attempts"] for outcome in outcomes] == [200, 3]
    assert "is queued: one run is before it" in outputs[1][1]
    counts = program.query("SELECT run_id, count(*) AS n, count(DISTINCT task_id) AS d FROM attempts GROUP BY 1")
    assert sorted((row["n"], row["d"]) for row in counts) == [(3, 3), (200, 200)]


async def test_evals_that_start_at_once_all_finish(program: Program, endpoint: FakeEndpoint) -> None:
    arguments = ("eval", "humaneval", "-m", "oracle", "--limit", "2", "--json")
    done = await asyncio.gather(*(program.run_beside(*arguments) for _ in range(3)))
    assert [one.returncode for one in done] == [0, 0, 0], [one.stderr for one in done]
    assert len({json.loads(one.stdout)["run_id"] for one in done}) == 3


async def test_why_says_what_each_attempt_waits_for(program: Program, endpoint: FakeEndpoint, detached: Any) -> None:
    endpoint.faults.extend(["slow"] * 100)
    detached_run = await detached(*gsm8k(endpoint, 20, "--concurrency", "3"))
    await asyncio.to_thread(wait_for, lambda: len(endpoint.requests) >= 3, within_s=30)
    why = await ctl(program, "why")
    assert why["run_id"] == detached_run["run_id"]
    assert len(why["attempts"]) == 3
    assert {row["waits_for"] for row in why["attempts"]} == {"model"}
    text = (await program.run_beside("ctl", "why")).stdout
    assert "gsm8k/0" in text and "model" in text
    answer = await ctl(program, "stop")
    assert (answer["old"], answer["new"], answer["changed"]) == ("running", "stopping", True)
    assert await ended(program, detached_run["run_id"]) == "interrupted"


async def test_why_names_a_request_that_is_tried_again(program: Program, endpoint: FakeEndpoint, detached: Any) -> None:
    endpoint.faults.extend([503] * 100)
    endpoint.retry_after = "30"
    detached_run = await detached(*gsm8k(endpoint, 5, "--concurrency", "1", "--retries", "6"))

    async def waits() -> list[tuple[str | None, str]]:
        return [(row["waits_for"], row["detail"]) for row in (await ctl(program, "why"))["attempts"]]

    async with asyncio.timeout(30):
        while not (found := await waits()) or found[0][0] != "retry":
            await asyncio.sleep(0.05)
    assert found == [("retry", "try 2 in 30.0 s")]
    await ctl(program, "stop")
    assert await ended(program, detached_run["run_id"]) == "interrupted"


async def test_a_live_run_is_paused_changed_drained_and_resumed(
    program: Program, endpoint: FakeEndpoint, detached: Any
) -> None:
    endpoint.delay_s = 0.1
    detached_run = await detached(*gsm8k(endpoint, 400, "--concurrency", "2"))
    await asyncio.to_thread(wait_for, lambda: len(endpoint.requests) >= 4, within_s=30)
    assert (await ctl(program, "pause", "--now", "--dry-run"))["dry_run"] is True
    assert (await ctl(program, "status"))["phase"] == "running"
    held = await ctl(program, "pause", "--now")
    assert (held["old"], held["new"]) == ("running", "held")
    again = await ctl(program, "pause", "--now")
    assert again["changed"] is False
    async with asyncio.timeout(30):  # answers under way still come
        while any(row["waits_for"] != "operator" for row in (await ctl(program, "why"))["attempts"]):
            assert (await ctl(program, "status"))["phase"] == "held"
    seen = len(endpoint.requests)
    done = (await ctl(program, "status"))["benchmarks"][0]["done"]
    assert (await ctl(program, "status"))["benchmarks"][0]["done"] == done
    assert len(endpoint.requests) == seen, "a held run sends nothing"
    grown = await ctl(program, "set", "concurrency", "9")
    assert (grown["old"], grown["new"]) == (2, 9)
    await ctl(program, "resume")
    await asyncio.to_thread(wait_for, lambda: endpoint.most_at_once == 9, within_s=30)
    await ctl(program, "pause")
    assert "takes a whole number from 1" in await ctl(program, "set", "concurrency", "0", code=2)
    assert "cannot be set on a live run" in await ctl(program, "set", "model", "x", code=2)
    assert 'there is no verb "dance"' in await ctl(program, "dance", code=2)
    await ctl(program, "drain")
    assert await ended(program, detached_run["run_id"]) == "interrupted"
    done = await program.run_beside("eval", "--resume", detached_run["run_id"], "--json")
    assert done.returncode == 0, done.stderr
    rows = program.query("SELECT count(*) AS n, count(DISTINCT task_id) AS d FROM attempts")
    assert rows == [{"n": 400, "d": 400}]
    acts = program.query(
        "SELECT payload->>'verb' AS verb, payload->>'old' AS old, payload->>'new' AS new, payload->>'who' AS who "
        "FROM events WHERE kind = 'operator' ORDER BY seq"
    )
    assert [(act["verb"], act["old"], act["new"]) for act in acts] == [
        ("pause", "running", "held"),
        ("set", "2", "9"),
        ("resume", "held", "running"),
        ("pause", "running", "paused"),
        ("drain", "paused", "draining"),
    ]
    assert all(act["who"].startswith("ctl") for act in acts)


async def test_errors_are_requeued_and_none_is_recorded_twice(
    program: Program, endpoint: FakeEndpoint, detached: Any
) -> None:
    endpoint.delay_s = 0.1
    endpoint.faults.extend([400] * 5)
    detached_run = await detached(*gsm8k(endpoint, 60, "--concurrency", "2", "--max-error-rate", "0.5"))

    async def errors() -> int:
        status = await ctl(program, "status")
        return sum(row["errors"] for row in status["benchmarks"])

    while await errors() < 5:
        await asyncio.sleep(0.05)
    answer = await ctl(program, "requeue", "--errors")
    assert (answer["old"], answer["new"]) == (0, 5)
    assert await ended(program, detached_run["run_id"]) == "completed"
    rows = program.query(
        "SELECT count(*) AS n, count(DISTINCT task_id) AS d, count(*) FILTER (status = 'error') AS e FROM attempts"
    )
    assert rows == [{"n": 60, "d": 60, "e": 0}]


async def test_a_cancelled_task_is_left_out_and_can_be_put_back(
    program: Program, endpoint: FakeEndpoint, detached: Any
) -> None:
    endpoint.delay_s = 0.1
    detached_run = await detached(*gsm8k(endpoint, 60, "--concurrency", "2"))
    await asyncio.to_thread(wait_for, lambda: len(endpoint.requests) >= 4, within_s=30)
    await ctl(program, "pause")
    await ctl(program, "cancel", "gsm8k/58")
    await ctl(program, "cancel", "gsm8k/59")
    assert (await ctl(program, "cancel", "gsm8k/59"))["changed"] is False
    refused = await ctl(program, "cancel", "nonsense", code=2)
    assert 'no benchmark and no task of this run is named "nonsense"' in refused
    (counts,) = (await ctl(program, "status"))["benchmarks"]
    assert counts["cancelled"] == 2, "what was queued is left out at once"
    assert (await ctl(program, "requeue", "gsm8k/58"))["new"] == 1
    await ctl(program, "resume")
    assert await ended(program, detached_run["run_id"]) == "completed"
    rows = program.query("SELECT count(*) AS n FROM attempts")
    assert rows == [{"n": 59}]
    shown = (await program.run_beside("show", detached_run["run_id"])).stdout
    assert "cancel gsm8k/59: in the run -> cancelled" in shown, shown
    assert "requeue gsm8k/58: 0 -> 1" in shown


async def test_a_killed_engine_leaves_a_resumable_run_and_its_last_words(
    program: Program, endpoint: FakeEndpoint, detached: Any
) -> None:
    endpoint.delay_s = 0.05
    detached_run = await detached(*gsm8k(endpoint, 200, "--concurrency", "2"))
    await asyncio.to_thread(wait_for, lambda: len(endpoint.requests) > 10, within_s=30)
    await asyncio.to_thread(wait_for, lambda: detached_run["run_id"] in program.home.trace.read_text(), within_s=20)
    watcher = program.start("attach")
    os.kill(detached_run["pid"], signal.SIGKILL)
    _, err = await asyncio.to_thread(watcher.communicate, timeout=60)
    assert watcher.returncode in (2, 3), err
    why = await ctl(program, "why")
    assert (why["engine"], why["pid"], why["run_id"]) == ("killed", detached_run["pid"], detached_run["run_id"])
    assert await ended(program, detached_run["run_id"]) == "interrupted"
    done = await program.run_beside("eval", "--resume", "--json")
    assert done.returncode == 0, done.stderr
    assert program.query("SELECT count(*) AS n, count(DISTINCT task_id) AS d FROM attempts") == [{"n": 200, "d": 200}]


async def test_a_run_is_on_record_before_its_id_is_printed(
    program: Program, endpoint: FakeEndpoint, detached: Any
) -> None:
    detached_run = await detached(*gsm8k(endpoint, 5))
    os.kill(detached_run["pid"], signal.SIGKILL)  # within its first moments
    assert await ended(program, detached_run["run_id"]) in ("interrupted", "completed")
    done = await program.run_beside("eval", "--resume", detached_run["run_id"], "--json")
    assert done.returncode == 0, done.stderr
    assert program.query("SELECT count(*) AS n, count(DISTINCT task_id) AS d FROM attempts") == [{"n": 5, "d": 5}]


async def test_a_stopped_engine_is_said_to_be_stopped(program: Program, endpoint: FakeEndpoint, detached: Any) -> None:
    endpoint.delay_s = 0.1
    detached_run = await detached(*gsm8k(endpoint, 400, "--concurrency", "2"))

    def traced() -> bool:
        return program.home.trace.exists() and detached_run["run_id"] in program.home.trace.read_text()

    await asyncio.to_thread(wait_for, traced, within_s=30)
    os.kill(detached_run["pid"], signal.SIGSTOP)
    began = time.monotonic()
    why = await ctl(program, "why")
    assert why["engine"] == "stopped"
    assert (await ctl(program, "why", "--run", detached_run["run_id"]))["run_id"] == detached_run["run_id"]
    for words in (("ctl", "pause"), ("show", "last"), ("attach",)):
        done = await program.run_beside(*words)
        assert done.returncode in (2, 3)
        assert f"the engine (process {detached_run['pid']}) is stopped (SIGSTOP)" in done.stderr
    assert time.monotonic() - began < 10, "an engine that is stopped is waited for"
    refused = await program.run_beside("eval", *gsm8k(endpoint, 1, "--no-queue"))
    assert refused.returncode == 2
    assert "which is stopped (SIGSTOP)" in refused.stderr
    os.kill(detached_run["pid"], signal.SIGCONT)
    assert (await ctl(program, "stop"))["changed"] is True
    assert await ended(program, detached_run["run_id"]) == "interrupted"


HUNG = """
import asyncio, sys, time
from pathlib import Path
from stackbench.config import Home
from stackbench.engine import EngineService

async def main(home):
    async with EngineService(home):
        while not home.trace.exists():
            await asyncio.sleep(0.02)
        print("hung", flush=True)
        time.sleep(600)

asyncio.run(main(Home(Path(sys.argv[1]))))
"""


def test_an_engine_whose_event_loop_is_blocked_is_answered_for(program: Program) -> None:
    command = [sys.executable, "-c", HUNG, str(program.home.path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=program.environment) as engine:
        try:
            assert engine.stdout is not None and engine.stdout.readline() == "hung\n"
            began = time.monotonic()
            why = program.json("ctl", "why")
            took = time.monotonic() - began
        finally:
            engine.kill()
    assert (why["pid"], why["phase"], why["attempts"]) == (engine.pid, "idle", [])
    assert why["engine"] in ("busy", "hung")
    assert took < 8, "10 s would be the wait for an engine without a trace"


async def test_a_queue_outlives_the_foreground_run_that_it_waited_behind(
    program: Program, endpoint: FakeEndpoint, detached: Any
) -> None:
    endpoint.delay_s = 0.05
    first = program.start("eval", *gsm8k(endpoint, 200, "--concurrency", "2", "--json"))
    await asyncio.to_thread(wait_for, program.home.socket.exists, within_s=30)
    detached_run = await detached(*gsm8k(endpoint, 4))
    assert detached_run["pid"] == first.pid
    await asyncio.to_thread(first.communicate, timeout=60)
    assert first.returncode == 0
    assert await ended(program, detached_run["run_id"], status="completed") == "completed"


async def test_a_queued_run_whose_engine_is_killed_goes_on_in_its_own_terminal(
    program: Program, endpoint: FakeEndpoint
) -> None:
    endpoint.delay_s = 0.1
    first = program.start("eval", *gsm8k(endpoint, 200, "--concurrency", "2", "--json"))
    await asyncio.to_thread(wait_for, program.home.socket.exists, within_s=30)
    second = program.start("eval", *gsm8k(endpoint, 3, "--json"))

    async def queued() -> bool:
        return any(run["state"] == "queued" for run in await ctl(program, "runs"))

    while not await queued():
        await asyncio.sleep(0.05)
    first.send_signal(signal.SIGKILL)
    first.communicate()
    out, err = await asyncio.to_thread(second.communicate, timeout=60)
    assert second.returncode == 0, err
    assert "the engine has ended; this process goes on with run" in err
    assert json.loads(out)["results"][0]["attempts"] == 3


async def test_signals_to_a_detached_engine_and_to_its_watcher(
    program: Program, endpoint: FakeEndpoint, detached: Any
) -> None:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # tests that nohup began would have programs begin that ignore it
    endpoint.delay_s = 0.1
    detached_run = await detached(*gsm8k(endpoint, 1300, "--concurrency", "2"))
    await asyncio.to_thread(wait_for, lambda: len(endpoint.requests) > 4, within_s=30)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGKILL, signal.SIGHUP):
        watcher = program.start("attach")
        assert watcher.stderr is not None
        line = await asyncio.to_thread(watcher.stderr.readline)
        assert detached_run["run_id"] in line
        watcher.send_signal(number)
        _, err = await asyncio.to_thread(watcher.communicate, timeout=30)
        if number in (signal.SIGTERM, signal.SIGINT):
            assert watcher.returncode == 130
            assert "detached; the run goes on" in err
        assert (await ctl(program, "status"))["phase"] == "running"
    os.kill(detached_run["pid"], signal.SIGHUP)
    assert (await ctl(program, "status"))["phase"] == "running"
    os.kill(detached_run["pid"], signal.SIGTERM)
    assert await ended(program, detached_run["run_id"]) == "interrupted"
    await asyncio.to_thread(wait_for, lambda: not psutil.pid_exists(detached_run["pid"]), within_s=20)
    assert not program.home.trace.exists() and not program.home.socket.exists()


async def test_a_queued_run_can_be_taken_back(program: Program, endpoint: FakeEndpoint, detached: Any) -> None:
    endpoint.delay_s = 0.1
    first = await detached(*gsm8k(endpoint, 400, "--concurrency", "2"))
    second = program.start("eval", *gsm8k(endpoint, 3, "--json"))

    async def queued() -> list[str]:
        return [run["run_id"] for run in await ctl(program, "runs") if run["state"] == "queued"]

    while not (waiting := await queued()):
        await asyncio.sleep(0.05)
    assert "waits in the queue; it can be stopped" in await ctl(program, "pause", "--run", waiting[0], code=2)
    second.send_signal(signal.SIGINT)
    _, err = await asyncio.to_thread(second.communicate, timeout=30)
    assert second.returncode == 130, err
    assert await queued() == []
    assert (await ctl(program, "status"))["run_id"] == first["run_id"]
    done = await program.run_beside("runs", "--json")
    assert {run["run_id"]: run["status"] for run in json.loads(done.stdout)}[waiting[0]] == "interrupted"
    await ctl(program, "stop")


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
def test_a_home_on_a_read_only_disk_is_refused_in_one_line(program: Program, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "none", str(disk)], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip("nothing can be mounted here")
    try:
        done = program.run("eval", "gsm8k", "-m", "oracle", "--limit", "1", "--home", str(disk))
    finally:
        subprocess.run(["umount", str(disk)], check=True)
    assert done.returncode == 2
    assert f"the folder {disk} cannot be written; name another with --home" in done.stderr
    assert len(done.stderr.splitlines()) == 1


async def test_verbs_without_a_live_engine_and_without_a_run_say_so(program: Program) -> None:
    for words in (("ctl", "status"), ("ctl", "pause"), ("attach",)):
        done: subprocess.CompletedProcess[str] = await program.run_beside(*words)
        assert done.returncode == 2, done.stderr
        assert done.stderr.startswith("stackbench: error: no engine answers at")
        assert len(done.stderr.splitlines()) == 1
