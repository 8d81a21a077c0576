"""Turns a source's own format into the JSON lines that the manifest describes."""

from __future__ import annotations

import csv
import gzip
import io
import json
import tarfile
from pathlib import Path

from stackbench.fetch import FetchError

__all__ = ["convert"]

LARGEST = 64 << 20
"""Bytes of the tables of a split, unpacked; MMLU's test split has 7 MB."""


def convert(how: str, path: Path) -> None:
    """Rewrites the file in place; `how` is empty (nothing to do), `head:N` (the first N lines) or `mmlu-tar:SPLIT`.

    Raises:
        FetchError: the file is not in the format that `how` takes.
    """
    kind, _, argument = how.partition(":")
    try:
        if kind == "head":
            with path.open("rb") as file:
                lines = [line for _, line in zip(range(int(argument)), file, strict=False)]
            path.write_bytes(b"".join(lines))
        elif kind == "mmlu-tar":
            rows = _mmlu_rows(path, argument)
            with path.open("wb") as out, gzip.GzipFile(fileobj=out, mode="wb", mtime=0, filename="") as packed:
                packed.write("".join(json.dumps(row) + "\n" for row in rows).encode())
        elif kind:
            raise FetchError(f"the manifest names an unknown conversion: {how}")
    except (OSError, tarfile.TarError, csv.Error, IndexError, ValueError) as error:
        raise FetchError(f"{path.name}: cannot convert ({how}): {error}") from error


def _mmlu_rows(path: Path, split: str) -> list[dict[str, object]]:
    """The rows of `data/SPLIT/SUBJECT_SPLIT.csv` in order of subject: question, A, B, C, D, answer letter."""
    rows: list[dict[str, object]] = []
    with tarfile.open(path) as archive:
        members = [
            one
            for one in archive
            if one.isreg() and one.name.startswith(f"data/{split}/") and one.name.endswith(f"_{split}.csv")
        ]
        if sum(one.size for one in members) > LARGEST:
            raise FetchError(f"{path.name} holds more than {LARGEST:,} bytes of rows")
        for member in sorted(members, key=lambda one: one.name):
            file = archive.extractfile(member)
            if file is None:
                continue
            subject = Path(member.name).name.removesuffix(f"_{split}.csv")
            for record in csv.reader(io.TextIOWrapper(file, encoding="utf-8", newline="")):
                question, *choices = record[:5]
                rows.append(
                    {"subject": subject, "question": question, "choices": choices, "answer": "ABCD".index(record[5])}
                )
    return rows
