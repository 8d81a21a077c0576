"""Model names: `hf:X`, `vllm:X`, `gguf:X`, `openai:X@URL`, `replay:X`, `oracle`, `null`."""

from __future__ import annotations

from dataclasses import dataclass

from stackbench.errors import UsageError
from stackbench.models.base import Model
from stackbench.models.options import ModelOptions

__all__ = ["KINDS", "ModelName", "create_model", "parse_model_name"]


KINDS = {
    "hf": "hf:NAME_OR_PATH (Transformers, in this process)",
    "vllm": "vllm:NAME_OR_PATH (a vLLM server that stackbench starts, watches and stops)",
    "gguf": "gguf:NAME_OR_PATH (a GGUF file through llama.cpp: for few requests at once, without a GPU)",
    "openai": "openai:MODEL@http://host:port/v1 (any OpenAI-compatible endpoint)",
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
    if kind in ("hf", "vllm", "gguf", "replay") and target:
        return ModelName(kind, target)
    if kind == "openai" and target:
        model, at, url = target.rpartition("@")
        if at and model and url.startswith(("http://", "https://")):
            return ModelName(kind, model, url.rstrip("/"))
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

        return OpenAIModel(name, parsed.target, parsed.url, options)
    if parsed.kind == "vllm":
        from stackbench.models.vllm import VllmModel

        return VllmModel(name, parsed.target, options)
    if parsed.kind == "gguf":
        from stackbench.models.gguf import GgufModel

        return GgufModel(name, parsed.target, options)
    if parsed.kind == "replay":
        from stackbench.models.replay import ReplayModel

        return ReplayModel.from_file(name, parsed.target)
    from stackbench.models.hf import HFModel

    return HFModel(name, parsed.target, options)
