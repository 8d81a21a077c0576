"""The bundle of a run: its tables as Parquet with a manifest of sha256, as a folder or an archive."""

from __future__ import annotations

import hashlib
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from stackbench.errors import UsageError, one_line
from stackbench.store import Queries
from stackbench.store.run_tables import write_tables

__all__ = ["MANIFEST", "BundleProblem", "unpack_bundle", "write_bundle", "write_manifest"]

MANIFEST = "MANIFEST.sha256"
"""Lines of hash, two spaces and path below the folder, as `sha256sum` writes and checks them."""
PACKAGE_SUMS = "SHA256SUMS"
"""The same of a publication package, in which a bundle lies."""
TABLES = "tables"
LARGEST = 64 << 30
"""Bytes of an archive's files, unpacked."""
CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class BundleProblem:
    """A file that is not as the manifest lists it."""

    path: str
    what: str


def write_bundle(queries: Queries, run_id: str, to: Path) -> list[Path]:
    """Writes `tables/*.parquet` and the manifest into a folder; what else lies there is listed too.

    Raises:
        UsageError: the folder cannot be written.
    """
    try:
        return [*write_tables(queries, run_id, to / TABLES), write_manifest(to)]
    except OSError as error:
        raise UsageError(f"the bundle cannot be written to {to}: {error.strerror or error}") from error


def write_manifest(folder: Path) -> Path:
    """Lists every file of a folder with its sha256. Raises OSError."""
    lines = [f"{_sha256(path)}  {path.relative_to(folder).as_posix()}\n" for path in _files(folder)]
    path = folder / MANIFEST
    path.write_text("".join(lines), encoding="utf-8")
    return path


def unpack_bundle(path: Path, scratch: Path) -> tuple[Path, list[BundleProblem]]:
    """The folder with a bundle's tables, and what does not fit its manifest; an archive is unpacked into `scratch`.

    Raises:
        UsageError: it is no bundle.
    """
    folder = path if path.is_dir() else _extracted(path, scratch / "bundle")
    found = sorted(one.parent for one in folder.rglob("attempts.parquet") if one.parent.name == TABLES)
    if len(found) > 1:
        named = ", ".join(str(one.parent.relative_to(folder)) for one in found[:5])
        raise UsageError(f"{path} holds {len(found)} runs; unpack it and name the folder of one: {named}")
    if not found:
        raise UsageError(f"{path} is no bundle of a run: it holds no {TABLES}/attempts.parquet")
    manifest = found[0].parent / MANIFEST
    problems = [BundleProblem(MANIFEST, "is missing: nothing tells what the files are to be")]
    if manifest.is_file():
        problems = list(_problems(manifest))
    for sums in sorted(folder.rglob(PACKAGE_SUMS)):
        problems += _problems(sums, whole=False)
    return found[0], problems


def _problems(manifest: Path, *, whole: bool = True) -> Iterator[BundleProblem]:
    """`whole`: what lies beside and is not listed is a problem too."""
    listed: set[str] = set()
    folder = manifest.parent
    for number, line in enumerate(manifest.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
        digest, separator, name = line.partition("  ")
        if not separator or len(digest) != 64:
            yield BundleProblem(manifest.name, f"line {number} is no hash and path")
            continue
        listed.add(name)
        target = folder / name
        if not target.resolve().is_relative_to(folder.resolve()) or not target.is_file():
            yield BundleProblem(name, "is missing")
        elif _sha256(target) != digest:
            yield BundleProblem(name, "was changed: its sha256 is not the manifest's")
    for path in _files(folder) if whole else ():
        name = path.relative_to(folder).as_posix()
        if name not in listed:
            yield BundleProblem(name, "is not in the manifest")


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and path != folder / MANIFEST)


def _extracted(path: Path, to: Path) -> Path:
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                _check_size(path, sum(member.file_size for member in archive.infolist()))
                archive.extractall(to)
        else:
            with tarfile.open(path) as archive:
                _check_size(path, sum(member.size for member in archive))
                archive.extractall(to, filter="data")
    except (OSError, tarfile.TarError, zipfile.BadZipFile, EOFError) as error:
        raise UsageError(f"{path} is neither a folder nor an archive that can be read: {one_line(error)}") from error
    return to


def _check_size(path: Path, size: int) -> None:
    if size > LARGEST:
        raise UsageError(f"{path} holds {size >> 30} GiB unpacked, more than {LARGEST >> 30}")


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
