"""A live run told elsewhere: its log file, Prometheus' metrics, notifications, and what it waits for when it stands."""

from __future__ import annotations

import asyncio
import json
import socket
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from stackbench.config import Home, Settings
from stackbench.control.messages import AttemptFinished, EventKind, Notice
from stackbench.engine import plan_benchmarks, run_plan
from stackbench.engine.notifications import VARIABLE
from stackbench.engine.progress_watch import ProgressWatch, waits_in_words
from stackbench.errors import UsageError
from stackbench.store import LocalQueries, open_queries
from stackbench.types import RunStatus
from tests.engine.watched_run import WatchedRun
from tests.fake_endpoint import FakeEndpoint


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@pytest.fixture
def webhook() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Takes notifications of apprise's `json://`: its address, and what it was sent."""
    taken: list[dict[str, Any]] = []

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            taken.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Hook)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"json://127.0.0.1:{server.server_port}/hook", taken
    server.shutdown()
    server.server_close()


class Held(WatchedRun):
    """A run of which two attempts end and the others wait for the endpoint."""

    def __init__(self, home: Home, endpoint: FakeEndpoint, **settings: Any) -> None:
        super().__init__(
            home, plan_benchmarks(["gsm8k"], Settings(model=endpoint.name, limit=4, concurrency=4, **settings))
        )
        self.go_on = asyncio.Event()

        async def hold() -> None:
            if len(endpoint.requests) > 2:
                await self.go_on.wait()

        endpoint.before_answer = hold
        endpoint.reply = lambda body: "#### 18"

    async def end(self) -> str:
        self.go_on.set()
        return await super().end()


