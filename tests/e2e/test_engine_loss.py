"""What is left when the engine, or the Docker engine under it, goes away in the middle of a run."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import random
import shutil
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Program
from tests.fake_endpoint import FakeEndpoint
from tests.waiting import until, wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.docker]

# A hundred, as the issue of the sandbox asks, take six minutes: STACKBENCH_KILLS=100.
KILLS = int(os.environ.get("STACKBENCH_KILLS", "4"))
SAMPLES_PER_TASK = 6
COMPLETED = "SELECT run_id, task_id, attempt FROM attempts WHERE status = 'completed'"


@pytest.fixture
def samples(program: Program, tmp_path: Path) -> Path:
    """Samples of every task, half of them right."""
    return write_samples(program, tmp_path, SAMPLES_PER_TASK)


def write_samples(program: Program, folder: Path, per_task: int) -> Path:
    assert program.home.data_extra is not None
    path = folder / "samples.jsonl"
    with gzip.open(program.home.data_extra / "humaneval" / "HumanEval.jsonl.gz", "rt") as file:
        tasks = [json.loads(line) for line in file]
    rows = [
        {"task_id": task["task_id"], "completion": task["canonical_solution"] if number % 2 else "    return None\n"}
        for number in range(per_task)
        for task in tasks
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_kill_9_during_scoring_loses_and_doubles_nothing_and_leaves_no_container(
    program: Program, samples: Path, containers_of
) -> None:
    draw = random.Random(29)
    wanted = 164 * SAMPLES_PER_TASK
    first = ("score", str(samples), "-b", "humaneval", "--json")
    command, killed, run_id = first, [], None
    seen: dict[str, set[tuple[str, int]]] = {}
    for _ in range(KILLS):
        process = program.start(*command)
        try:
            process.communicate(timeout=draw.uniform(0.3, 3.5))
            assert process.returncode == 0
            run_id, command = None, first  # it was done sooner: another one is begun
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            killed.append(process.pid)
            if not program.home.database.exists():
                continue
            done = program.run("query", COMPLETED, "--format", "json")
            if "was killed as it started" in done.stderr:
                continue
            assert done.returncode == 0, done.stderr
            for row in json.loads(done.stdout):
                seen.setdefault(row["run_id"], set()).add((row["task_id"], row["attempt"]))
            runs = program.query("SELECT run_id FROM runs WHERE status <> 'completed' ORDER BY created_at DESC")
            if runs:
                run_id = runs[0]["run_id"]
                command = ("eval", "--resume", run_id, "--json")
    if run_id is not None:
        finished = program.json(*command[:-1])
        assert finished["results"][0]["attempts"] == wanted
        assert finished["results"][0]["metrics"]["pass@1"]["value"] == pytest.approx(0.5)
    rows = program.query(
        "SELECT run_id, count(*) AS n, count(DISTINCT (task_id, attempt, seed)) AS d,"
        " count(*) FILTER (status = 'error') AS errors FROM attempts GROUP BY run_id"
    )
    assert all((row["n"], row["d"], row["errors"]) == (wanted, wanted, 0) for row in rows), rows
    kept = program.query("SELECT run_id, task_id, attempt FROM attempts WHERE status = 'completed'")
    now: dict[str, set[tuple[str, int]]] = {}
    for row in kept:
        now.setdefault(row["run_id"], set()).add((row["task_id"], row["attempt"]))
    assert all(before <= now[name] for name, before in seen.items())
    wait_for(lambda: not [c for pid in killed for c in containers_of(pid)], within_s=60)


@dataclass
class DockerEngine:
    """A Docker engine of the test's own, beside the machine's, in a network namespace of its own: one that is started
    without a bridge removes `docker0`, which would leave the machine's engine without its network."""

    folder: Path
    process: subprocess.Popen[bytes] | None = None

    @property
    def host(self) -> str:
        return f"unix://{self.folder}/s"

    def docker(self, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        environment = {**os.environ, "DOCKER_HOST": self.host}
        return subprocess.run(["docker", *arguments], env=environment, capture_output=True, check=False, timeout=60)

    def start(self) -> None:
        (self.folder / "pid").unlink(missing_ok=True)
        command = [
            "unshare",
            "--net",
            "dockerd",
            "-H",
            self.host,
            "--data-root",
            f"{self.folder}/data",
            "--exec-root",
            f"{self.folder}/x",
        ]
        command += ["--pidfile", f"{self.folder}/pid", "--bridge=none", "--iptables=false"]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        wait_for(lambda: self.docker("info").returncode == 0, within_s=60)

    def stop(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(60)
            self.process = None


@pytest.fixture
def own_engine(tmp_path_factory: pytest.TempPathFactory, image: str) -> Iterator[DockerEngine]:
    if os.geteuid() != 0 or shutil.which("dockerd") is None:
        pytest.skip("needs root and dockerd to start a Docker engine")
    engine = DockerEngine(Path(subprocess.check_output(["mktemp", "-d", "/tmp/sbXXXXXX"], text=True).strip()))
    try:
        engine.start()
        with subprocess.Popen(["docker", "save", image], stdout=subprocess.PIPE) as saved:
            environment = {**os.environ, "DOCKER_HOST": engine.host}
            subprocess.run(["docker", "load"], stdin=saved.stdout, env=environment, check=True, capture_output=True)
        yield engine
    finally:
        engine.stop()
        shutil.rmtree(engine.folder, ignore_errors=True)


def test_a_docker_engine_that_restarts_pauses_the_run(
    program: Program, tmp_path: Path, own_engine: DockerEngine
) -> None:
    samples = write_samples(program, tmp_path, 24)
    environment = {**program.environment, "DOCKER_HOST": own_engine.host}
    errors = samples.with_suffix(".err")
    command = program.command("score", str(samples), "-b", "humaneval", "--json")
    with (
        errors.open("wb") as log,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, env=environment) as process,
    ):
        try:
            result = _restart_under(process, program, errors, own_engine)
        finally:
            process.kill()
    assert (result["attempts"], result["errors"]) == (164 * 24, 0)
    assert result["metrics"]["pass@1"]["value"] == pytest.approx(0.5)


def _restart_under(
    process: subprocess.Popen[bytes], program: Program, errors: Path, own_engine: DockerEngine
) -> dict[str, Any]:
    count = "SELECT count(*) AS n FROM attempts"
    wait_for(lambda: "attempts" in errors.read_text(), within_s=60)
    wait_for(lambda: program.query(count)[0]["n"] >= 50, within_s=60)
    own_engine.stop()
    wait_for(lambda: "does not answer; the run is paused" in errors.read_text(), within_s=60)
    assert 50 <= program.query(count)[0]["n"] < 164 * 24
    own_engine.start()
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 0, errors.read_text()
    assert "answers again" in errors.read_text()
    return json.loads(out)["results"][0]


def test_a_container_for_every_sample_gives_the_same_scores(program: Program, samples: Path) -> None:
    few = samples.with_name("few.jsonl")
    few.write_text("".join(f"{line}\n" for line in samples.read_text().splitlines()[160:172]))
    shared = program.json("score", str(few), "-b", "humaneval")["results"][0]
    alone = program.json("score", str(few), "-b", "humaneval", "--sandbox-scope", "sample")["results"][0]
    assert alone["metrics"] == shared["metrics"]
    assert (alone["attempts"], alone["errors"]) == (12, 0)


def test_a_runtime_that_the_docker_engine_lacks_is_said_before_anything_runs(program: Program, samples: Path) -> None:
    done = program.run("score", str(samples), "-b", "humaneval", "--sandbox-runtime", "no-such-runtime")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "has no runtime 'no-such-runtime'" in done.stderr
    wrong = program.run("score", str(samples), "-b", "humaneval", "--sandbox-scope", "planet")
    assert wrong.returncode == 2
    assert "container" in wrong.stderr


async def test_sigterm_of_a_batch_system_leaves_what_was_done_and_the_rest_is_made_later(
    program: Program, endpoint: FakeEndpoint
) -> None:
    endpoint.reply = lambda body: f"#### {len(str(body['messages'])) % 30}"
    command = ("eval", "gsm8k", "-m", endpoint.name, "--limit", "30", "--concurrency", "4")
    expected = json.loads((await program.run_beside(*command, "--json")).stdout)["results"][0]["metrics"]
    endpoint.requests.clear()
    endpoint.faults.extend([None] * 12 + ["slow"] * 8)
    process = program.start(*command)
    try:
        await until(lambda: len(endpoint.requests) >= 16, within_s=60)
        process.send_signal(signal.SIGTERM)
        _, said = await asyncio.to_thread(process.communicate, timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130, said
    endpoint.faults.clear()
    done = await program.run_beside("eval", "--resume", "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["results"][0]["metrics"] == expected
    rows = program.query(
        "SELECT count(*) AS n, count(DISTINCT task_id) AS d FROM attempts "
        f"WHERE run_id = '{document['run_id']}' AND status = 'completed'"
    )
    assert rows == [{"n": 30, "d": 30}]
    assert 30 <= len(endpoint.requests) <= 38
