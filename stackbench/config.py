"""Configuration: one model of settings, the files and variables it is read from, and the folders of STACKBENCH_HOME."""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from platformdirs import user_config_path, user_data_path
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_serializer, field_validator

from stackbench.bounded_files import read_bounded
from stackbench.errors import ConfigError, one_line
from stackbench.types import ToolParser

__all__ = ["HIDDEN", "Home", "Price", "Settings", "Sourced", "load_settings", "read_texts"]

DEFAULT_MODEL = "hf:qwen2.5-coder-0.5b-instruct"
FLAGS = {"seeds": "--seed", "vllm_args": "--vllm-arg", "headers": "--header"}
TEXTS = ("system_prompt", "prefill")
LONGEST_TEXT = 1 << 20
PROJECT_FILE = "stackbench.toml"
HIDDEN = "[not recorded]"
"""Stands for the value of a header wherever settings are recorded or shown."""
HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+:[ -~]*")
OWN_FIELDS = {"model", "messages", "prompt", "stream", "n", "tools", "logprobs", "top_logprobs"}
"""Of a request's body, those that are made for each request."""
OWN_HEADERS = {"connection", "content-encoding", "content-length", "content-type", "expect", "te", "transfer-encoding"}
"""What tells where a request ends and how it is read."""
LARGEST_FILE = 1 << 20
SHOWN_OF_VALUE = 200


