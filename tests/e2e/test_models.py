"""Models fetched from a hub, looked at, compared; a vLLM server from the command line. Hub and GPU are fakes."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

from tests.conftest import Program
from tests.fake_hub import COMMIT, FakeHub
from tests.waiting import wait_for

pytestmark = pytest.mark.e2e

NAME = "qwen2.5-coder-1.5b-instruct"
PINNED = "2e1fd397ee46e1388853d2af2c993145b0f1098a"
FAKE_VLLM = Path(__file__).parent.parent / "models" / "fake_vllm.py"


@pytest.fixture
async def hub() -> AsyncIterator[FakeHub]:
    hub = FakeHub()
    hub.files = {
        "config.json": b'{"model_type": "qwen2"}',
        "tokenizer.json": b"{}",
        "model-00001-of-00002.safetensors": os.urandom(3 << 20),
        "model-00002-of-00002.safetensors": os.urandom(1 << 20),
        "README.md": b"not needed",
    }
    await hub.start()
    yield hub
    await hub.stop()


@pytest.fixture
def own_models(program: Program) -> Program:
    """A models folder of the test's own, in place of the shared one."""
    models = program.home.path / "models"
    models.unlink()
    models.mkdir()
    return program


async def test_a_model_is_pulled_at_its_pinned_revision_with_every_hash_checked(
    own_models: Program, hub: FakeHub
) -> None:
    done = await own_models.run_beside("models", "pull", NAME, HF_ENDPOINT=hub.url)
    assert done.returncode == 0, done.stderr
    folder = Path(done.stdout.strip())
    assert hub.asked == [PINNED]
    assert (folder / "model-00001-of-00002.safetensors").read_bytes() == hub.files["model-00001-of-00002.safetensors"]
    assert not (folder / "README.md").exists()
    assert json.loads((folder / "stackbench.origin.json").read_text()) == {
        "repo": "Qwen/Qwen2.5-Coder-1.5B-Instruct", "commit": PINNED,
    }  # fmt: skip
    assert len((folder / "stackbench.sha256").read_text().splitlines()) == 2
    assert "MB" in done.stderr
    again = await own_models.run_beside("models", "pull", NAME, HF_ENDPOINT=hub.url)
    assert again.stdout == done.stdout
    assert hub.asked == [PINNED]


async def test_a_pull_that_broke_off_goes_on_where_it_was(own_models: Program, hub: FakeHub) -> None:
    name = "model-00001-of-00002.safetensors"
    hub.break_off[name] = 2 << 20
    first = await own_models.run_beside("models", "pull", NAME, HF_ENDPOINT=hub.url)
    assert first.returncode == 2
    assert name in first.stderr.splitlines()[-1] and "Traceback" not in first.stderr
    second = await own_models.run_beside("models", "pull", NAME, HF_ENDPOINT=hub.url)
    assert second.returncode == 0, second.stderr
    folder = Path(second.stdout.strip())
    assert (folder / name).read_bytes() == hub.files[name]
    assert hub.sent[name] < (3 << 20) + (1 << 20)
    assert hub.sent["config.json"] == len(hub.files["config.json"])


async def test_a_damaged_file_is_refused(own_models: Program, hub: FakeHub) -> None:
    hub.damaged.add("model-00002-of-00002.safetensors")
    done = await own_models.run_beside("models", "pull", NAME, HF_ENDPOINT=hub.url)
    assert done.returncode == 2
    assert "came with sha256" in done.stderr and "the hub says" in done.stderr
    assert not (own_models.home.models / NAME).exists()


async def test_an_unpinned_model_keeps_the_commit_of_its_first_pull(own_models: Program, hub: FakeHub) -> None:
    done = await own_models.run_beside("models", "pull", "starcoder2-15b-instruct", HF_ENDPOINT=hub.url)
    assert done.returncode == 0, done.stderr
    origin = json.loads((Path(done.stdout.strip()) / "stackbench.origin.json").read_text())
    assert origin["commit"] == COMMIT


def test_a_folder_of_ones_own_comes_before_the_hub(own_models: Program, tmp_path: Path) -> None:
    mine = tmp_path / "mine" / NAME
    mine.mkdir(parents=True)
    (mine / "config.json").write_text("{}")
    done = own_models.run("models", "pull", NAME, STACKBENCH_MODELS=str(tmp_path / "mine"), HF_HUB_OFFLINE="1")
    assert done.stdout.strip() == str(mine)


def test_no_hub_is_one_line_with_what_to_do(own_models: Program) -> None:
    done = own_models.run("models", "pull", NAME, HF_ENDPOINT="http://127.0.0.1:9")
    assert done.returncode == 2
    last = done.stderr.splitlines()[-1]
    assert last.startswith("stackbench: error: model") and "STACKBENCH_MODELS" in last


