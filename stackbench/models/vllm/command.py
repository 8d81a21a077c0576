"""The command line of a vLLM server: the executable and its arguments."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from stackbench.errors import ModelNotAvailableError
from stackbench.extras import install_command
from stackbench.models.chat_template import read_template
from stackbench.models.manifest import model_config
from stackbench.models.options import ModelOptions

__all__ = ["Command", "Loading", "find_vllm", "serve_command", "tool_call_parser"]

HOST = "127.0.0.1"
CPU_CACHE_GIB = 4
FEW_CPUS = 4
IMAGE_MODEL = "/model"

# Model family (config.json's model_type, or a part of the name) to vLLM's parser of its tool calls; the first that
# fits. Source: vLLM's documentation, "Tool Calling".
PARSERS_BY_NAME = (
    ("qwen3-coder", "qwen3_coder"),
    ("llama-3", "llama3_json"),
    ("llama-4", "llama4_pythonic"),
    ("deepseek-v3.1", "deepseek_v31"),
    ("deepseek-v3", "deepseek_v3"),
    ("deepseek-r1", "deepseek_v3"),
    ("glm-4.", "glm45"),
    ("kimi-k2", "kimi_k2"),
    ("hermes", "hermes"),
)
PARSERS_BY_TYPE = {
    "qwen2": "hermes",
    "qwen2_moe": "hermes",
    "qwen3": "hermes",
    "qwen3_moe": "hermes",
    "mistral": "mistral",
    "granite": "granite",
    "internlm2": "internlm",
    "jamba": "jamba",
    "phi3": "phi4_mini_json",
    "gpt_oss": "openai",
    "minimax": "minimax",
}


@dataclass(frozen=True, slots=True)
class Loading:
    """What decides how much memory a server takes."""

    folder: Path
    quantization: str | None = None
    max_model_len: int | None = None
    gpu_memory_utilization: float | None = None
    max_num_seqs: int | None = None
    dtype: str | None = None

    def describe(self) -> dict[str, Any]:
        fields = asdict(self)
        return {"weights": fields.pop("folder").name, **fields}


@dataclass(frozen=True, slots=True)
class Command:
    """What to run, and what it will serve at."""

    arguments: tuple[str, ...]
    environment: dict[str, str]
    host_url: str
    cleanup: tuple[str, ...] = ()
    """What to run when it has ended."""
    scratch: Path | None = None
    """A folder for its sockets, to be made before the start; `cleanup` removes it."""


def find_vllm(options: ModelOptions) -> tuple[str, ...]:
    """The program that is named, else the one of this environment, else of PATH.

    Raises:
        ModelNotAvailableError: there is none; says how to get one.
    """
    named = options.vllm_bin
    if named:
        path = shutil.which(str(Path(named).expanduser()))
        if path is None:
            raise ModelNotAvailableError(f"--vllm-bin {named} is no program that can be run; name vLLM's own `vllm`")
        return (path,)
    beside = Path(sys.executable).with_name("vllm")
    path = str(beside) if os.access(beside, os.X_OK) else shutil.which("vllm")
    if path is None:
        raise ModelNotAvailableError(
            f"vllm: models need vLLM, which is not installed here; run: {install_command('vllm')}, "
            "or name a program with --vllm-bin or a container image with --vllm-image"
        )
    return (path,)


def serve_command(served_name: str, loading: Loading, options: ModelOptions, *, gpus: bool) -> Command:
    """The command that serves a model's folder under a name, on a port that was free just now.

    Raises:
        ModelNotAvailableError: vLLM is not there, the chat template is not, or the port is taken.
    """
    if options.chat_template is not None:
        read_template(options.chat_template)
    if any(argument.startswith("--generation-config") for argument in options.vllm_args):
        raise ModelNotAvailableError(
            "--vllm-arg=--generation-config goes past what is recorded; use --generation-config checkpoint"
        )
    port = _free_port(options.port)
    url = f"http://{HOST}:{port}"
    if options.vllm_image:
        return _in_container(served_name, loading, options, url, port, gpus=gpus)
    program = find_vllm(options)
    flags = _flags(str(loading.folder), served_name, port, loading, options)
    environment = _environment(options, gpus=gpus)
    environment["PATH"] = f"{Path(program[0]).parent}{os.pathsep}{os.environ.get('PATH', '')}"  # its compiler and tools
    inherited = {name: value for name, value in os.environ.items() if name != options.api_key_env}  # not its affair
    scratch = Path(tempfile.gettempdir(), f"stackbench-vllm-{secrets.token_hex(4)}")  # a path of a socket must be short
    environment["VLLM_RPC_BASE_PATH"] = str(scratch)  # killed, it leaves its sockets behind
    cleanup = ("rm", "-rf", str(scratch))
    return Command((*program, "serve", *flags), inherited | environment, url, cleanup, scratch)


def tool_call_parser(folder: Path, name: str) -> str | None:
    """vLLM's parser for the tool calls of a model's family; None where none is known."""
    lowered = f"{name} {folder.name}".lower()
    for part, parser in PARSERS_BY_NAME:
        if part in lowered:
            return parser
    return PARSERS_BY_TYPE.get(str(model_config(folder).get("model_type")))


def _flags(model: str, served_name: str, port: int, loading: Loading, options: ModelOptions) -> list[str]:
    flags = [model, "--host", HOST, "--port", str(port), "--served-model-name", served_name]
    valued: list[tuple[str, Any]] = [
        ("--dtype", loading.dtype),
        ("--quantization", loading.quantization),
        ("--max-model-len", loading.max_model_len),
        ("--gpu-memory-utilization", loading.gpu_memory_utilization),
        ("--max-num-seqs", loading.max_num_seqs),
        ("--tensor-parallel-size", options.tensor_parallel_size),
        ("--chat-template", options.chat_template),
        ("--generation-config", "auto" if options.generation_config == "checkpoint" else "vllm"),
    ]
    for flag, value in valued:
        if value is not None:
            flags += [flag, str(value)]
    parser = options.tool_call_parser or tool_call_parser(loading.folder, served_name)
    if parser and parser != "none":
        flags += ["--enable-auto-tool-choice", "--tool-call-parser", parser]
    return [*flags, *options.vllm_args]


def _environment(options: ModelOptions, *, gpus: bool) -> dict[str, str]:
    found = {"VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1", "HF_HUB_OFFLINE": "1"}
    if options.gpus is not None:
        found["CUDA_VISIBLE_DEVICES"] = options.gpus
    if not gpus:
        found["VLLM_CPU_KVCACHE_SPACE"] = str(CPU_CACHE_GIB)
        if (os.cpu_count() or 1) <= FEW_CPUS:
            found["VLLM_CPU_NUM_OF_RESERVED_CPU"] = "0"  # vLLM would leave one of them to itself, idle
    return {name: value for name, value in found.items() if name not in os.environ or name == "CUDA_VISIBLE_DEVICES"}


def _in_container(
    served_name: str, loading: Loading, options: ModelOptions, url: str, port: int, *, gpus: bool
) -> Command:
    """Through Docker's own client, which passes signals on; the container has the host's network and reads the model.

    The image's entry point is `vllm serve`, as in vLLM's own images.
    """
    docker = shutil.which("docker")
    if docker is None:
        raise ModelNotAvailableError("--vllm-image needs the docker command; install Docker's client")
    assert options.vllm_image is not None
    name = f"stackbench-vllm-{secrets.token_hex(4)}"
    arguments = [docker, "run", "--rm", "--name", name, "--network", "host", "--ipc", "host"]
    arguments += ["-v", f"{loading.folder.absolute()}:{IMAGE_MODEL}:ro"]
    if gpus:
        arguments += ["--gpus", f'"device={options.gpus}"' if options.gpus else "all"]
    for key, value in _environment(options, gpus=gpus).items():
        if key != "CUDA_VISIBLE_DEVICES":  # which GPUs it sees is decided above
            arguments += ["-e", f"{key}={value}"]
    template = options.chat_template
    if template and "{" not in template:
        arguments += ["-v", f"{Path(template).absolute()}:{Path(template).absolute()}:ro"]
    arguments += [options.vllm_image, *_flags(IMAGE_MODEL, served_name, port, loading, options)]
    return Command(tuple(arguments), dict(os.environ), url, (docker, "rm", "-f", name))


def _free_port(wanted: int | None) -> int:
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((HOST, wanted or 0))
        except OSError as error:
            raise ModelNotAvailableError(f"port {wanted}: {error.strerror}; name another with --port") from error
        return int(sock.getsockname()[1])
