"""Reads recordings block by block as 16 kHz mono, so that the length of a file takes no memory."""

# soundfile and soxr have partial types.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from stackbench.errors import UsageError, one_line
from stackbench.extras import install_command
from stackbench.plurals import number_of
from stackbench.voice.audio import RATE, Samples, finite, mono
from stackbench.voice.truncation import frames_promised, lacks_end

if TYPE_CHECKING:
    from soundfile import SoundFile

__all__ = ["read_blocks", "read_samples"]

BLOCK_S = 0.5
LONGEST_DAMAGE_S = 10.0
DAMAGE_STEP_S = 0.25
FORMATS = "WAV, FLAC, OGG/Opus, MP3 and AIFF"

Say = Callable[[str], None]


def read_samples(path: Path, say: Say = lambda line: None) -> Samples:
    """A whole recording; for short ones. Raises as `read_blocks`."""
    return np.concatenate([np.zeros(0, np.float32), *read_blocks(path, say)])


def read_blocks(path: Path, say: Say = lambda line: None, block_s: float = BLOCK_S) -> Iterator[Samples]:
    """A recording of any rate and number of channels, in blocks of about `block_s` seconds.

    What could be read of a truncated file is read, and `say` is told that the rest is missing; where a place in the
    middle is damaged, silence stands for it, and `say` is told from where to where.

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
        what = "a folder" if path.is_dir() else "no file of sound" if path.exists() else "no such file"
        raise UsageError(f"{path}: {what}; name a recording")
    try:
        file = soundfile.SoundFile(str(path))
    except (soundfile.LibsndfileError, RuntimeError, OSError) as error:
        if not path.stat().st_size:
            raise UsageError(f"{path} is empty; name a recording") from error
        raise UsageError(
            f"{path} is no audio that can be read here ({FORMATS} can); convert it: ffmpeg -i {path.name} "
            f"-ar 16000 -ac 1 {path.stem}-16k.wav"
        ) from error
    rate = file.samplerate
    with contextlib.ExitStack() as opened:
        opened.enter_context(file)
        stream = soxr.ResampleStream(rate, RATE, 1, dtype="float32") if rate != RATE else None
        size = max(1, int(rate * block_s))
        promised, read, problem = max(file.frames, 0), 0, ""
        no_numbers, first_bad, last_bad = 0, -1, 0
        while True:
            try:
                block: npt.NDArray[np.float32] = np.asarray(
                    file.read(size, dtype="float32", always_2d=True), np.float32
                )
            except (soundfile.LibsndfileError, RuntimeError) as error:
                problem = one_line(error)
                beyond = _behind_damage(path, read, min(promised, read + round(LONGEST_DAMAGE_S * rate)))
                block = np.zeros((0 if beyond is None else beyond.tell() - read, 1), np.float32)
                if beyond is not None:
                    file = opened.enter_context(beyond)
                    to_s = file.tell() / rate
                    say(f"{path}: damaged from {read / rate:.1f} to {to_s:.1f} s ({problem}): silence stands there")
                last = beyond is None
            else:
                last = len(block) < size
            bad = np.flatnonzero(~np.isfinite(block).all(axis=1))
            if len(bad):
                no_numbers += len(bad)
                first_bad = read + int(bad[0]) if first_bad < 0 else first_bad
                last_bad = read + int(bad[-1])
            samples = mono(finite(block))
            read += len(block)
            if stream is not None:
                samples = stream.resample_chunk(samples, last=last)
            if len(samples):
                yield samples
            if last:
                break
        if first_bad >= 0:
            where = f"between {first_bad / rate:.1f} and {last_bad / rate:.1f} s in"
            say(f"{path}: no numbers in {number_of(no_numbers, 'sample')}, {where}: they count as silence")
        promised = max(promised if promised < 1 << 62 else 0, frames_promised(path) or 0)
        missing = (promised - read) / rate
        if missing > 0.01:
            why = f"broken off after {read / rate:.1f} s ({problem})" if problem else "truncated or damaged"
            say(f"{path}: {missing:.1f} s of it cannot be read ({why}); what came is used")
        elif lacks_end(path):
            say(f"{path}: the file has no end: it is truncated after {read / rate:.1f} s; what came is used")
        elif not promised and not read:
            raise UsageError(f"{path} holds no sound")


def _behind_damage(path: Path, broken: int, last: int) -> SoundFile | None:
    """The file opened again at the first place behind a damaged one, in frames, that can be read; None for none.

    A decoder that has failed is of no more use (libsndfile keeps its error), hence a new one for each try.
    """
    import soundfile

    place = broken
    while True:
        file = soundfile.SoundFile(str(path))
        step = max(1, round(DAMAGE_STEP_S * file.samplerate))
        place += step
        if place >= last:
            file.close()
            return None
        try:
            file.seek(place)
            if len(file.read(step)) == step:
                file.seek(place)
                return file
        except (soundfile.LibsndfileError, RuntimeError):
            pass
        file.close()
