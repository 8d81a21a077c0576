"""Model names: `hf:X`, `vllm:X`, `openai:X@URL`, `replay:X`, `oracle`, `null`."""

from __future__ import annotations

import os
from dataclasses import dataclass

from stackbench.errors import ModelNotAvailableError, UsageError
from stackbench.models.base import Model
from stackbench.models.options import ModelOptions

__all__ = ["KINDS", "ModelName", "create_model", "parse_model_name"]


OPENAI_URL = "https://api.openai.com/v1"
"""Where `openai:MODEL` is without an address."""
KINDS = {
    "hf": "hf:NAME_OR_PATH (Transformers, in this process)",
    "vllm": "vllm:NAME_OR_PATH (a vLLM server that stackbench starts, watches and stops)",
    "openai": "openai:MODEL@http://host:port/v1 (any OpenAI-compatible endpoint; without an address OpenAI's own)",
    "replay": "replay:RUN_OR_FILE (recorded generations)",
    "oracle": "oracle (plays the reference solution)",
    "null": "null (does nothing)",
}


@dataclass(frozen=True, slots=True)
class ModelName:
    """A model name taken apart."""

    kind: str
    target: str = ""
    url: str = ""


def parse_model_name(name: str) -> ModelName:
    """Takes a model name apart.

    Raises:
        UsageError: it is none of the known forms.
    """
    kind, colon, target = name.partition(":")
    if kind in ("oracle", "null") and not colon:
        return ModelName(kind)
    if kind in ("hf", "vllm", "replay") and target:
        return ModelName(kind, target)
    if kind == "openai" and target:
        model, at, url = target.rpartition("@")
        if at and model and url.startswith(("http://", "https://")):
            return ModelName(kind, model, url.rstrip("/"))
        if not at:
            return ModelName(kind, target, OPENAI_URL)
        raise UsageError(f'model "{name}" names no endpoint; write openai:MODEL@http://host:port/v1')
    from stackbench.models.manifest import load_manifest

    if name in load_manifest():
        raise UsageError(f'model "{name}" needs to be told where it runs: hf:{name} or vllm:{name}')
    raise UsageError(f'unknown model "{name}"; a model is one of: {"; ".join(KINDS.values())}')


def create_model(name: str, options: ModelOptions) -> Model:
    """The model of that name, not started yet. A replay of a run is made by the engine, which can read runs.

    Raises:
        UsageError: the name is malformed.
    """
    parsed = parse_model_name(name)
    if parsed.kind == "oracle":
        from stackbench.models.oracle import OracleModel

        return OracleModel()
    if parsed.kind == "null":
        from stackbench.models.null import NullModel

        return NullModel()
    if parsed.kind == "openai":
        from stackbench.models.openai import OpenAIModel

        if parsed.url == OPENAI_URL:
            _check_key(parsed.target, options)
        return OpenAIModel(name, parsed.target, parsed.url, options)
    if parsed.kind == "vllm":
        from stackbench.models.vllm import VllmModel

        return VllmModel(name, parsed.target, options)
    if parsed.kind == "replay":
        from stackbench.models.replay import ReplayModel

        return ReplayModel.from_file(name, parsed.target)
    from stackbench.models.hf import HFModel

    return HFModel(name, parsed.target, options)


def _check_key(model: str, options: ModelOptions) -> None:
    """OpenAI answers nobody without a key: said before anything is asked. Raises ModelNotAvailableError."""
    own = any(header.partition(":")[0].strip().lower() == "authorization" for header in options.headers)
    if not own and not os.environ.get(options.api_key_env, "").strip():
        raise ModelNotAvailableError(
            f"openai:{model} is asked at {OPENAI_URL}, which wants a key, and {options.api_key_env} is not set; "
            f"set it, name another variable with --api-key-env, or an endpoint: openai:{model}@http://host:port/v1"
        )
