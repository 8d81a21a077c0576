"""What of a git repository a check's copy gets, so that git says there what is so.

A repository's hooks, settings, lists of files to leave out and marks in its index are the agent's to write, and git
obeys them: it would run a program, or say of a changed tree that it is clean.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
import struct

TYPE_CHECKING = False  # to import typing would cost each container its memory
if TYPE_CHECKING:
    from typing import Any

MOST_SETTINGS = 1 << 20
SECTION = re.compile(rb"\s*\[\s*([A-Za-z0-9.-]+)[^\]]*\]")
SECTIONS = (b"core", b"remote", b"branch", b"user", b"init", b"submodule", b"extensions")
CORE = (b"repositoryformatversion", b"filemode", b"bare", b"symlinks", b"ignorecase", b"autocrlf", b"eol")
SETTINGS = ("config", "config.worktree")
IN_INFO = ("attributes", "exclude", "grafts", "sparse-checkout")
INDEX = b"DIRC"
FIXED, HASH = 62, 20  # bytes of an entry in front of its name; of a SHA-1 (git's Documentation/gitformat-index.txt)
ASSUME_VALID, EXTENDED, SKIP_WORKTREE = 0x8000, 0x4000, 0x4000


def is_left_out(path: Any, folder: Any, name: Any, kind: Any):
    """Whether an entry, of a folder given by descriptor, is one that no copy gets."""
    if kind == stat.S_IFLNK:  # git would follow it to a file that nobody made harmless
        return name in (*SETTINGS, "hooks", "info", "index") and is_repository(folder)
    above = os.path.basename(os.path.dirname(path))
    if above == "hooks" or (above == "info" and name in IN_INFO):
        outer = os.open("..", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=folder)
        try:
            return is_repository(outer)
        finally:
            os.close(outer)
    return False


def copied(source: Any, folder: Any, name: Any):
    """What a copy of a repository's settings or index holds; None for a file that is copied as it is."""
    if name == "config.worktree" or (name == "config" and is_repository(folder)):
        return harmless(os.read(source, MOST_SETTINGS))
    if (name == "index" or name.startswith("sharedindex.")) and os.pread(source, 4, 0) == INDEX:
        with open(os.dup(source), "rb") as file:
            return without_marks(file.read())
    return None


def is_repository(folder: Any):
    """Whether a folder holds what git looks for in a repository, or in the one that others share (`commondir`)."""
    try:
        return all(stat.S_ISDIR(os.stat(name, dir_fd=folder).st_mode) for name in ("objects", "refs"))
    except OSError:
        return False


def without_marks(index: Any):
    """An index whose entries are all looked at: none is assumed unchanged or left out of the working tree.

    One that cannot be read here (SHA-256 names, malformed) is empty, which git refuses.
    """
    data, at = bytearray(index), 12
    try:
        version, count = struct.unpack_from(">II", data, 4)
        if not 2 <= version <= 4 or index[-HASH:] not in (hashlib.sha1(index[:-HASH]).digest(), bytes(HASH)):
            raise ValueError
        for _ in range(count):
            (flags,) = struct.unpack_from(">H", data, at + FIXED - 2)
            struct.pack_into(">H", data, at + FIXED - 2, flags & ~ASSUME_VALID)
            name = at + FIXED
            if flags & EXTENDED:
                (more,) = struct.unpack_from(">H", data, name)
                struct.pack_into(">H", data, name, more & ~SKIP_WORKTREE)
                name += 2
            if version == 4:
                while data[name] & 0x80:
                    name += 1
                at = data.index(0, name + 1) + 1
            else:
                end = data.index(0, name)
                at += (end - at + 8) & ~7
        if at > len(data) - HASH:
            raise ValueError
    except (struct.error, ValueError, IndexError):
        return b""
    data[-HASH:] = hashlib.sha1(data[:-HASH]).digest()
    return bytes(data)


def harmless(settings: Any):
    """A repository's settings without any that names a program, another file or what is not to be looked at."""
    kept, section, continued = [], b"", False
    for line in settings.split(b"\n"):
        header = None if continued else SECTION.match(line)
        if header is not None:
            section = header.group(1).lower()
            line = header.group(0) if section in SECTIONS and b"\\" not in header.group(0) else b""
            if not line:
                section = b""
            kept.append(line)
            continued = False
            continue
        key = line.split(b"=")[0].strip().lower()
        has_more = line.endswith(b"\\")
        if section in SECTIONS and not continued and not has_more and (section != b"core" or key in CORE):
            kept.append(line)
        continued = has_more
    return b"\n".join(kept)
