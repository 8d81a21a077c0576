"""A room and its noise, put over a clean recording: always the same for the same recording and condition."""

from __future__ import annotations

import hashlib
from typing import Literal, TypeAlias, get_args

import numpy as np
import numpy.typing as npt

from stackbench.voice.audio import RATE, Samples

__all__ = ["CONDITIONS", "Condition", "noise_of", "under"]

Condition: TypeAlias = Literal["clean", "snr20", "snr10", "snr5", "reverb"]
"""`snrN`: noise N dB below the speech; `reverb`: a small room of 0.4 s."""

CONDITIONS: tuple[Condition, ...] = get_args(Condition)
REVERB_S = 0.4
PEAK = 0.97


def under(samples: Samples, condition: Condition, name: str) -> Samples:
    """The recording under a condition; `name` and condition seed what is drawn."""
    if condition == "clean":
        return samples
    seed = int.from_bytes(hashlib.sha256(f"{name}\0{condition}".encode()).digest()[:8], "big")
    random = np.random.default_rng(seed)
    if condition == "reverb":
        return _limited(_in_room(samples, random))
    loud = np.abs(samples) > 0.01
    power = float(np.mean(np.square(samples[loud], dtype=np.float64))) if loud.any() else 0.0
    noise = noise_of(len(samples), random)
    scale = np.sqrt(power / 10 ** (int(condition.removeprefix("snr")) / 10))
    return _limited(samples + np.float32(scale) * noise)


def noise_of(count: int, random: np.random.Generator) -> Samples:
    """Noise of power 1 that falls by 3 dB an octave, as that of rooms and machines does, with a hum of 50 Hz in it."""
    spectrum = np.fft.rfft(random.normal(size=count + count % 2))
    spectrum[0] = 0  # no direct current
    falling = spectrum / np.sqrt(np.maximum(np.arange(len(spectrum)), 1))
    noise = np.fft.irfft(falling)[:count]
    noise = noise / (np.std(noise) + 1e-12) + 0.2 * np.sin(2 * np.pi * 50 * np.arange(count) / RATE)
    return (noise / (np.std(noise) + 1e-12)).astype(np.float32)


def _in_room(samples: Samples, random: np.random.Generator) -> Samples:
    """Convolved with the direct sound and an exponential tail of reflections."""
    length = round(REVERB_S * RATE)
    tail = random.normal(size=length) * 10 ** (-3 * np.arange(length) / length)
    tail[: RATE // 200] = 0
    response = 0.5 * tail / (np.sqrt(np.sum(tail**2)) + 1e-12)
    response[0] = 1.0
    size = len(samples) + length - 1
    wet = np.fft.irfft(np.fft.rfft(samples, size) * np.fft.rfft(response, size), size)
    return wet[: len(samples) + length // 2].astype(np.float32)


def _limited(samples: npt.NDArray[np.floating]) -> Samples:
    peak = float(np.max(np.abs(samples))) if len(samples) else 0.0
    return (samples * (PEAK / peak) if peak > PEAK else samples).astype(np.float32)
