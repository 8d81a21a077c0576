"""Nothing that one attempt meets, holds or tells ends a run."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web

from stackbench.benchmarks.gsm8k import Gsm8k
from stackbench.config import Home, Settings
from stackbench.control.messages import AttemptFinished, EventKind
from stackbench.engine import RunOutcome, plan_benchmarks
from stackbench.store import open_queries
from stackbench.types import RunStatus
from tests.engines import OneRun
from tests.fake_endpoint import FakeEndpoint, is_probe


async def run(home: Home, endpoint: FakeEndpoint, listener: Any = lambda event: None, **more: Any) -> RunOutcome:
    settings = {"limit": 6, "concurrency": 2, "retries": 0, "max_error_rate": 1.0, **more}
    return await OneRun(home, plan_benchmarks(["gsm8k"], Settings(model=endpoint.name, **settings)), listener).run()


def rows(home: Home, sql: str) -> list[tuple[Any, ...]]:
    return open_queries(home.database, home.socket).rows(sql)


ANSWERS: list[Any] = [
    [{"type": "text", "text": "#### 18"}],
    {"no": "text"},
    7,
    True,
    "#### \ud800 18",
    "a\x00b #### 18",
    [[]],
    "1" * 100_000,
    "[" * 100_000,
]


@pytest.mark.parametrize("content", ANSWERS, ids=range(len(ANSWERS)))
async def test_answers_of_any_content_leave_the_other_attempts_alone(
    home: Home, endpoint: FakeEndpoint, content: Any
) -> None:
    endpoint.reply = lambda body: "#### 18"
    usage = {"prompt_tokens": 2**40, "completion_tokens": "9" * 30}
    odd = json.dumps({"choices": [{"message": {"content": content, "tool_calls": None}}], "usage": usage})

    def respond(request: web.Request, body: dict[str, Any]) -> web.Response | None:
        if is_probe(request) or len(endpoint.requests) != 2:
            return None
        return web.Response(text=odd, content_type="application/json")

    endpoint.respond = respond
    outcome = await run(home, endpoint)
    assert (outcome.status, outcome.attempts) == (RunStatus.COMPLETED, 6)
    assert outcome.results[0].errors <= 1
    assert rows(home, "SELECT count(*) FROM attempts") == [(6,)]


class Nasty:
    """Raises whatever is done with it."""

    def __str__(self) -> str:
        raise RuntimeError("nasty")

    __repr__ = __float__ = __str__  # type: ignore[assignment]


def deep() -> list[Any]:
    found: list[Any] = []
    for _ in range(100_000):
        found = [found]
    return found


CYCLE: dict[str, Any] = {}
CYCLE["self"] = CYCLE


@pytest.mark.parametrize(
    "change",
    [
        {"metrics": {"a": Nasty()}},
        {"metrics": {"a": deep()}},
        {"metrics": CYCLE},
        {"prompt": Nasty()},
        {"score": Nasty()},
        {"completion_tokens": None},
        {"completion_tokens": 10**30},
        {"finish_reason": "stop"},
        None,
    ],
    ids=range(9),
)
async def test_a_score_that_cannot_be_recorded_is_an_error_of_its_attempt(
    home: Home, endpoint: FakeEndpoint, monkeypatch: pytest.MonkeyPatch, change: Any
) -> None:
    endpoint.reply = lambda body: "#### 18"
    attempt = Gsm8k.attempt

    async def odd(self: Gsm8k, task: Any, context: Any) -> Any:
        found = await attempt(self, task, context)
        if task.task_id != "gsm8k/2":
            return found
        return None if change is None else replace(found, **change)

    monkeypatch.setattr(Gsm8k, "attempt", odd)
    outcome = await run(home, endpoint)
    assert (outcome.status, outcome.attempts) == (RunStatus.COMPLETED, 6)
    assert outcome.results[0].errors <= 1
    assert rows(home, "SELECT count(*) FROM attempts WHERE status = 'completed'")[0][0] >= 5


async def test_a_display_that_fails_takes_nothing_with_it(home: Home, endpoint: FakeEndpoint) -> None:
    published: list[EventKind] = []

    def listener(event: EventKind) -> None:
        published.append(event)
        raise BrokenPipeError("nobody looks")

    outcome = await run(home, endpoint, listener)
    assert (outcome.status, outcome.attempts, outcome.results[0].errors) == (RunStatus.COMPLETED, 6, 0)
    assert sum(isinstance(event, AttemptFinished) for event in published) == 6


async def test_the_seed_that_is_recorded_is_the_one_that_was_sent(home: Home, endpoint: FakeEndpoint) -> None:
    await run(home, endpoint, limit=3, samples=4, n_per_request=4, temperature=1.0)
    sent = {body["seed"] for body in endpoint.requests}
    recorded = rows(home, "SELECT payload FROM events WHERE kind = 'model_call'")
    payloads = [json.loads(payload) for (payload,) in recorded]
    assert len(payloads) == 12
    assert {payload["request_seed"] for payload in payloads} == sent
    assert {payload["sent"]["seed"] for payload in payloads} == sent
    assert sum(body.get("n", 1) for body in endpoint.requests) == 12
