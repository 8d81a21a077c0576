"""The checkpoint of one attempt on disk: a file in the run's folder, replaced as a whole."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stackbench.agents.checkpoints import Checkpoint
from stackbench.sandbox.container_changes import ContainerChanges
from stackbench.types import AttemptKey

if TYPE_CHECKING:
    from stackbench.engine.context import AttemptContext

__all__ = ["CheckpointFile"]

FORMAT = 1
"""A file of another one is not read."""
STATE, ARCHIVE, REMOVED = "state.json", "changes.tar.gz", "removed"
MEMBERS = (STATE, ARCHIVE, REMOVED)
UNREADABLE = (OSError, zipfile.BadZipFile, zlib.error, EOFError, ValueError, KeyError, TypeError)
"""What a file that was cut, or that something else wrote, may raise."""


class CheckpointFile:
    """Implements `stackbench.agents.checkpoints.CheckpointStore` for one attempt; its log is that of the context."""

    def __init__(self, folder: Path, key: AttemptKey, context: AttemptContext) -> None:
        name = hashlib.sha256(json.dumps(asdict(key)).encode()).hexdigest()[:32]
        self._path = folder / f"{name}.zip"
        self._context = context
        self._found: Mapping[str, Any] = {}

    async def find(self, basis: str) -> Checkpoint | None:
        try:
            state, archive, removed = await asyncio.to_thread(self._read)
            if (state["format"], state["basis"]) != (FORMAT, basis):
                return None
            checkpoint = Checkpoint(
                state["chat"], state["session"], state["used_s"], state["commands"], ContainerChanges(archive, removed)
            )
        except FileNotFoundError:
            return None
        except UNREADABLE as problem:
            self._context.log("checkpoint_unusable", {"reason": str(problem)[:300]})
            return None
        self._found = state["log"]
        return checkpoint

    def take_up(self) -> None:
        self._context.take_up_log(self._found)

    async def keep(self, basis: str, checkpoint: Checkpoint) -> None:
        state = {
            "format": FORMAT,
            "basis": basis,
            "chat": checkpoint.chat,
            "session": checkpoint.session,
            "used_s": checkpoint.used_s,
            "commands": checkpoint.commands,
            "log": self._context.saved_log(),
        }
        await asyncio.to_thread(self._write, state, checkpoint.changes)

    def drop(self) -> None:
        self._path.unlink(missing_ok=True)

    def _read(self) -> tuple[dict[str, Any], bytes, bytes]:
        with zipfile.ZipFile(self._path) as file:
            state, archive, removed = (file.read(name) for name in MEMBERS)
        return json.loads(state), archive, removed

    def _write(self, state: Mapping[str, Any], changes: ContainerChanges) -> None:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        part = self._path.with_suffix(".part")
        try:
            with os.fdopen(os.open(part, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "wb") as raw:
                with zipfile.ZipFile(raw, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as file:
                    file.writestr(STATE, json.dumps(state, default=_as_text))
                    file.writestr(ARCHIVE, changes.archive, zipfile.ZIP_STORED)
                    file.writestr(REMOVED, changes.removed)
                raw.flush()
                os.fsync(raw.fileno())
            part.replace(self._path)
        finally:
            part.unlink(missing_ok=True)


def _as_text(value: object) -> str:
    """Times as ISO text; what JSON does not know as text, as the database will have it."""
    return value.isoformat() if isinstance(value, datetime) else str(value)
