"""Parses server-sent events, as the standard defines them, from chunks of any size.

https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream, with one difference: an event
that the stream's end cuts off before its blank line is one, since servers leave that line out.
"""

from __future__ import annotations

from collections.abc import Iterator

__all__ = ["LONGEST_LINE", "EventReader", "LineTooLongError"]

LONGEST_LINE = 4 << 20
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class LineTooLongError(ValueError):
    """A line, or the data of one event, of more than `LONGEST_LINE` bytes."""


class EventReader:
    """Takes bytes, gives events: their name (empty where none was given) and their data."""

    def __init__(self) -> None:
        self._left: list[bytes] = []
        """Pieces of a line whose end has not come."""
        self._size = 0
        self._after_return = False
        """The last piece ended with a carriage return: a line feed at the start of the next belongs to it."""
        self._begun = False
        self._name = b""
        self._data: list[bytes] = []
        self._data_size = 0

    def feed(self, piece: bytes) -> Iterator[tuple[str, str]]:
        """The events that end within this piece. Raises LineTooLongError."""
        if self._after_return:
            self._after_return = False
            if piece.startswith(b"\n"):
                piece = piece[1:]
        if b"\r" in piece:
            self._after_return = piece.endswith(b"\r")
            piece = piece.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        *lines, left = piece.split(b"\n")
        for line in lines:
            if self._left:
                line, self._left, self._size = b"".join((*self._left, line)), [], 0
            event = self._take(line)
            if event is not None:
                yield event
        if left:
            self._left.append(left)
            self._size += len(left)
            if self._size > LONGEST_LINE:
                raise LineTooLongError(f"a line of more than {LONGEST_LINE >> 20} MiB")

    def end(self) -> Iterator[tuple[str, str]]:
        """The events that end with the stream."""
        if self._left:
            line, self._left = b"".join(self._left), []
            event = self._take(line)
            if event is not None:
                yield event
        event = self._take(b"")
        if event is not None:
            yield event

    def _take(self, line: bytes) -> tuple[str, str] | None:
        if not self._begun:
            self._begun = True
            line = line.removeprefix(BYTE_ORDER_MARK)
        if line.startswith(b"data:"):
            self._add(line[6:] if line[5:6] == b" " else line[5:])
            return None
        if not line:
            return self._dispatch()
        name, _, value = line.partition(b":")
        if name == b"event":
            self._name = value.removeprefix(b" ")
        elif name == b"data":
            self._add(b"")
        return None  # a comment (no name), id, retry, or a field that nobody knows

    def _add(self, value: bytes) -> None:
        self._data.append(value)
        self._data_size += len(value) + 1
        if self._data_size > LONGEST_LINE:
            raise LineTooLongError(f"an event of more than {LONGEST_LINE >> 20} MiB")

    def _dispatch(self) -> tuple[str, str] | None:
        name, data = self._name, self._data
        if name:
            self._name = b""
        if not data:
            return None
        self._data, self._data_size = [], 0
        joined = data[0] if len(data) == 1 else b"\n".join(data)
        return name.decode(errors="replace"), joined.decode(errors="replace")
