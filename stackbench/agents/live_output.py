"""What an agent's commands write, told piece by piece while they run."""

from __future__ import annotations

import codecs
from collections.abc import Callable

__all__ = ["LiveOutput"]

PIECE = 8 << 10
"""Characters told at once, at most."""
MOST = 256 << 10
"""Characters of one command that are told; its result has more."""


class LiveOutput:
    """Is given bytes by session id, and tells text: whole characters, so many of each command at most."""

    def __init__(self, tell: Callable[[str, str], None]) -> None:
        self._tell = tell
        self._decoders: dict[str, codecs.IncrementalDecoder] = {}
        self._told: dict[str, int] = {}

    def take(self, session_id: str, data: bytes) -> None:
        """A piece of a command's output."""
        told = self._told.get(session_id, 0)
        if told >= MOST:
            return
        decoder = self._decoders.setdefault(session_id, codecs.getincrementaldecoder("utf-8")("replace"))
        text = decoder.decode(data)[: MOST - told]
        for at in range(0, len(text), PIECE):
            self._tell(session_id, text[at : at + PIECE])
        self._told[session_id] = told + len(text)
        if told + len(text) >= MOST:
            self._tell(session_id, f"\n[{MOST} characters were shown as they came; the result has the rest]\n")
