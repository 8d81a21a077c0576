"""File operations of the agent and of checks. Each runs in a process of its own, as its user, under limits.

A function here takes the frame and returns the answer's fields; it raises OSError for what the caller may correct.
"""

from __future__ import annotations

import base64
import errno
import fnmatch
import hashlib
import os
import re
import stat

from .confined_path import Root
from .git_state import git_state, is_repository

TYPE_CHECKING = False  # to import typing would cost each container its memory
if TYPE_CHECKING:
    from typing import Any

KINDS = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "directory",
    stat.S_IFLNK: "link",
    stat.S_IFIFO: "fifo",
    stat.S_IFSOCK: "socket",
    stat.S_IFCHR: "device",
    stat.S_IFBLK: "device",
}
CHUNK = 1 << 20
LARGEST_READ = 32 << 20
LARGEST_SEARCHED = 8 << 20
LARGEST_HASHED = 256 << 20
LINE_KEPT = 2000
MOST_LETTERS = 8 << 20  # of all paths of a snapshot together: deep trees have long ones
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def read(frame: dict[str, Any]):
    """A piece of a regular file: `offset` and `size` in bytes."""
    fd = open_regular(frame, os.O_RDONLY)
    try:
        found = os.fstat(fd)
        size = min(frame.get("size") or LARGEST_READ, LARGEST_READ)
        pieces, at = [], frame.get("offset", 0)
        while size > 0:
            piece = os.pread(fd, min(size, CHUNK), at)
            if not piece:
                break
            pieces.append(piece)
            at += len(piece)
            size -= len(piece)
        return {"data": base64.b64encode(b"".join(pieces)).decode(), "size": found.st_size, **about(found)}
    finally:
        os.close(fd)


def write(frame: dict[str, Any]):
    """Writes a whole file: beside it first, then in its place, so that a reader sees the old or the new."""
    data = base64.b64decode(frame["data"])
    folder, name = Root(frame["root"]).parent_of(frame["path"], make=0o755 if frame.get("parents") else None)
    try:
        mode = frame.get("mode")
        try:
            before = os.stat(name, dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            before = None
        if name == "." or (before is not None and stat.S_ISDIR(before.st_mode)):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), frame["path"])
        if before is not None and not stat.S_ISREG(before.st_mode):
            raise OSError(errno.EINVAL, "it is not a regular file", frame["path"])
        if before is not None and not os.access(name, os.W_OK, dir_fd=folder, effective_ids=True):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), frame["path"])
        if mode is None:
            mode = stat.S_IMODE(before.st_mode) if before is not None else 0o644
        fresh = f".{name[:200]}.{os.getpid()}.new"
        fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600, dir_fd=folder)
        try:
            with open(fd, "wb") as file:
                file.write(data)
                file.flush()
                os.fchmod(fd, mode)
            os.replace(fresh, name, src_dir_fd=folder, dst_dir_fd=folder)
        except BaseException:
            os.unlink(fresh, dir_fd=folder)
            raise
        return {"written": len(data), "created": before is None}
    finally:
        os.close(folder)


def status(frame: dict[str, Any]):
    folder, name = Root(frame["root"]).parent_of(frame["path"], follow=frame.get("follow", True))
    try:
        return describe(folder, name)
    finally:
        os.close(folder)


def make_directory(frame: dict[str, Any]):
    folder, name = Root(frame["root"]).parent_of(frame["path"], make=0o755 if frame.get("parents") else None)
    try:
        if name == ".":
            return {"created": False}
        try:
            os.mkdir(name, 0o755, dir_fd=folder)
            if frame.get("mode"):
                set_mode(name, folder, frame["mode"])
        except FileExistsError:
            if frame.get("parents") and stat.S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
                return {"created": False}
            raise
        return {"created": True}
    finally:
        os.close(folder)


