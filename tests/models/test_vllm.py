"""The server that is ours, with a program at the machine's edge that fails as a GPU server does."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from stackbench.errors import GenerationError, ModelLostError, ModelNotAvailableError, UsageError
from stackbench.models import ModelOptions
from stackbench.models.openai import retrying
from stackbench.models.vllm import VllmModel
from stackbench.models.vllm import model as module
from stackbench.models.vllm.server import VllmServer
from stackbench.types import Message, Request, Sampling, ServerLoad, TokenCount, Variant
from tests.waiting import wait_for

ASK = Request(Sampling(max_tokens=5), messages=(Message("user", "hi"),))
PROGRAM = Path(__file__).with_name("fake_vllm.py")


class Bench:
    """A model's folder, a program that fails as told, and what was said and started."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.weights = folder / "tiny"
        self.weights.mkdir()
        config = {"model_type": "qwen2", "max_position_embeddings": 32768}
        (self.weights / "config.json").write_text(json.dumps(config))
        self.state = folder / "state"
        self.state.mkdir()
        self.said: list[str] = []
        self.program = folder / "vllm"
        self.program.write_text(f'#!/bin/sh\nexec {sys.executable} {PROGRAM} "$@"\n')
        self.program.chmod(0o755)
        self._monkeypatch = monkeypatch
        monkeypatch.setenv("FAKE_VLLM_STATE", str(self.state))

    def behave(self, **how: Any) -> None:
        self._monkeypatch.setenv("FAKE_VLLM", json.dumps(how))

    def model(self, **options: Any) -> VllmModel:
        own = {"home": self.folder, "logs": self.folder / "logs", "vllm_bin": str(self.program)}
        all_options = ModelOptions.model_validate({**own, **options})
        return VllmModel("vllm:tiny", str(self.weights), all_options)

    def processes(self) -> list[psutil.Process]:
        """Those of this bench's servers that still run, guards included."""
        found = []
        for process in psutil.Process().children(recursive=True):
            try:
                if str(self.folder) in " ".join(process.cmdline()):
                    found.append(process)
            except psutil.Error:
                continue
        return found

    @property
    def starts(self) -> list[list[str]]:
        files = sorted(self.state.glob("life-*"), key=lambda path: int(path.name[5:]))
        return [json.loads(path.read_text()) for path in files]

    def flag(self, start: int, name: str) -> str | None:
        arguments = self.starts[start]
        return arguments[arguments.index(name) + 1] if name in arguments else None


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setattr(module, "WATCH_EVERY_S", 0.1)
    return Bench(tmp_path, monkeypatch)


@pytest.fixture
async def started(bench: Bench) -> AsyncIterator[Callable[..., Any]]:
    models: list[VllmModel] = []

    async def start(**options: Any) -> VllmModel:
        model = bench.model(**options)
        models.append(model)
        await model.start(bench.said.append)
        return model

    yield start
    for model in models:
        await model.close()


async def test_a_server_is_started_asked_and_stopped(bench: Bench, started: Callable[..., Any]) -> None:
    bench.behave(child=True)
    model = await started(max_num_seqs=8, vllm_args=("--enforce-eager",))
    (answer,) = await model.generate([ASK])
    assert (answer.text, answer.completion_tokens) == ("fine", 5)
    assert bench.starts[0][:2] == ["serve", str(bench.weights)]
    assert bench.flag(0, "--max-num-seqs") == "8"
    assert bench.flag(0, "--tool-call-parser") == "hermes"
    assert bench.starts[0][-1] == "--enforce-eager"
    assert any("loading weights, 50%" in line or "architecture Qwen2" in line for line in bench.said)
    about = model.describe()
    assert (about["kind"], about["vllm"], about["capabilities"]["tools"]) == ("vllm", "0.0-fake", True)
    child = int((bench.state / "child").read_text())
    assert psutil.pid_exists(child) and bench.processes()
    scratch = Path((bench.state / "scratch").read_text())
    assert (scratch / "socket").exists()
    await model.close()
    assert not scratch.exists()
    assert not psutil.pid_exists(child)
    assert not bench.processes()


