"""A real vLLM server, on processors where there is no GPU: evaluated, killed in mid-run, measured, beside hf:."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from stackbench.models import ModelOptions, create_model
from stackbench.types import Message, Request, Sampling
from tests.conftest import MODELS, Program
from tests.waiting import wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.vllm, pytest.mark.xdist_group("vllm"), pytest.mark.timeout(900)]

QUICK = ["--vllm-arg=--enforce-eager", "--max-model-len", "2048"]
"""Without compiling, a server starts in half a minute."""


@pytest.fixture(scope="session")
def vllm_bin() -> str:
    named = os.environ.get("STACKBENCH_VLLM_BIN", "none")
    found = shutil.which(named)
    if found is None:
        pytest.skip("needs a real vLLM: set STACKBENCH_VLLM_BIN to its program (./scripts/vllm-cpu makes one)")
    return found


@pytest.fixture(autouse=True, scope="session")
def small_cache() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VLLM_CPU_KVCACHE_SPACE", "1")
        yield


@pytest.fixture(scope="session")
def served(vllm_bin: str, small_model: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a server that `stackbench serve` watches; nothing of it may be left in the end."""
    home = tmp_path_factory.mktemp("serve")
    (home / "models").symlink_to(MODELS)
    command = [sys.executable, "-m", "stackbench", "serve", small_model, "--vllm-bin", vllm_bin, *QUICK]
    command += ["--dtype", "float32"]  # bfloat16 makes near ties of whole answers
    log = (home / "serve.log").open("w")
    process = subprocess.Popen([*command, "--home", str(home)], stdout=subprocess.PIPE, stderr=log, text=True)
    assert process.stdout is not None
    url = process.stdout.readline().strip()
    assert url.startswith("http://127.0.0.1:"), (home / "serve.log").read_text()
    children = psutil.Process(process.pid).children(recursive=True)
    yield url
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=60) == 0
    process.stdout.close()
    log.close()
    assert not [child for child in children if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]


def test_benchmarks_run_on_it_and_its_death_in_mid_run_costs_no_attempt(
    program: Program, vllm_bin: str, small_model: str
) -> None:
    process = program.start(
        "eval", "humaneval", "mbpp", "gsm8k", "--limit", "20", "--max-tokens", "96", "--concurrency", "4",
        "-m", f"vllm:{small_model}", "--vllm-bin", vllm_bin, *QUICK, "--json",
    )  # fmt: skip

    def some_attempts() -> bool:
        done = program.run("query", "SELECT count(*) AS n FROM attempts", "--format", "json")
        return done.returncode == 0 and json.loads(done.stdout)[0]["n"] >= 2

    wait_for(some_attempts, within_s=300, every_s=1.0)
    engine = [p for p in psutil.Process(process.pid).children(recursive=True) if "EngineCore" in p.name()]
    assert engine
    engine[0].kill()
    stdout, stderr = process.communicate(timeout=600)
    assert process.returncode == 0, stderr
    document = json.loads(stdout)
    assert [(r["benchmark"], r["attempts"], r["errors"]) for r in document["results"]] == [
        ("humaneval", 20, 0), ("mbpp", 20, 0), ("gsm8k", 20, 0),
    ]  # fmt: skip
    assert "starting it again (1 of 3 times)" in stderr
    rows = program.query("SELECT count(*) n, count(DISTINCT benchmark || task_id) tasks FROM attempts")
    assert rows == [{"n": 60, "tasks": 60}]
    (load,) = program.query("SELECT max(running) r, max(kv_cache) kv, max(tokens_per_s) t, max(rss) m FROM resources")
    assert load["r"] >= 3 and load["kv"] > 0 and load["t"] > 0 and load["m"] > 1 << 30
    shown = json.loads(program.run("show", "last", "--json").stdout)["environment"]
    assert shown["model"]["vllm"] and "model.safetensors" in shown["model"]["files"]
    assert shown["sandbox"]["id"].startswith("sha256:")


