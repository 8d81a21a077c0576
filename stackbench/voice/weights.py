"""Recognisers that are fetched by name: the manifest, and which are on this machine."""

from __future__ import annotations

import tomllib
from importlib import resources
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from stackbench.errors import ModelNotAvailableError, UsageError
from stackbench.suggestions import did_you_mean

__all__ = [
    "COMPLETE",
    "DEFAULT",
    "RecognizerWeights",
    "WeightsFile",
    "Wheel",
    "find_weights",
    "known_weights",
    "weights_name",
]

DEFAULT = "whisper-base"
PREFIX = "whisper-"
COMPLETE = "stackbench.sha256"
"""Beside the weights: their hashes, written last, so that a folder with it is complete."""


class Wheel(BaseModel):
    """A distribution that carries a part of a file as data."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    version: str
    member: str


class WeightsFile(BaseModel):
    """One file of a recogniser, with its bytes promised."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    file_size: int
    sha256: str
    wheels: tuple[Wheel, ...]


class RecognizerWeights(BaseModel):
    """A recogniser that can be fetched."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    title: str
    parameters: int
    languages: str
    english_only: bool
    licence: str
    repo: str
    files: tuple[WeightsFile, ...]

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.file_size for file in self.files)


def known_weights() -> dict[str, RecognizerWeights]:
    """The recognisers by name."""
    text = resources.files("stackbench.voice").joinpath("weights.toml").read_text(encoding="utf-8")
    return {name: RecognizerWeights.model_validate(table) for name, table in tomllib.loads(text).items()}


def weights_name(name: str) -> str | None:
    """The manifest's name of a recogniser that is also called by its size (`base`, `tiny.en`); None for none."""
    known = known_weights()
    return next((one for one in (name, f"{PREFIX}{name}") if one in known), None)


def find_weights(name: str, folder: Path) -> Path:
    """The folder of a recogniser that is on this machine: a name of the manifest, or a folder with `model.bin`.

    Raises:
        UsageError: there is no such name.
        ModelNotAvailableError: it is not on this machine.
    """
    given = Path(name).expanduser()
    if (given / "model.bin").is_file():
        return given
    found = weights_name(name)
    if found is None:
        known = known_weights()
        near = did_you_mean(name, known)
        raise UsageError(
            f'no recogniser is named "{name}"{near}; those there are: {", ".join(known)}, or a folder with model.bin'
        )
    if not (folder / found / COMPLETE).is_file():
        raise ModelNotAvailableError(f'{found} is not on this machine; run "stackbench models pull {found}"')
    return folder / found