async def test_tokens_are_counted_by_the_server(bench: Bench, started: Callable[..., Any]) -> None:
    model = await started()
    bare = Request(Sampling(), prompt="one two three")
    assert await model.count_tokens(bare) == TokenCount(3, exact=True)
    assert await model.count_tokens(ASK) == TokenCount(len(ASK.messages[0].content.split()), exact=True)


async def test_a_checkpoints_own_sampling_does_not_reach_the_server_unless_asked_for(
    bench: Bench, started: Callable[..., Any]
) -> None:
    wants = {"repetition_penalty": 1.3, "top_k": 1}
    (bench.weights / "generation_config.json").write_text(json.dumps(wants))
    model = await started()
    assert bench.flag(0, "--generation-config") == "vllm"
    assert model.sampling_defaults == {}
    assert model.describe()["generation_config"] == {"applied": "vllm", "checkpoint": wants}
    model = await started(generation_config="checkpoint")
    assert bench.flag(1, "--generation-config") == "auto"
    assert model.sampling_defaults == wants
    assert model.describe()["generation_config"] == {"applied": "checkpoint", "checkpoint": wants}


async def test_the_files_it_serves_are_hashed_when_they_are_loaded(bench: Bench, started: Callable[..., Any]) -> None:
    (bench.weights / "model.safetensors").write_bytes(b"weights")
    (bench.weights / "stackbench.sha256").write_text(f"{'0' * 64}  model.safetensors\n")
    model = await started()
    about = model.describe()
    assert about["files"]["model.safetensors"] == hashlib.sha256(b"weights").hexdigest()
    assert set(about["files"]) == {"model.safetensors", "config.json"} and len(about["sha256"]) == 64
    assert any("model.safetensors: not the bytes that were fetched" in line for line in bench.said)


