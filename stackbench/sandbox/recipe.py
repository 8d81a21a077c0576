"""What an image of one's own is made of: a parent, files, and a script that is run in it; or a Dockerfile."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

__all__ = [
    "BUILD_FILES",
    "ArchiveSource",
    "DockerfileRecipe",
    "ImageLimits",
    "ImageRecipe",
    "PulledImage",
    "PythonBase",
    "ReadyImage",
]

BUILD_FILES = "/.stackbench-build"
REPOSITORY = "stackbench-layer"
VERSION = "1"
"""Of how layers are made; another one makes every image anew."""


@dataclass(frozen=True, slots=True)
class ArchiveSource:
    """A git folder with some commits of a repository and nothing else."""

    mirror: str
    """A bare git folder, or a URL."""
    commits: tuple[str, ...]
    have: tuple[str, ...] = ()
    """Commits whose files the parent has already."""

    @property
    def key(self) -> str:
        """Where a mirror lies does not change what comes of it."""
        return " ".join((*self.commits, "over", *self.have))


@dataclass(frozen=True, slots=True)
class PythonBase:
    """An image with a Python of that version (`3.9`), and git."""

    python: str
    any_python: bool = False
    """Take the sandbox image's Python where that version cannot be had."""

    @property
    def tag(self) -> str:
        return f"python {self.python}{' or any' if self.any_python else ''}"


@dataclass(frozen=True, slots=True)
class ImageRecipe:
    """One layer over a parent. Images are shared: the same recipe is built once."""

    name: str
    """Lower case, as a tag takes it; says what the image is."""
    parent: ImageRecipe | PythonBase
    script: str
    """Run by bash as root with a network, in `/`; `BUILD_FILES` holds the files. It must end with 0."""
    files: Mapping[str, bytes] = field(default_factory=dict[str, bytes])
    """Below `BUILD_FILES`, which is gone afterwards."""
    archives: Mapping[str, ArchiveSource] = field(default_factory=dict[str, ArchiveSource])
    """Folders below `BUILD_FILES` that are made when the layer is built."""
    timeout_s: float = 3600.0

    @property
    def tag(self) -> str:
        """The image's name, with a hash of all that it is made of."""
        parts = [VERSION, self.parent.tag, self.script]
        parts += [f"{name} {hashlib.sha256(data).hexdigest()}" for name, data in sorted(self.files.items())]
        parts += [f"{name} {source.key}" for name, source in sorted(self.archives.items())]
        digest = hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]
        return f"{REPOSITORY}:{self.name}-{digest}"


@dataclass(frozen=True, slots=True)
class DockerfileRecipe:
    """An image made from a folder with a Dockerfile."""

    name: str
    folder: Path

    @property
    def tag(self) -> str:
        """The image's name, with a hash of the folder's files."""
        digest = hashlib.sha256(VERSION.encode())
        for path in sorted(path for path in self.folder.rglob("*") if path.is_file()):
            digest.update(f"{path.relative_to(self.folder)}\0".encode() + path.read_bytes() + b"\0")
        return f"{REPOSITORY}:{self.name}-{digest.hexdigest()[:16]}"


@dataclass(frozen=True, slots=True)
class PulledImage:
    """An image of a registry's; where it cannot be pulled, another one in its place."""

    name: str
    otherwise: ImageRecipe | None = None


@dataclass(frozen=True, slots=True)
class ImageLimits:
    """Where images are kept account of, and how much of the disk they may take."""

    folder: Path
    """For the index of images and the logs of builds."""
    most_bytes: int


@dataclass(frozen=True, slots=True)
class ReadyImage:
    """An image that is there."""

    name: str
    digest: str
    """The engine's id of its content."""
    python: str = ""
    """Of the base it was made from, where it was made here."""
    built: bool = False
    """Whether it was made just now."""
    bytes: int = 0
    """Of its own layer."""
    notes: tuple[str, ...] = ()
    """What the builds of it and of the layers below said of how it differs from what was asked for."""
