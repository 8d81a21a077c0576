"""Spans of time as people write and read them."""

from __future__ import annotations

import math
import re
from typing import Any

__all__ = ["read_duration", "spoken_duration"]

WRITTEN = re.compile(r"(\d+(?:\.\d*)?|\.\d+)\s*(s|m|min|h)?", re.ASCII)
SECONDS = {"s": 1, "m": 60, "min": 60, "h": 3600}


def read_duration(value: Any) -> Any:
    """Seconds of a text such as `90`, `45s`, `30m` or `1.5h`; anything but a text as it is. Raises ValueError."""
    if not isinstance(value, str):
        return value
    found = WRITTEN.fullmatch(value.strip())
    seconds = float(found[1]) * SECONDS[found[2] or "s"] if found else math.inf
    if not math.isfinite(seconds):
        raise ValueError("takes a duration, such as 90 (seconds), 30m or 2h")
    return seconds


def spoken_duration(seconds: float) -> str:
    """`0.5 s`, `45 s`, `12 min` or `2.5 h`."""
    if seconds < 120:
        return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
