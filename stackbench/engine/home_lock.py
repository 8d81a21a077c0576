"""One engine for one home: a locked file that names its process."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from dataclasses import dataclass
from pathlib import Path

import psutil

from stackbench.control.peer import is_stopped
from stackbench.errors import HomeLockedError, StoreError

__all__ = ["Holder", "HomeLock", "holder_of"]

LONGEST = 4096


@dataclass(frozen=True, slots=True)
class Holder:
    """The process that holds a home's lock."""

    pid: int
    started_at: float
    """When the process started, in seconds since 1970: a pid alone may be another process's by now."""

    @property
    def stopped(self) -> bool:
        """Whether it was stopped by a signal (SIGSTOP), so that it answers nothing until it goes on."""
        return is_stopped(self.pid)


class HomeLock:
    """Held from `acquire` to `release`, or to the end of the process, however it ends: the kernel keeps the lock
    (flock(2)), so that one left behind by a killed process is free."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: int | None = None

    def acquire(self) -> None:
        """Takes the lock and writes who holds it.

        Raises:
            HomeLockedError: another live process holds it.
            StoreError: the home cannot be written.
        """
        try:
            file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise StoreError(
                f"{self._path} cannot be written ({error.strerror}); name another home with --home"
            ) from error
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(file)
            holder = holder_of(self._path)
            pid, stopped = (holder.pid, holder.stopped) if holder else (None, False)
            raise HomeLockedError(self._path.parent, pid, stopped=stopped) from error
        started_at = psutil.Process().create_time()
        content = json.dumps({"pid": os.getpid(), "started_at": started_at}).encode()
        os.ftruncate(file, 0)
        os.pwrite(file, content, 0)
        self._file = file

    def release(self) -> None:
        """Gives the lock back; nothing where it is not held."""
        if self._file is not None:
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, 0)
            os.close(self._file)
            self._file = None


def holder_of(path: Path) -> Holder | None:
    """The process that holds the lock; None where it is free, or where the file does not name one."""
    try:
        with path.open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
                return None  # nobody holds it: what it says is of a process that has ended
            except OSError:
                written = json.loads(file.read(LONGEST))
        return Holder(int(written["pid"]), float(written["started_at"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
