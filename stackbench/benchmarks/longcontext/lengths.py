"""Lengths as they are written, in tokens: `4K` is 4,096."""

from __future__ import annotations

import re

__all__ = ["length_name", "parse_length"]

LENGTH = re.compile(r"(\d+)\s*(k)?", re.IGNORECASE)
LEAST, MOST = 512, 16 << 20


def parse_length(text: str) -> int:
    """Tokens of a length such as `32K` or `6000`. Raises ValueError."""
    found = LENGTH.fullmatch(text.strip())
    tokens = int(found[1]) * (1024 if found[2] else 1) if found and len(found[1]) < 10 else 0
    if not LEAST <= tokens <= MOST:
        raise ValueError(f'"{text}" is no length: tokens, such as 4K, 128K or 6000, from {LEAST} to {MOST:,}')
    return tokens


def length_name(tokens: int) -> str:
    """As a length is shown: `4K`, or the number where it is no multiple of 1,024."""
    return f"{tokens // 1024}K" if tokens % 1024 == 0 else str(tokens)
