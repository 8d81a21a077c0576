"""A benchmark of one's own through the whole of its life: detached, killed, resumed elsewhere, scored from a file."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from pathlib import Path

import psutil
import pytest

from tests.conftest import Program
from tests.fake_endpoint import FakeEndpoint
from tests.waiting import wait_for

pytestmark = pytest.mark.e2e

ROWS = 60


@pytest.fixture
def sums(program: Program) -> Path:
    """A YAML file in the folder that commands run in, its rows beside it."""
    rows = [{"a": number, "answer": number + 1} for number in range(ROWS)]
    (program.home.path / "sums.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    path = program.home.path / "sums.yaml"
    path.write_text('name: sums\ndata: sums.jsonl\nprompt: "{{ a }} + 1 ="\nmetric: number\nanswer: answer\n')
    return path


def answer(body: dict[str, object]) -> str:
    text = json.dumps(body)
    return str(int(text.split(" + 1 =")[0].rsplit('"', 1)[1]) + 1)


async def test_it_outlives_the_kill_of_engine_and_watcher_at_once(
    program: Program, endpoint: FakeEndpoint, sums: Path, tmp_path: Path
) -> None:
    endpoint.delay_s = 0.1
    endpoint.reply = answer
    started = await program.run_beside(
        "eval", sums.name, "-m", endpoint.name, "--concurrency", "2", "--name", "mine", "--detach"
    )
    assert started.returncode == 0, started.stderr
    run = json.loads(started.stdout)
    watcher = program.start("attach", "mine")
    try:
        await asyncio.to_thread(wait_for, lambda: len(endpoint.requests) > 10, within_s=60)
    finally:
        os.kill(run["pid"], signal.SIGKILL)
        watcher.kill()
        watcher.communicate()
    await asyncio.to_thread(wait_for, lambda: not psutil.pid_exists(run["pid"]), within_s=20)
    (left,) = await asyncio.to_thread(program.json, "runs")
    assert (left["run_id"], left["status"]) == (run["run_id"], "interrupted")
    endpoint.delay_s = 0
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    resumed = await asyncio.to_thread(program.run, "eval", "--resume", "mine", "--json", cwd=elsewhere)
    assert resumed.returncode == 0, resumed.stderr
    (result,) = json.loads(resumed.stdout)["results"]
    assert (result["benchmark"], result["attempts"], result["errors"]) == ("sums", ROWS, 0)
    assert result["metrics"]["acc"]["value"] == 1.0
    counts = program.query("SELECT count(*) AS n, count(DISTINCT task_id) AS tasks FROM attempts")
    assert counts == [{"n": ROWS, "tasks": ROWS}]


def test_answers_that_exist_are_scored(program: Program, sums: Path) -> None:
    samples = program.home.path / "answers.jsonl"
    right = [{"task_id": f"sums/{number}", "completion": f"It is {number + 1}."} for number in range(10)]
    wrong = [{"task_id": f"sums/{number}", "completion": "7777"} for number in range(10, 40)]
    samples.write_text("".join(json.dumps(row) + "\n" for row in right + wrong))
    (result,) = program.json("score", samples.name, "-b", sums.name)["results"]
    assert (result["attempts"], result["tasks_available"]) == (40, ROWS)
    assert result["metrics"]["acc"]["value"] == pytest.approx(0.25)
    lines = (program.home.path / "answers.jsonl_results.jsonl").read_text().splitlines()
    assert [json.loads(line)["passed"] for line in lines] == [True] * 10 + [False] * 30
    samples.write_text(json.dumps({"task_id": "sums/999", "completion": "1"}) + "\n")
    refused = program.run("score", samples.name, "-b", sums.name)
    assert refused.returncode == 2 and "sums/999" in refused.stderr, refused.stderr


def test_a_resume_without_the_file_says_which_it_wants(program: Program, sums: Path) -> None:
    run = program.json("eval", sums.name, "-m", "null", "--limit", "2", "--name", "mine")
    assert run["status"] == "completed"
    sums.rename(sums.with_name("moved.yaml"))
    done = program.run("eval", "--resume", "mine")
    assert done.returncode == 2, done.stderr
    assert str(sums) in done.stderr.splitlines()[-1] and "Traceback" not in done.stderr