async def test_a_run_without_progress_says_what_it_waits_for(
    home: Home, endpoint: FakeEndpoint, webhook: tuple[str, list[dict[str, Any]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    address, taken = webhook
    monkeypatch.setenv(VARIABLE, address)
    async with Held(home, endpoint, stalled_after_s=1.0) as held:
        await held.until(1, Notice, "no progress for")
        run_id = await held.end()
    line = next(e.text for e in held.events if isinstance(e, Notice) and "no progress for" in e.text)
    assert "2 attempts wait for model, the longest gsm8k/" in line.replace("GSM8K", "gsm8k")
    queries = open_queries(home.database, home.socket)
    assert isinstance(queries, LocalQueries)
    rows = queries.rows("SELECT payload FROM events WHERE run_id = ? AND kind = 'no_progress'", [run_id])
    queries.close()
    assert "2 attempts wait for model" in str(rows[0])
    titles = [one["title"] for one in taken]
    assert f"stackbench: run {run_id} makes no progress" in titles
    assert titles[-1] == f"stackbench: run {run_id} completed"
    assert "gsm8k exact_match" in taken[-1]["message"] and "4 tasks, 0 errors" in taken[-1]["message"]


async def test_metrics_are_served_while_the_run_is_live(home: Home, endpoint: FakeEndpoint) -> None:
    port = free_port()
    async with Held(home, endpoint, metrics_port=port) as held:
        await held.until(2, AttemptFinished)
        text = await asyncio.to_thread(scraped, port)
        run_id = await held.end()
        with pytest.raises(OSError):
            await asyncio.to_thread(scraped, port)
    found = {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert found["stackbench_attempts_planned", "gsm8k"] == 4
    assert found["stackbench_attempts_running",] == 2
    finished = [found["stackbench_attempts_finished_total", "gsm8k", how] for how in ("passed", "failed", "error")]
    assert sum(finished) == 2 and finished[2] == 0
    assert found["stackbench_completion_tokens_total", "gsm8k"] > 0
    assert any(name[0] == "stackbench_run_info" and run_id in name for name in found)


def scraped(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        return answer.read().decode()


async def test_a_port_that_another_program_has_ends_the_run_before_it_asks(home: Home, endpoint: FakeEndpoint) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        plan = plan_benchmarks(["gsm8k"], Settings(model=endpoint.name, limit=1, metrics_port=port))
        with pytest.raises(UsageError, match=f"--metrics-port {port} cannot be had: Address already in use"):
            await run_plan(home, plan)
    assert not [body for body in endpoint.requests if body not in endpoint.probes]


@pytest.mark.parametrize(
    ("addresses", "why"),
    [("nonsense", "address 1 in STACKBENCH_NOTIFY"), ("json://h/x no-such://h", "address 2 in STACKBENCH_NOTIFY")],
)
async def test_an_address_that_is_none_is_told_before_the_run(
    home: Home, endpoint: FakeEndpoint, monkeypatch: pytest.MonkeyPatch, addresses: str, why: str
) -> None:
    monkeypatch.setenv(VARIABLE, addresses)
    plan = plan_benchmarks(["gsm8k"], Settings(model=endpoint.name, limit=1))
    with pytest.raises(UsageError, match=why):
        await run_plan(home, plan)


async def test_a_webhook_that_is_down_costs_the_run_nothing(
    home: Home, endpoint: FakeEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, f"json://127.0.0.1:{free_port()}/hook")
    endpoint.reply = lambda body: "#### 18"
    plan = plan_benchmarks(["gsm8k"], Settings(model=endpoint.name, limit=1))
    assert (await run_plan(home, plan)).status is RunStatus.COMPLETED


async def test_the_log_tells_the_run_and_its_errors_as_json_lines(home: Home, endpoint: FakeEndpoint) -> None:
    endpoint.faults.extend([400])
    plan = plan_benchmarks(["gsm8k"], Settings(model=endpoint.name, limit=3, retries=0, max_error_rate=1.0))
    outcome = await run_plan(home, plan)
    path = home.run(outcome.run_id) / "log.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    kinds = [line["kind"] for line in lines]
    assert kinds[-1] == "run_finished" and "run_started" in kinds and "benchmark_started" in kinds
    errors = [line for line in lines if line["kind"] == "attempt_finished"]
    assert len(errors) == 1 and errors[0]["reason"].startswith("error")
    assert {line["run_id"] for line in lines} == {outcome.run_id} and all(line["ts"].endswith("Z") for line in lines)
    assert path.stat().st_mode & 0o777 == 0o600


async def test_a_log_that_cannot_be_written_is_given_up(home: Home, endpoint: FakeEndpoint) -> None:
    (home.path / "runs").write_text("in the way")
    events: list[EventKind] = []
    plan = plan_benchmarks(["gsm8k"], Settings(model=endpoint.name, limit=1))
    outcome = await run_plan(home, plan, lambda _, event: events.append(event))
    assert outcome.status is RunStatus.COMPLETED
    assert sum(isinstance(event, Notice) and "log.jsonl cannot be written" in event.text for event in events) == 1


def test_progress_and_a_hold_begin_the_period_anew() -> None:
    now, done, held = [0.0], [0], [False]
    told: list[str] = []
    watch = ProgressWatch(
        60.0, lambda: done[0], lambda: held[0], list, lambda seconds, line: told.append(line), lambda: now[0]
    )
    watch.check()
    for at, ended, holds in ((59, 0, False), (61, 1, False), (120, 1, True), (179, 1, False)):
        now[0], done[0], held[0] = at, ended, holds
        watch.check()
    assert told == []
    for at in (181, 200, 241):
        now[0] = at
        watch.check()
    assert told == [
        "no progress for 61 s: no attempt is under way",
        "no progress for 2 min: no attempt is under way",
    ]


def test_waits_are_told_by_reason_with_the_longest() -> None:
    waits = [
        {"task_id": "HumanEval/3", "waits_for": "model", "for_s": 900.0},
        {"task_id": "HumanEval/4", "waits_for": "model", "for_s": 30.0},
        {"task_id": "HumanEval/5", "waits_for": None, "for_s": 1.0},
    ]
    assert waits_in_words(waits) == (
        "2 attempts wait for model, the longest HumanEval/3 for 15 min; "
        "1 attempt waits for the processor, the longest HumanEval/5 for 1 s"
    )
