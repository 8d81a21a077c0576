"""The engine in this process, against a server at the machine's edge."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
from typing import Any

import duckdb
import pytest
from aiohttp import web

from stackbench.config import Home, Settings
from stackbench.control.messages import (
    AttemptFinished,
    AttemptStarted,
    BenchmarkFinished,
    BenchmarkSkipped,
    BenchmarkStarted,
    EventKind,
    Notice,
    RunFinished,
    RunStarted,
)
from stackbench.engine import EngineService, RunOutcome, plan_benchmarks, run_plan, stall_watch
from stackbench.engine.context import request_seed
from stackbench.errors import DataNotAvailableError, StoreError, UsageError
from stackbench.store import Reader, open_queries
from stackbench.types import AttemptKey, RunStatus
from tests.engines import OneRun
from tests.fake_endpoint import FakeEndpoint, completion


async def run(
    home: Home, names: list[str], *, sample_ids: tuple[str, ...] = (), **settings: Any
) -> tuple[RunOutcome, list]:
    events: list[EventKind] = []
    plan = plan_benchmarks(names, Settings(**settings), sample_ids)
    outcome = await run_plan(home, plan, lambda run_id, event: events.append(event))
    return outcome, events


def read(home: Home) -> Reader:
    return Reader(open_queries(home.database, home.socket))


def test_an_engine_begins_without_agents_and_arrays() -> None:
    code = "import sys, stackbench.engine.run; sys.exit(any(m in sys.modules for m in ('stackbench.agents', 'numpy')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


async def test_events_tell_the_whole_run(home: Home, endpoint: FakeEndpoint) -> None:
    endpoint.reply = lambda body: "#### 18"
    outcome, events = await run(home, ["gsm8k"], model=endpoint.name, limit=3)
    turns = (RunStarted, BenchmarkStarted, AttemptFinished, BenchmarkFinished, RunFinished)
    kinds = [type(event) for event in events if isinstance(event, turns)]
    assert kinds == [RunStarted, BenchmarkStarted, *[AttemptFinished] * 3, BenchmarkFinished, RunFinished]
    assert sum(isinstance(event, AttemptStarted) for event in events) == 3
    assert (outcome.status, outcome.attempts, outcome.error_rate) == (RunStatus.COMPLETED, 3, 0.0)
    assert sum(event.passed is True for event in events if isinstance(event, AttemptFinished)) == 1
    run_row = read(home).run(outcome.run_id)
    assert run_row.status == "completed"
    assert run_row.config["settings"]["limit"] == 3
    assert run_row.environment["model"]["kind"] == "openai"


async def test_every_attempt_has_its_own_seed_whatever_else_runs(home: Home, endpoint: FakeEndpoint) -> None:
    outcome, _ = await run(home, ["gsm8k"], model=endpoint.name, limit=2, samples=2, seeds=(0, 1), temperature=0.5)
    seeds = {body["seed"] for body in endpoint.requests}
    assert len(seeds) == 8
    key = AttemptKey("gsm8k", "gsm8k/1", 1, 1)
    assert request_seed(key) in seeds
    assert outcome.results[0].tasks == 2
    assert outcome.attempts == 8


async def test_copies_of_an_answer_are_told_and_are_no_evidence(home: Home, endpoint: FakeEndpoint) -> None:
    endpoint.reply = lambda body: "#### 18"
    alone, _ = await run(home, ["gsm8k"], model=endpoint.name, limit=4)
    copies, events = await run(home, ["gsm8k"], model=endpoint.name, limit=4, samples=3, temperature=0.0)
    notices = [event.text for event in events if isinstance(event, Notice) and "copies" in event.text]
    assert len(notices) == 1 and notices[0].startswith("gsm8k: ") and "3 attempts" in notices[0]
    assert copies.attempts == 12
    first = {metric.name: metric for metric in alone.results[0].metrics}
    second = {metric.name: metric for metric in copies.results[0].metrics}
    assert all(second[name] == metric for name, metric in first.items())


async def test_errors_are_recorded_and_fail_the_run_above_the_threshold(home: Home, endpoint: FakeEndpoint) -> None:
    endpoint.faults.extend([400, 400])
    outcome, _ = await run(home, ["gsm8k"], model=endpoint.name, limit=10, concurrency=1)
    assert (outcome.status, outcome.results[0].errors) == (RunStatus.FAILED, 2)
    assert "HTTP 400" in outcome.last_error
    metric = outcome.results[0].metrics[0]
    assert metric.n == 8
    endpoint.faults.append(400)
    fine, _ = await run(home, ["gsm8k"], model=endpoint.name, limit=30, concurrency=1)
    assert (fine.status, fine.results[0].errors) == (RunStatus.COMPLETED, 1)


async def test_a_run_whose_attempts_all_fail_gives_up_early(home: Home, endpoint: FakeEndpoint) -> None:
    endpoint.faults.extend([400] * 1000)
    outcome, _ = await run(home, ["gsm8k"], model=endpoint.name, concurrency=4)
    assert outcome.status is RunStatus.FAILED
    assert "in a row ended in errors" in outcome.problem
    assert outcome.attempts < 100


async def test_resume_makes_exactly_the_rest(home: Home, endpoint: FakeEndpoint) -> None:
    endpoint.delay_s = 0.02
    plan = plan_benchmarks(["gsm8k"], Settings(model=endpoint.name, limit=40, concurrency=4))

    def stop_at_ten(run_id: str, event: EventKind) -> None:
        if isinstance(event, AttemptFinished) and len(endpoint.requests) >= 10:
            submitted.stop()

    async with EngineService(home, listener=stop_at_ten) as service:
        submitted = service.submit(plan)
        first = await submitted.outcome()
    assert first.status is RunStatus.INTERRUPTED
    done = first.attempts
    assert 10 <= done < 40
    endpoint.requests.clear()
    second = await run_plan(home, plan, resume=first.run_id)
    assert (second.status, second.attempts) == (RunStatus.COMPLETED, 40)
    assert len(endpoint.requests) == 40 - done
    keys = open_queries(home.database, home.socket).rows("SELECT count(*), count(DISTINCT task_id) FROM attempts")
    assert keys == [(40, 40)]


async def test_errors_are_attempted_again_on_resume(home: Home, endpoint: FakeEndpoint) -> None:
    endpoint.faults.extend([400] * 3)
    plan = plan_benchmarks(["gsm8k"], Settings(model=endpoint.name, limit=5, concurrency=1))
    first = await run_plan(home, plan)
    second = await run_plan(home, plan, resume=first.run_id)
    assert (first.results[0].errors, second.results[0].errors) == (3, 0)
    assert len(endpoint.requests) == 8


async def test_stop_ends_within_five_seconds_though_the_model_hangs(home: Home, endpoint: FakeEndpoint) -> None:
    endpoint.faults.extend(["slow"] * 100)
    plan = plan_benchmarks(["gsm8k"], Settings(model=endpoint.name, limit=20))
    async with EngineService(home) as service:
        submitted = service.submit(plan)
        while len(endpoint.requests) < 20:
            await asyncio.sleep(0.01)
        submitted.stop()
        outcome = await asyncio.wait_for(submitted.outcome(), 5.0)
    assert (outcome.status, outcome.attempts) == (RunStatus.INTERRUPTED, 0)


async def test_the_concurrency_asked_for_is_kept(home: Home, endpoint: FakeEndpoint) -> None:
    endpoint.delay_s = 0.01
    await run(home, ["gsm8k"], model=endpoint.name, limit=60, concurrency=7)
    assert endpoint.most_at_once == 7


async def test_max_hours_stops_a_run_resumably(home: Home, endpoint: FakeEndpoint) -> None:
    endpoint.delay_s = 0.2
    outcome, _ = await run(home, ["gsm8k"], model=endpoint.name, concurrency=1, max_hours=1 / 3600)
    assert outcome.status is RunStatus.INTERRUPTED
    assert 0 < outcome.attempts < 10


async def test_a_benchmark_without_data_is_skipped_and_the_rest_goes_on(
    home: Home, endpoint: FakeEndpoint, tmp_path
) -> None:
    (tmp_path / "some").mkdir()
    assert home.data_extra is not None
    (tmp_path / "some" / "gsm8k").symlink_to(home.data_extra / "gsm8k")
    poor = Home(home.path, tmp_path / "some")
    outcome, events = await run(poor, ["mbppplus", "gsm8k"], model=endpoint.name, limit=2)
    assert outcome.status is RunStatus.COMPLETED
    assert list(outcome.skipped) == ["mbppplus"]
    assert "stackbench data pull mbppplus" in outcome.skipped["mbppplus"]
    assert any(isinstance(event, BenchmarkSkipped) for event in events)
    with pytest.raises(DataNotAvailableError):
        await run(poor, ["mbppplus"], model=endpoint.name)


async def test_sample_ids_choose_tasks_and_unknown_ones_are_refused(home: Home, endpoint: FakeEndpoint) -> None:
    outcome, _ = await run(home, ["gsm8k", "mmlu"], model=endpoint.name, sample_ids=("gsm8k/7", "gsm8k/3"))
    assert outcome.attempts == 2
    with pytest.raises(UsageError, match='no task "gsm8k/99999" in gsm8k.*names its tasks like "gsm8k/0"'):
        await run(home, ["gsm8k"], model=endpoint.name, sample_ids=("gsm8k/99999",))


async def test_a_fault_in_a_benchmark_loses_no_other_attempt(
    home: Home, endpoint: FakeEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    from stackbench.benchmarks.gsm8k import Gsm8k

    real = Gsm8k.attempt

    async def faulty(self: Gsm8k, task: Any, context: Any) -> Any:
        if task.task_id == "gsm8k/3":
            raise KeyError("oops")
        return await real(self, task, context)

    monkeypatch.setattr(Gsm8k, "attempt", faulty)
    outcome, _ = await run(home, ["gsm8k"], model=endpoint.name, limit=10, max_error_rate=0.2)
    assert (outcome.attempts, outcome.results[0].errors) == (10, 1)
    assert "fault in gsm8k: KeyError('oops')" in outcome.last_error


async def test_the_database_is_read_while_the_run_holds_it(home: Home, endpoint: FakeEndpoint) -> None:
    endpoint.delay_s = 0.05
    plan = plan_benchmarks(["gsm8k"], Settings(model=endpoint.name, limit=30, concurrency=2))
    task = asyncio.create_task(run_plan(home, plan))

    def look() -> int:
        queries = open_queries(home.database, home.socket)
        try:
            return queries.rows("SELECT count(*) FROM attempts")[0][0]
        finally:
            queries.close()

    while not home.socket.exists():
        await asyncio.sleep(0.01)
    counts = [await asyncio.to_thread(look)]
    while not task.done():
        if home.socket.exists():
            try:
                counts.append(await asyncio.to_thread(look))
            except StoreError:
                assert not home.socket.exists(), "only a run that ends may leave a question unanswered"
        await asyncio.sleep(0.05)
    await task
    assert any(0 < count < 30 for count in counts)
    assert not home.socket.exists()


async def test_a_limit_is_spread_over_subjects_recorded_and_kept_by_a_resumed_run(
    home: Home, endpoint: FakeEndpoint
) -> None:
    endpoint.reply, endpoint.delay_s = lambda body: "B", 0.005
    plan = plan_benchmarks(["mmlu"], Settings(model=endpoint.name, limit=57, limit_seed=3, concurrency=2))
    engine = OneRun(home, plan)

    def stop_at_ten(event: EventKind) -> None:
        if isinstance(event, AttemptFinished) and len(endpoint.requests) >= 10:
            engine.stop()

    engine.listener = stop_at_ten
    first = await engine.run()
    assert first.results[0].tasks < 57
    assert first.results[0].tasks_planned == 57
    queries = open_queries(home.database, home.socket)
    planned = Reader(queries).task_ids(first.run_id)["mmlu"]
    assert len({task.split("/")[0] for task in planned}) == 57
    (row,) = Reader(queries).planned(first.run_id)
    queries.close()
    assert row.selection == {"by": "limit", "limit": 57, "stratified": True, "seed": 3}
    assert (row.tasks_available, row.attempts_planned) == (14042, 57)
    assert all(len(sha256) == 64 for sha256 in row.datasets.values())
    second = await OneRun(home, plan, resume=first.run_id).run()
    made = open_queries(home.database, home.socket).rows("SELECT task_id FROM attempts")
    assert {task for (task,) in made} == set(planned)
    assert (second.results[0].tasks_completed, second.status) == (57, RunStatus.COMPLETED)


async def test_a_run_of_an_older_version_is_resumed_with_the_first_tasks(home: Home, endpoint: FakeEndpoint) -> None:
    endpoint.reply = lambda body: "B"
    plan = plan_benchmarks(["mmlu"], Settings(model=endpoint.name, limit=4))
    first = await OneRun(home, plan).run()
    with duckdb.connect(str(home.database)) as connection:
        connection.execute("DELETE FROM run_benchmarks")
        connection.execute("DELETE FROM attempts")
    second = await OneRun(home, plan, resume=first.run_id).run()
    made = open_queries(home.database, home.socket).rows("SELECT task_id FROM attempts ORDER BY ALL")
    assert [task for (task,) in made] == [f"abstract_algebra/{n}" for n in range(4)]
    assert second.results[0].tasks_planned == 4


async def test_answers_that_end_at_their_token_limit_are_counted(home: Home, endpoint: FakeEndpoint) -> None:
    endpoint.finish = lambda body: "length" if body["seed"] % 2 else "stop"
    outcome, events = await run(home, ["gsm8k"], model=endpoint.name, limit=20, max_tokens=77)
    cut = sum(body["seed"] % 2 for body in endpoint.requests)
    assert 0 < cut < 20
    (result,) = outcome.results
    assert (result.cut, result.token_limits) == (cut, (77,))
    assert sum(event.cut for event in events if isinstance(event, AttemptFinished)) == cut
    (kept,) = read(home).results(outcome.run_id)
    assert (kept.cut, kept.token_limits) == (cut, (77,))


async def test_the_limit_of_a_cut_answer_is_not_that_of_the_question_for_its_letter(
    home: Home, endpoint: FakeEndpoint
) -> None:
    def reply(request: web.Request, body: dict[str, Any]) -> web.Response:
        said: dict[str, Any] = {"message": {"content": "It may be"}, "finish_reason": "length"}
        if body.get("logprobs"):
            said["logprobs"] = {"content": [{"token": "<think>", "logprob": -0.1, "top_logprobs": []}]}
        return completion(**said)

    endpoint.respond = reply
    outcome, _ = await run(home, ["mmlu"], model=endpoint.name, limit=4, api="chat")
    assert (outcome.results[0].cut, outcome.results[0].token_limits) == (4, (2048,))


async def test_an_answer_by_log_probabilities_is_not_cut_and_its_event_says_what_was_sent(
    home: Home, endpoint: FakeEndpoint
) -> None:
    endpoint.finish = lambda body: "length"
    outcome, _ = await run(home, ["mmlu"], model=endpoint.name, limit=3)
    assert outcome.results[0].cut == 0
    assert {body["max_tokens"] for body in endpoint.requests} == {1}
    queries = open_queries(home.database, home.socket)
    for (text,) in queries.rows("SELECT payload FROM events WHERE kind = 'model_call'"):
        payload = json.loads(text)
        assert payload["max_tokens"] == 1
        assert payload["choices"] == [" A", " B", " C", " D"]
        assert payload["choice_logprobs"] == [-3.0, -0.1, -4.0, -5.0]
    queries.close()


async def test_errors_and_missing_metrics_are_told_and_kept(home: Home, endpoint: FakeEndpoint) -> None:
    endpoint.faults.append(400)
    outcome, _ = await run(home, ["gsm8k"], model=endpoint.name, limit=3, samples=10, concurrency=1, max_error_rate=0.5)
    kept = read(home).results(outcome.run_id)
    for result in (outcome.results[0], kept[0]):
        assert result.planned is not None
        assert (result.tasks_completed, result.tasks_planned, result.errors) == (3, 3, 1)
        assert result.planned.missing
        assert all(missing.name.startswith("pass@10") for missing in result.planned.missing)
        assert "gsm8k/0 has 9" in result.planned.missing[0].reason
        assert list(result.planned.lower_bounds) == [outcome.results[0].metrics[0].name]


async def test_benchmarks_that_were_not_begun_or_skipped_are_on_record(
    home: Home, endpoint: FakeEndpoint, tmp_path
) -> None:
    endpoint.delay_s = 0.01
    (tmp_path / "some").mkdir()
    assert home.data_extra is not None
    for name in ("gsm8k", "mmlu"):
        (tmp_path / "some" / name).symlink_to(home.data_extra / name)
    engine = OneRun(
        Home(home.path, tmp_path / "some"),
        plan_benchmarks(["mbppplus", "gsm8k", "mmlu"], Settings(model=endpoint.name, one_by_one=True)),
    )

    def stop(event: EventKind) -> None:
        if isinstance(event, AttemptFinished):
            engine.stop()

    engine.listener = stop
    outcome = await engine.run()
    assert [(r.benchmark, r.tasks_planned) for r in outcome.results] == [("gsm8k", 1319), ("mmlu", 14042)]
    assert outcome.results[1].attempts == 0
    assert list(read(home).skipped(outcome.run_id)) == ["mbppplus"]


async def test_a_replay_gives_the_same_scores(home: Home, endpoint: FakeEndpoint) -> None:
    endpoint.reply = lambda body: f"#### {len(str(body)) % 7}"
    first, _ = await run(home, ["gsm8k"], model=endpoint.name, limit=50)
    second, _ = await run(home, ["gsm8k"], model=f"replay:{first.run_id}", limit=50)
    assert second.results[0].metrics == first.results[0].metrics


async def test_answers_that_are_there_at_once_leave_the_loop_to_others(home: Home) -> None:
    """What is called on the loop after the first attempt, a stop say, is called before the last."""
    loop = asyncio.get_running_loop()

    def listen(event: EventKind) -> None:
        if isinstance(event, AttemptFinished):
            loop.call_soon(engine.stop)

    engine = OneRun(home, plan_benchmarks(["gsm8k"], Settings(model="oracle")), listen)
    outcome = await engine.run()
    assert outcome.status is RunStatus.INTERRUPTED
    assert 0 < outcome.attempts < 1319


async def test_a_loop_that_stood_still_is_recorded(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stall_watch, "STALLED_S", 0.3)
    monkeypatch.setattr(stall_watch, "BEAT_EVERY_S", 0.01)
    blocked, notices = threading.Event(), threading.Event()

    def listen(event: EventKind) -> None:
        if isinstance(event, Notice) and "has stood still" in event.text and blocked.is_set():
            notices.set()
        if isinstance(event, AttemptFinished):
            blocked.set()
            assert notices.wait(60)  # blocks the loop until its watch has told of it

    outcome = await OneRun(home, plan_benchmarks(["gsm8k"], Settings(model="oracle", limit=1)), listen).run()
    assert outcome.status is RunStatus.COMPLETED
    queries = open_queries(home.database, home.socket)
    stalls = [json.loads(row[0]) for row in queries.rows("SELECT payload FROM events WHERE kind = 'stall'")]
    queries.close()
    assert any("listen" in frame for stall in stalls for frame in stall["stack"])
    assert all(stall["seconds"] > 0 for stall in stalls)
