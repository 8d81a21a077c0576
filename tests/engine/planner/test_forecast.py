from __future__ import annotations

from dataclasses import replace

import pytest

from stackbench.benchmarks.throughput.benchmark import Throughput, ThroughputOptions
from stackbench.config import Settings
from stackbench.engine.planner.fleet import Fleet, assumed_fleet
from stackbench.engine.planner.forecast import RunForecast, Workload, forecast_run
from stackbench.engine.planner.saturation import bounds_of
from stackbench.engine.planner.speed import served_model
from stackbench.errors import UsageError
from stackbench.store.timings import BenchmarkTiming, RunTiming

CODE = Workload("humaneval", 100, 100)
MATHS = Workload("gsm8k", 400, 400, optional=True)
SPEED = Workload("throughput", 3, 9, speed=True)
SHARES = {"humaneval": (100, 50.0), "gsm8k": (400, 150.0), "throughput": (9, 30.0)}


def timing(scale: float = 1.0, times: float = 1.0, servers: int = 1) -> RunTiming:
    """A run that made so many times the attempts, at so many times the cost."""
    benchmarks = {
        name: BenchmarkTiming(int(count * times), seconds * scale * times, 2.0, servers=servers)
        for name, (count, seconds) in SHARES.items()
    }
    return RunTiming(20.0, 1.0, 251.0, 64, benchmarks)


def forecast(
    *work: Workload, timings: tuple[RunTiming, ...] = (), machines: str = "1x1", **settings: object
) -> RunForecast:
    chosen = Settings(**{"model": "vllm:qwen2.5-coder-7b-instruct", **settings})
    fleet = replace(assumed_fleet(machines), assumed=not timings)
    return forecast_run(work, chosen, fleet, served_model(chosen, fleet), timings)


def test_a_second_run_takes_what_the_first_one_took() -> None:
    found = forecast(CODE, MATHS, SPEED, timings=(timing(),))
    assert found.seconds == pytest.approx(20 + 50 + 150 + 30 + 1)
    assert found.measured
    assert {one.basis for one in found.benchmarks} == {"measured: 1 run"}
    assert [bar.name for bar in found.bars] == ["humaneval", "gsm8k", "throughput"]
    assert found.bars[-1].end_s == pytest.approx(250)


@pytest.mark.parametrize("model", ["oracle", "openai:m@http://127.0.0.1:9/v1", "vllm:qwen2.5-coder-7b-instruct"])
def test_a_resumed_run_with_nothing_left_takes_no_time(model: str) -> None:
    (only,) = forecast(Workload("gsm8k", 4, 0), model=model).benchmarks
    assert only.seconds == 0


def test_runs_of_about_that_size_are_believed_before_others() -> None:
    found = forecast(CODE, timings=(timing(scale=9, times=0.01), timing(scale=2), timing(scale=4)))
    assert found.benchmarks[0].seconds == pytest.approx(150)
    assert found.benchmarks[0].basis == "measured: 2 runs"
    small = forecast(CODE, timings=(timing(scale=9, times=0.02),))
    assert small.benchmarks[0].seconds == pytest.approx(450)
    assert small.benchmarks[0].basis == "measured: 1 run of 2"


def test_more_servers_share_the_work_but_not_that_of_speed() -> None:
    one = forecast(CODE, SPEED, timings=(timing(),))
    two = forecast(CODE, SPEED, timings=(timing(),), machines="1x2")
    assert two.model.servers == 2
    assert two.benchmarks[0].seconds == pytest.approx(one.benchmarks[0].seconds / 2)
    assert two.benchmarks[1].seconds == one.benchmarks[1].seconds


def test_optional_benchmarks_begin_when_the_last_attempts_of_the_others_are_under_way() -> None:
    found = forecast(MATHS, CODE, timings=(timing(),))
    bars = {bar.name: bar for bar in found.bars}
    assert bars["gsm8k"].start_s == pytest.approx(bars["humaneval"].end_s - 2.0)
    assert bars["gsm8k"].end_s == pytest.approx(20 + 50 + 150)


