"""What all of voice agrees on: 16 kHz mono float samples, and what is measured of them."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

__all__ = ["RATE", "Samples", "clipped_share", "finite", "level_dbfs", "mono", "seconds"]

RATE = 16_000
"""Samples a second of everything behind the device."""

Samples: TypeAlias = npt.NDArray[np.float32]
"""One channel, -1 to 1."""

SILENT_DBFS = -120.0
FULL_SCALE = 0.999
CANCELLED = 0.01
"""Below this share of a channel's power the mean of the channels has lost what was said: they are in opposite phase."""


def seconds(samples: Samples) -> float:
    """How long it lasts."""
    return len(samples) / RATE


def level_dbfs(samples: Samples) -> float:
    """The root mean square in decibels below full scale; -120 for silence and for nothing."""
    if not len(samples):
        return SILENT_DBFS
    power = float(np.mean(np.square(samples, dtype=np.float64)))
    return SILENT_DBFS if power <= 1e-12 else 10 * float(np.log10(power))


def clipped_share(samples: Samples) -> float:
    """The share of samples at full scale: from one in a hundred on the recording is distorted."""
    return float(np.mean(np.abs(samples) >= FULL_SCALE)) if len(samples) else 0.0


def finite(block: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """The block itself, changed in place: samples that are no numbers (NaN and infinities) become silence."""
    return np.nan_to_num(block, copy=False, nan=0.0, posinf=0.0, neginf=0.0)


def mono(block: npt.NDArray[np.float32]) -> Samples:
    """One channel of a (frames, channels) block: the mean of the channels, or the loudest where they cancel out."""
    if block.ndim == 1:
        return block
    if block.shape[1] == 1 or not len(block):
        return block[:, 0]
    mean = block.mean(axis=1, dtype=np.float32)
    powers = np.einsum("fc,fc->c", block, block)
    loudest = int(np.argmax(powers))
    return block[:, loudest] if np.dot(mean, mean) < CANCELLED * powers[loudest] else mean
