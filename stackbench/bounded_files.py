"""Reads files that a user names with limits on size, so that an endless or compressed one cannot exhaust memory."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path

from stackbench.errors import UsageError

__all__ = ["bounded_lines", "read_bounded"]

LONGEST_LINE = 16 << 20
MOST_BYTES = 1 << 30
MOST_LINES = 2_000_000


def read_bounded(path: Path, most: int) -> str:
    """A file's text.

    Raises:
        UsageError: it is no file, cannot be read, is larger than `most` bytes or no UTF-8.
    """
    _check_kind(path)
    try:
        with path.open("rb") as file:
            data = file.read(most + 1)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}") from error
    if len(data) > most:
        raise UsageError(f"{path} is larger than {_size(most)}")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not UTF-8: {error}") from error


def bounded_lines(path: Path, longest: int | None = None, most: int | None = None) -> Iterator[tuple[int, bytes]]:
    """The lines of a file that hold something, with their numbers from 1; a name in .gz is unpacked meanwhile.

    Memory is that of one line. `longest` and `most` bound a line and all of them, in bytes after unpacking; unset,
    16 MiB and 1 GiB. There are two million lines at most, those that hold nothing counted.

    Raises:
        UsageError: it is no file, cannot be read or unpacked, or is larger than that.
    """
    longest, most = longest or LONGEST_LINE, most or MOST_BYTES
    _check_kind(path)
    left, number = most, 0
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
            while line := file.readline(longest + 1):
                number += 1
                left -= len(line)
                if len(line.rstrip(b"\r\n")) > longest:
                    raise UsageError(f"{path} line {number} is longer than {_size(longest)}")
                if number > MOST_LINES:
                    raise UsageError(f"{path} has more than {MOST_LINES:,} lines")
                if left < 0:
                    raise UsageError(f"{path} is larger than {_size(most)}{' unpacked' * (path.suffix == '.gz')}")
                if line.strip():
                    yield number, line
    except (OSError, EOFError, zlib.error) as error:
        raise UsageError(f"{path} cannot be read: {error}") from error


def _check_kind(path: Path) -> None:
    """A pipe or device may never end, and is not there to be read again."""
    if path.exists() and not path.is_file():
        raise UsageError(f"{path} cannot be read: it is no regular file")


def _size(size: int) -> str:
    return f"{size >> 20} MiB" if size >= 1 << 20 else f"{size >> 10} KiB"
