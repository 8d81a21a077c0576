"""A fixed buffer between the audio callback, which must not wait, and the reader."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from stackbench.voice.audio import Samples

__all__ = ["RingBuffer"]


class RingBuffer:
    """One writer, one reader. Only the writer moves `written`, only the reader moves its own place: no lock.

    Where the reader falls behind by more than the capacity, the oldest samples are lost and counted.
    """

    def __init__(self, capacity: int) -> None:
        self._samples: npt.NDArray[np.float32] = np.zeros(capacity, np.float32)
        self._capacity = capacity
        self._written = 0
        self._read = 0
        self.lost = 0
        """Samples that the reader never got."""

    @property
    def written(self) -> int:
        """Samples since the beginning."""
        return self._written

    def write(self, samples: Samples) -> None:
        """Copies them in; for the callback: no allocation beyond NumPy's views."""
        if len(samples) > self._capacity:
            self._written += len(samples) - self._capacity
            samples = samples[-self._capacity :]
        start = self._written % self._capacity
        first = min(len(samples), self._capacity - start)
        self._samples[start : start + first] = samples[:first]
        if first < len(samples):
            self._samples[: len(samples) - first] = samples[first:]
        self._written += len(samples)

    def read(self) -> Samples:
        """All that came since the last read, as a copy."""
        end = self._written
        begin = self._read
        if end - begin > self._capacity:
            self.lost += end - self._capacity - begin
            begin = end - self._capacity
        self._read = end
        places = np.arange(begin, end) % self._capacity
        return self._samples[places]
