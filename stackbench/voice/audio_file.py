"""Reads recordings block by block as 16 kHz mono, so that the length of a file takes no memory."""

# soundfile and soxr have partial types.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from stackbench.errors import UsageError, one_line
from stackbench.extras import install_command
from stackbench.voice.audio import RATE, Samples, finite, mono

__all__ = ["read_blocks", "read_samples"]

BLOCK_S = 0.5
FORMATS = "WAV, FLAC, OGG/Opus, MP3 and AIFF"

Say = Callable[[str], None]


def read_samples(path: Path, say: Say = lambda line: None) -> Samples:
    """A whole recording; for short ones. Raises as `read_blocks`."""
    return np.concatenate([np.zeros(0, np.float32), *read_blocks(path, say)])


def read_blocks(path: Path, say: Say = lambda line: None, block_s: float = BLOCK_S) -> Iterator[Samples]:
    """A recording of any rate and number of channels, in blocks of about `block_s` seconds.

    What could be read of a truncated file is read, and `say` is told that the rest is missing.

    Raises:
        UsageError: there is no such file, or it is no audio that can be read here.
    """
    try:
        import soundfile
        import soxr
    except (ImportError, OSError) as error:  # OSError: soundfile without its library
        raise UsageError(
            f"reading audio needs more packages ({one_line(error)}); {install_command('voice')}"
        ) from error
    if not path.is_file():
        raise UsageError(f"{path}: {'a folder' if path.is_dir() else 'no such file'}; name a recording")
    try:
        file = soundfile.SoundFile(str(path))
    except (soundfile.LibsndfileError, RuntimeError, OSError) as error:
        if not path.stat().st_size:
            raise UsageError(f"{path} is empty; name a recording") from error
        raise UsageError(
            f"{path} is no audio that can be read here ({FORMATS} can); convert it: ffmpeg -i {path.name} "
            f"-ar 16000 -ac 1 {path.stem}-16k.wav"
        ) from error
    with file:
        stream = soxr.ResampleStream(file.samplerate, RATE, 1, dtype="float32") if file.samplerate != RATE else None
        size = max(1, int(file.samplerate * block_s))
        promised, read, is_told = max(file.frames, 0), 0, False
        while True:
            try:
                block: npt.NDArray[np.float32] = np.asarray(
                    file.read(size, dtype="float32", always_2d=True), np.float32
                )
            except (soundfile.LibsndfileError, RuntimeError) as error:
                say(f"{path}: broken off after {read / file.samplerate:.1f} s ({one_line(error)}); what came is used")
                block = np.zeros((0, 1), np.float32)
            last = len(block) < size
            if not is_told and not np.isfinite(block).all():
                is_told = True
                at_s = read / file.samplerate
                say(f"{path}: samples that are no numbers, about {at_s:.1f} s in, count as silence")
            samples = mono(finite(block))
            read += len(block)
            if stream is not None:
                samples = stream.resample_chunk(samples, last=last)
            if len(samples):
                yield samples
            if last:
                break
        missing = promised - read
        if 0 < missing < 1 << 62 and missing > file.samplerate // 100:
            say(f"{path}: {missing / file.samplerate:.1f} s are missing at its end: the file is truncated")
        elif not promised and not read:
            raise UsageError(f"{path} holds no sound")
