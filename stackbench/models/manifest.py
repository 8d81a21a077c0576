"""The manifest of models that can be fetched by name."""

from __future__ import annotations

import tomllib
from importlib import resources

from pydantic import BaseModel, ConfigDict

__all__ = ["ModelEntry", "ModelSource", "Wheel", "load_manifest"]


class Wheel(BaseModel):
    """A distribution that carries a part of a model as data."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    version: str
    member: str


class ModelSource(BaseModel):
    """One place a model's file can be had from: a hub repository, or wheels whose members are its parts in order."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: str
    repo: str = ""
    revision: str = ""
    file: str = ""
    wheels: tuple[Wheel, ...] = ()


class ModelEntry(BaseModel):
    """A model in one GGUF file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    title: str
    kind: str
    parameters: int
    context: int
    """Tokens."""
    licence: str
    size: int
    """Bytes of the file."""
    sha256: str
    sources: tuple[ModelSource, ...]


def load_manifest() -> dict[str, ModelEntry]:
    """The manifest shipped in the package, by name."""
    text = resources.files("stackbench.models").joinpath("manifest.toml").read_text(encoding="utf-8")
    return {name: ModelEntry.model_validate(entry) for name, entry in tomllib.loads(text).items()}
