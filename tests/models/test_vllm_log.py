"""What is read from a server's log; the lines are of the forms that vLLM 0.10 to 0.32, PyTorch and Docker write."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from stackbench.models.vllm.command import Command, tool_call_parser
from stackbench.models.vllm.log import LogReader, diagnose
from stackbench.models.vllm.server import LoadingFailed, VllmServer

AT = "(EngineCore pid=7) ERROR 11-24 10:00:00 [core.py:1] "


@pytest.mark.parametrize(
    ("line", "memory", "fraction", "length"),
    [
        ("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.", True, False, None),
        ("ValueError: No available memory for the cache blocks. Try increasing it.", True, False, None),
        (
            "ValueError: To serve at least one request with the models's max seq len (32768), (4.0 GiB KV cache is "
            "needed, which is larger than the available KV cache memory (1.3 GiB). Based on the available memory, the "
            "estimated maximum model length is 10912.",
            True, False, 10912,
        ),
        (
            "ValueError: Free memory on device (5.1/23.6 GiB) on startup is less than desired GPU memory utilization "
            "(0.9, 21.2 GiB).",
            True, True, None,
        ),
        ("ValueError: Cannot find the config file for awq", False, False, None),
    ],
)  # fmt: skip
def test_why_a_loading_failed(line: str, memory: bool, fraction: bool, length: int | None) -> None:
    log = f"{AT}EngineCore failed to start.\n{AT}Traceback (most recent call last):\n{AT}{line}\n" + (
        "RuntimeError: Engine core initialization failed. See root cause above.\n"
    )
    found = diagnose(log, 1)
    assert (found.memory, found.fraction, found.fitting_length) == (memory, fraction, length)
    assert found.text.startswith(line[:60])


def test_a_server_that_the_kernel_killed_was_short_of_memory() -> None:
    found = diagnose("INFO 11-24 10:00:00 [x.py:1] Starting to load model x\n", 137)
    assert found.memory
    assert "killed" in found.text


def test_a_wrong_argument_is_shown_as_vllm_says_it() -> None:
    found = diagnose("usage: vllm serve [-h]\nvllm serve: error: unrecognized arguments: --frob\n", 2)
    assert found.text == "vllm serve: error: unrecognized arguments: --frob"
    assert not found.memory


def test_a_log_is_followed_from_where_it_was(tmp_path: Path) -> None:
    path = tmp_path / "vllm.log"
    path.write_text("CUDA out of memory, of an earlier server\n")
    reader = LogReader(path)
    with path.open("a") as file:
        file.write("Loading safetensors checkpoint shards:  50% Completed | 1/2\rLoading safetensors checkpoint sh")
        file.flush()
        assert reader.new_stages() == ["loading weights, 50%"]
        file.write("ards: 100% Completed | 2/2\n(EngineCore pid=1) INFO GPU KV cache size: 93,184 tokens\n")
        file.flush()
    assert reader.new_stages() == ["loading weights, 100%", "room for 93,184 tokens in the key/value cache"]
    assert "out of memory" not in reader.text()


@pytest.mark.parametrize(
    ("name", "model_type", "parser"),
    [
        ("qwen2.5-coder-7b-instruct", "qwen2", "hermes"),
        ("Qwen/Qwen3-Coder-30B-A3B-Instruct", "qwen3_moe", "qwen3_coder"),
        ("meta-llama/Llama-3.1-8B-Instruct", "llama", "llama3_json"),
        ("smollm2-135m-instruct", "llama", None),
        ("mistralai/Mistral-7B-Instruct-v0.3", "mistral", "mistral"),
    ],
)
def test_the_tool_call_parser_is_that_of_the_family(
    tmp_path: Path, name: str, model_type: str, parser: str | None
) -> None:
    folder = tmp_path / "weights"
    folder.mkdir()
    (folder / "config.json").write_text(f'{{"model_type": "{model_type}"}}')
    assert tool_call_parser(folder, name) == parser


async def test_keys_that_a_server_logs_are_not_told(tmp_path: Path) -> None:
    secrets = {"HF_TOKEN": "hf_abcdefgh12345", "MY_API_KEY": "sk-0123456789abcdef"}
    script = 'echo "ValueError: no access with $HF_TOKEN and $MY_API_KEY, $2" >&2; exit 1'
    arguments = ("/bin/sh", "-c", script, "sh", "--api-key", "other-key-77")
    command = Command(arguments, {**os.environ, **secrets}, "http://127.0.0.1:9")
    server = VllmServer(command, tmp_path / "vllm.log")
    await server.start()
    with pytest.raises(LoadingFailed) as raised:
        await server.wait_ready(lambda line: None, 30)
    await server.stop()
    assert "no access with [key] and [key], [key]" in str(raised.value)
    assert "other-key-77" not in (tmp_path / "vllm.log").read_text().splitlines()[0]


def test_a_log_that_is_gone_or_has_one_endless_line_is_read_within_bounds(tmp_path: Path) -> None:
    path = tmp_path / "vllm.log"
    path.write_text("")
    reader = LogReader(path)
    with path.open("w") as file:
        file.write("x" * (8 << 20))
        file.write("\nStarting to load model tiny\n")
    assert reader.new_stages() == ["loading weights"]
    assert len(reader.text()) <= 256 << 10
    path.unlink()
    assert reader.new_stages() == []
    assert "cannot be read" in reader.text()
