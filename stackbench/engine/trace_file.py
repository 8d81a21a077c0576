"""Writes the state of the engine to a file every second, which `ctl why` reads when the engine does not answer."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Trace", "TraceFile", "read_trace"]

EVERY_S = 1.0
ATTEMPTS_TOLD = 1000
LONGEST = 16 << 20


class TraceFile:
    """A thread of its own writes the file, so that it goes on when the event loop stands still."""

    def __init__(self, path: Path, describe: Callable[[], dict[str, Any]]) -> None:
        self._path = path
        self._describe = describe
        self._beat = time.monotonic()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work, name="trace-file", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def beat(self) -> None:
        """The event loop is alive; called from it."""
        self._beat = time.monotonic()

    def close(self) -> None:
        """Ends the thread and removes the file: an engine that ended in order has nothing to explain."""
        self._over.set()
        if self._thread.is_alive():
            self._thread.join(timeout=5)
        with suppress(OSError):
            self._path.unlink()

    def _work(self) -> None:
        while True:
            with suppress(Exception):  # a full disk, say: the run must not care
                self._write()
            if self._over.wait(EVERY_S):
                return

    def _write(self) -> None:
        document: dict[str, Any] = {
            "pid": os.getpid(),
            "written_at": time.time(),
            "loop_stalled_s": round(time.monotonic() - self._beat, 1),
            **self._describe(),
        }
        document["attempts"] = list(document.get("attempts", ()))[:ATTEMPTS_TOLD]
        beside = self._path.with_suffix(".tmp")
        handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(handle, "w") as file:
            json.dump(document, file)
        os.replace(beside, self._path)


@dataclass(frozen=True, slots=True)
class Trace:
    """What an engine last wrote."""

    pid: int
    age_s: float
    loop_stalled_s: float
    """How long its event loop had stood still when it wrote."""
    content: dict[str, Any]


def read_trace(path: Path) -> Trace | None:
    """The trace of an engine that ended without removing it, or that is hung; None where there is none."""
    try:
        with path.open(encoding="utf-8") as file:
            content = json.loads(file.read(LONGEST))
        return Trace(
            int(content["pid"]), time.time() - float(content["written_at"]), float(content["loop_stalled_s"]), content
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None
