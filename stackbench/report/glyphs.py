r"""Texts that the fonts of plots and PDF can show: a character that they do not hold is written as `\u4e2d`.

The fonts are DejaVu's, which come with matplotlib (the extra `report`).
"""

# matplotlib has partial types.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
from __future__ import annotations

import functools
import re
from pathlib import Path

__all__ = ["font_folder", "printable"]

FONTS = ("DejaVuSans.ttf", "DejaVuSansMono.ttf")
RIGHT_TO_LEFT = r"\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufeff"
"""Scripts that would turn a line's order around."""


def printable(text: str) -> str:
    """The text with an escape for each character that cannot be shown. Raises ImportError without matplotlib."""
    return text if text.isascii() and text.isprintable() else _missing().sub(_escape, text)


@functools.cache
def font_folder() -> Path:
    """Where the fonts lie. Raises ImportError without matplotlib."""
    import matplotlib

    return Path(matplotlib.get_data_path()) / "fonts" / "ttf"


@functools.cache
def _missing() -> re.Pattern[str]:
    from matplotlib.ft2font import FT2Font

    held = set.intersection(*(set(FT2Font(str(font_folder() / name)).get_charmap()) for name in FONTS))
    ranges: list[list[int]] = []
    for point in sorted({point for point in held if point >= 0x20} | {0x0A}):
        if ranges and ranges[-1][1] == point - 1:
            ranges[-1][1] = point
        else:
            ranges.append([point, point])
    inside = "".join(f"\\U{low:08x}-\\U{high:08x}" for low, high in ranges)
    return re.compile(f"[^{inside}]|[{RIGHT_TO_LEFT}]")


def _escape(match: re.Match[str]) -> str:
    point = ord(match[0])
    return f"\\u{point:04x}" if point < 0x10000 else f"\\U{point:08x}"
