"""One process at a time fetches a thing into a folder that several share; the others wait and find it there."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from stackbench.placing import place_below

__all__ = ["fetch_lock"]


@contextlib.contextmanager
def fetch_lock(folder: Path, name: str, say: Callable[[str], None] = lambda line: None) -> Iterator[None]:
    """Held for the block, or to the end of the process (flock(2)); whoever waits is told so once.

    Raises:
        OSError: the folder cannot be written.
    """
    path = place_below(folder, f".locks/{name.replace('/', '--')}")
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"{name}: another process fetches it; waiting for it")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
    finally:
        os.close(file)
