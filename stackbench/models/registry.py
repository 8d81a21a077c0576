"""Model names: `hf:X`, `vllm:X`, `gguf:X`, `openai:X@URL`, `replay:X`, `oracle`, `null`."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from stackbench.errors import ModelNotAvailableError, UsageError
from stackbench.models.base import Model
from stackbench.models.options import ModelOptions
from stackbench.suggestions import nearest

__all__ = ["KINDS", "ModelName", "create_model", "parse_model_name"]


OPENAI_URL = "https://api.openai.com/v1"
"""Where `openai:MODEL` is without an address."""
KINDS = {
    "hf": "hf:NAME_OR_PATH (Transformers, in this process)",
    "vllm": "vllm:NAME_OR_PATH (a vLLM server that stackbench starts, watches and stops)",
    "gguf": "gguf:NAME_OR_PATH (a GGUF file through llama.cpp: for few requests at once, without a GPU)",
    "openai": "openai:MODEL@http://host:port/v1 (any OpenAI-compatible endpoint; without an address OpenAI's own)",
    "replay": "replay:RUN_OR_FILE (recorded generations)",
    "oracle": "oracle (plays the reference solution)",
    "null": "null (does nothing)",
}


HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
"""OWNER/NAME."""


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
        if not at:
            return ModelName(kind, target, OPENAI_URL)
        raise UsageError(_endpoint_fault(name, model, url))
    raise UsageError(_name_fault(name))


def _endpoint_fault(name: str, model: str, address: str) -> str:
    if address and model and "://" not in address:
        return f'model "{name}": the address has no http://; write openai:{model}@http://{address}'
    return f'model "{name}" names no endpoint; write openai:MODEL@http://host:port/v1'


def _name_fault(name: str) -> str:
    """What is wrong with a name of no known kind, and what it may have meant."""
    from stackbench.models.manifest import load_manifest

    kind, colon, target = name.partition(":")
    manifest = load_manifest()
    if colon and kind in KINDS:
        takes = "takes no name" if kind in ("oracle", "null") else "needs a name behind it"
        return f'model "{name}": {kind} {takes}; write {KINDS[kind]}'
    if colon and target and (near := nearest(kind, [known for known in KINDS if known not in ("oracle", "null")])):
        return f'unknown kind of model "{kind}"; did you mean "{near}:{target}"?'
    if not colon:
        if name in manifest:
            gguf = f" or gguf:{name}" if manifest[name].sha256 else ""
            return f'model "{name}" needs to be told where it runs: hf:{name} or vllm:{name}{gguf}'
        if name and Path(name).expanduser().exists():
            return f'model "{name}" is a path; a model there is written hf:{name} or vllm:{name}'
        if HUB_ID.fullmatch(name):
            return f'model "{name}" looks like a hub id; write hf:{name} or vllm:{name}'
        if near := nearest(name, [*(f"hf:{known}" for known in manifest), "oracle", "null"]):
            return f'unknown model "{name}"; did you mean "{near}"?'
    return f'unknown model "{name}"; a model is one of: {"; ".join(KINDS.values())}'


def create_model(name: str, options: ModelOptions, *, replicas: bool = True) -> Model:
    """The model of that name, not started yet. A replay of a run is made by the engine, which can read runs.

    Blocks for a moment where GPUs are to be counted: a vllm: model has a server on each of them, with `replicas`.

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
        from stackbench.models.vllm import VllmModel, VllmReplicas, gpu_groups

        groups = gpu_groups(options) if replicas else []
        if len(groups) > 1:
            return VllmReplicas(name, parsed.target, options, groups)
        return VllmModel(name, parsed.target, options)
    if parsed.kind == "gguf":
        from stackbench.models.gguf import GgufModel

        return GgufModel(name, parsed.target, options)
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