async def test_a_watcher_that_fails_ends_the_model_for_all_who_wait(
    bench: Bench, started: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.behave(wedge_after=0, lives=9)
    model = await started()
    hanging = asyncio.create_task(model.generate([ASK]))

    async def fails(*_: object) -> int:
        raise KeyError("a metric")

    monkeypatch.setattr(model, "_read_load", fails)
    lost = await asyncio.wait_for(model.wait_lost(), 20)
    assert "can no longer be watched: KeyError('a metric')" in str(lost)
    for waiting in (hanging, model.generate([ASK])):
        with pytest.raises(ModelLostError, match="can no longer be watched"):
            await asyncio.wait_for(waiting, 20)


async def test_its_load_is_read(bench: Bench, started: Callable[..., Any]) -> None:
    model = await started()
    await model.generate([ASK, ASK])

    def settled() -> ServerLoad | None:
        load = model.load()
        return load if load and load.prompt_tokens == 20 else None

    load = await asyncio.to_thread(wait_for, settled, within_s=10)
    assert (load.running, load.waiting, load.kv_cache, load.completion_tokens) == (3, 2, 0.25, 10)
    assert (load.prefix_queries, load.prefix_hits, load.preemptions) == (8, 4, 1)
    assert load.memory_bytes > 1 << 20


async def test_a_server_that_dies_is_started_again_and_nothing_is_lost(
    bench: Bench, started: Callable[..., Any]
) -> None:
    bench.behave(crash_after=7)
    model = await started()
    answers = await asyncio.gather(*(model.generate([ASK]) for _ in range(20)))
    assert [answer[0].text for answer in answers] == ["fine"] * 20
    assert model.restarts == 1
    assert "EngineDeadError: the engine died; starting it again (1 of 3 times)" in "\n".join(bench.said)
    assert [entry["what"] for entry in model.describe()["history"]] == ["serving", "lost", "serving"]


async def test_a_server_that_makes_no_token_counts_as_dead(bench: Bench, started: Callable[..., Any]) -> None:
    bench.behave(wedge_after=3)
    model = await started(stall_timeout_s=1.0)
    answers = await asyncio.gather(*(model.generate([ASK]) for _ in range(6)))
    assert len(answers) == 6
    assert model.restarts == 1
    assert "made no token for 1 s" in "\n".join(bench.said)


async def test_an_idle_server_is_not_taken_for_a_stalled_one(
    bench: Bench, started: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its watcher, which looks every 0.1 s, has looked for three times as long as a stall may last."""
    looks = 0
    load = module.VllmServer.load

    async def counted(server: VllmServer) -> ServerLoad | None:
        nonlocal looks
        looks += 1
        return await load(server)

    monkeypatch.setattr(module.VllmServer, "load", counted)
    model = await started(stall_timeout_s=0.3)
    await asyncio.to_thread(wait_for, lambda: looks > 9, within_s=60)
    assert model.restarts == 0
    assert (await model.generate([ASK]))[0].text == "fine"


async def test_a_request_that_a_live_server_fails_is_tried_again_and_tells_of_it(
    bench: Bench, started: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retrying, "FIRST_BACKOFF_S", 0.01)
    bench.behave(errors=2)
    model = await started()
    retries: list[tuple[int, bool]] = []
    request = replace(ASK, on_retry=lambda number, wait_s: retries.append((number, wait_s > 0)))
    assert (await model.generate([request]))[0].text == "fine"
    assert retries == [(2, True), (2, False), (3, True), (3, False)]
    assert model.restarts == 0


async def test_a_measured_request_that_a_live_server_fails_is_not_tried_again(
    bench: Bench, started: Callable[..., Any]
) -> None:
    bench.behave(errors=1)
    model = await started()
    with pytest.raises(GenerationError, match="busy"):
        await model.generate([replace(ASK, no_retry=True)])
    assert (await model.generate([ASK]))[0].text == "fine"


async def test_a_server_that_keeps_dying_is_given_up_after_three_restarts(
    bench: Bench, started: Callable[..., Any]
) -> None:
    bench.behave(crash_after=0, lives=99)
    model = await started()
    with pytest.raises(ModelLostError, match="started again 3 times already; its log:"):
        await model.generate([ASK])
    assert len(bench.starts) == 4
    with pytest.raises(ModelLostError):
        await model.generate([ASK])


async def test_too_long_a_context_is_halved_until_it_fits(bench: Bench, started: Callable[..., Any]) -> None:
    bench.behave(longest=9000)
    model = await started()
    assert [bench.flag(n, "--max-model-len") for n in range(3)] == [None, "16384", "8192"]
    assert any("does not fit" in line and "trying max model len 16384" in line for line in bench.said)
    history = model.describe()["history"]
    assert [entry["what"] for entry in history] == ["failed to load", "failed to load", "serving"]
    assert "larger than the available KV cache memory" in history[0]["detail"]


async def test_the_length_that_the_server_names_is_taken(bench: Bench, started: Callable[..., Any]) -> None:
    bench.behave(longest=5000, hint=4999)
    await started()
    assert [bench.flag(n, "--max-model-len") for n in range(2)] == [None, "4992"]


async def test_a_smaller_share_is_tried_where_less_is_free(bench: Bench, started: Callable[..., Any]) -> None:
    bench.behave(fraction=0.7)
    await started()
    assert [bench.flag(n, "--gpu-memory-utilization") for n in range(3)] == [None, "0.8", "0.7"]
    assert bench.flag(2, "--max-model-len") is None


async def test_a_quantised_variant_is_the_last_resort_where_it_is_allowed(
    bench: Bench, started: Callable[..., Any]
) -> None:
    bench.behave(longest=1, only="bitsandbytes")
    model = await started(allow_quantized="bitsandbytes")
    lengths = [bench.flag(n, "--max-model-len") for n in range(len(bench.starts))]
    shares = [bench.flag(n, "--gpu-memory-utilization") for n in range(len(bench.starts))]
    assert lengths == [None, "16384", "8192", "4096", "4096", "4096", "4096", None]
    assert shares == [None, None, None, None, "0.8", "0.7", "0.6", None]
    assert bench.flag(len(lengths) - 1, "--quantization") == "bitsandbytes"
    assert model.describe()["loading"]["quantization"] == "bitsandbytes"


async def test_what_does_not_fit_at_all_says_so_with_what_to_do(bench: Bench, started: Callable[..., Any]) -> None:
    bench.behave(longest=1)
    with pytest.raises(ModelNotAvailableError, match=r"does not fit.*7 ways tried.*--allow-quantized.*its log: "):
        await started()
    assert not bench.processes()


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"refuse": True}, "unrecognized arguments: --nonsense"),
        ({"damaged": True}, "ValueError: the checkpoint is damaged"),
    ],
)
async def test_other_failures_are_told_at_once(
    bench: Bench, started: Callable[..., Any], how: dict[str, Any], said: str
) -> None:
    bench.behave(**how)
    with pytest.raises(ModelNotAvailableError, match=said):
        await started()
    assert len(bench.starts) == 1


async def test_a_port_that_was_taken_meanwhile_is_changed(bench: Bench, started: Callable[..., Any]) -> None:
    bench.behave(port_taken=1)
    await started()
    assert len(bench.starts) == 2
    assert bench.flag(0, "--port") != bench.flag(1, "--port")


async def test_a_server_that_never_answers_is_given_up(bench: Bench, started: Callable[..., Any]) -> None:
    bench.program.write_text("#!/bin/sh\necho 'INFO 11-24 10:00:00 [x.py:1] Starting to load model x'\nsleep 600\n")
    with pytest.raises(ModelNotAvailableError, match="no answer within 1 s; it got as far as: loading weights"):
        await started(load_timeout_s=1)
    assert not bench.processes()


async def test_it_can_be_served_in_another_way(bench: Bench, started: Callable[..., Any]) -> None:
    model = await started()
    await model.reload(Variant())
    assert len(bench.starts) == 1
    await model.reload(Variant(batch_size=4))
    assert bench.flag(1, "--max-num-seqs") == "4"
    assert (await model.generate([ASK]))[0].text == "fine"
    await model.reload(Variant(quantization="fp8"))
    assert (bench.flag(2, "--quantization"), bench.flag(2, "--max-num-seqs")) == ("fp8", None)


async def test_a_way_that_cannot_be_served_is_an_error_and_leaves_nobody_waiting(
    bench: Bench, started: Callable[..., Any]
) -> None:
    model = await started()
    bench.behave(refuse=True)
    with pytest.raises(ModelNotAvailableError, match="unrecognized arguments"):
        await model.reload(Variant(batch_size=4))
    with pytest.raises(GenerationError, match="did not start"):
        await asyncio.wait_for(model.generate([ASK]), 5)
    bench.behave()
    await model.reload(Variant())
    assert (await model.generate([ASK]))[0].text == "fine"
    assert bench.flag(len(bench.starts) - 1, "--max-num-seqs") is None


async def test_what_cannot_work_is_refused_before_anything_loads(bench: Bench, started: Callable[..., Any]) -> None:
    with pytest.raises(ModelNotAvailableError, match="--chat-template none.jinja: no such file"):
        await started(chat_template="none.jinja")
    with pytest.raises(ModelNotAvailableError, match="goes past what is recorded; use --generation-config checkpoint"):
        await started(vllm_args=("--generation-config=auto",))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ModelNotAvailableError, match=f"port {port}: Address already in use; name another"):
            await started(port=port)
    assert bench.starts == []
    with pytest.raises(ModelNotAvailableError, match="did not start: it wrote nothing"):
        await started(vllm_bin="/bin/false")


async def test_no_vllm_is_one_line_with_what_to_do(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(sys, "executable", str(bench.folder / "elsewhere" / "python"))
    with pytest.raises(
        ModelNotAvailableError, match=r"pip install 'stackbench-eval\[vllm\]'.*--vllm-bin.*--vllm-image"
    ):
        await bench.model(vllm_bin=None).start(bench.said.append)
    with pytest.raises(ModelNotAvailableError, match="--vllm-bin /no/such is no program"):
        await bench.model(vllm_bin="/no/such").start(bench.said.append)


async def test_a_checkpoint_of_another_kind_is_refused(bench: Bench) -> None:
    with pytest.raises(ModelNotAvailableError, match="is no awq checkpoint"):
        await bench.model(quantization="awq").start(bench.said.append)
    with pytest.raises(UsageError, match='unknown model "nonesuch"'):
        await VllmModel("vllm:nonesuch", "nonesuch", ModelOptions(home=bench.folder)).start(bench.said.append)


OWNER = """
import asyncio, sys
from pathlib import Path
from stackbench.models import ModelOptions
from stackbench.models.vllm import VllmModel
async def main():
    options = ModelOptions(home=Path(sys.argv[1]), vllm_bin=sys.argv[2])
    await VllmModel('vllm:tiny', sys.argv[3], options).start(lambda line: None)
    print('up', flush=True)
    await asyncio.sleep(600)
asyncio.run(main())
"""


def test_nothing_is_left_when_its_owner_is_killed(bench: Bench) -> None:
    bench.behave(child=True)
    arguments = [sys.executable, "-c", OWNER, str(bench.folder), str(bench.program), str(bench.weights)]
    owner = subprocess.Popen(arguments, stdout=subprocess.PIPE)
    assert owner.stdout is not None
    assert owner.stdout.readline() == b"up\n"
    processes = psutil.Process(owner.pid).children(recursive=True)
    assert len(processes) >= 3  # the guard, the server, what the server started
    os.kill(owner.pid, signal.SIGKILL)
    owner.wait()
    owner.stdout.close()
    wait_for(lambda: not any(process.is_running() for process in processes), within_s=20)
    assert not Path((bench.folder / "state" / "scratch").read_text()).exists()


@pytest.fixture
def vllm_image(image: str, tmp_path: Path) -> Iterator[str]:
    """An image whose entry point is `vllm serve`, as those of vLLM."""
    folder = tmp_path / "image"
    folder.mkdir()
    (folder / "fake_vllm.py").write_text(PROGRAM.read_text())
    (folder / "Dockerfile").write_text(
        f"FROM {image}\nCOPY fake_vllm.py /\nENV FAKE_VLLM_STATE=/tmp\n"
        'ENTRYPOINT ["python3", "/fake_vllm.py", "serve"]\n'
    )
    tag = f"stackbench-test-vllm:{os.getpid()}"
    subprocess.run(["docker", "build", "-q", "-t", tag, str(folder)], check=True, capture_output=True)
    yield tag
    subprocess.run(["docker", "rmi", "-f", tag], check=True, capture_output=True)


def containers_of(tag: str) -> list[str]:
    found = subprocess.run(
        ["docker", "ps", "-aq", "--filter", f"ancestor={tag}"], check=True, capture_output=True, text=True
    )
    return found.stdout.split()


@pytest.mark.docker
async def test_a_server_from_an_image_is_served_and_removed(
    bench: Bench, started: Callable[..., Any], vllm_image: str
) -> None:
    model = await started(vllm_bin=None, vllm_image=vllm_image)
    assert (await model.generate([ASK]))[0].text == "fine"
    assert len(containers_of(vllm_image)) == 1
    await model.close()
    assert containers_of(vllm_image) == []


@pytest.mark.docker
async def test_an_image_that_is_not_there_says_so(bench: Bench, started: Callable[..., Any]) -> None:
    with pytest.raises(ModelNotAvailableError, match=r"did not start: docker: .*its log:"):
        await started(vllm_bin=None, vllm_image="nonesuch-image:1")