def test_what_it_can_do_is_found_out(program: Program, served: str, small_model: str) -> None:
    document = program.json("eval", "mmlu", "--limit", "8", "-m", f"openai:{small_model}@{served}")
    assert document["results"][0]["errors"] == 0
    (by,) = program.query("SELECT DISTINCT metrics->>'$.by' AS way FROM attempts")
    assert by == {"way": "logprob"}
    capabilities = json.loads(program.run("show", "last", "--json").stdout)["environment"]["model"]["capabilities"]
    assert capabilities == {
        "chat": True, "completions": True, "tools": False, "chat_logprobs": True, "completion_logprobs": True,
        "stream_usage": True, "requests": {},
    }  # fmt: skip


def test_its_throughput_is_measured(program: Program, served: str, small_model: str, tmp_path: Path) -> None:
    options = ["-T", "concurrency=2,4", "-T", "mixes=64x16", "-T", "requests=8", "-T", "goodput=ttft:60000"]
    document = program.json("eval", "throughput", "-m", f"openai:{small_model}@{served}", *options, "-o", str(tmp_path))
    (result,) = document["results"]
    assert (result["tasks"], result["attempts"], result["errors"]) == (2, 6, 0)
    metrics = {name: metric["value"] for name, metric in result["metrics"].items()}
    assert metrics["prompt_tokens/64x16/c4"] == pytest.approx(8 * 64, rel=0.05)
    assert metrics["output_tokens/64x16/c4"] == 8 * 16
    assert 0 < metrics["ttft_ms_p50/64x16/c4"] < metrics["e2el_ms_p50/64x16/c4"]
    assert metrics["goodput_requests_s/64x16/c4"] == pytest.approx(metrics["requests_s/64x16/c4"], rel=0.3)
    assert (tmp_path / "throughput.png").read_bytes().startswith(b"\x89PNG")


async def test_a_checkpoints_own_sampling_changes_no_answer(
    vllm_bin: str, served: str, small_model: str, tmp_path: Path
) -> None:
    """Greedy answers of a folder whose generation_config.json penalises repetition are those of one without."""
    folder = tmp_path / "opinionated"
    folder.mkdir()
    for file in (MODELS / small_model).iterdir():
        (folder / file.name).symlink_to(file)
    (folder / "generation_config.json").unlink(missing_ok=True)
    wants = {"repetition_penalty": 1.3, "top_k": 1, "top_p": 0.1, "temperature": 0.4, "do_sample": True}
    (folder / "generation_config.json").write_text(json.dumps(wants))
    options = ModelOptions(
        home=MODELS.parent, logs=tmp_path, dtype="float32", max_model_len=2048,
        vllm_bin=vllm_bin, vllm_args=("--enforce-eager",),
    )  # fmt: skip
    questions = ["Count from 1 to 20.", "Write a Python function that adds two numbers.", "Say hello.", "List colours."]
    requests = [Request(Sampling(max_tokens=48), messages=(Message("user", question),)) for question in questions]
    texts: list[list[str]] = []
    for name in (f"openai:{small_model}@{served}", f"vllm:{folder}"):
        model = create_model(name, options)
        await model.start(lambda line: None)
        try:
            texts.append([answer.text for answer in await model.generate(requests)])
            about = model.describe()
        finally:
            await model.close()
    assert texts[0] == texts[1]
    assert about["generation_config"]["applied"] == "vllm"
    assert about["generation_config"]["checkpoint"]["repetition_penalty"] == 1.3


async def test_greedy_answers_are_those_of_the_accurate_sampler(served: str, small_model: str) -> None:
    questions = ["What is two and two?", "Name a colour.", "Say hello.", "What is the capital of France?"]
    requests = [Request(Sampling(max_tokens=12), messages=(Message("user", question),)) for question in questions]
    texts: list[list[str]] = []
    for name in (f"openai:{small_model}@{served}", f"hf:{small_model}"):
        dtype = "float32" if name.startswith("hf:") else None
        model = create_model(name, ModelOptions(home=MODELS.parent, dtype=dtype))
        await model.start(lambda line: None)
        texts.append([answer.text.strip() for answer in await model.generate(requests)])
        await model.close()
    same = sum(first == second for first, second in zip(*texts, strict=True))
    assert same >= 3, texts  # two tokens that are nearly as likely may be told apart by rounding
