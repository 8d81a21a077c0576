"""Reads GPU load through NVIDIA's management library, where there is one."""

# pynvml has partial types.
# pyright: reportUnknownMemberType=false
from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["GpuReader", "GpuReading"]


@dataclass(frozen=True, slots=True)
class GpuReading:
    """One GPU at one moment."""

    index: int
    util: float
    """Share of the last moment in which it worked, 0 to 1."""
    vram_used: int
    """Bytes."""
    vram_total: int


class GpuReader:
    """Finds the GPUs once; without any, every reading is empty."""

    def __init__(self) -> None:
        self._library: Any = None
        self._handles: list[Any] = []
        try:
            import pynvml

            pynvml.nvmlInit()
            self._handles = [pynvml.nvmlDeviceGetHandleByIndex(n) for n in range(pynvml.nvmlDeviceGetCount())]
            self._library = pynvml
        except Exception:  # no such package, no driver, no permission: all mean that nothing can be read
            self._handles = []

    def read(self) -> list[GpuReading]:
        """Every GPU now; one that does not answer is left out."""
        found: list[GpuReading] = []
        for index, handle in enumerate(self._handles):
            try:
                memory = self._library.nvmlDeviceGetMemoryInfo(handle)
                busy = self._library.nvmlDeviceGetUtilizationRates(handle).gpu / 100
            except Exception:
                continue
            found.append(GpuReading(index, busy, int(memory.used), int(memory.total)))
        return found
