"""The protocol that every kind of model implements."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from pydantic import BaseModel, ConfigDict, Field

from stackbench.types import Generation, Request

__all__ = ["Model", "ModelOptions"]


class ModelOptions(BaseModel):
    """How a model is reached and run; what does not concern a kind of model is ignored by it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    home: Path = Path()
    """The folder that holds pulled models."""
    api_key_env: str = "OPENAI_API_KEY"
    """The environment variable that holds the endpoint's key."""
    request_timeout_s: float = Field(default=600.0, gt=0)
    """One HTTP request, from its start to its last byte."""
    retries: int = Field(default=6, ge=0)
    """Tries after the first for 408, 409, 429, 5xx and dropped connections."""
    max_batch: int | None = Field(default=None, ge=1)
    """Sequences decoded together in process; by default 64 on a CPU, 256 on a GPU."""
    api: str = Field(default="auto", pattern="^(auto|chat|completions)$")
    """Which interface of an endpoint to use; auto: chat."""
    gpus: str | None = None
    """GPUs that an in-process model may use, as CUDA_VISIBLE_DEVICES takes them; unset: all."""
    n_per_request: int = Field(default=1, ge=1)
    """Attempts at the same prompt that are asked of an endpoint in one request (its parameter `n`)."""


class Model(Protocol):
    """Answers requests. Several `generate` calls may be in flight at once; a model forms batches from all of them."""

    name: str
    """As the user wrote it."""
    chat: bool
    """Whether it takes messages (it has a chat template); every model takes a plain prompt where its server does."""
    plain_prompts: bool
    """Whether a bare prompt reaches it without a chat template."""
    scores_choices: bool
    """Whether it answers `Request.choices` with log-probabilities."""
    concurrency: int
    """How many requests keep it busy."""

    async def start(self, say: Callable[[str], None]) -> None:
        """Makes it ready; `say` takes lines about what takes long.

        Raises:
            ModelNotAvailableError: it cannot be had.
        """
        ...

    async def generate(self, requests: Sequence[Request]) -> list[Generation]:
        """Answers in the order of the requests.

        Raises:
            GenerationError: one of them could not be answered.
        """
        ...

    def describe(self) -> Mapping[str, Any]:
        """What is recorded with a run: versions, hashes, device. JSON values, no secrets."""
        ...

    async def close(self) -> None:
        """Frees what it holds; requests still waiting are abandoned."""
        ...
