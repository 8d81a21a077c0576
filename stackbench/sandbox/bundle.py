"""What goes down a container's stream: its program, our modules' sources in one text; then frames."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any

__all__ = ["BOOTSTRAP", "bundle", "frame_bytes"]

# Reads the program off a descriptor, so that any image with a Python will do and no file holds it.
BOOTSTRAP = (
    "import os\n"
    "def take(n):\n"
    "    data = b''\n"
    "    while len(data) < n:\n"
    "        more = os.read(%d, n - len(data))\n"
    "        if not more: raise SystemExit(0)\n"
    "        data += more\n"
    "    return data\n"
    "exec(compile(take(int.from_bytes(take(4), 'big')), '<inside>', 'exec'), {'__name__': 'inside_loader'})\n"
)


@cache
def bundle() -> bytes:
    """What to write to the stream of a container that runs `BOOTSTRAP`: 4 bytes of length, then the program."""
    folder = resources.files("stackbench.sandbox.inside")
    sources = {
        entry.name.removesuffix(".py"): entry.read_text(encoding="utf-8")
        for entry in folder.iterdir()
        if entry.name.endswith(".py")
    }
    loader = sources.pop("loader")
    program = (
        f"SOURCES = {sources!r}\nBOOTSTRAP = {BOOTSTRAP!r}\nLOADER = {loader!r}\nexec(LOADER)\n"
        "import inside.main\ninside.main.run()\n"
    ).encode()
    return _with_length(program)


def frame_bytes(frame: Mapping[str, Any]) -> bytes:
    """A frame as the program reads it: 4 bytes of length, big-endian, then JSON."""
    return _with_length(json.dumps(frame).encode())


def _with_length(data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + data
