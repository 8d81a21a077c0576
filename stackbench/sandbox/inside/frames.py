"""Frames on the container's stream, both ways: a 4-byte big-endian length, then one JSON object in UTF-8."""

import json
import os

MAX_FRAME = 64 << 20
CHUNK = 1 << 18


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
            while len(self.data) >= 4:
                size = int.from_bytes(self.data[:4], "big")
                if size > MAX_FRAME:
                    raise SystemExit("runner: a frame of %d bytes is over the limit of %d" % (size, MAX_FRAME))
                if len(self.data) < 4 + size:
                    break
                frames.append(json.loads(bytes(self.data[4 : 4 + size])))
                del self.data[: 4 + size]
            if len(more) < CHUNK:
                return frames


def framed(message):
    data = json.dumps(message).encode()
    return len(data).to_bytes(4, "big") + data


def send(message):
    write_all(1, framed(message))


def write_all(fd, data):
    while data:
        data = data[os.write(fd, data) :]
