"""The manifest of models that can be fetched by name."""

from __future__ import annotations

import tomllib
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from stackbench import nesting

__all__ = ["IN_FLIGHT", "ModelEntry", "ModelSource", "Wheel", "load_manifest", "model_config"]

IN_FLIGHT = {"bitsandbytes": 4, "bitsandbytes-8bit": 8, "fp8": 8}
"""Quantisations that are made from the full weights while they load, with their bits."""

LARGEST_CONFIG = 16 << 20


class Wheel(BaseModel):
    """A distribution that carries a part of a model as data."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    version: str
    member: str


class ModelSource(BaseModel):
    """One place a model can be had from: a hub repository (one file of it, or all), or wheels that hold its parts."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["hub", "wheels"]
    repo: str = ""
    revision: str = ""
    """The hub's commit; empty: the one it has at the first pull, which is recorded."""
    file: str = ""
    """One file, in GGUF; empty: the whole repository, in safetensors."""
    wheels: tuple[Wheel, ...] = ()


class ModelVariant(BaseModel):
    """The same model in another precision."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    suffix: str
    quantization: Literal["awq", "gptq"]
    bits: int
    repo: str
    revision: str = ""


class ModelEntry(BaseModel):
    """A model with what its configuration says of its shape."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    title: str
    parameters: int
    layers: int
    kv_heads: int
    head_dim: int
    hidden: int
    vocab: int
    tied: bool
    """Whether input and output embeddings are the same."""
    context: int
    """Tokens."""
    licence: str
    sources: tuple[ModelSource, ...]
    file_size: int | None = None
    """Bytes, of a model in one file."""
    sha256: str = ""
    """Of a model in one file; the hub tells the hashes of a repository's files."""
    variants: tuple[ModelVariant, ...] = ()
    base: str = ""
    """The entry that this is a variant of."""
    quantization: str = ""
    bits: int = 16
    """Of a weight in the linear layers."""


def load_manifest() -> dict[str, ModelEntry]:
    """The manifest shipped in the package, by name, each model followed by its variants."""
    text = resources.files("stackbench.models").joinpath("manifest.toml").read_text(encoding="utf-8")
    found: dict[str, ModelEntry] = {}
    for name, table in tomllib.loads(text).items():
        entry = found[name] = ModelEntry.model_validate(table)
        for variant in entry.variants:
            found[f"{name.removesuffix('-bf16')}-{variant.suffix}"] = entry.model_copy(
                update={
                    "title": f"{entry.title}, {variant.quantization.upper()} {variant.bits} bits",
                    "sources": (ModelSource(kind="hub", repo=variant.repo, revision=variant.revision),),
                    "variants": (),
                    "base": name,
                    "quantization": variant.quantization,
                    "bits": variant.bits,
                }
            )
    return found


def model_config(folder: Path) -> dict[str, Any]:
    """The config.json of a model's folder; empty where there is none that can be read."""
    try:
        with (folder / "config.json").open(encoding="utf-8") as file:
            return dict(nesting.loads(file.read(LARGEST_CONFIG)))
    except (OSError, ValueError, TypeError):
        return {}
