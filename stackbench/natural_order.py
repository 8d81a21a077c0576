"""Sorting as people do: HumanEval/2 before HumanEval/10."""

from __future__ import annotations

import re

__all__ = ["natural"]


def natural(text: str) -> list[tuple[int, str]]:
    """A key for `sorted` that compares runs of digits as numbers."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", text)]
