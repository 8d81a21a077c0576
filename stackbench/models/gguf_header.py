"""What a GGUF file says of its model's shape, from the beginning of the file.

The format is described in ggml's docs/gguf.md. The `gguf` package reads whole files, a vocabulary of 150,000 tokens in
10 s and more.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from stackbench.errors import ModelNotAvailableError
from stackbench.models.headers import check_gguf

__all__ = ["GgufShape", "read_shape"]

SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
"""Formats of values by the number of their type."""
STRING, ARRAY = 8, 9
LONGEST_STRING = 64 << 20
WANTED = ("block_count", "context_length", "embedding_length", "attention.head_count", "attention.head_count_kv")
OPTIONAL = ("attention.key_length", "attention.value_length")


@dataclass(frozen=True, slots=True)
class GgufShape:
    """What memory is estimated from."""

    context: int
    """Tokens that the model was trained for."""
    kv_bytes_per_token: int
    """Of 16-bit keys and values."""


def read_shape(path: Path) -> GgufShape:
    """Reads a file's header.

    Raises:
        ModelNotAvailableError: it is no GGUF file, is damaged, or holds no language model.
    """
    check_gguf(path)
    try:
        with path.open("rb") as file:
            found = _numbers(file)
        heads = int(found["attention.head_count"])
        width = int(found["embedding_length"]) // heads
        both = int(found.get("attention.key_length", width)) + int(found.get("attention.value_length", width))
        per_token = int(found["block_count"]) * int(found.get("attention.head_count_kv", heads)) * both * 2
        context = int(found["context_length"])
        if context < 1 or per_token < 1:
            raise ValueError("no context")
    except OSError as error:
        raise ModelNotAvailableError(f"{path} cannot be read: {error.strerror}") from error
    except (struct.error, ValueError, KeyError, ArithmeticError, UnicodeDecodeError) as error:
        raise ModelNotAvailableError(f"{path} is damaged, or no language model: its header has no shape") from error
    return GgufShape(context, per_token)


def _numbers(file: IO[bytes]) -> dict[str, float]:
    """The keys of the architecture that are wanted, without its name; reads no further than it must."""
    file.seek(16)
    (pairs,) = _read(file, "Q")
    found: dict[str, float] = {}
    for _ in range(pairs):
        key = _string(file)
        (kind,) = _read(file, "I")
        name = key.partition(".")[2]
        if kind == STRING:
            _string(file)
        elif kind == ARRAY:
            if all(one in found for one in WANTED):
                break  # the vocabulary, as a rule: keys of the architecture stand before it
            _skip_array(file)
        else:
            (value,) = _read(file, SCALARS[kind])
            if name in (*WANTED, *OPTIONAL):
                found[name] = value
    return found


def _skip_array(file: IO[bytes]) -> None:
    kind, count = _read(file, "IQ")
    if kind in SCALARS:
        file.seek(struct.calcsize(SCALARS[kind]) * count, 1)
        return
    if kind != STRING:
        raise ValueError("an array of arrays")
    for _ in range(count):
        (length,) = _read(file, "Q")
        file.seek(length, 1)


def _string(file: IO[bytes]) -> str:
    (length,) = _read(file, "Q")
    if length > LONGEST_STRING:
        raise ValueError("a string that is too long")
    return file.read(length).decode()


def _read(file: IO[bytes], form: str) -> tuple[Any, ...]:
    form = f"<{form}"
    return struct.unpack(form, file.read(struct.calcsize(form)))
