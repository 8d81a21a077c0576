"""Tells from a recording's own headers that its file ends too early, where libsndfile reads on without a word.

Formats: RIFF WAVE (Multimedia Programming Interface and Data Specifications 1.0, IBM and Microsoft 1991), AIFF 1.3
(Apple 1989), Ogg (RFC 3533).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

__all__ = ["frames_promised", "lacks_end"]

UNKNOWN = 0x7FFF_0000
"""Programs that write to a pipe put sizes from here on into the header."""
LARGEST_OGG_PAGE = 27 + 255 + 255 * 255
END_OF_STREAM = 4


def frames_promised(path: Path) -> int | None:
    """The frames that the header of a WAV or AIFF file promises; None for others, and where it promises nothing."""
    with path.open("rb") as file:
        head = file.read(12)
        if head[:4] == b"RIFF" and head[8:] == b"WAVE":
            return _of_wav(file)
        if head[:4] == b"FORM" and head[8:] in (b"AIFF", b"AIFC"):
            return _of_aiff(file)
    return None


def lacks_end(path: Path) -> bool:
    """Whether an Ogg file has no page that ends its stream."""
    with path.open("rb") as file:
        if file.read(4) != b"OggS":
            return False
        file.seek(max(0, path.stat().st_size - LARGEST_OGG_PAGE))
        tail = file.read()
    page = tail.rfind(b"OggS")
    return page < 0 or len(tail) < page + 6 or not tail[page + 5] & END_OF_STREAM


def _of_wav(file: BinaryIO) -> int | None:
    frame_bytes = 0
    for name, size, data in _chunks(file, "<"):
        if name == b"fmt " and len(data) >= 14:
            (frame_bytes,) = struct.unpack_from("<H", data, 12)
        elif name == b"data":
            return size // frame_bytes if frame_bytes and 0 < size < UNKNOWN else None
    return None


def _of_aiff(file: BinaryIO) -> int | None:
    for name, _, data in _chunks(file, ">"):
        if name == b"COMM" and len(data) >= 6:
            (frames,) = struct.unpack_from(">I", data, 2)
            return frames if 0 < frames < UNKNOWN else None
    return None


def _chunks(file: BinaryIO, order: str) -> Iterator[tuple[bytes, int, bytes]]:
    """Name, size and first bytes of each chunk of an IFF or RIFF file."""
    while len(head := file.read(8)) == 8:
        name, (size,) = head[:4], struct.unpack(f"{order}I", head[4:])
        begins = file.tell()
        yield name, size, file.read(min(size, 32))
        file.seek(begins + size + size % 2)
