"""Opens files with untrusted names for writing: only below their folder, never through symbolic links."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import IO

from stackbench.errors import StackbenchError

__all__ = ["PlaceError", "open_for_writing", "place_below"]

LONGEST_PART = 255
"""Bytes of a name within a folder, as Linux's file systems have it."""
LONGEST_NAME = 1024
DEEPEST = 16


class PlaceError(StackbenchError):
    """A name leads out of its folder, or is none that a file can have."""


def place_below(folder: Path, name: str) -> Path:
    """The path of `name`, slashes between its parts, below a folder; makes the folders between.

    Raises:
        PlaceError: the name is absolute, climbs, holds backslashes, control characters or a drive, is too long or too
            deep; or what is there already is a link, a file in place of a folder, or no ordinary file.
    """
    parts = name.split("/")
    if (
        not name
        or len(name.encode(errors="replace")) > LONGEST_NAME
        or len(parts) > DEEPEST
        or any(part in ("", ".", "..") or len(part.encode(errors="replace")) > LONGEST_PART for part in parts)
        or not name.isprintable()
        or "\\" in name
        or ":" in parts[0]
    ):
        shown = name if len(name) <= 80 else f"{name[:77]}..."
        raise PlaceError(f"{shown!r} is no name of a file below {folder}: nothing is written")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        place = folder
        for part in parts[:-1]:
            place = place / part
            place.mkdir(exist_ok=True)
            if not stat.S_ISDIR(place.lstat().st_mode):
                raise PlaceError(f"{place} is no folder, and a link is not followed: remove it")
    except OSError as error:
        raise PlaceError(f"{folder}: no place for {name!r}: {error.strerror}") from error
    place = place / parts[-1]
    _check_ordinary(place)
    return place


def open_for_writing(path: Path, *, append: bool = False) -> IO[bytes]:
    """Opens an ordinary file, never through a link; a device, pipe or socket in its place is refused unopened.

    Raises:
        PlaceError: there is something else.
        OSError: it cannot be opened.
    """
    _check_ordinary(path)
    flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    handle = os.open(path, flags | (os.O_APPEND if append else os.O_TRUNC), 0o666)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise PlaceError(f"{path} is no ordinary file: remove it")
    return os.fdopen(handle, "ab" if append else "wb")


def _check_ordinary(path: Path) -> None:
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    except OSError as error:
        raise PlaceError(f"{path}: {error.strerror}") from error
    if not stat.S_ISREG(mode):
        raise PlaceError(f"{path} is no ordinary file, and a link is not followed: remove it")
