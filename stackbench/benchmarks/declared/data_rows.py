"""Rows of a declared benchmark's data: JSONL or CSV, each with its number for messages, and the files' sha256."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stackbench import nesting
from stackbench.bounded_files import bounded_lines, read_bounded
from stackbench.errors import ConfigError, one_line
from stackbench.nesting import is_object

__all__ = ["Row", "read_rows", "sha256_of_file"]

KINDS = (".jsonl", ".jsonl.gz", ".csv")
LARGEST_CSV = 256 << 20


@dataclass(frozen=True, slots=True)
class Row:
    """One row."""

    path: Path
    number: int
    """The line in JSONL; the row behind the header in CSV, from 1."""
    fields: dict[str, Any]

    def fault(self, problem: str) -> ConfigError:
        return ConfigError(f"{self.path}, row {self.number}: {problem}")


def read_rows(path: Path) -> list[Row]:
    """Every row.

    Raises:
        UsageError: the file cannot be read.
        ConfigError: it is of another kind, holds no rows, or a row is malformed; names the row.
    """
    name = path.name.lower()
    if not name.endswith(KINDS):
        raise ConfigError(f"{path}: data is a .jsonl, .jsonl.gz or .csv file; convert it to one of them")
    rows = list(_csv(path) if name.endswith(".csv") else _jsonl(path))
    if not rows:
        raise ConfigError(f"{path} holds no rows; put one JSON object a line into it, or a CSV header with rows")
    return rows


def sha256_of_file(path: Path) -> str:
    """Of the file's bytes. Raises ConfigError where it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror or one_line(error)}") from error


def _jsonl(path: Path) -> Iterator[Row]:
    for number, line in bounded_lines(path):
        try:
            fields = nesting.loads(line.decode("utf-8-sig" if number == 1 else "utf-8"))
        except ValueError as error:
            raise ConfigError(f"{path}, row {number}: this is no JSON: {one_line(error)}") from error
        if not is_object(fields):
            raise ConfigError(f'{path}, row {number}: a row is a JSON object ({{"field": value, ...}}); this is none')
        yield Row(path, number, fields)


def _csv(path: Path) -> Iterator[Row]:
    number = 0
    try:
        text = read_bounded(path, LARGEST_CSV).removeprefix("\ufeff")
        reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
        for number, fields in enumerate(reader, 1):
            row = Row(path, number, {str(name): value for name, value in fields.items()})
            if None in fields:
                raise row.fault("it has more fields than the header; quote a field that holds a comma")
            if None in fields.values():
                raise row.fault("it has fewer fields than the header")
            yield row
    except csv.Error as error:
        raise ConfigError(f"{path}, row {number + 1}: this is no CSV: {one_line(error)}") from error
