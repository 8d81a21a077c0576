"""Where `query` writes rendered rows as they come: standard output, legible on a terminal, exact elsewhere."""

from __future__ import annotations

import codecs
import io
import sys
from typing import Any

from stackbench.cli.streams import reader_left
from stackbench.errors import UsageError
from stackbench.visible_text import in_json, visible

__all__ = ["QueryOutput"]


class QueryOutput(io.RawIOBase):
    """Takes bytes in any pieces. JSON has its hidden characters escaped, which it remains; csv has on a terminal only.

    Raises:
        UsageError: parquet for a terminal.
        BrokenPipeError: on writing, when nobody reads any more; the query need not go on.
    """

    def __init__(self, format: str) -> None:
        if format == "parquet" and sys.stdout.isatty():
            raise UsageError("parquet is not for a terminal; send it to a file: stackbench query ... > rows.parquet")
        self._show = {"json": in_json, "jsonl": in_json}.get(format)
        if format == "csv" and sys.stdout.isatty():
            self._show = visible
        self._decoder: Any = codecs.getincrementaldecoder("utf-8")("backslashreplace")

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        piece = bytes(data)
        if self._show is not None:
            sys.stdout.write(self._show(self._decoder.decode(piece)))
            sys.stdout.flush()
        else:
            sys.stdout.flush()
            sys.stdout.buffer.write(piece)
            sys.stdout.buffer.flush()
        if reader_left(sys.stdout):
            raise BrokenPipeError("nobody reads the rows")
        return len(piece)
