"""Throughput: its definitions on hand-computed cases, its loads, and what it says of a server."""

from __future__ import annotations

import asyncio
import itertools
import time

import pytest

from stackbench.benchmarks import create_benchmark
from stackbench.benchmarks.throughput.benchmark import Throughput, ThroughputOptions, parse_targets
from stackbench.benchmarks.throughput.figures import Targets, load_figures
from stackbench.benchmarks.throughput.load import closed_loop, open_loop, poisson_arrivals
from stackbench.config import Home, Settings
from stackbench.datasets import DatasetStore
from stackbench.engine import plan_benchmarks, run_plan
from stackbench.errors import ConfigError, GenerationError
from stackbench.store import LocalQueries, Reader, open_database
from stackbench.types import Generation
from tests.fake_endpoint import FakeEndpoint


def answer(ttft_s: float, *gaps_s: float, prompt: int = 10, tokens: int | None = None) -> Generation:
    return Generation(
        "", prompt_tokens=prompt, completion_tokens=tokens or len(gaps_s) + 1, latency_s=ttft_s + sum(gaps_s),
        ttft_s=ttft_s, gaps_s=gaps_s,
    )  # fmt: skip


def test_figures_on_a_case_done_by_hand() -> None:
    answers = [answer(0.1, 0.02, 0.04), answer(0.3, 0.05)]
    figures = load_figures(answers, 2.0, 2, Targets(ttft_ms=200, tpot_ms=40))
    assert figures["requests_s"] == 1.0
    assert figures["output_tok_s"] == (3 + 2) / 2
    assert figures["output_tok_s_per_gpu"] == 1.25
    assert figures["total_tok_s"] == (20 + 5) / 2
    assert figures["ttft_ms_mean"] == pytest.approx(200)
    assert figures["ttft_ms_p90"] == pytest.approx(100 + 0.9 * 200)  # between two values, linearly
    assert figures["tpot_ms_mean"] == pytest.approx((30 + 50) / 2)  # (160 - 100) / 2 and (350 - 300) / 1
    assert figures["itl_ms_mean"] == pytest.approx((20 + 40 + 50) / 3)
    assert figures["itl_ms_p50"] == pytest.approx(40)
    assert figures["e2el_ms_p50"] == pytest.approx((160 + 350) / 2)
    assert figures["goodput_requests_s"] == 0.5  # the second is late with its first token


def test_an_answer_of_one_token_has_no_time_per_further_token() -> None:
    figures = load_figures([answer(0.1), answer(0.2, 0.02)], 1.0, 0, None)
    assert figures["tpot_ms_mean"] == pytest.approx(20)
    assert "output_tok_s_per_gpu" not in figures
    assert "goodput_requests_s" not in figures
    assert "tpot_ms_mean" not in load_figures([answer(0.1)], 1.0, 0, None)


def test_pieces_of_several_tokens_count_all_their_tokens() -> None:
    figures = load_figures([answer(0.1, 0.1, tokens=5)], 1.0, 0, None)
    assert figures["output_tok_s"] == 5
    assert figures["tpot_ms_mean"] == pytest.approx(25)


def test_no_answers_have_no_figures() -> None:
    with pytest.raises(ValueError, match="without answers"):
        load_figures([], 1.0, 0, None)


async def test_a_closed_loop_keeps_its_streams_busy() -> None:
    now, most = 0, 0
    all_busy = asyncio.Barrier(4)

    async def send(number: int) -> Generation:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await all_busy.wait()
        now -= 1
        if number == 5:
            raise GenerationError("five")
        return answer(0.01)

    began = time.perf_counter()
    load = await closed_loop(range(12), 4, send)
    assert most == load.most_at_once == 4
    assert 0 < load.seconds <= time.perf_counter() - began
    assert load.errors == ("five",)
    assert [a is None for a in load.answers] == [n == 5 for n in range(12)]


