"""Copies the workspace for a check, so that what the check runs can change neither the original nor other checks.

The copy belongs to the checks' user. Of git repositories it gets what does not make git run a program or overlook
a change (repositories.py).
"""

from __future__ import annotations

import errno
import os
import stat

from . import users
from .files import walk
from .frames import write_all
from .repositories import copied, is_left_out

TYPE_CHECKING = False  # to import typing would cost each container its memory
if TYPE_CHECKING:
    from typing import Any

MOST_BYTES = 256 << 20
CHUNK = 1 << 20


def duplicate(frame: dict[str, Any]):
    """Makes `to`/workspace with what `path` holds, and empty folders `to`/home and `to`/tmp.

    Raises OSError, also for more than `MOST_BYTES` of content.
    """
    to = frame["to"]
    os.mkdir(to, 0o711)
    for name in ("home", "tmp", "workspace"):
        os.mkdir(f"{to}/{name}", 0o700)
        os.chown(f"{to}/{name}", users.CHECKER, users.CHECKER)
    top, left = to + "/workspace/", MOST_BYTES
    later = []
    for path, folder, name in walk({**frame, "recursive": True}):
        try:
            found = os.stat(name, dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:  # it has gone meanwhile
            continue
        target, kind = top + path, stat.S_IFMT(found.st_mode)
        if is_left_out(path, folder, name, kind):
            continue
        if kind == stat.S_IFDIR:
            os.mkdir(target, 0o700)
            later.append((target, found))
        elif kind == stat.S_IFLNK:
            os.symlink(retargeted(os.readlink(name, dir_fd=folder), to), target)
        elif kind == stat.S_IFREG:
            left -= copy_file(folder, name, target, left)
            finish(target, found)
        elif kind == stat.S_IFIFO:
            os.mkfifo(target, 0o600)
        else:
            continue
        os.chown(target, users.CHECKER, users.CHECKER, follow_symlinks=False)
        if kind == stat.S_IFREG:
            os.chmod(target, found.st_mode & 0o777)
    for target, found in reversed(later):
        os.chmod(target, found.st_mode & 0o777)
        finish(target, found)
    return {}


def retargeted(link: str, to: str):
    """A link into the workspace leads into the copy."""
    if link == users.WORKSPACE or link.startswith(users.WORKSPACE + "/"):
        return to + "/workspace" + link[len(users.WORKSPACE) :]
    return link


def finish(target: Any, found: os.stat_result):
    os.utime(target, ns=(found.st_atime_ns, found.st_mtime_ns))


def copy_file(folder: int, name: str, target: Any, most: int):
    """Copies what there is of a file, holes left out; returns how many bytes that were."""
    source = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    try:
        size = os.fstat(source).st_size
        fd = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            changed = copied(source, folder, name)
            if changed is not None:
                write_all(fd, changed)
                return len(changed)
            done = at = 0
            while at < size:
                try:
                    at = os.lseek(source, at, os.SEEK_DATA)
                    end = os.lseek(source, at, os.SEEK_HOLE)
                except OSError as error:
                    if error.errno != errno.ENXIO:  # else: only a hole is left
                        raise
                    break
                while at < end:
                    data = os.pread(source, min(CHUNK, end - at), at)
                    if not data:
                        return done
                    done += len(data)
                    if done > most:
                        raise OSError(errno.EFBIG, f"it holds more than {MOST_BYTES >> 20} MiB", users.WORKSPACE)
                    os.pwrite(fd, data, at)
                    at += len(data)
            os.ftruncate(fd, size)
            return done
        finally:
            os.close(fd)
    finally:
        os.close(source)
