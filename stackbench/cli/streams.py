"""Standard streams whose write errors (closed pipe, full disk, closed terminal) do not end a run."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from collections.abc import Iterable
from typing import Any, TextIO, cast

from stackbench.visible_text import visible

__all__ = ["SteadyStream", "displays_stream", "open_standard_streams", "reader_left", "standard_output_fault"]

READER_LEFT = (errno.EPIPE, errno.EIO, errno.EBADF, errno.ENXIO, errno.ENODEV, errno.ECONNRESET)
"""Errors of a stream that nobody reads any more; others mean that what was written is missing where it should be."""


class SteadyStream:
    """A text stream whose writes never fail: after the first that does, the rest is dropped, and `lost` says why."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.lost: OSError | None = None

    def write(self, text: str) -> int:
        if self.lost is None:
            try:
                return self._stream.write(text)
            except UnicodeEncodeError:
                return self._stream.write(text.encode("ascii", "backslashreplace").decode())
            except (OSError, ValueError) as error:
                self.lose(error)
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    @property
    def buffer(self) -> SteadyBytes:
        """Bytes behind the text so far, as steady as that."""
        return SteadyBytes(self, self._stream)

    def flush(self) -> None:
        if self.lost is not None:
            return
        try:
            self._stream.flush()
        except (OSError, ValueError) as error:
            self.lose(error)

    def lose(self, error: OSError | ValueError) -> None:
        """Drops what comes and what is still in the buffer, so that nothing fails when the interpreter flushes that.

        A ValueError is a stream that somebody closed.
        """
        self.lost = error if isinstance(error, OSError) else OSError(errno.EBADF, os.strerror(errno.EBADF))
        with contextlib.suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class LegibleStream:
    """Standard error for everybody who writes text to it: libraries, warnings, tracebacks. What hides in it shows.

    `unfiltered` is the stream behind it, for what may move the cursor: our own displays.
    """

    def __init__(self, unfiltered: SteadyStream) -> None:
        self.unfiltered = unfiltered

    def write(self, text: str) -> int:
        self.unfiltered.write(
            "\r".join(map(visible, text.split("\r")))
        )  # bars of libraries go back to their line's start
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.unfiltered, name)


class SteadyBytes:
    """The binary side of a steady stream."""

    def __init__(self, text: SteadyStream, stream: TextIO) -> None:
        self._text = text
        self._stream = stream

    def write(self, data: bytes) -> int:
        if self._text.lost is None:
            self._text.flush()
            try:
                return self._stream.buffer.write(data)
            except (OSError, ValueError) as error:
                self._text.lose(error)
        return len(data)

    def flush(self) -> None:
        self._text.flush()


def open_standard_streams() -> None:
    """Makes stdin, stdout and stderr usable whatever the program was started with.

    A descriptor that was closed is opened on the null device: no file of ours gets its number, into which a library
    that prints would write.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDONLY if number == 0 else os.O_WRONLY)
    sys.stdout = cast("TextIO", _steady(sys.stdout))
    sys.stderr = cast("TextIO", LegibleStream(_steady(sys.stderr)))


def _steady(stream: TextIO | None) -> SteadyStream:
    if isinstance(stream, LegibleStream):
        return stream.unfiltered
    if isinstance(stream, SteadyStream):
        return stream
    return SteadyStream(stream or open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123


def displays_stream() -> TextIO:
    """Standard error for what may move the cursor and colour."""
    return getattr(sys.stderr, "unfiltered", sys.stderr)


def reader_left(stream: object) -> bool:
    """Whether nobody reads what is written to a standard stream."""
    return getattr(stream, "lost", None) is not None


def standard_output_fault() -> OSError | None:
    """Why results are missing where standard output leads (a full disk, say); None where nobody waits for them."""
    lost = getattr(sys.stdout, "lost", None)
    return None if lost is None or lost.errno in READER_LEFT else lost
