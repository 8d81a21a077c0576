"""Validates headers of weight files before a library reads them, so that an impossible size is never allocated."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import IO, Any

from stackbench import nesting
from stackbench.errors import ModelNotAvailableError
from stackbench.nesting import is_object

__all__ = ["check_gguf", "check_weights"]

LONGEST_HEADER = 100 << 20
"""Bytes, as the safetensors library takes it at most."""
LARGEST_INDEX = 64 << 20
GGUF_MAGIC = b"GGUF"
GGUF_LEAST_PAIR = 8 + 4 + 1
"""Bytes of the smallest key with its value: length, type, one byte."""
GGUF_LEAST_TENSOR = 8 + 4 + 4 + 8
"""Bytes of the smallest description of a tensor: length of its name, dimensions, type, offset."""


def check_weights(folder: Path) -> None:
    """Looks at every safetensors file of a folder and at the index that names them.

    Raises:
        ModelNotAvailableError: a header is longer than its file or than any can be, is no JSON, or points behind the
            file's end; the index leads out of the folder.
    """
    for path in sorted(folder.glob("*.safetensors")):
        try:
            with path.open("rb") as file:
                _check_safetensors(path, file)
        except OSError as error:
            raise ModelNotAvailableError(f"{path} cannot be read: {error.strerror}") from error
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        _check_index(index)


def check_gguf(path: Path) -> None:
    """Looks at the counts in the header of a GGUF file.

    Raises:
        ModelNotAvailableError: it is no GGUF, or counts more than the file can hold.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(24)
    except OSError as error:
        raise ModelNotAvailableError(f"{path} cannot be read: {error.strerror}") from error
    if len(head) < 24 or not head.startswith(GGUF_MAGIC):
        raise ModelNotAvailableError(f"{path} is no GGUF file")
    version, tensors, pairs = struct.unpack("<IQQ", head[4:])
    if version not in (2, 3):
        raise ModelNotAvailableError(f"{path} has version {version} of GGUF; 2 and 3 are read")
    if tensors * GGUF_LEAST_TENSOR + pairs * GGUF_LEAST_PAIR > size:
        raise ModelNotAvailableError(
            f"{path} is damaged: its header counts {tensors:,} tensors and {pairs:,} keys, its size is {size:,} bytes"
        )


def _check_safetensors(path: Path, file: IO[bytes]) -> None:
    size = file.seek(0, 2)
    file.seek(0)
    head = file.read(8)
    length = struct.unpack("<Q", head)[0] if len(head) == 8 else 0
    if not 2 <= length <= min(LONGEST_HEADER, size - 8):
        raise ModelNotAvailableError(
            f"{path} is damaged: its header has {length:,} bytes by its own account, the file {size:,}"
        )
    header = _read_object(path, file.read(length))
    room = size - 8 - length
    for name, tensor in header.items():
        if name == "__metadata__":
            continue
        try:
            start, end = tensor["data_offsets"]
            fits = 0 <= start <= end <= room
        except (TypeError, KeyError, ValueError):
            fits = False
        if not fits:
            raise ModelNotAvailableError(f"{path} is damaged: {name[:80]!r} does not lie within its {room:,} bytes")


def _check_index(path: Path) -> None:
    if path.stat().st_size > LARGEST_INDEX:
        raise ModelNotAvailableError(f"{path} is larger than an index can be")
    listed = _read_object(path, path.read_bytes()).get("weight_map")
    names: set[Any] = set(listed.values()) if is_object(listed) else set()
    for name in names:
        if not isinstance(name, str) or "/" in name or "\\" in name or not (path.parent / name).is_file():
            raise ModelNotAvailableError(f"{path} names {str(name)[:80]!r}, which is no file of its folder")


def _read_object(path: Path, content: bytes) -> dict[str, Any]:
    try:
        found = nesting.loads(content.decode())
    except (ValueError, json.JSONDecodeError) as error:
        raise ModelNotAvailableError(f"{path} is damaged: its header is no JSON ({str(error)[:100]})") from error
    if not is_object(found):
        raise ModelNotAvailableError(f"{path} is damaged: its header is no JSON object")
    return found
