"""Frames on the container's stream, both ways: a 4-byte big-endian length, then one JSON object in UTF-8."""

from __future__ import annotations

import json
import os

TYPE_CHECKING = False  # to import typing would cost each container its memory
if TYPE_CHECKING:
    from typing import Any

MAX_FRAME = 64 << 20
CHUNK = 1 << 16


def take_apart(data: bytearray):
    """Takes the whole frames off the front of a bytearray: what follows each 4-byte big-endian length.

    Raises ValueError for one that is longer than `MAX_FRAME`.
    """
    bodies = []
    while len(data) >= 4:
        size = int.from_bytes(data[:4], "big")
        if size > MAX_FRAME:
            raise ValueError(f"a frame of {size} bytes is over the limit of {MAX_FRAME}")
        if len(data) < 4 + size:
            break
        bodies.append(bytes(data[4 : 4 + size]))
        del data[: 4 + size]
    return bodies


class Inbox:
    """Takes frames apart as their bytes arrive on descriptor 0."""

    def __init__(self):
        self.data = bytearray()

    def read(self):
        """The frames that are complete; None at the end of the stream (the host is gone)."""
        frames = []
        while True:
            try:
                more = os.read(0, CHUNK)
            except BlockingIOError:
                return frames
            if not more:
                return None
            self.data += more
            frames += [json.loads(body) for body in take_apart(self.data)]
            if len(more) < CHUNK:
                return frames


def framed(message: dict[str, Any]):
    return with_length(json.dumps(message).encode())


def with_length(data: bytes):
    return len(data).to_bytes(4, "big") + data


def send(message: dict[str, Any]):
    write_all(1, framed(message))


def write_all(fd: int, data: bytes):
    while data:
        data = data[os.write(fd, data) :]
