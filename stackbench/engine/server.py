"""The engine's Unix socket: read-only queries of the database while a run holds it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from pathlib import Path
from typing import Any

import duckdb

from stackbench.errors import StackbenchError, UsageError
from stackbench.store import LocalQueries, Writer

__all__ = ["EngineServer"]

LONGEST_REQUEST = 4 << 20


class EngineServer:
    """Serves `engine.sock`; see `stackbench.store.remote` for the protocol's other end."""

    def __init__(self, path: Path, writer: Writer) -> None:
        self._path = path
        self._writer = writer
        self._server: asyncio.Server | None = None

    async def start(self) -> str | None:
        """Opens the socket, for this user only; what keeps it from opening is returned, since a run can do without."""
        try:
            with contextlib.suppress(FileNotFoundError):
                self._path.unlink()
            before = os.umask(0o177)
            try:
                self._server = await asyncio.start_unix_server(self._serve, str(self._path), limit=LONGEST_REQUEST)
            finally:
                os.umask(before)
        except OSError as error:
            return f"queries from other processes will not be answered during this run: {self._path}: {error.strerror}"
        return None

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
            with contextlib.suppress(FileNotFoundError):
                self._path.unlink()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                head, body = await asyncio.to_thread(self._answer, line)
                writer.write(json.dumps(head).encode() + b"\n" + body)
                await writer.drain()
        except (ConnectionError, ValueError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    def _answer(self, line: bytes) -> tuple[dict[str, Any], bytes]:
        try:
            request = json.loads(line)
            body = self._query(request)
        except StackbenchError as error:
            return {"error": str(error), "kind": "usage" if isinstance(error, UsageError) else "store"}, b""
        except (ValueError, KeyError, TypeError) as error:
            return {"error": f"not a request of this protocol: {error!r}", "kind": "usage"}, b""
        except duckdb.Error as error:
            return {"error": str(error).splitlines()[0], "kind": "store"}, b""
        return {"bytes": len(body)}, body

    def _query(self, request: dict[str, Any]) -> bytes:
        queries = LocalQueries(self._writer.cursor())
        try:
            if request["op"] == "rows":
                rows = queries.rows(request["sql"], request["parameters"])
                return json.dumps(rows, default=str).encode()
            if request["op"] == "query":
                return queries.user_query(request["sql"], request["format"])
            raise UsageError(f"unknown operation {request['op']!r}")
        finally:
            queries.close()