async def test_an_open_loop_does_not_wait_for_the_server() -> None:
    started: list[float] = []
    all_sent = asyncio.Event()
    began = time.perf_counter()

    async def send(number: int) -> Generation:
        started.append(time.perf_counter() - began)
        if len(started) == 3:
            all_sent.set()
        await all_sent.wait()
        return answer(0.01)

    arrivals = [0.0, 0.05, 0.1]
    async with asyncio.timeout(20):
        load = await open_loop([1, 2, 3], arrivals, send)
    assert load.most_at_once == 3
    assert all(at_s >= arrival for at_s, arrival in zip(started, arrivals, strict=True))


def test_arrivals_have_the_rate_asked_for_and_are_spread_like_a_poisson_process() -> None:
    times = poisson_arrivals(2001, 10.0, seed=1)
    assert times[0] == 0 and times[-1] == pytest.approx(200.0)
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    mean = sum(gaps) / len(gaps)
    deviation = (sum((gap - mean) ** 2 for gap in gaps) / len(gaps)) ** 0.5
    assert deviation / mean == pytest.approx(1.0, abs=0.08)  # exponential gaps: as wide as their mean
    assert poisson_arrivals(50, 3.0, seed=2) == poisson_arrivals(50, 3.0, seed=2)
    assert poisson_arrivals(50, 3.0, seed=2) != poisson_arrivals(50, 3.0, seed=3)
    assert poisson_arrivals(1, 5.0, seed=0) == [0.0]