def set_mode(name: str, folder: int, mode: int):
    """The mode of a folder that was just made, whatever the umask is."""
    made = os.open(name, FOLDER, dir_fd=folder)
    try:
        os.fchmod(made, mode)
    finally:
        os.close(made)


def remove(frame: dict[str, Any]):
    folder, name = Root(frame["root"]).parent_of(frame["path"], follow=False)
    try:
        if name == ".":
            raise OSError(errno.EBUSY, "it is the root of the workspace", frame["path"])
        remove_at(folder, name, frame.get("recursive", False))
        return {}
    finally:
        os.close(folder)


def move(frame: dict[str, Any]):
    root = Root(frame["root"])
    folder, name = root.parent_of(frame["path"], follow=False)
    target_folder, target = root.parent_of(frame["to"], follow=False, make=0o755 if frame.get("parents") else None)
    try:
        if "." in (name, target):
            raise OSError(errno.EBUSY, "it is the root of the workspace", frame["path"])
        if not frame.get("overwrite", True) and exists(target_folder, target):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), frame["to"])
        os.rename(name, target, src_dir_fd=folder, dst_dir_fd=target_folder)
        return {}
    finally:
        os.close(folder)
        os.close(target_folder)


def listing(frame: dict[str, Any]):
    """Entries of a folder, sorted; of the folders below it as well when `recursive`."""
    entries, cut = [], False
    for path, folder, name in walk(frame):
        if len(entries) >= frame.get("limit", 10000):
            cut = True
            break
        try:
            entries.append({"path": path, **describe(folder, name)})
        except FileNotFoundError:  # it has gone meanwhile
            continue
    return {"entries": entries, "cut": cut}


def search(frame: dict[str, Any]):
    """Lines that a regular expression matches, in regular files whose path fits a glob; binary files are skipped."""
    try:
        wanted = re.compile(frame["pattern"])
    except re.error as error:
        raise OSError(errno.EINVAL, f"the pattern is not a regular expression: {error}", frame["pattern"]) from error
    matches, cut = [], False
    for path, folder, name in walk({**frame, "recursive": True}):
        if frame.get("glob") and not (fnmatch.fnmatch(path, frame["glob"]) or fnmatch.fnmatch(name, frame["glob"])):
            continue
        try:
            if not stat.S_ISREG(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
                continue
            fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
        except OSError:
            continue
        with open(fd, "rb") as file:
            data = file.read(LARGEST_SEARCHED)
        if b"\0" in data[:8192]:
            continue
        for number, line in enumerate(data.decode("utf-8", "surrogateescape").splitlines(), 1):
            if wanted.search(line):
                if len(matches) >= frame.get("limit", 1000):
                    return {"matches": matches, "cut": True}
                matches.append({"path": path, "line": number, "text": line[:LINE_KEPT]})
    return {"matches": matches, "cut": cut}


def snapshot(frame: dict[str, Any]):
    """Every entry below the folder with what tells whether it changed; links are not followed. Of git repositories
    their state as well, by the path of their `.git`."""
    entries: dict[str, Any] = {}
    repositories: dict[str, Any] = {}
    cut, letters = False, 0
    for path, folder, name in walk({**frame, "recursive": True}):
        letters += len(path)
        if len(entries) >= frame.get("limit", 200000) or letters > MOST_LETTERS:
            cut = True
            break
        try:
            entry: dict[str, Any] = describe(folder, name)
        except FileNotFoundError:  # it has gone meanwhile
            continue
        if entry["kind"] == "file":
            entry["sha256"] = digest(folder, name)
        elif name == ".git":
            below = open_folder(folder, name)
            if below is not None:
                try:
                    if is_repository(os.listdir(below)):
                        repositories[path] = git_state(below)
                finally:
                    os.close(below)
        entries[path] = entry
    return {"entries": entries, "repositories": repositories, "cut": cut}


# -- what they have in common


def open_regular(frame: dict[str, Any], flags: int):
    folder, name = Root(frame["root"]).parent_of(frame["path"])
    try:
        # Not blocking: a pipe that nobody writes to must not hold us.
        fd = os.open(name, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY, dir_fd=folder)
    except OSError as error:
        error.filename = frame["path"]
        raise
    finally:
        os.close(folder)
    mode = os.fstat(fd).st_mode
    if not stat.S_ISREG(mode):
        os.close(fd)
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), frame["path"])
        raise OSError(errno.EINVAL, "it is not a regular file", frame["path"])
    return fd


