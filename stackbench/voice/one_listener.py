"""One listener for a home at a time: two would carry out each sentence twice."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stackbench.errors import UsageError, one_line

__all__ = ["only_listener"]


@contextmanager
def only_listener(lock: Path) -> Iterator[None]:
    """Holds the lock in the block; it goes with the process, however that ends.

    Raises:
        UsageError: another process listens, or the file cannot be written.
    """
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        fd = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise UsageError(f"{lock} cannot be written ({one_line(error)}); choose another home") from error
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.read(fd, 32).decode("ascii", "replace").strip()
            raise UsageError(
                f"process {holder or 'unknown'} listens for this home already: end it first; two would carry out each "
                "sentence twice"
            ) from error
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(fd)