def test_loads_are_the_product_of_what_is_asked_for(data: DatasetStore) -> None:
    options = ThroughputOptions.model_validate(
        {"concurrency": "1,4", "rates": 2.5, "mixes": "64x16,gsm8k", "quantizations": "none,fp8", "batch_sizes": 8}
    )
    tasks = Throughput(options).tasks(data)
    assert len(tasks) == 2 * 1 * 2 * 3
    assert tasks[0].task_id == "none/b8/64x16/c1"
    assert tasks[-1].task_id == "fp8/b8/gsm8k/r2.5"
    assert (tasks[-1].variant.quantization, tasks[0].variant.quantization) == ("fp8", None)
    assert [task.task_id for task in Throughput(ThroughputOptions()).tasks(data)] == [
        "256x128/c1", "256x128/c8", "256x128/c32",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"mixes": "256"}, "is no mix: TOKENSxTOKENS"),
        ({"mixes": "0x5"}, "is no mix"),
        ({"concurrency": "1,0"}, "above 0"),
        ({"concurrency": "two"}, "integer"),
        ({"goodput": "ttft"}, "is no target: NAME:MILLISECONDS"),
        ({"goodput": "speed:5"}, "is no target"),
        ({"goodput": "ttft:-1"}, "is no target"),
        ({"rates": "-1"}, "above 0"),
    ],
)
def test_bad_options_say_what_is_wanted(options: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        create_benchmark("throughput", options)


def test_targets_are_read() -> None:
    assert parse_targets("ttft:500, tpot:50,e2el:1e4") == Targets(500, 50, 10000)
    assert parse_targets("") is None


async def measure(home: Home, model: str, **options: object):
    settings = Settings(model=model, retries=0)
    outcome = await run_plan(home, plan_benchmarks(["throughput"], settings, options=options))
    connection = open_database(home.database, read_only=True)
    try:
        return outcome, Reader(LocalQueries(connection.cursor())).summaries(outcome.run_id, "throughput")
    finally:
        connection.close()


@pytest.fixture
def server(endpoint: FakeEndpoint) -> FakeEndpoint:
    """Counts a token for each word, and answers with as many pieces as were asked for."""

    def words(body: dict) -> int:
        text = body.get("prompt") or body["messages"][0]["content"]
        return len(text.split()) + 3

    endpoint.reply = lambda body: " ".join(["a"] * body["max_tokens"])
    endpoint.prompt_tokens = words
    endpoint.piece_delay_s = 0.005
    return endpoint


async def test_a_server_is_measured_three_times_with_warm_up_left_out(home: Home, server: FakeEndpoint) -> None:
    outcome, attempts = await measure(
        home, server.name, concurrency="4", mixes="40x8", requests=12, goodput="ttft:1000", gpus=2
    )
    assert outcome.status.value == "completed"
    assert [attempt.key.attempt for attempt in attempts] == [0, 1, 2]
    figures = attempts[0].metrics["figures"]
    assert figures["output_tokens"] == 12 * 8
    assert figures["prompt_tokens"] == 12 * 40
    assert attempts[0].metrics["most_at_once"] == 4
    assert figures["tpot_ms_p50"] >= 5
    assert figures["goodput_requests_s"] == pytest.approx(figures["requests_s"])
    assert figures["output_tok_s_per_gpu"] == pytest.approx(figures["output_tok_s"] / 2)
    # Finding out how to ask (1), calibrating (2), then three times a warm-up of 4 and 12 requests, none alike.
    assert len(server.requests) == 3 + 3 * 16
    prompts = [body["prompt"] for body in server.requests[3:]]
    assert len(set(prompts)) == len(prompts)
    metrics = {(m.category, m.name): m for m in outcome.results[0].metrics}
    median = metrics[("40x8/c4", "output_tok_s")]
    values = sorted(attempt.metrics["figures"]["output_tok_s"] for attempt in attempts)
    assert (median.low, median.value, median.high, median.n) == (*values, 3)
    assert (median.stderr, median.ci_low, median.ci_high) == (None, None, None)
    assert outcome.results[0].metrics[0].name == "output_tok_s" and not outcome.results[0].metrics[0].category


async def test_requests_arrive_at_the_rate_asked_for(home: Home, server: FakeEndpoint) -> None:
    _, attempts = await measure(home, server.name, concurrency="", rates="40", mixes="gsm8k", requests=40)
    figures = attempts[0].metrics["figures"]
    assert 0 < figures["requests_s"] <= 40 * 40 / 39 + 0.01  # the answers' own time comes on top
    assert attempts[0].metrics["rate"] == 40


async def test_a_server_that_refuses_fixed_lengths_is_measured_as_it_answers(home: Home, server: FakeEndpoint) -> None:
    server.lacks.add("ignore_eos")
    outcome, attempts = await measure(home, server.name, concurrency="2", mixes="40x8", requests=4)
    assert outcome.status.value == "completed"
    assert attempts[0].metrics["ignore_eos"] is False


async def test_requests_that_fail_are_counted_and_the_rest_measured(home: Home, server: FakeEndpoint) -> None:
    server.faults.extend([None] * 5 + [500])
    _, attempts = await measure(home, server.name, concurrency="2", mixes="40x8", requests=10)
    assert [attempt.metrics["failed"] for attempt in attempts] == [1, 0, 0]
    assert attempts[0].score == 0.9
    assert not attempts[0].passed


async def test_a_server_that_does_not_tell_lengths_says_what_to_do(home: Home, server: FakeEndpoint) -> None:
    server.lacks.add("usage")
    outcome, _ = await measure(home, server.name)
    assert outcome.results[0].errors == 9
    assert "does not tell how many tokens a prompt has" in outcome.last_error
    outcome, _ = await measure(home, server.name, mixes="gsm8k", concurrency="2", requests=2)
    assert outcome.status.value == "completed"


async def test_a_server_that_tells_lengths_of_chats_only_is_measured_by_chats(home: Home, server: FakeEndpoint) -> None:
    server.lacks.add("completion usage")
    outcome, attempts = await measure(home, server.name, concurrency="2", mixes="40x8", requests=4)
    assert outcome.status.value == "completed"
    assert [attempt.metrics["plain_prompts"] for attempt in attempts] == [False] * 3


async def test_a_server_that_tells_one_length_for_every_prompt_says_what_to_do(
    home: Home, server: FakeEndpoint
) -> None:
    server.prompt_tokens = lambda body: 100
    outcome, _ = await measure(home, server.name, concurrency="2", mixes="40x8", requests=4)
    assert "64 and 192 words have 100 and 100 tokens" in outcome.last_error


async def test_an_endpoint_cannot_be_served_in_another_way(home: Home, server: FakeEndpoint) -> None:
    outcome, _ = await measure(home, server.name, concurrency="2", quantizations="awq")
    assert "only vllm: models can" in outcome.last_error
