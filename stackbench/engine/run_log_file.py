"""A run's log as JSON lines: what an operator would be told, for whoever reads logs with other programs."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import IO

from stackbench.control.messages import (
    AttemptFinished,
    AttemptQueued,
    AttemptStarted,
    AttemptText,
    AttemptWaiting,
    CommandOutput,
    EventKind,
    Gauges,
    ToolCallEnded,
    ToolCallStarted,
)

__all__ = ["LOG_NAME", "RunLogFile"]

LOG_NAME = "log.jsonl"
LEFT_OUT = (
    AttemptQueued,
    AttemptStarted,
    AttemptText,
    AttemptWaiting,
    CommandOutput,
    Gauges,
    ToolCallEnded,
    ToolCallStarted,
)
"""What the database holds, or what nobody reads afterwards; of attempts that ended, errors alone are told."""


class RunLogFile:
    """`log.jsonl` in a run's folder, for its owner alone; a run that is resumed goes on with it.

    A line is `ts` (UTC, ISO 8601), `run_id`, `kind`, and the fields of that event as the engine's protocol has them. A
    log that cannot be written (a full disk) is given up with a word to `say`; the run goes on.
    """

    def __init__(self, folder: Path, run_id: str, now: Callable[[], datetime], say: Callable[[str], None]) -> None:
        self._path = folder / LOG_NAME
        self._run_id = run_id
        self._now = now
        self._say = say
        self._file: IO[bytes] | None = None
        self._ended = False
        self._writing = threading.Lock()

    def take(self, what: EventKind) -> None:
        """Writes an event that belongs in the log. From any thread; after `close` nothing is written."""
        if isinstance(what, LEFT_OUT):
            return
        if isinstance(what, AttemptFinished) and not what.reason.startswith("error"):
            return
        line = {"ts": f"{self._now().isoformat()}Z", "run_id": self._run_id, **what.model_dump(mode="json")}
        with self._writing:
            if self._ended:
                return
            try:
                self._write(json.dumps(line, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n")
                return
            except OSError as error:
                self._ended = True
                why = error.strerror
        self._say(f"{self._path} cannot be written and is given up: {why}; the run goes on")

    def close(self) -> None:
        """Of a run that has ended."""
        with self._writing:
            self._ended = True
            if self._file is not None:
                self._file.close()
                self._file = None

    def _write(self, line: bytes) -> None:
        if self._file is None:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._file = os.fdopen(os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "ab", 0)
        self._file.write(line)
