"""Queries to the engine that holds the database, over its Unix socket; and the choice between it and the file."""

from __future__ import annotations

import contextlib
import io
import json
import socket
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

from pydantic import ValidationError

from stackbench.control.messages import Answer, Hello, Query, Refusal, Rows, Welcome, reply_adapter
from stackbench.control.peer import stopped_engine
from stackbench.errors import EngineUnreachableError, StackbenchError, StoreError, StoreLockedError, UsageError
from stackbench.store.database import open_database
from stackbench.store.query import LocalQueries

__all__ = ["RemoteQueries", "open_queries"]

TIMEOUT_S = 300.0
HELLO_WITHIN_S = 10.0
AGAIN_EVERY_S = 0.02
CHUNK = 1 << 20
ENDS_WITHIN_S = 5.0
TRY_AGAIN_S = 0.05


def open_queries(database: Path, engine_socket: Path) -> LocalQueries | RemoteQueries:
    """The running engine where one answers, else the file itself, read-only.

    An engine that ends has closed its socket some moments before it lets go of the file: that is waited for. Blocks.

    Raises:
        StoreError: neither can be had; the message says why.
    """
    until = time.monotonic() + ENDS_WITHIN_S
    while True:
        refused = ""
        if engine_socket.exists():
            try:
                return RemoteQueries(engine_socket)
            except PermissionError as error:
                refused = (
                    f"no permission to talk to the running engine at {engine_socket}; run as the user who started it"
                )
                if not database.exists():
                    raise StoreError(refused) from error
            except TimeoutError:
                refused = (
                    f"the running engine at {engine_socket} does not answer; is it stopped or hung? "
                    'see "stackbench ctl why"'
                )
            except OSError:
                pass  # left behind by an engine that was killed, or of one that ends
        try:
            return LocalQueries(open_database(database, read_only=True), at_rest=True)
        except StoreLockedError as error:
            if refused or time.monotonic() > until:
                raise StoreLockedError(
                    refused or f"{database} is held by a process that answers no queries; try again when it has ended"
                ) from error
        time.sleep(TRY_AGAIN_S)


class RemoteQueries:
    """Asks one question at a time; raises OSError where no engine answers the first words, EngineUnreachableError where
    it is stopped."""

    at_rest = False

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(HELLO_WITHIN_S)
        try:
            self._connect(path)
            if stopped := stopped_engine(self._socket):
                raise EngineUnreachableError(stopped)
            self._file = self._socket.makefile("rwb")
            try:
                self._greet()
            except BaseException:
                self._file.close()
                raise
        except BaseException:
            self._socket.close()
            raise
        self._socket.settimeout(TIMEOUT_S)

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        answer = io.BytesIO()
        self._ask(Rows(id=1, sql=sql, parameters=tuple(parameters)), answer)
        return [tuple(row) for row in json.loads(answer.getvalue())["rows"]]

    def user_query(self, sql: str, format: str, to: BinaryIO, most_rows: int | None = None) -> None:
        self._ask(Query(id=1, sql=sql, format=format, most_rows=most_rows), to)

    def interrupt(self) -> None:
        """Ends the query under way, from another thread: the engine stops when nobody waits for it any more."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        with contextlib.suppress(OSError):  # what an engine that has died did not take is lost
            self._file.close()
        self._socket.close()

    def _connect(self, path: Path) -> None:
        give_up_at = time.monotonic() + HELLO_WITHIN_S
        while True:
            try:
                return self._socket.connect(str(path))
            except BlockingIOError as error:  # more programs connect at this moment than the kernel lets wait
                if time.monotonic() > give_up_at:
                    raise TimeoutError from error
            time.sleep(AGAIN_EVERY_S)

    def _greet(self) -> None:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it has closed already, and says why
            self._socket.sendall(Hello(client="query").model_dump_json().encode() + b"\n")
        reply = self._read()
        if isinstance(reply, Refusal):
            raise StoreError(reply.error)
        if not isinstance(reply, Welcome):
            raise StoreError("the running engine did not introduce itself; is it of another version of stackbench?")

    def _ask(self, request: Query | Rows, to: BinaryIO) -> None:
        try:
            self._file.write(request.model_dump_json().encode() + b"\n")
            self._file.flush()
            reply = self._read()
            left = reply.size if isinstance(reply, Answer) else 0
            while left:
                chunk = self._file.read(min(left, CHUNK))
                if not chunk:
                    raise ConnectionResetError("the engine ended")
                to.write(chunk)
                left -= len(chunk)
        except (OSError, ValueError) as error:
            raise StoreError(f"the running engine did not answer the query: {error}") from error
        if isinstance(reply, Refusal):
            kind: type[StackbenchError] = UsageError if reply.fault == "usage" else StoreError
            raise kind(reply.error)
        if not isinstance(reply, Answer):
            raise StoreError("the running engine did not answer the query")

    def _read(self) -> Any:
        line = self._file.readline()
        if not line:
            raise ConnectionResetError("the engine ended")
        try:
            return reply_adapter.validate_json(line)
        except ValidationError as error:
            raise StoreError(
                "the running engine speaks another protocol: is it of another version of stackbench?"
            ) from error
