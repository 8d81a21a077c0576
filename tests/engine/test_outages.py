"""An endpoint, or the Docker engine, that goes away in the middle of a run: the run waits and then goes on."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from aiohttp import web

from stackbench import outage as outage_module
from stackbench.config import Home, Settings, load_settings
from stackbench.control.messages import AttemptFinished, EventKind, Notice
from stackbench.durations import read_duration, spoken_duration
from stackbench.engine import EngineService, RunOutcome, plan_benchmarks, run_plan
from stackbench.errors import ConfigError, SandboxError
from stackbench.models.openai import retrying
from stackbench.sandbox import CodeJob, CodeResult
from stackbench.sandbox.sandboxes import Sandboxes
from stackbench.store import Reader, open_queries
from stackbench.types import AttemptStatus, RunStatus
from tests.engine.watched_run import WatchedRun
from tests.fake_endpoint import FakeEndpoint


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outage_module, "FIRST_PAUSE_S", 0.05)
    monkeypatch.setattr(retrying, "FIRST_BACKOFF_S", 0.01)


def gsm8k_run(home: Home, **settings: Any) -> WatchedRun:
    return WatchedRun(home, plan_benchmarks(["gsm8k"], Settings(concurrency=4, retries=1, **settings)))


def answers_only(endpoint: FakeEndpoint, count: int) -> None:
    """So many requests are answered, later ones are held until the endpoint is stopped."""

    async def hold() -> None:
        if len(endpoint.requests) > count:
            await asyncio.Event().wait()

    endpoint.before_answer = hold


async def start_again(endpoint: FakeEndpoint) -> None:
    endpoint.before_answer = None
    await endpoint.start_again()


def recorded(home: Home, run_id: str) -> list[tuple[str, AttemptStatus]]:
    queries = open_queries(home.database, home.socket)
    try:
        return [(s.key.task_id, s.status) for s in Reader(queries).summaries(run_id, "gsm8k")]
    finally:
        queries.close()


async def test_a_run_waits_for_its_endpoint_and_goes_on_by_itself(home: Home, endpoint: FakeEndpoint) -> None:
    endpoint.reply = lambda body: "#### 18"
    answers_only(endpoint, 8)
    async with gsm8k_run(home, model=endpoint.name, limit=40) as watched:
        await watched.until(8, AttemptFinished)
        await endpoint.stop()
        await watched.until(2, Notice, "does not answer")
        why, status = await watched.ask("why"), await watched.ask("status")
        assert (why["phase"], status["phase"]) == ("waiting", "waiting")
        assert endpoint.url in why["waiting_for"] and why["waiting_for"] == status["waiting_for"]
        await start_again(endpoint)
        outcome = await watched.run.outcome()
    assert (outcome.status, outcome.attempts, outcome.error_rate) == (RunStatus.COMPLETED, 40, 0.0)
    notices = [event.text for event in watched.events if isinstance(event, Notice)]
    first = next(line for line in notices if "does not answer" in line)
    assert "the run is paused, tries again in" in first and "stops, resumable, in 30 min" in first
    assert any("answers again after" in line for line in notices)
    rows = recorded(home, outcome.run_id)
    assert len(rows) == len(set(rows)) == 40
    assert {status for _, status in rows} == {AttemptStatus.COMPLETED}


async def test_a_run_whose_endpoint_stays_away_stops_without_errors_and_is_resumed(
    home: Home, endpoint: FakeEndpoint
) -> None:
    endpoint.reply = lambda body: "#### 18"
    answers_only(endpoint, 4)
    async with gsm8k_run(home, model=endpoint.name, limit=20, give_up_after_s=0.3) as watched:
        await watched.until(4, AttemptFinished)
        await endpoint.stop()
        outcome = await watched.run.outcome()
    assert outcome.status is RunStatus.FAILED
    assert "did not answer for 0.3 s" in outcome.problem
    assert outcome.error_rate == 0 and 4 <= outcome.attempts < 20
    await start_again(endpoint)
    whole = await run_plan(home, watched.plan, resume=outcome.run_id)
    assert (whole.status, whole.attempts, whole.error_rate) == (RunStatus.COMPLETED, 20, 0.0)


@pytest.mark.parametrize("verb", ["stop", "drain"])
async def test_the_operator_need_not_wait_for_an_endpoint(home: Home, endpoint: FakeEndpoint, verb: str) -> None:
    answers_only(endpoint, 4)
    async with gsm8k_run(home, model=endpoint.name, limit=20) as watched:
        await watched.until(4, AttemptFinished)
        await endpoint.stop()
        await watched.until(1, Notice, "does not answer")
        asked = time.monotonic()
        await watched.ask(verb)
        outcome = await watched.run.outcome()
    assert time.monotonic() - asked < 10
    assert (outcome.status, outcome.error_rate) == (RunStatus.INTERRUPTED, 0.0)


async def test_an_attempt_whose_request_fails_alone_is_made_again_behind_the_others(
    home: Home, endpoint: FakeEndpoint
) -> None:
    endpoint.faults.extend([500] * 2)
    settings = Settings(model=endpoint.name, limit=30, retries=1, concurrency=1)
    outcome = await run_plan(home, plan_benchmarks(["gsm8k"], settings))
    assert (outcome.status, outcome.results[0].errors) == (RunStatus.COMPLETED, 0)
    assert outcome.hints == ("1 attempt was made again after errors of the infrastructure",)
    asked = [str(request["messages"]) for request in endpoint.requests]
    assert asked[0] == asked[1] == asked[-1]
    assert asked.count(asked[0]) == 3


async def test_an_attempt_that_the_infrastructure_fails_each_time_is_no_score_and_is_told_by_its_kind(
    home: Home, endpoint: FakeEndpoint
) -> None:
    def respond(request: web.Request, body: dict[str, Any]) -> web.Response | None:
        return web.json_response({"error": {"message": "no"}}, status=500) if "Janet" in str(body) else None

    endpoint.respond = respond
    settings = Settings(model=endpoint.name, limit=30, retries=0, concurrency=1)
    outcome = await run_plan(home, plan_benchmarks(["gsm8k"], settings))
    assert (outcome.status, outcome.results[0].errors) == (RunStatus.COMPLETED, 1)
    assert outcome.results[0].metrics[0].n == 29
    assert outcome.hints[1] == "1 attempt was left out of the scores as errors of the infrastructure: endpoint 1"
    queries = open_queries(home.database, home.socket)
    try:
        assert Reader(queries).error_kinds(outcome.run_id) == {"endpoint": 1}
    finally:
        queries.close()


async def test_an_attempt_that_takes_the_endpoint_down_each_time_becomes_an_error(
    home: Home, endpoint: FakeEndpoint
) -> None:
    """A server that is started again after each fall: the run must not make that attempt for ever."""
    down = 0

    def respond(request: web.Request, body: dict[str, Any]) -> web.Response | None:
        nonlocal down
        if "Janet" not in str(body):
            return None
        down = 2
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    def models(request: web.Request) -> web.Response:
        nonlocal down
        down -= 1
        return web.json_response({"data": [{"id": endpoint.model}]}, status=503 if down > 0 else 200)

    endpoint.respond, endpoint.list_with = respond, models
    settings = Settings(model=endpoint.name, limit=30, retries=0, concurrency=1)
    outcome = await run_plan(home, plan_benchmarks(["gsm8k"], settings))
    assert (outcome.status, outcome.attempts, outcome.results[0].errors) == (RunStatus.COMPLETED, 30, 1)
    assert "in 6 tries of this attempt" in outcome.last_error


async def test_a_measurement_of_speed_that_an_outage_spoiled_is_made_again(home: Home, endpoint: FakeEndpoint) -> None:
    endpoint.reply = lambda body: " ".join(["a"] * body["max_tokens"])
    endpoint.prompt_tokens = lambda body: len(body["prompt"].split())
    plan = plan_benchmarks(
        ["throughput"], Settings(model=endpoint.name), options={"mixes": "40x8", "concurrency": "2", "requests": 6}
    )
    answers_only(endpoint, 14)
    events: list[EventKind] = []
    async with EngineService(home, listener=lambda _, event: events.append(event)) as service:
        run = service.submit(plan)
        async with asyncio.timeout(60):
            while len(endpoint.requests) < 15:
                await asyncio.sleep(0.005)
        await endpoint.stop()
        async with asyncio.timeout(60):
            while not any(isinstance(event, Notice) and "does not answer" in event.text for event in events):
                await asyncio.sleep(0.01)
        await start_again(endpoint)
        outcome: RunOutcome = await run.outcome()
    assert (outcome.status, outcome.attempts, outcome.error_rate) == (RunStatus.COMPLETED, 3, 0.0)
    queries = open_queries(home.database, home.socket)
    assert [s.metrics["failed"] for s in Reader(queries).summaries(outcome.run_id, "throughput")] == [0, 0, 0]
    queries.close()


async def test_an_attempt_under_which_docker_went_away_is_made_again(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its container dies with the engine, however many tries an attempt has."""
    answers = iter([False, False, True])
    lost: list[str] = []

    async def run(self: Sandboxes, job: CodeJob) -> CodeResult:
        if not lost:
            lost.append("")
            raise SandboxError("the container is gone")
        return await real(self, job)

    async def engine_answers(self: Sandboxes) -> bool:
        return next(answers, True)

    real = Sandboxes.run
    monkeypatch.setattr(Sandboxes, "run", run)
    monkeypatch.setattr(Sandboxes, "engine_answers", engine_answers)
    events: list[EventKind] = []
    plan = plan_benchmarks(["humaneval"], Settings(model="oracle", limit=3))
    outcome = await run_plan(home, plan, lambda _, event: events.append(event))
    assert (outcome.status, outcome.attempts, outcome.error_rate) == (RunStatus.COMPLETED, 3, 0.0)
    assert any(isinstance(event, Notice) and "the Docker engine does not answer" in event.text for event in events)


@pytest.mark.parametrize(
    ("written", "seconds"), [("90", 90), ("45s", 45), ("30m", 1800), ("1.5 h", 5400), ("2min", 120), (12.5, 12.5)]
)
def test_durations_are_read(written: Any, seconds: float) -> None:
    assert read_duration(written) == seconds
    assert load_settings({"give_up_after_s": written}).settings.give_up_after_s == seconds


@pytest.mark.parametrize("written", ["soon", "-5m", "0", "1d", "", "9" * 400, "nan"])
def test_what_is_no_duration_is_refused(written: str) -> None:
    with pytest.raises(ConfigError, match="^--give-up-after: "):
        load_settings({"give_up_after_s": written})


def test_durations_are_told_in_one_unit() -> None:
    assert [spoken_duration(s) for s in (0.3, 45, 150, 1800, 9000)] == ["0.3 s", "45 s", "2 min", "30 min", "2.5 h"]
