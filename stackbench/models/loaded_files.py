"""The files that a model is loaded from, and their hashes: of the bytes that are there when it is loaded."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from stackbench.errors import ModelNotAvailableError
from stackbench.nesting import is_object

__all__ = ["CACHE", "FileHashes", "hash_file", "hash_loaded"]

CACHE = "model-hashes.json"
"""In the home: hashes by file, believed while nothing about the file has changed."""
PATTERNS = (
    "*.safetensors", "*.bin", "*.pt", "*.pth", "*.gguf", "*.json", "*.jinja", "*.model", "*.tiktoken", "*.py",
    "merges.txt", "vocab.txt",
)  # fmt: skip
"""Weights, tokenizer, chat template, configurations: whatever Transformers or vLLM may read of a model's folder."""
FOLDERS = ("additional_chat_templates",)
OURS = "stackbench."
"""Files of our own beside the weights begin so; they tell where the model came from, not what it is."""
CHUNK = 16 << 20
SETTLED_NS = 2_000_000_000
"""A file that changed less than this before it was hashed may change again within its clock's tick, unseen."""


@dataclass(frozen=True, slots=True)
class FileHashes:
    """The files of a model with their sha256, by name below the folder."""

    files: Mapping[str, str]

    @property
    def sha256(self) -> str:
        """Of all of them: sha256 over lines of hash, two spaces and name, sorted by name (as `sha256sum` writes)."""
        lines = "".join(f"{digest}  {name}\n" for name, digest in sorted(self.files.items()))
        return hashlib.sha256(lines.encode()).hexdigest()

    def describe(self) -> dict[str, Any]:
        return {"files": dict(self.files), "sha256": self.sha256}

    def differences(self, promised: Mapping[str, str]) -> list[str]:
        """Names of files that have another hash than was promised for them, or are gone."""
        return [name for name, digest in sorted(promised.items()) if self.files.get(name) != digest]


def hash_loaded(folder: Path, home: Path, stopping: Callable[[], bool] = lambda: False) -> FileHashes:
    """Hashes every file that a model in this folder is loaded from; looks at `stopping` every 16 MiB.

    A hash is taken from the cache in `home` where path, device, inode, size and the times of the last change of content
    and of inode are as they were when it was computed. Links are followed: what counts is the file they lead to.

    Raises:
        ModelNotAvailableError: a file cannot be read, or `stopping` is true.
    """
    return _hash_files(_loaded(folder), folder, home, stopping)


def hash_file(path: Path, home: Path, stopping: Callable[[], bool] = lambda: False) -> FileHashes:
    """As `hash_loaded`, of a model in one file."""
    return _hash_files([path], path.parent, home, stopping)


def _hash_files(paths: Sequence[Path], folder: Path, home: Path, stopping: Callable[[], bool]) -> FileHashes:
    known = _read_cache(home / CACHE)
    fresh: dict[str, dict[str, Any]] = {}
    found: dict[str, str] = {}
    for path in paths:
        try:
            real = path.resolve(strict=True)
            state = _state(real)
            entry = known.get(str(real))
            if entry is None or entry["state"] != state:
                began = time.time_ns()
                entry = {"state": state, "sha256": _sha256(real, stopping)}
                if _state(real) != state:
                    raise ModelNotAvailableError(f"{path} changes while it is read; load it when it is complete")
                if began - max(state["mtime_ns"], state["ctime_ns"]) > SETTLED_NS:
                    fresh[str(real)] = entry
        except OSError as error:
            raise ModelNotAvailableError(f"{path} cannot be read: {error.strerror}") from error
        found[path.relative_to(folder).as_posix()] = str(entry["sha256"])
    if fresh:
        _write_cache(home / CACHE, fresh)
    return FileHashes(found)


def _sha256(path: Path, stopping: Callable[[], bool]) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
            if stopping():
                raise ModelNotAvailableError(f"{path}: hashing was given up, nothing is loaded any more")
    return digest.hexdigest()


def _loaded(folder: Path) -> list[Path]:
    places = [folder, *(folder / name for name in FOLDERS)]
    return sorted(
        path
        for place in places
        if place.is_dir()
        for path in place.iterdir()
        if not path.name.startswith(OURS) and any(fnmatch(path.name, one) for one in PATTERNS) and path.is_file()
    )


def _state(path: Path) -> dict[str, int]:
    found = path.stat()
    return {
        "device": found.st_dev,
        "inode": found.st_ino,
        "size": found.st_size,
        "mtime_ns": found.st_mtime_ns,
        "ctime_ns": found.st_ctime_ns,
    }


def _read_cache(path: Path) -> dict[str, dict[str, Any]]:
    """What of the cache is well-formed."""
    try:
        listed = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    if not is_object(listed):
        return {}
    entries: dict[str, Any] = dict(listed)
    return {
        name: entry
        for name, entry in entries.items()
        if is_object(entry) and is_object(entry.get("state")) and isinstance(entry.get("sha256"), str)
    }


def _write_cache(path: Path, fresh: Mapping[str, dict[str, Any]]) -> None:
    """Adds to what is there now, whole or not at all; a home that cannot be written costs the next start a second."""
    kept = {name: entry for name, entry in _read_cache(path).items() if Path(name).exists()}
    with contextlib.suppress(OSError):
        handle, partial = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump({**kept, **fresh}, file, indent=1)
        os.replace(partial, path)
