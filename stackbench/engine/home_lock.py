"""One engine for one home: a locked file that names its process and its machine."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from stackbench.control.peer import is_stopped
from stackbench.errors import HomeLockedError, SharedHomeError, StoreError

__all__ = ["Holder", "HomeLock", "holder_of"]

LONGEST = 4096
BEATS_EVERY_S = 2.0
"""How often a held lock's file is touched, for those whom the lock itself does not reach."""
WATCHED_S = 8.0
"""How long a lock is watched that another machine's engine left, or holds."""


@dataclass(frozen=True, slots=True)
class Holder:
    """The process that holds a home's lock."""

    pid: int
    started_at: float
    """When the process started, in seconds since 1970: a pid alone may be another process's by now."""
    host: str = ""
    """The machine that it runs on; empty in files of older versions."""

    @property
    def stopped(self) -> bool:
        """Whether it was stopped by a signal (SIGSTOP), so that it answers nothing until it goes on."""
        return self.host in ("", socket.gethostname()) and is_stopped(self.pid)


class HomeLock:
    """Held from `acquire` to `release`, or to the end of the process, however it ends: the kernel keeps the lock
    (flock(2)), so that one left behind by a killed process is free.

    On a folder that machines share the kernel's lock may reach nobody else. So the file names the machine too, and is
    touched while it is held.
    """

    def __init__(self, path: Path, host: str = "") -> None:
        self._path = path
        self._host = host or socket.gethostname()
        self._file: int | None = None
        self._over = threading.Event()
        self._beating: threading.Thread | None = None

    def acquire(self) -> None:
        """Takes the lock and writes who holds it.

        Raises:
            HomeLockedError: another live process holds it.
            SharedHomeError: that of another machine does.
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
            if holder is not None and holder.host not in ("", self._host):
                raise SharedHomeError(self._path.parent, holder.pid, holder.host) from error
            pid, stopped = (holder.pid, holder.stopped) if holder else (None, False)
            raise HomeLockedError(self._path.parent, pid, stopped=stopped) from error
        other = _written(self._path)
        if other is not None and other.host not in ("", self._host) and self._is_touched():
            os.close(file)
            raise SharedHomeError(self._path.parent, other.pid, other.host)
        started_at = psutil.Process().create_time()
        content = json.dumps({"pid": os.getpid(), "started_at": started_at, "host": self._host}).encode()
        os.ftruncate(file, 0)
        os.pwrite(file, content, 0)
        self._file = file
        self._over.clear()
        self._beating = threading.Thread(target=self._beat, args=(file,), name="home-lock", daemon=True)
        self._beating.start()

    def release(self) -> None:
        """Gives the lock back; nothing where it is not held."""
        if self._file is not None:
            self._over.set()
            if self._beating is not None:
                self._beating.join()
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, 0)
            os.close(self._file)
            self._file = None

    def _beat(self, file: int) -> None:
        while not self._over.wait(BEATS_EVERY_S):
            with contextlib.suppress(OSError):
                os.utime(file)

    def _is_touched(self) -> bool:
        """Whether an engine of another machine lives. The file is opened each time: NFS asks the server then."""
        before, deadline = _touched_at(self._path), time.monotonic() + WATCHED_S
        while time.monotonic() < deadline:
            time.sleep(min(BEATS_EVERY_S, WATCHED_S) / 4)
            if _touched_at(self._path) != before:
                return True
        return False


def _touched_at(path: Path) -> int:
    with path.open("rb") as file:
        return os.fstat(file.fileno()).st_mtime_ns


def _written(path: Path) -> Holder | None:
    """Whom the file names, whether or not it holds the lock."""
    try:
        with path.open("rb") as file:
            written = json.loads(file.read(LONGEST))
        return Holder(int(written["pid"]), float(written["started_at"]), str(written.get("host", "")))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def holder_of(path: Path) -> Holder | None:
    """The process that holds the lock; None where it is free, or where the file does not name one."""
    try:
        with path.open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
                return None  # nobody holds it: what it says is of a process that has ended
            except OSError:
                return _written(path)
    except OSError:
        return None
