"""Queries to the engine that holds the database, over its Unix socket; and the choice between it and the file."""

from __future__ import annotations

import io
import json
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

from stackbench.errors import StackbenchError, StoreError, StoreLockedError, UsageError
from stackbench.store.database import open_database
from stackbench.store.query import LocalQueries, Queries

__all__ = ["RemoteQueries", "open_queries"]

TIMEOUT_S = 300.0
CHUNK = 1 << 20


def open_queries(database: Path, engine_socket: Path) -> Queries:
    """The running engine where one answers, else the file itself, read-only.

    Raises:
        StoreError: neither can be had; the message says why.
    """
    refused = ""
    if engine_socket.exists():
        try:
            return RemoteQueries(engine_socket)
        except PermissionError as error:
            refused = f"no permission to talk to the running engine at {engine_socket}; run as the user who started it"
            if not database.exists():
                raise StoreError(refused) from error
        except OSError:
            pass  # left behind by an engine that was killed
    try:
        return LocalQueries(open_database(database, read_only=True), at_rest=True)
    except StoreLockedError as error:
        raise StoreLockedError(
            refused or f"{database} is held by a process that answers no queries; try again when it has ended"
        ) from error


class RemoteQueries:
    """Speaks the engine's protocol: one JSON line out; back a JSON line with the size, then that many bytes."""

    at_rest = False

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(TIMEOUT_S)
        try:
            self._socket.connect(str(path))
        except OSError:
            self._socket.close()
            raise
        self._file = self._socket.makefile("rwb")

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        answer = io.BytesIO()
        self._ask({"op": "rows", "sql": sql, "parameters": list(parameters)}, answer)
        return [tuple(row) for row in json.loads(answer.getvalue())["rows"]]

    def user_query(self, sql: str, format: str, to: BinaryIO) -> None:
        self._ask({"op": "query", "sql": sql, "format": format}, to)

    def close(self) -> None:
        self._file.close()
        self._socket.close()

    def _ask(self, request: dict[str, Any], to: BinaryIO) -> None:
        try:
            self._file.write(json.dumps(request).encode() + b"\n")
            self._file.flush()
            head = json.loads(self._file.readline() or b'{"error": "the engine ended", "kind": "store"}')
        except (OSError, ValueError) as error:
            raise StoreError(f"the running engine did not answer the query: {error}") from error
        if "error" in head:
            kind: type[StackbenchError] = UsageError if head.get("kind") == "usage" else StoreError
            raise kind(head["error"])
        left = int(head["bytes"])
        while left:
            chunk = self._read(min(left, CHUNK))
            to.write(chunk)
            left -= len(chunk)

    def _read(self, size: int) -> bytes:
        try:
            chunk = self._file.read(size)
        except OSError as error:
            raise StoreError(f"the running engine did not answer the query: {error}") from error
        if not chunk:
            raise StoreError("the running engine ended before it had answered the query")
        return chunk