def test_what_has_no_room_in_the_hours_is_cut_from_the_last_priority_on() -> None:
    hours = (20 + 1 + 50 + 40) / 3600
    found = forecast(MATHS, CODE, SPEED, timings=(timing(),), max_hours=hours)
    assert list(found.cut) == ["gsm8k"]
    assert "no room" in found.cut["gsm8k"]
    assert [bar.name for bar in found.bars] == ["humaneval", "throughput"]
    assert found.seconds <= hours * 3600


def test_the_first_priority_is_never_cut_and_nothing_is_on_a_guess() -> None:
    only = forecast(CODE, timings=(timing(),), max_hours=0.001)
    assert not only.cut
    assert "may end it" in only.notes[-1]
    guessed = forecast(CODE, MATHS, max_hours=0.0001)
    assert not guessed.cut
    assert not guessed.measured


@pytest.mark.parametrize("written", ["", "20", "0x8", "8x0", "x", "2x3x4x5", "-1x4", "99999x99999", "2 x 3"])
def test_machines_that_mean_nothing_are_refused(written: str) -> None:
    with pytest.raises(UsageError, match="--machines"):
        assumed_fleet(written)


def test_a_large_fleet_waits_for_what_does_not_grow_with_it() -> None:
    suite = [
        Workload(name, tasks, tasks, agent=name in ("tooluse", "swebench"))
        for name, tasks in (("humaneval", 164), ("mmlu", 14042), ("tooluse", 500), ("swebench", 500))
    ]
    small = bounds_of(forecast(*suite, machines="1x1"))
    large = bounds_of(forecast(*suite, machines="20x64"))
    assert small[0].resource == "processors for sandboxes"  # twelve of them, and SWE-bench's tests
    assert large[0].resource == "the longest attempt"
    seconds = {bound.resource: bound.seconds for bound in large}
    assert seconds["agents in the engine"] == {b.resource: b.seconds for b in small}["agents in the engine"]


def test_a_model_that_fits_no_gpu_takes_several() -> None:
    settings = Settings(model="vllm:qwen2.5-coder-32b-instruct")
    fleet = assumed_fleet("2x8x40")
    model = served_model(settings, fleet)
    assert (model.gpus, model.servers) == (4, 4)


def test_what_does_not_fit_is_told() -> None:
    fleet = Fleet(1, 0, 0, assumed_fleet("1x1").device, 2, 8 << 30, 1 << 30)
    settings = Settings(model="hf:qwen2.5-coder-7b-instruct")
    found = forecast_run([CODE], settings, fleet, served_model(settings, fleet))
    assert any("disk has 1 GiB" in note for note in found.notes)
    assert any("weights do not fit" in note for note in found.notes)


def test_no_part_of_a_measured_run_needs_longer_than_the_run_did() -> None:
    found = forecast(CODE, MATHS, timings=(timing(scale=0.001),))
    servers = next(one.seconds for one in bounds_of(found) if one.resource == "model servers")
    assert servers == pytest.approx(0.05 + 0.15) and max(one.seconds for one in bounds_of(found)) <= found.seconds


def test_tokens_that_the_options_tell_and_the_limit_of_answers_are_counted() -> None:
    whole, cut = (forecast(replace(MATHS, max_tokens=limit)).benchmarks[0].profile for limit in (None, 10))
    assert whole.completion_tokens > cut.completion_tokens == 10
    short = forecast(replace(SPEED, tokens=(80, 40), max_tokens=10)).benchmarks[0].profile
    assert (short.prompt_tokens, short.completion_tokens) == (80, 40)


def test_the_streams_of_a_throughput_measurement_are_counted_from_its_options() -> None:
    def tokens(**options: object) -> tuple[int, int] | None:
        return Throughput(ThroughputOptions.model_validate(options)).planned_tokens()

    assert tokens(concurrency=(2,), mixes=("32x16",), requests=4, warmup=1) == (80, 40)
    assert tokens(concurrency=(8, 32), mixes=("256x128",)) == (1280, 640)
    assert tokens(mixes=("gsm8k",)) is None and tokens(rates=(2.0,)) is None
