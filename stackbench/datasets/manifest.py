"""The manifest of datasets: files, sources in order, sizes, hashes, licences."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from importlib import resources

from pydantic import BaseModel, ConfigDict

from stackbench.errors import UsageError
from stackbench.suggestions import did_you_mean

__all__ = ["DatasetFile", "Manifest", "Source", "load_manifest"]


class Source(BaseModel):
    """One place a file can be had from."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: str
    """`wheel` (a PyPI distribution that carries the file), `hub` (Hugging Face), or `url`."""
    where: str
    """Distribution, repository or URL."""
    version: str = ""
    """Version or pinned revision."""
    member: str = ""
    """Path inside it."""
    convert: str = ""
    """How its format becomes ours (see `convert`)."""


class DatasetFile(BaseModel):
    """One file of a dataset."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: str
    """Below the data folder: `<benchmark>/<file>`."""
    size: int
    """Bytes."""
    sha256: str
    rows_sha256: str
    """Of the rows' required fields, whatever file carries them (see `rows_hash`)."""
    rows: int
    fields: tuple[str, ...]
    """Required in every row."""
    licence: str
    origin: str
    """Who made it."""
    sources: tuple[Source, ...] = ()


@dataclass(frozen=True, slots=True)
class Manifest:
    """All datasets by name, each a tuple of files."""

    datasets: dict[str, dict[str, DatasetFile]]

    def files(self, name: str) -> dict[str, DatasetFile]:
        """The files of a dataset by short name.

        Raises:
            UsageError: there is no such dataset.
        """
        if name not in self.datasets:
            near = did_you_mean(name, self.datasets)
            raise UsageError(f'unknown dataset "{name}"{near}; known: {", ".join(sorted(self.datasets))}')
        return self.datasets[name]


def load_manifest() -> Manifest:
    """The manifest shipped in the package."""
    text = resources.files("stackbench.datasets").joinpath("manifest.toml").read_text(encoding="utf-8")
    return Manifest(
        {
            name: {short: DatasetFile.model_validate(entry) for short, entry in files.items()}
            for name, files in tomllib.loads(text).items()
        }
    )
