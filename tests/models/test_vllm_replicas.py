"""Two servers at the machine's edge, on GPUs that a program in place of nvidia-smi tells of."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from stackbench.errors import ModelLostError, ModelNotAvailableError
from stackbench.models import Model, ModelOptions, Pooled, create_model
from stackbench.models.vllm import VllmModel, VllmReplicas, gpu_groups
from stackbench.models.vllm import model as module
from stackbench.types import AttemptKey, Message, Request, Sampling, ServerLoad, Variant
from tests.models.test_vllm import PROGRAM, Bench
from tests.waiting import until

ASK = Request(Sampling(max_tokens=5), messages=(Message("user", "hi"),), key=AttemptKey("humaneval", "0", 0, 0))
NOTHING = ServerLoad(0, 0, None, 0, 0, 0, 0, 0, 0)
Start = Callable[..., Awaitable[VllmReplicas]]


def gpus(folder: Path, monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    """The machine has so many."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    rows = "".join("echo 'NVIDIA H100 80GB HBM3, 81559 MiB, 550.54'\n" for _ in range(count))
    program = folder / "bin" / "nvidia-smi"
    program.parent.mkdir(exist_ok=True)
    program.write_text(f"#!/bin/sh\n{rows}")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setattr(module, "WATCH_EVERY_S", 0.1)
    gpus(tmp_path, monkeypatch, 2)
    return Bench(tmp_path, monkeypatch)


@pytest.fixture
async def start(bench: Bench) -> AsyncIterator[Start]:
    models: list[Model] = []

    async def started(**options: Any) -> VllmReplicas:
        own = {"home": bench.folder, "logs": bench.folder / "logs", "vllm_bin": str(bench.program)}
        model = create_model(f"vllm:{bench.weights}", ModelOptions.model_validate({**own, **options}))
        models.append(model)
        await model.start(bench.said.append)
        assert isinstance(model, VllmReplicas)
        return model

    yield started
    for model in models:
        await model.close()


def server_processes(bench: Bench) -> list[psutil.Process]:
    """Of the servers themselves, by the GPU that they see."""
    servers = (one for one in bench.processes() if str(PROGRAM) in one.cmdline())
    return sorted(servers, key=lambda one: one.environ()["CUDA_VISIBLE_DEVICES"])


def break_gpu(bench: Bench, number: int) -> None:
    """Servers that are started on it from now on end at once."""
    text = bench.program.read_text()
    bench.program.write_text(text.replace("exec", f'[ "$CUDA_VISIBLE_DEVICES" = {number} ] && exit 1\nexec'))


async def test_each_gpu_has_a_server_and_the_least_loaded_is_asked(bench: Bench, start: Start) -> None:
    model = await start(max_num_seqs=8)
    assert isinstance(model, Pooled)
    assert (model.servers, model.gpus, model.concurrency) == (2, 2, 16)
    assert [process.environ()["CUDA_VISIBLE_DEVICES"] for process in server_processes(bench)] == ["0", "1"]
    answers = await model.generate([ASK] * 10)
    assert [answer.text for answer in answers] == ["fine"] * 10
    await until(lambda: (load := model.load()) is not None and load.completion_tokens == 50)
    assert [server["gpus"] for server in model.describe()["servers"]] == ["0", "1"]
    assert {path.name for path in (bench.folder / "logs").iterdir()} == {"vllm-0.log", "vllm-1.log"}


async def test_a_benchmark_is_answered_by_the_servers_that_it_has(bench: Bench, start: Start) -> None:
    model = await start()
    model.assign({"humaneval": (1,), "throughput": (1,)})
    assert model.gpus == 1
    await model.generate([ASK] * 6)
    await until(lambda: sum((one.model.load() or NOTHING).completion_tokens for one in model._replicas) == 30)
    assert [(one.model.load() or NOTHING).completion_tokens for one in model._replicas] == [0, 30]


async def test_a_killed_servers_requests_go_to_the_other(bench: Bench, start: Start) -> None:
    bench.behave(slow=0.3)
    model = await start()
    asking = asyncio.create_task(model.generate([ASK] * 24))
    await until(lambda: sum(one.in_flight for one in model._replicas) == 24)
    os.kill(server_processes(bench)[0].pid, signal.SIGKILL)
    assert len(await asking) == 24
    assert any("vLLM server 0 (GPU 0)" in line and "starting it again" in line for line in bench.said)
    await until(lambda: model._replicas[0].model.ready)
    assert model.describe()["servers"][0]["restarts"] == 1


async def test_a_gpu_that_is_gone_is_taken_out(bench: Bench, start: Start) -> None:
    model = await start()
    break_gpu(bench, 0)
    os.kill(server_processes(bench)[0].pid, signal.SIGKILL)
    await until(lambda: any("vLLM server 0 (GPU 0) is taken out" in line for line in bench.said))
    assert len(await model.generate([ASK] * 4)) == 4
    assert model.gpus == 1
    assert "taken_out" in model.describe()["servers"][0]
    bench.program.write_text("#!/bin/sh\nexit 1\n")
    os.kill(server_processes(bench)[0].pid, signal.SIGKILL)
    with pytest.raises(ModelLostError, match="GPU 1"):
        while True:
            await model.generate([ASK])


async def test_a_gpu_that_cannot_load_the_model_is_left_out_and_none_is_an_error(bench: Bench, start: Start) -> None:
    break_gpu(bench, 1)
    model = await start()
    assert any("vLLM server 1 (GPU 1) is left out" in line for line in bench.said)
    assert (await model.generate([ASK]))[0].text == "fine"
    await model.close()
    bench.program.write_text("#!/bin/sh\nexit 1\n")
    with pytest.raises(ModelNotAvailableError, match="did not start"):
        await start()


async def test_servers_at_work_are_reloaded(bench: Bench, start: Start) -> None:
    model = await start()
    model.assign({"throughput": (0,)})
    await model.reload(Variant(batch_size=4))
    assert bench.flag(-1, "--max-num-seqs") == "4" and len(bench.starts) == 3
    model.assign({})
    await model.reload(Variant())
    assert len(await model.generate([replace(ASK, key=None)] * 4)) == 4


@pytest.mark.parametrize(
    ("options", "groups"),
    [
        ({}, ["0", "1", "2", "3"]),
        ({"gpus": "1,3"}, ["1", "3"]),
        ({"tensor_parallel_size": 2}, ["0,1", "2,3"]),
        ({"tensor_parallel_size": 3}, ["0,1,2"]),
        ({"tensor_parallel_size": 8}, []),
        ({"vllm_args": ("--data-parallel-size=4",)}, []),
    ],
)
def test_gpus_are_grouped(
    options: dict[str, Any], groups: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gpus(tmp_path, monkeypatch, 4)
    assert gpu_groups(ModelOptions.model_validate(options)) == groups
    for visible, seen in (("2,3", ["2", "3"]), ("GPU-aa,GPU-bb", ["GPU-aa", "GPU-bb"]), ("", [])):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
        assert gpu_groups(ModelOptions()) == seen


def test_without_gpus_there_is_one_server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    gpus(tmp_path, monkeypatch, 0)
    assert gpu_groups(ModelOptions(gpus="0,1")) == []
    assert isinstance(create_model("vllm:x", ModelOptions()), VllmModel)
