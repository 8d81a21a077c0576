"""Several models in one command, through the real program: a run each in one engine, compared at the end."""

from __future__ import annotations

import asyncio
import json
import signal
from pathlib import Path

import pytest

from tests.conftest import Program
from tests.fake_endpoint import FakeEndpoint
from tests.waiting import wait_for

pytestmark = pytest.mark.e2e

TWO = ("eval", "gsm8k", "--limit", "10", "-m", "null", "-m", "oracle")


def test_each_model_has_a_run_and_they_are_compared(program: Program) -> None:
    document = program.json(*TWO, "-m", "null", "--tag", "pair")
    assert set(document) == {"runs", "comparison"}
    assert [(run["model"], run["status"]) for run in document["runs"]] == [
        ("null", "completed"), ("oracle", "completed"),
    ]  # fmt: skip
    first, second = document["comparison"]
    assert (first["model"], first["benchmark"], first["value"], first["to_first"]) == ("null", "gsm8k", 0.0, None)
    assert (second["model"], second["value"]) == ("oracle", 1.0)
    assert (second["to_first"]["tasks"], second["to_first"]["difference"]) == (10, 1.0)
    assert [second["to_first"][name] for name in ("ci_low", "ci_high", "p_value")] == [None] * 3, (
        "10 tasks: counts alone"
    )
    assert {run["status"] for run in program.json("runs", "--tag", "pair")} == {"completed"}
    assert len(program.json("runs")) == 2


@pytest.mark.parametrize("width", ["60", "80", "200"])
def test_the_screen_has_both_scoreboards_and_the_comparison(program: Program, width: str) -> None:
    done = program.run(*TWO, COLUMNS=width, NO_COLOR="1")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("completed in") == 2
    compared = done.stdout[done.stdout.index("models compared") :]
    flat = " ".join(compared.split())
    assert "exact_match_robust 1.0000 10 of 10" in flat
    assert "+1.0000" in flat and "10 of 10" in flat


def test_a_suite_names_its_models_and_its_gates_hold_for_each(program: Program, tmp_path: Path) -> None:
    suite = tmp_path / "pair.toml"
    gate = '[[gates]]\nname = "g"\nbenchmark = "gsm8k"\nmetric = "exact_match_strict"\nmin = 0.5\n'
    suite.write_text(f'models = ["oracle", "null"]\n[[benchmarks]]\nname = "gsm8k"\nlimit = 2\n{gate}')
    document = program.json("--batch", str(suite), code=1)
    assert [(run["model"], run["gates"][0]["passed"]) for run in document["runs"]] == [
        ("oracle", True), ("null", False),
    ]  # fmt: skip
    assert program.json("--batch", str(suite), "-m", "oracle")["model"] == "oracle"


def test_a_model_that_cannot_be_had_leaves_the_others_alone(program: Program) -> None:
    gone = "openai:m@http://127.0.0.1:9/v1"
    document = program.json("eval", "gsm8k", "--limit", "2", "-m", gone, "-m", "oracle", code=3)
    assert [(run["model"], run["status"]) for run in document["runs"]] == [(gone, "failed"), ("oracle", "completed")]
    assert "nothing answers at http://127.0.0.1:9/v1" in document["runs"][0]["error"]
    both = program.run("eval", "gsm8k", "--limit", "2", "-m", gone, "-m", "openai:n@http://127.0.0.1:9/v1")
    assert both.returncode == 2
    assert both.stderr.count("stackbench: error: openai:") == 2


async def test_a_model_that_goes_away_in_the_middle_leaves_the_others_alone(
    program: Program, endpoint: FakeEndpoint
) -> None:
    endpoint.delay_s = 0.05
    process = program.start(
        "eval", "gsm8k", "--limit", "40", "-m", endpoint.name, "-m", "oracle", "--concurrency", "2", "--retries", "1",
        "--give-up-after", "1s", "--json",
    )  # fmt: skip
    try:
        await asyncio.to_thread(wait_for, lambda: len(endpoint.requests) >= 5, within_s=60)
        await endpoint.stop()
        out, said = await asyncio.to_thread(process.communicate, timeout=120)
    finally:
        process.kill()
    assert process.returncode == 3, said
    lost, whole = json.loads(out)["runs"]
    assert (whole["model"], whole["status"], whole["results"][0]["attempts"]) == ("oracle", "completed", 40)
    assert lost["status"] == "failed"
    assert f"to go on: stackbench eval --resume {lost['run_id']}" in said
    endpoint.delay_s = 0
    await endpoint.start_again()
    again = await program.run_beside("eval", "--resume", lost["run_id"], "--json")
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["results"][0]["attempts"] == 40


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((*TWO, "--name", "x"), "--name is the name of one run"),
        ((*TWO, "--resume"), "a run that is resumed has one model"),
        (("eval", "gsm8k", "-m", "oracle", "-m", "gpt-4"), 'unknown model "gpt-4"'),
        ((*TWO, "--wait"), "--wait goes with --detach"),
    ],
)
def test_what_cannot_be_done_with_several_models_is_refused_before_anything_runs(
    program: Program, arguments: tuple[str, ...], said: str
) -> None:
    done = program.run(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr.splitlines()[-1]
    assert not program.home.database.exists()


async def test_ctrl_c_stops_all_of_them_and_each_can_be_gone_on_with(program: Program, endpoint: FakeEndpoint) -> None:
    endpoint.faults.extend(["slow"] * 100)
    process = program.start("eval", "gsm8k", "--limit", "5", "-m", endpoint.name, "-m", "oracle", "--json")
    try:
        await asyncio.to_thread(wait_for, lambda: len(endpoint.requests) >= 5, within_s=60)
        process.send_signal(signal.SIGINT)
        out, said = await asyncio.to_thread(process.communicate, timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130, said
    runs = json.loads(out)["runs"]
    assert [run["status"] for run in runs] == ["interrupted", "interrupted"]
    for run in runs:
        assert f"to go on: stackbench eval --resume {run['run_id']}" in said
    assert "stopping, 5 under way; Ctrl-C again to leave" in said
    second = await program.run_beside("eval", "--resume", runs[1]["run_id"], "--json")
    assert json.loads(second.stdout)["results"][0]["attempts"] == 5, second.stderr


async def test_they_wait_in_the_queue_of_a_live_engine_and_detach(program: Program, endpoint: FakeEndpoint) -> None:
    endpoint.delay_s = 0.1
    first = program.start("eval", "gsm8k", "-m", endpoint.name, "--limit", "60", "--concurrency", "2", "--json")
    await asyncio.to_thread(wait_for, program.home.socket.exists, within_s=60)
    both = await program.run_beside(*TWO, "--json")
    assert both.returncode == 0, both.stderr
    assert [run["status"] for run in json.loads(both.stdout)["runs"]] == ["completed", "completed"]
    await asyncio.to_thread(first.communicate, timeout=60)
    detached = await program.run_beside(*TWO, "--detach", "--wait")
    assert detached.returncode == 0, detached.stderr
    *started, end = map(json.loads, detached.stdout.splitlines())
    assert [one["run_id"] for one in started] == [run["run_id"] for run in end["runs"]]
    assert [score["value"] for score in end["comparison"]] == [0.0, 1.0]
