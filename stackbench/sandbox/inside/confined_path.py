"""Resolves paths that must not leave a folder: `..`, absolute paths and symbolic links are followed only inside it.

Each component is opened by descriptor without following links, so that nothing can be exchanged between a check and
its use.
"""

from __future__ import annotations

import errno
import os

MOST_LINKS = 40


class Root:
    """A folder that paths are confined to."""

    def __init__(self, path: str):
        self.path = path.rstrip("/") or "/"
        self.fd = os.open(self.path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)

    def parent_of(self, path: str, *, follow: bool = True, make: int | None = None):
        """Returns (descriptor of the folder, last name); the name is "." for the root itself.

        With `follow`, a link at the end is followed as well. With `make`, missing folders are made with that mode.
        Raises PermissionError for a path that leaves the root, OSError for others that do not lead anywhere.
        """
        if "\0" in path:
            raise OSError(errno.EINVAL, "a NUL byte in the path", path)
        left = self.parts(path, path)
        folders = [os.dup(self.fd)]
        links = 0
        try:
            while left:
                name = left.pop(0)
                if name == "..":
                    if len(folders) == 1:
                        raise self.outside(path)
                    os.close(folders.pop())
                    continue
                last = not left
                target = None
                if not last or follow:
                    try:
                        target = os.readlink(name, dir_fd=folders[-1])
                    except OSError as error:
                        if error.errno not in (errno.EINVAL, errno.ENOENT):
                            raise
                if target is not None:
                    links += 1
                    if links > MOST_LINKS:
                        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
                    if target.startswith("/"):
                        while len(folders) > 1:
                            os.close(folders.pop())
                    left[:0] = self.parts(target, path)
                    continue
                if last:
                    return folders.pop(), name
                flags = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
                try:
                    folders.append(os.open(name, flags, dir_fd=folders[-1]))
                except FileNotFoundError:
                    if make is None:
                        raise
                    os.mkdir(name, make, dir_fd=folders[-1])
                    folders.append(os.open(name, flags, dir_fd=folders[-1]))
            return folders.pop(), "."
        except OSError as error:
            error.filename = error.filename if error.filename == path else path
            raise
        finally:
            for fd in folders:
                os.close(fd)

    def parts(self, path: str, asked: str):
        if path.startswith("/"):
            if self.path != "/" and path != self.path and not path.startswith(self.path + "/"):
                raise self.outside(asked)
            path = path[len(self.path) :] if self.path != "/" else path
        return [part for part in path.split("/") if part not in ("", ".")]

    def outside(self, path: str):
        return PermissionError(errno.EXDEV, f"it leads out of {self.path}", path)