class Price(BaseModel):
    """What an endpoint charges for a million tokens."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    input: float = Field(ge=0, allow_inf_nan=False)
    """Of prompts."""
    output: float = Field(ge=0, allow_inf_nan=False)
    """Of answers."""
    currency: str = Field(default="USD", min_length=1, max_length=8)


class Settings(BaseModel):
    """Everything a run can be told. Keys of the configuration files, and the flags of `eval` and `--batch`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str = DEFAULT_MODEL
    """Which model; see docs/models.md."""
    limit: int | None = Field(default=None, ge=1)
    """Tasks of each benchmark: a share of every subject or category where it has them, else the first ones."""
    limit_seed: int = 0
    """Which tasks of a subject or category a limit selects."""
    samples: int = Field(default=1, ge=1)
    """Attempts per task and seed."""
    temperature: float | None = Field(default=None, ge=0)
    """Unset: 0 (greedy) for one attempt per task, 0.8 for several."""
    top_p: float = Field(default=1.0, gt=0, le=1)
    """Nucleus sampling."""
    top_k: int = Field(default=0, ge=0, le=2**31 - 1)
    """Draw from so many of the likeliest tokens; 0: from all."""
    min_p: float = Field(default=0.0, ge=0, le=1)
    """Leave out tokens less likely than this share of the likeliest one's probability."""
    presence_penalty: float = Field(default=0.0, ge=-2, le=2)
    """Taken off the logit of each token that the answer holds already."""
    frequency_penalty: float = Field(default=0.0, ge=-2, le=2)
    """Taken off a token's logit as often as the answer holds it."""
    repetition_penalty: float = Field(default=1.0, gt=0, le=10)
    """Divides the positive logits of tokens in prompt and answer, multiplies the negative ones; 1: none."""
    generation_config: Literal["vllm", "checkpoint"] = "vllm"
    """Sampling that is not set here: neutral, as vLLM has it (vllm), or as the checkpoint's generation_config.json."""
    system_prompt: str | None = Field(default=None, min_length=1)
    """Stands before every chat; @FILE reads it from a file."""
    prefill: str = ""
    """How every answer begins; the model goes on from there. @FILE reads it from a file."""
    stop: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    """Texts before which an answer ends, beside those of the benchmark."""
    max_tokens: int | None = Field(default=None, ge=1)
    """Tokens per answer; unset: the benchmark's own."""
    seeds: tuple[int, ...] = Field(default=(0,), min_length=1)
    """Each seed is a replicate of every attempt."""
    concurrency: int | None = Field(default=None, ge=1)
    """Attempts under way at once; unset: what keeps the model busy."""
    sandboxes: int | None = Field(default=None, ge=1)
    """Sandbox containers; unset: one per processor."""
    timeout_s: float | None = Field(default=None, gt=0)
    """Seconds per code sample, or per attempt of an agent; unset: the benchmark's own."""
    max_hours: float | None = Field(default=None, gt=0)
    """Stop, resumable, after this time."""
    one_by_one: bool = False
    """Benchmarks run one after the other, in place of side by side on the one model."""
    max_error_rate: float = Field(default=0.05, ge=0, le=1)
    """Above this share of attempts in error the run counts as failed (exit 3)."""
    quantization: Literal["awq", "gptq", "bitsandbytes", "bitsandbytes-8bit", "fp8"] | None = None
    """How hf: and vllm: models are quantised; unset: as the checkpoint is."""
    dtype: Literal["bfloat16", "float16", "float32"] | None = None
    """Precision of hf: and vllm: models; unset: what suits the device."""
    max_model_len: int | None = Field(default=None, ge=16)
    """Tokens of prompt and answer together; unset: the model's window."""
    tensor_parallel_size: int | None = Field(default=None, ge=1)
    """GPUs that a vllm: model is spread over."""
    gpu_memory_utilization: float | None = Field(default=None, gt=0, le=1)
    """Share of each GPU's memory that a vllm: server takes; unset: vLLM's own."""
    max_num_seqs: int | None = Field(default=None, ge=1)
    """Sequences that a vllm: server decodes together; unset: the concurrency."""
    chat_template: str | None = None
    """A Jinja file for an hf: or vllm: model, in place of its own."""
    tool_call_parser: str | None = None
    """vLLM's parser of tool calls; unset: the one of the model's family; none: none."""
    vllm_args: tuple[str, ...] = ()
    """Further arguments of vllm serve, as they are."""
    vllm_bin: str | None = None
    """The vllm program; unset: the one of this environment, else of PATH."""
    vllm_image: str | None = None
    """A container image with vLLM, in place of a program."""
    tool_parser: ToolParser = "auto"
    """Whether calls of tools that a model wrote into its text count as calls (auto), or those alone that it made."""
    approve_calls: bool = False
    """Tool calls of agents wait for the operator (stackbench ctl approve, reject, edit)."""
    allow_quantized: Literal["awq", "gptq", "bitsandbytes", "fp8"] | None = None
    """What a vllm: model that does not fit may fall back to."""
    load_timeout_s: float = Field(default=1800.0, gt=0)
    """Seconds from a vllm: server's start to its first answer."""
    stall_timeout_s: float = Field(default=300.0, gt=0)
    """A vllm: server that makes no token for so many seconds, though asked, is started again."""
    api: Literal["auto", "chat", "completions"] = "auto"
    """Interface of an OpenAI-compatible endpoint."""
    api_key_env: str = Field(default="OPENAI_API_KEY", pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    """The environment variable that holds the endpoint's key."""
    n_per_request: int = Field(default=1, ge=1)
    """Attempts at one prompt asked of an endpoint in one request."""
    extra_body: dict[str, Any] = Field(default_factory=dict[str, Any])
    """Fields to add to each request to an endpoint, a JSON object; null leaves one of stackbench's own out."""
    headers: tuple[str, ...] = ()
    """Headers to add to each request to an endpoint, as NAME:VALUE; the values are not recorded."""
    request_timeout_s: float = Field(default=600.0, gt=0)
    """Seconds per request to an endpoint."""
    retries: int = Field(default=6, ge=0)
    """Tries of a request to an endpoint after the first."""
    max_batch: int | None = Field(default=None, ge=1)
    """Sequences decoded together by an hf: model; unset: 64 on a CPU, 256 on a GPU."""
    gpus: str | None = Field(default=None, pattern=r"^\d+(,\d+)*$")
    """GPUs to use, by number; unset: all."""
    executor: Literal["local"] = "local"
    """Where the work runs."""
    prices: dict[str, Price] = Field(default_factory=dict[str, Price])
    """Prices by model pattern, per million tokens of input and output: what a run cost is shown where one fits."""
    sandbox_scope: Literal["container", "sample"] = "container"
    """Samples share a container, each a process of its own; or a new container for every sample."""
    sandbox_runtime: str | None = None
    """The OCI runtime of the sandboxes, such as runsc (gVisor); unset: the Docker engine's default."""
    sandbox_image: str | None = None
    """Image for the sandboxes; unset: the one "stackbench sandbox build" makes."""
    sandbox_memory_mib: int = Field(default=4096, ge=256)
    """Memory of one sandbox container."""

    @field_validator("extra_body", mode="before")
    @classmethod
    def _read_extra_body(cls, value: Any) -> Any:
        if isinstance(value, str):
            try:
                value = json.loads(value, parse_constant=_no_number)
            except (ValueError, RecursionError) as error:
                raise ValueError(f"is not JSON: {error}") from error
        if not isinstance(value, dict):
            raise ValueError('takes a JSON object, such as \'{"reasoning_effort": "low"}\'')
        own = sorted(OWN_FIELDS & value.keys())
        if own:
            raise ValueError(f"cannot set {', '.join(own)}: these are made for each request")
        return value

    @field_validator("headers")
    @classmethod
    def _check_headers(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for number, header in enumerate(value, 1):
            if not HEADER.fullmatch(header):
                raise ValueError(f"header {number} is not of the form NAME:VALUE, in printable ASCII")
            name = header.partition(":")[0]
            if name.lower() in OWN_HEADERS:
                raise ValueError(f"{name} cannot be set: it is made for each request")
        return value

    @field_serializer("headers")
    def _hide_headers(self, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(f"{header.partition(':')[0]}:{HIDDEN}" for header in value)


@dataclass(frozen=True, slots=True)
class Sourced:
    """Settings, and for each where its value came from."""

    settings: Settings
    sources: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Home:
    """The folders and files of STACKBENCH_HOME."""

    path: Path
    data_extra: Path | None = None
    source: str = "default"
    """Where the path came from."""

    @classmethod
    def find(cls, option: Path | None = None) -> Home:
        """`--home`, else STACKBENCH_HOME, else the platform's user-data folder for stackbench.

        Raises:
            ConfigError: the folder cannot be made or written.
        """
        named = option or (Path(os.environ["STACKBENCH_HOME"]) if os.environ.get("STACKBENCH_HOME") else None)
        path = (named or user_data_path("stackbench", appauthor=False)).expanduser().absolute()
        extra = os.environ.get("STACKBENCH_DATA")
        try:
            path.mkdir(parents=True, exist_ok=True, mode=0o700)  # parents get the usual mode
        except OSError as error:
            raise ConfigError(
                f"the folder {path} cannot be made ({error.strerror}); name another with --home"
            ) from error
        if not os.access(path, os.W_OK):
            raise ConfigError(f"the folder {path} cannot be written; name another with --home")
        source = "--home" if option else "STACKBENCH_HOME" if named else "default"
        return cls(path, Path(extra).expanduser().absolute() if extra else None, source)

    @property
    def database(self) -> Path:
        return self.path / "stackbench.duckdb"

    @property
    def socket(self) -> Path:
        return self.path / "engine.sock"

    @property
    def lock(self) -> Path:
        return self.path / "engine.lock"

    @property
    def trace(self) -> Path:
        """What a live engine is doing, for when it no longer answers."""
        return self.path / "engine.trace"

    @property
    def data(self) -> Path:
        return self.path / "data"

    @property
    def models(self) -> Path:
        return self.path / "models"

    def run(self, run_id: str) -> Path:
        return self.path / "runs" / run_id


def load_settings(flags: Mapping[str, Any] | None = None) -> Sourced:
    """Defaults, overridden by the user's file, the working folder's file and the flags, in this order.

    Raises:
        ConfigError: a file is not TOML, or a key or value is not valid; names the file and the key.
    """
    values: dict[str, Any] = {}
    sources = dict.fromkeys(Settings.model_fields, "default")
    for path in (user_config_path("stackbench", appauthor=False) / "config.toml", Path(PROJECT_FILE)):
        if path.is_file():
            for key, value in _read(path).items():
                values[key], sources[key] = value, str(path)
    for key, value in (flags or {}).items():
        if value is not None:
            values[key], sources[key] = value, FLAGS.get(key) or f"--{key.removesuffix('_s').replace('_', '-')}"
    values = read_texts(values, sources)
    try:
        return Sourced(Settings.model_validate(values), sources)
    except ValidationError as error:
        first = error.errors()[0]
        key = str(first["loc"][0]) if first["loc"] else "?"
        where = sources.get(key, "configuration")
        named = where if where.startswith("--") else f"{where}: {key}"
        if key == "api_key_env":  # somebody may have given the key itself
            raise ConfigError(f"{named}: takes the name of an environment variable, not a key") from None
        if key == "headers":
            raise ConfigError(f"{named}: {first['msg'].removeprefix('Value error, ')}") from None
        said, given = first["msg"].removeprefix("Value error, "), repr(first["input"])
        given = given if len(given) <= SHOWN_OF_VALUE else f"{given[:SHOWN_OF_VALUE]} ..."
        raise ConfigError(f"{named}: {said} (got {given})") from error


def _no_number(name: str) -> float:
    """Refuses what Python's reader takes for a number and JSON does not have."""
    raise ValueError(f"{name} is no JSON")


def read_texts(values: Mapping[str, Any], sources: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The values of settings, with those texts that are `@FILE` read from their files. Raises ConfigError."""
    found = dict(values)
    for key in TEXTS:
        if key in found:
            found[key] = _text(found[key], (sources or {}).get(key, f"--{key.replace('_', '-')}"), key)
    return found


def _text(value: Any, where: str, key: str) -> Any:
    """A text, read from a file where it is `@FILE`; a beginning `@@` stands for one `@`.

    Raises:
        ConfigError: there is no such file of text.
    """
    if not isinstance(value, str) or not value.startswith("@"):
        return value
    if value.startswith("@@"):
        return value[1:]
    named = where if where.startswith("--") else f"{where}: {key}"
    try:
        with Path(value[1:]).expanduser().open(encoding="utf-8") as file:
            text = file.read(LONGEST_TEXT + 1)
    except (OSError, ValueError) as error:
        why = (isinstance(error, OSError) and error.strerror) or one_line(error)
        raise ConfigError(f"{named}: {value[1:]} cannot be read as text: {why}") from error
    if len(text) > LONGEST_TEXT:
        raise ConfigError(f"{named}: {value[1:]} has more than {LONGEST_TEXT:,} characters")
    return text


def _read(path: Path) -> dict[str, Any]:
    try:
        table = tomllib.loads(read_bounded(path, LARGEST_FILE))
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path} is not valid TOML: {one_line(error)}") from error
    for key in table:
        if key not in Settings.model_fields:
            raise ConfigError(f'{path}: unknown key "{key}"; "stackbench config" lists the keys')
    return table