def test_doctor_says_whether_a_model_fits_and_how(program: Program) -> None:
    done = program.run("doctor", "--model", "qwen2.5-coder-32b-instruct", "--json")
    document = json.loads(done.stdout)
    weights = [precision["weight_bytes"] for precision in document["precisions"]]
    assert weights == sorted(weights, reverse=True)
    assert document["memory_bytes"] == psutil.virtual_memory().total
    small = program.run("doctor", "--model", "hf:smollm2-135m-instruct")
    assert small.returncode == 0
    assert "It fits as it is." in small.stdout
    nobody = program.run("doctor", "--model", "nonesuch")
    assert nobody.returncode == 2
    assert 'nothing is known of the model "nonesuch"' in nobody.stderr


# -- a vLLM server


@pytest.fixture
def vllm(tmp_path: Path) -> dict[str, str]:
    """What the environment of a program needs to find the fake server; `FAKE_VLLM` says how it fails."""
    program = tmp_path / "bin" / "vllm"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} {FAKE_VLLM} "$@"\n')
    program.chmod(0o755)
    weights = tmp_path / "tiny"
    weights.mkdir()
    (weights / "config.json").write_text('{"model_type": "qwen2", "max_position_embeddings": 4096}')
    state = tmp_path / "state"
    state.mkdir()
    return {"FAKE_VLLM_STATE": str(state), "BIN": str(program), "MODEL": str(weights)}


def test_an_evaluation_survives_the_death_of_its_server(program: Program, vllm: dict[str, str]) -> None:
    document = program.json(
        "eval", "gsm8k", "--limit", "150", "-m", f"vllm:{vllm['MODEL']}", "--vllm-bin", vllm["BIN"],
        FAKE_VLLM=json.dumps({"crash_after": 60}), **vllm,
    )  # fmt: skip
    (result,) = document["results"]
    assert (document["status"], result["attempts"], result["errors"]) == ("completed", 150, 0)
    rows = json.loads(
        program.run(
            "query", "SELECT count(*) n, count(DISTINCT task_id) tasks FROM attempts", "--format", "json"
        ).stdout
    )
    assert rows == [{"n": 150, "tasks": 150}]
    notices = program.run("query", "SELECT payload->>'$.text' FROM events WHERE kind = 'notice'", "--format", "csv")
    assert "starting it again (1 of 3 times)" in notices.stdout
    shown = json.loads(program.run("show", "last", "--json").stdout)
    model = shown["environment"]["model"]
    assert [entry["what"] for entry in model["history"]] == ["serving", "lost", "serving"]
    assert model["vllm"] == "0.0-fake"
    assert (Path(program.home.path) / "runs" / document["run_id"] / "vllm.log").is_file()


def test_a_server_that_is_lost_ends_the_run_which_can_be_resumed(program: Program, vllm: dict[str, str]) -> None:
    arguments = ["eval", "gsm8k", "--limit", "150", "-m", f"vllm:{vllm['MODEL']}", "--vllm-bin", vllm["BIN"]]
    done = program.run(*arguments, FAKE_VLLM=json.dumps({"crash_after": 20, "lives": 99}), **vllm)
    assert done.returncode == 3
    assert "started again 3 times already" in done.stderr and "to go on: stackbench eval --resume" in done.stderr
    kept = json.loads(program.run("query", "SELECT count(*) n FROM attempts", "--format", "json").stdout)[0]["n"]
    assert 0 < kept < 150
    document = program.json("eval", "--resume", "last", FAKE_VLLM="{}", **vllm)
    assert (document["status"], document["results"][0]["attempts"]) == ("completed", 150)


THROUGHPUT = ("eval", "throughput", "-T", "mixes=gsm8k", "-T", "requests=6", "-T", "concurrency=2")


def test_quantisations_and_batch_sizes_are_measured_side_by_side(program: Program, vllm: dict[str, str]) -> None:
    document = program.json(
        *THROUGHPUT, "-T", "quantizations=none,fp8", "-T", "batch_sizes=4,8", "-m", f"vllm:{vllm['MODEL']}",
        "--vllm-bin", vllm["BIN"], FAKE_VLLM="{}", **vllm,
    )  # fmt: skip
    (result,) = document["results"]
    assert (result["tasks"], result["attempts"], result["errors"]) == (4, 12, 0)
    for way in ("none/b4", "none/b8", "fp8/b4", "fp8/b8"):
        assert result["metrics"][f"output_tok_s/{way}/gsm8k/c2"]["n"] == 3
    starts = sorted(Path(vllm["FAKE_VLLM_STATE"]).glob("life-*"), key=lambda path: int(path.name[5:]))
    flags = [" ".join(json.loads(path.read_text())) for path in starts]
    assert ["--quantization fp8" in line for line in flags] == [False, False, False, True, True]
    assert ["--max-num-seqs 4" in line for line in flags] == [False, True, False, True, False]
    shown = program.run("show", "last")
    assert "none/b4/gsm8k/c2" in shown.stdout and "TTFT ms" in shown.stdout
    assert "loading" in shown.stdout and "quantization fp8" in shown.stdout


