"""How much of a span of time something on this machine waited for a processor."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

__all__ = ["ProcessorPressure"]

PRESSURE = Path("/proc/pressure/cpu")
TOTAL = re.compile(r"^some .*total=(\d+)", re.MULTILINE)


class ProcessorPressure:
    """Measures from its making on. Linux's pressure-stall information (`some` of /proc/pressure/cpu); where the kernel
    has none, the load average of the last minute per processor beyond one, 1 at most."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._total = _stalled_us()

    def share(self) -> float:
        """The share of the time since then, 0 to 1."""
        total, seconds = _stalled_us(), time.monotonic() - self._began
        if total is None or self._total is None or seconds <= 0:
            return min(1.0, max(0.0, os.getloadavg()[0] / (os.cpu_count() or 1) - 1))
        return min(1.0, max(0.0, (total - self._total) / 1e6 / seconds))


def _stalled_us() -> int | None:
    try:
        found = TOTAL.search(PRESSURE.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None
    return int(found[1]) if found else None
