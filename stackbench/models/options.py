"""Options for connecting to, loading and serving a model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["ModelOptions", "VllmOptions"]


class VllmOptions(BaseModel):
    """How a vLLM server of ours is started and watched."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    bin: str | None = None
    """The `vllm` program; unset: the one of this environment, else of PATH."""
    image: str | None = None
    """A container image with vLLM, in place of a program."""
    port: int | None = Field(default=None, ge=1, le=65535)
    """Where it listens, on this machine only; unset: a port that is free."""
    tensor_parallel_size: int | None = Field(default=None, ge=1)
    gpu_memory_utilization: float | None = Field(default=None, gt=0, le=1)
    """Share of each GPU's memory that the server may take."""
    max_num_seqs: int | None = Field(default=None, ge=1)
    """Sequences decoded together at most."""
    tool_call_parser: str | None = None
    """vLLM's parser of tool calls; unset: the one of the model's family; `none` for none."""
    args: tuple[str, ...] = ()
    """Further arguments of `vllm serve`, as they are."""
    allow_quantized: str | None = None
    """The quantisation to fall back to when the model does not fit; unset: none."""
    load_timeout_s: float = Field(default=1800.0, gt=0)
    """From the server's start to its first answer."""
    stall_timeout_s: float = Field(default=300.0, gt=0)
    """A server that makes no token for this long, with requests waiting, is taken for dead."""


class ModelOptions(BaseModel):
    """How a model is reached and run; what does not concern a kind of model is ignored by it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    home: Path = Path()
    """The home's folder; models that it holds are used from there."""
    cache: Path | None = None
    """The folder that models are fetched to, below `models`; unset: the home."""
    logs: Path | None = None
    """The folder for logs of what is started; unset: `home`."""
    api_key_env: str = "OPENAI_API_KEY"
    """The environment variable that holds the endpoint's key."""
    request_timeout_s: float = Field(default=600.0, gt=0)
    """One HTTP request, from its start to its last byte."""
    retries: int = Field(default=6, ge=0)
    """Tries after the first for 408, 409, 425, 429, 5xx, broken answers and dropped connections."""
    max_batch: int | None = Field(default=None, ge=1)
    """Sequences decoded together; by default 64 on a CPU and 256 on a GPU by hf: models, 8 by gguf: models."""
    api: Literal["auto", "chat", "completions"] = "auto"
    """Which interface of an endpoint to use; auto: chat where it takes chats."""
    gpus: str | None = None
    """GPUs to use, as CUDA_VISIBLE_DEVICES takes them; unset: all."""
    n_per_request: int = Field(default=1, ge=1)
    """Attempts at the same prompt that are asked of an endpoint in one request (its parameter `n`)."""
    extra_body: Mapping[str, Any] = Field(default_factory=dict[str, Any])
    """Fields to add to each request to an endpoint; null leaves one of ours out."""
    headers: tuple[str, ...] = ()
    """Headers to add, as NAME:VALUE; their values are secrets."""
    explicit_sampling: bool = False
    """Send every sampling parameter: the server's own defaults are the checkpoint's."""
    parameter_names: Mapping[str, str] = Field(default_factory=dict[str, str])
    """What a server calls sampling parameters that it has other names for than OpenAI's and vLLM's."""
    quantization: str | None = None
    """awq, gptq, bitsandbytes (4 bits), bitsandbytes-8bit or fp8; unset: as the checkpoint is."""
    dtype: str | None = None
    """bfloat16, float16 or float32; unset: what suits the device."""
    max_model_len: int | None = Field(default=None, ge=1)
    """Tokens of prompt and answer together; unset: the model's window."""
    chat_template: str | None = None
    """A Jinja file, in place of the model's own template."""
    generation_config: Literal["vllm", "checkpoint"] = "vllm"
    """Whether sampling that the user does not set is neutral, or as the checkpoint's generation_config.json has it."""
    vllm: VllmOptions = VllmOptions()

    @property
    def models(self) -> Path:
        """Where models are fetched to."""
        return (self.cache or self.home) / "models"