def test_what_follows_a_speed_benchmark_is_served_as_the_run_has_it(
    program: Program, vllm: dict[str, str], tmp_path: Path
) -> None:
    suite = tmp_path / "both.toml"
    suite.write_text(
        '[[benchmarks]]\nname = "throughput"\n'
        'options = { mixes = "gsm8k", requests = 2, concurrency = 1, batch_sizes = 4 }\n'
        '[[benchmarks]]\nname = "gsm8k"\nlimit = 2\n'
    )
    model = ("-m", f"vllm:{vllm['MODEL']}", "--vllm-bin", vllm["BIN"])
    program.json("--batch", str(suite), "--one-by-one", *model, FAKE_VLLM="{}", **vllm)
    starts = sorted(Path(vllm["FAKE_VLLM_STATE"]).glob("life-*"))
    assert ["--max-num-seqs" in path.read_text() for path in starts] == [False, True, False]


def test_a_measurement_in_which_the_server_died_is_made_again(program: Program, vllm: dict[str, str]) -> None:
    document = program.json(
        *THROUGHPUT, "-m", f"vllm:{vllm['MODEL']}", "--vllm-bin", vllm["BIN"],
        FAKE_VLLM=json.dumps({"crash_after": 14}), **vllm,
    )  # fmt: skip
    (result,) = document["results"]
    assert (result["attempts"], result["errors"]) == (3, 0)
    figures = program.query("SELECT metrics->'$.failed' AS failed, metrics->'$.figures.seconds' AS s FROM attempts")
    assert all(row["failed"] == 0 or row["failed"] == "0" for row in figures)
    assert all(float(row["s"]) < 3 for row in figures)  # no measurement holds the server's new start


def test_serve_serves_until_it_is_stopped(program: Program, vllm: dict[str, str]) -> None:
    process = program.start("serve", vllm["MODEL"], "--vllm-bin", vllm["BIN"], FAKE_VLLM='{"child": true}', **vllm)
    assert process.stdout is not None
    url = process.stdout.readline().strip()
    children = psutil.Process(process.pid).children(recursive=True)
    name = vllm["MODEL"]
    arguments = json.loads((Path(vllm["FAKE_VLLM_STATE"]) / "life-0").read_text())
    assert arguments[arguments.index("--generation-config") + 1] == "vllm"
    document = program.json("eval", "gsm8k", "--limit", "5", "-m", f"openai:{name}@{url}")
    assert document["results"][0]["attempts"] == 5
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=30) == 0
    process.communicate()
    wait_for(lambda: not any(child.is_running() for child in children), within_s=20)


def test_serve_without_vllm_says_what_to_do(program: Program, vllm: dict[str, str]) -> None:
    done = program.run("serve", vllm["MODEL"], "--vllm-bin", "/no/such")
    assert done.returncode == 2
    assert "--vllm-bin /no/such is no program that can be run" in done.stderr.splitlines()[-1]
    done = program.run("serve", "openai:m@http://h/v1")
    assert 'serve starts a vLLM server, and "openai:m@http://h/v1" has no weights to load' in done.stderr


# -- two runs


def test_two_runs_are_compared_task_by_task(program: Program) -> None:
    first = program.json("eval", "gsm8k", "--limit", "40", "-m", "oracle")["run_id"]
    second = program.json("eval", "gsm8k", "--limit", "30", "-m", "null", "--temperature", "0.5")["run_id"]
    document = json.loads(program.run("compare", first, second, "--json").stdout)
    (found,) = document["benchmarks"]
    assert (found["tasks"], found["first"], found["second"], found["difference"]) == (30, 1.0, 0.0, -1.0)
    assert (found["better"], found["worse"], found["only_first"]) == (0, 30, 10)
    assert found["p_value"] == pytest.approx(2 / 2**30)
    assert document["settings"]["temperature"] == [None, 0.5]
    (same,) = json.loads(program.run("compare", first, first, "--json").stdout)["benchmarks"]
    assert (same["difference"], same["p_value"], same["test"]) == (0.0, 1.0, "McNemar's exact")
    assert -0.2 < same["ci_low"] < 0.0 < same["ci_high"] < 0.2
    assert document["settings"]["gsm8k.limit"] == [40, 30]
    assert "the runs have different tasks; the 30 that both completed are compared" in document["warnings"][0]
    assert document["first"]["results"][0]["partial"] == {"limit": "--limit: 40 of 1319 tasks, the first ones"}
    shown = program.run("compare", first, second, "--tasks", "5")
    assert "30 tasks with other scores" in shown.stdout and "25 more; --tasks 0 shows all" in shown.stdout
    other = program.json("eval", "mmlu", "--sample-ids", "anatomy/0,virology/0", "-m", "null")["run_id"]
    (clustered,) = json.loads(program.run("compare", other, other, "--json").stdout)["benchmarks"]
    assert (clustered["test"], clustered["interval"]) == ("cluster-robust t", "cluster-robust t")
    done = program.run("compare", first, other)
    assert done.returncode == 2
    assert "have no completed task in common" in done.stderr


def test_a_key_in_place_of_its_variable_is_refused_and_not_repeated(program: Program) -> None:
    done = program.run("eval", "gsm8k", "-m", "openai:m@http://h/v1", "--api-key-env", "sk-abc-123")
    assert done.returncode == 2
    assert "--api-key-env: takes the name of an environment variable, not a key" in done.stderr
    assert "sk-abc" not in done.stderr
