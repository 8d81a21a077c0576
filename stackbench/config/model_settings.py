"""Settings of models: how weights are loaded, of a vLLM server, of an endpoint; each declared once."""

from __future__ import annotations

import json
import re
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, field_serializer, field_validator

from stackbench.config.setting import Concern, Setting
from stackbench.nesting import is_object

__all__ = ["HIDDEN", "EndpointSettings", "LoadingSettings", "ServerSettings"]

HIDDEN = "[not recorded]"
"""Stands for the value of a header wherever settings are recorded or shown."""
HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+:[ -~]*")
OWN_FIELDS = {"model", "messages", "prompt", "stream", "n", "tools", "logprobs", "top_logprobs"}
"""Of a request's body, those that are made for each request."""
OWN_HEADERS = {"connection", "content-encoding", "content-length", "content-type", "expect", "te", "transfer-encoding"}
"""What tells where a request ends and how it is read."""


class LoadingSettings(Concern):
    """How the weights of an hf:, vllm: or gguf: model are loaded."""

    title: ClassVar[str] = "Model (hf:, vllm: and gguf:)"

    quantization: Annotated[
        Literal["awq", "gptq", "bitsandbytes", "bitsandbytes-8bit", "fp8"] | None,
        Setting(
            "How the weights are quantised: awq, gptq, bitsandbytes, bitsandbytes-8bit or fp8.",
            "HOW",
            unset="as the checkpoint is",
            basic=True,
        ),
    ] = None
    dtype: Annotated[
        Literal["bfloat16", "float16", "float32"] | None,
        Setting("bfloat16, float16 or float32.", "TYPE", unset="what suits the device"),
    ] = None
    max_model_len: Annotated[
        int | None,
        Field(ge=16),
        Setting("Prompt and answer together at most.", "N", unset="the model's window", unit="tokens", basic=True),
    ] = None
    max_batch: Annotated[
        int | None,
        Field(ge=1),
        Setting(
            "Sequences an hf: or gguf: model decodes together.",
            "N",
            unset="hf: 64 on a CPU, 256 on a GPU; gguf: 8",
            changeable=True,
        ),
    ] = None
    gpus: Annotated[
        str | None,
        Field(pattern=r"^\d+(,\d+)*$"),
        Setting("Which GPUs to use, by number.", "0,1", unset="all", basic=True, changeable=True),
    ] = None
    generation_config: Annotated[
        Literal["vllm", "checkpoint"],
        Setting(
            "Sampling that is not set: neutral (vllm), or as the checkpoint's generation_config.json has it "
            "(checkpoint).",
            "WHOSE",
            asked=True,
        ),
    ] = "vllm"
    chat_template: Annotated[
        str | None, Setting("A Jinja file in place of the model's own.", "FILE", unset="the model's own", asked=True)
    ] = None


class ServerSettings(Concern):
    """The vLLM server that stackbench starts for a vllm: model."""

    title: ClassVar[str] = "vLLM server"

    tensor_parallel_size: Annotated[
        int | None, Field(ge=1), Setting("GPUs to spread the model over.", "N", unset="1", basic=True, changeable=True)
    ] = None
    gpu_memory_utilization: Annotated[
        float | None,
        Field(gt=0, le=1),
        Setting("Share of each GPU's memory for the server.", "SHARE", unset="vLLM's own", changeable=True),
    ] = None
    max_num_seqs: Annotated[
        int | None,
        Field(ge=1),
        Setting("Sequences decoded together.", "N", unset="the concurrency", changeable=True),
    ] = None
    tool_call_parser: Annotated[
        str | None,
        Setting("vLLM's parser of tool calls; none: none.", "NAME", unset="that of the model's family"),
    ] = None
    allow_quantized: Annotated[
        Literal["awq", "gptq", "bitsandbytes", "fp8"] | None,
        Setting("What to fall back to where the model does not fit.", "HOW", unset="nothing"),
    ] = None
    vllm_args: Annotated[
        tuple[str, ...],
        Setting("A further argument of `vllm serve`, as it is: `--vllm-arg=--flag`.", "ARG", flag="--vllm-arg"),
    ] = ()
    vllm_bin: Annotated[
        str | None,
        Setting("The vllm program.", "PATH", unset="that of this environment, else of PATH", changeable=True),
    ] = None
    vllm_image: Annotated[
        str | None, Setting("A container image with vLLM, in place of a program.", "IMAGE", unset="none")
    ] = None
    load_timeout_s: Annotated[
        float,
        Field(gt=0),
        Setting(
            "From the server's start to its first answer.",
            "SECONDS",
            flag="--load-timeout",
            unit="seconds",
            changeable=True,
        ),
    ] = 1800.0
    stall_timeout_s: Annotated[
        float,
        Field(gt=0),
        Setting(
            "A server asked that makes no token for so long is started again.",
            "SECONDS",
            flag="--stall-timeout",
            unit="seconds",
            changeable=True,
        ),
    ] = 300.0


class EndpointSettings(Concern):
    """How an OpenAI-compatible endpoint is reached."""

    title: ClassVar[str] = "Endpoint (openai:)"

    api_key_env: Annotated[
        str,
        Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$"),
        Setting("The environment variable that holds the key.", "NAME", basic=True, changeable=True),
    ] = "OPENAI_API_KEY"
    api: Annotated[
        Literal["auto", "chat", "completions"],
        Setting("The interface to use: auto, chat or completions.", "KIND", asked=True),
    ] = "auto"
    request_timeout_s: Annotated[
        float,
        Field(gt=0),
        Setting("Per request.", "SECONDS", flag="--request-timeout", unit="seconds", basic=True, changeable=True),
    ] = 600.0
    retries: Annotated[
        int, Field(ge=0), Setting("Tries of a request after the first.", "N", basic=True, changeable=True)
    ] = 6
    n_per_request: Annotated[
        int,
        Field(ge=1),
        Setting("Attempts at one prompt asked in one request.", "N", changeable=True, asked=True),
    ] = 1
    extra_body: Annotated[
        dict[str, Any],
        Setting(
            "Fields to add to each request, a JSON object; null leaves one of stackbench's own out.",
            "JSON",
            unset="none",
            asked=True,
        ),
    ] = Field(default_factory=dict[str, Any])
    headers: Annotated[
        tuple[str, ...],
        Setting(
            "A header to add to each request; its value is not recorded.",
            "NAME:VALUE",
            flag="--header",
            changeable=True,
            asked=True,
        ),
    ] = ()

    @field_validator("extra_body", mode="before")
    @classmethod
    def _read_extra_body(cls, value: Any) -> Any:
        if isinstance(value, str):
            try:
                value = json.loads(value, parse_constant=_no_number)
            except (ValueError, RecursionError) as error:
                raise ValueError(f"is not JSON: {error}") from error
        if not is_object(value):
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


def _no_number(name: str) -> float:
    """Refuses what Python's reader takes for a number and JSON does not have."""
    raise ValueError(f"{name} is no JSON")
