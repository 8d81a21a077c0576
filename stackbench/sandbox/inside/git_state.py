"""What a git repository says: its references, index, settings and whatever operation is under way.

Loose and packed references are one. The index counts by what it lists: reading commands write it anew, with the same
entries. What git keeps beside that (objects, logs, messages of the last commit) is no state of its own.
"""

from __future__ import annotations

import hashlib
import os
import stat
import struct

TYPE_CHECKING = False  # to import typing would cost each container its memory
if TYPE_CHECKING:
    from typing import Any

FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
WITHOUT_STATE = ("objects", "logs")
BESIDE = (
    "AUTO_MERGE", "COMMIT_EDITMSG", "FETCH_HEAD", "MERGE_MSG", "MERGE_MODE", "ORIG_HEAD", "SQUASH_MSG", "description",
    "gc.log", "gc.pid", "info/refs", "packed-refs", "index.lock",
)  # fmt: skip
LARGEST = 64 << 20
FIXED, NAMES_FROM = 62, 40  # bytes of an entry before its path; those before its mode, hash and flags hold times
EXTENDED = 0x4000


def is_repository(names: Any):
    return "HEAD" in names and "objects" in names


def git_state(folder: int):
    """By name (`HEAD`, `refs/heads/main`, `index`, `config` ...): a text that is another one when it has changed.

    `folder` is the descriptor of a `.git`. Raises OSError.
    """
    state: dict[str, str] = {}
    for line in content(folder, "packed-refs").splitlines():
        value, _, name = line.decode("utf-8", "backslashreplace").partition(" ")
        if name and not value.startswith("#"):
            state[name] = value
    for name in files_below(folder, ""):
        if name in BESIDE or name.endswith(".sample"):
            continue
        data = content(folder, name)
        if name == "index":
            state[name] = hashlib.sha1(entries_of(data)).hexdigest()
        elif name == "HEAD" or name.startswith("refs/"):
            state[name] = data[:1000].decode("utf-8", "backslashreplace").strip()
        else:
            state[name] = hashlib.sha1(data).hexdigest()
    return state


def files_below(folder: int, prefix: str):
    """Paths of the files that hold state; links are named, not followed."""
    for name in sorted(os.listdir(folder)):
        if not prefix and name in WITHOUT_STATE:
            continue
        kind = stat.S_IFMT(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)
        if kind == stat.S_IFDIR:
            below = os.open(name, FOLDER, dir_fd=folder)
            try:
                yield from files_below(below, f"{prefix}{name}/")
            finally:
                os.close(below)
        else:
            yield prefix + name


def content(folder: int, name: str):
    """What a file holds; of a link, where it leads; nothing where there is no such file."""
    try:
        fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    except FileNotFoundError:
        return b""
    except OSError:
        try:
            return b"link to " + os.readlink(name, dir_fd=folder).encode("utf-8", "surrogateescape")
        except OSError:
            return b""
    with open(fd, "rb") as file:
        return file.read(LARGEST) if stat.S_ISREG(os.fstat(file.fileno()).st_mode) else b""


def entries_of(index: bytes):
    """An index's entries without the times and numbers of the files they were made from; all of one that cannot be
    read here (git's Documentation/gitformat-index.txt)."""
    kept, at = [], 12
    try:
        signature, version, count = struct.unpack_from(">4sII", index)
        if signature != b"DIRC" or not 2 <= version <= 3:
            return index
        for _ in range(count):
            (flags,) = struct.unpack_from(">H", index, at + FIXED - 2)
            end = index.index(0, at + FIXED + (2 if flags & EXTENDED else 0))
            kept += [index[at + 24 : at + 28], index[at + NAMES_FROM : end + 1]]
            at += (end - at + 8) & ~7
    except (struct.error, ValueError):
        return index
    return b"".join(kept)
