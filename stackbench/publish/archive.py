"""Metadata for Zenodo and Figshare, hashes of all files, and the archive: the same bytes for the same files."""

from __future__ import annotations

import gzip
import hashlib
import json
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from stackbench.publish.papers import person
from stackbench.publish.publication import Publication

__all__ = ["SUMS", "archive_name", "deposit_files", "sha256_sums", "write_archive"]

SUMS = "SHA256SUMS"
KEYWORDS = ["language model", "evaluation", "benchmark", "code generation"]


def archive_name(publication: Publication) -> str:
    return f"stackbench-{publication.slug}-{publication.version}.tar.gz"


def deposit_files(publication: Publication) -> Iterator[tuple[str, str]]:
    """Names and texts: what the two archives' interfaces take as a deposit's metadata."""
    described = (
        f"Scores of {publication.model_id} with 95% intervals, settings, every answer with its seed and parameters, "
        f"failures and exclusions; measured with stackbench {publication.results.stackbench}, runs "
        f"{', '.join(run.run_id for run in publication.runs)}."
    )
    zenodo: dict[str, Any] = {
        "upload_type": "dataset",
        "title": publication.title,
        "description": f"<p>{described}</p>",
        "creators": [{"name": author} for author in publication.authors],
        "publication_date": f"{publication.ended_at:%Y-%m-%d}",
        "version": publication.version,
        "keywords": KEYWORDS,
        "access_right": "open",
    }
    figshare: dict[str, Any] = {
        "title": publication.title,
        "description": described,
        "defined_type": "dataset",
        "authors": [{"name": _full_name(author)} for author in publication.authors],
        "keywords": KEYWORDS,
    }
    if publication.licence:
        zenodo["license"] = publication.licence
    if publication.source_url:
        zenodo["related_identifiers"] = [{"identifier": publication.source_url, "relation": "isIdenticalTo"}]
        figshare["references"] = [publication.source_url]
    yield "archive/zenodo.json", json.dumps({"metadata": zenodo}, indent=2, ensure_ascii=False) + "\n"
    yield "archive/figshare.json", json.dumps(figshare, indent=2, ensure_ascii=False) + "\n"


def _full_name(author: str) -> str:
    found = person(author)
    return found.get("name") or f"{found['given-names']} {found['family-names']}"


def sha256_sums(folder: Path, names: Sequence[str]) -> str:
    """In the form that `sha256sum --check` reads."""
    lines: list[str] = []
    for name in sorted(names):
        with (folder / name).open("rb") as file:
            lines.append(f"{hashlib.file_digest(file, 'sha256').hexdigest()}  {name}\n")
    return "".join(lines)


def write_archive(publication: Publication, folder: Path, names: Sequence[str], to: BinaryIO) -> None:
    """A tar.gz of files below a folder, under one name, with the time of the last run's end and nobody's user."""
    top = archive_name(publication).removesuffix(".tar.gz")
    when = int(publication.ended_at.timestamp())
    with (
        gzip.GzipFile(filename="", mode="wb", fileobj=to, mtime=when) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as tar,
    ):
        for name in sorted(names):
            path = folder / name
            entry = tarfile.TarInfo(f"{top}/{name}")
            entry.size, entry.mtime, entry.mode = path.stat().st_size, when, 0o644
            with path.open("rb") as file:
                tar.addfile(entry, file)