def walk(frame: dict[str, Any]):
    """Yields (path below the folder, descriptor, name) for each entry, each folder before what it holds, sorted."""
    folder, name = Root(frame["root"]).parent_of(frame.get("path", "."))
    try:
        top = os.open(name, FOLDER, dir_fd=folder)
    except OSError as error:
        error.filename = frame.get("path", ".")
        raise
    finally:
        os.close(folder)
    stack = [("", top, iter(sorted(os.listdir(top))))]  # as many descriptors as the tree is deep
    try:
        while stack:
            prefix, fd, names = stack[-1]
            name = next(names, None)
            if name is None:
                os.close(stack.pop()[1])
                continue
            yield prefix + name, fd, name
            if frame.get("recursive"):
                below = open_folder(fd, name)
                if below is not None:
                    stack.append((prefix + name + "/", below, iter(sorted(os.listdir(below)))))
    finally:
        for _, fd, _ in stack:
            os.close(fd)


def open_folder(fd: int, name: str):
    """A folder's descriptor; None for what is no folder, or one that the user may not read."""
    try:
        return os.open(name, FOLDER, dir_fd=fd)
    except OSError as error:
        if error.errno in (errno.EMFILE, errno.ENFILE):
            raise
        return None


def describe(folder: int, name: str):
    found = os.stat(name, dir_fd=folder, follow_symlinks=False)
    entry = {"size": found.st_size, **about(found)}
    if entry["kind"] == "link":
        entry["target"] = os.readlink(name, dir_fd=folder)
    return entry


def about(found: os.stat_result):
    return {
        "kind": KINDS.get(stat.S_IFMT(found.st_mode), "other"),
        "mode": stat.S_IMODE(found.st_mode),
        "mtime_ns": found.st_mtime_ns,
        "links": found.st_nlink,
    }


def digest(folder: int, name: str):
    try:
        fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
    except OSError:
        return None
    with open(fd, "rb") as file:
        if os.fstat(fd).st_size > LARGEST_HASHED:
            return None
        made = hashlib.sha256()
        while piece := file.read(CHUNK):
            made.update(piece)
    return made.hexdigest()


def exists(folder: int, name: str):
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def remove_at(folder: int, name: str, recursive: bool):
    if not stat.S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
        os.unlink(name, dir_fd=folder)
        return
    if not recursive:
        os.rmdir(name, dir_fd=folder)
        return
    stack = [(folder, name, os.open(name, FOLDER, dir_fd=folder))]
    try:
        while stack:
            parent, name, fd = stack[-1]
            for entry in os.listdir(fd):
                if stat.S_ISDIR(os.stat(entry, dir_fd=fd, follow_symlinks=False).st_mode):
                    stack.append((fd, entry, os.open(entry, FOLDER, dir_fd=fd)))
                    break
                os.unlink(entry, dir_fd=fd)
            else:
                os.close(stack.pop()[2])
                os.rmdir(name, dir_fd=parent)
    finally:
        for _, _, fd in stack:
            os.close(fd)


def duplicate(frame: dict[str, Any]):
    from .duplicates import duplicate as carry_out

    return carry_out(frame)


OPERATIONS = {
    "read": read,
    "write": write,
    "status": status,
    "make_directory": make_directory,
    "remove": remove,
    "move": move,
    "list": listing,
    "search": search,
    "snapshot": snapshot,
    "duplicate": duplicate,
}
