"""How many sandboxes this machine can take."""

from __future__ import annotations

import os

import psutil

__all__ = ["default_size"]


def default_size(memory_mib: int = 4096) -> int:
    """How many containers at once: one per processor, as far as the machine's memory could fill them all."""
    room = int(psutil.virtual_memory().total / (memory_mib << 20))
    return max(1, min(os.cpu_count() or 1, room))
