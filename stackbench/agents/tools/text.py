"""Text handling of the tools: encodings, line endings, truncation of long output."""

from __future__ import annotations

from dataclasses import dataclass

from stackbench.agents.tools.base import ToolRefusedError

__all__ = ["Text", "cut_middle", "decode_file"]

BOM = "\ufeff"
OUTPUT_CHARACTERS = 30_000


@dataclass(frozen=True, slots=True)
class Text:
    """A file's text with line feeds alone, and what has to be put back when it is written."""

    content: str
    crlf: bool = False
    bom: bool = False

    def encode(self, content: str) -> bytes:
        """Other content, with this file's byte order mark and line endings."""
        if self.crlf:
            content = content.replace("\n", "\r\n")
        return ((BOM if self.bom else "") + content).encode()


def decode_file(path: str, data: bytes) -> Text:
    """A file as text. A file counts as CRLF when all its lines end so; single ones are left as they are.

    Raises:
        ToolRefusedError: it is not UTF-8 text.
    """
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise ToolRefusedError(f"{path} is not UTF-8 text (byte {error.start}); it has {len(data)} bytes") from error
    if "\0" in text:
        raise ToolRefusedError(f"{path} is a binary file of {len(data)} bytes")
    bom = text.startswith(BOM)
    text = text.removeprefix(BOM)
    crlf = "\r\n" in text and text.count("\n") == text.count("\r\n")
    return Text(text.replace("\r\n", "\n") if crlf else text, crlf, bom)


def cut_middle(text: str, most: int = OUTPUT_CHARACTERS) -> str:
    """Long output with its head and tail kept and the cut named."""
    if len(text) <= most:
        return text
    head = most // 2
    tail = most - head
    left = len(text) - head - tail
    return f"{text[:head]}\n[... {left} characters left out ...]\n{text[-tail:]}"
