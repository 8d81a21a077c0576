"""Recordings of any kind, and files that are none."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import soundfile

from stackbench.errors import UsageError
from stackbench.voice.audio import RATE
from stackbench.voice.audio_file import read_blocks, read_samples


def tone(rate: int, seconds: float = 1.0) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * 440 * np.arange(round(rate * seconds)) / rate)).astype(np.float32)


@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100, 48_000])
@pytest.mark.parametrize("ending", ["wav", "flac"])
def test_any_rate_becomes_16_khz(rate: int, ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"tone.{ending}"
    soundfile.write(path, np.stack([tone(rate), tone(rate)], axis=1), rate)
    samples = read_samples(path)
    assert len(samples) == pytest.approx(RATE, abs=2)
    assert np.argmax(np.abs(np.fft.rfft(samples))) * RATE / len(samples) == pytest.approx(440, abs=1)
    assert np.sqrt(np.mean(samples**2)) == pytest.approx(0.354, rel=0.02)


def test_channels_in_opposite_phase_are_no_silence(tmp_path: Path) -> None:
    path = tmp_path / "tone.wav"
    soundfile.write(path, np.stack([tone(RATE), -tone(RATE)], axis=1), RATE)
    assert np.sqrt(np.mean(read_samples(path) ** 2)) == pytest.approx(0.354, rel=0.02)


def test_samples_that_are_no_numbers_are_told_once_and_silent(tmp_path: Path) -> None:
    sound = np.concatenate([tone(RATE, 2.0)] * 2)
    sound[20_000:20_100], sound[40_000], sound[40_001] = np.nan, np.inf, -np.inf
    path = tmp_path / "tone.wav"
    soundfile.write(path, sound, RATE, subtype="FLOAT")
    said: list[str] = []
    samples = read_samples(path, said.append)
    assert said == [f"{path}: no numbers in 102 samples, between 1.2 and 2.5 s in: they count as silence"]
    assert np.all(samples[20_000:20_100] == 0) and np.max(np.abs(samples)) < 0.51


def test_opus_in_ogg_is_read(tmp_path: Path) -> None:
    path = tmp_path / "tone.opus"
    soundfile.write(path, tone(48_000), 48_000, format="OGG", subtype="OPUS")
    assert len(read_samples(path)) == pytest.approx(RATE, rel=0.05)


NOISE = np.random.default_rng(0).normal(0, 0.1, 4 * RATE).astype(np.float32)


@pytest.mark.parametrize(
    ("ending", "told"),
    [
        ("wav", "2.0 s of it cannot be read"),
        ("aiff", "2.0 s of it cannot be read"),
        ("flac", "s of it cannot be read (broken off after"),
        ("ogg", "the file has no end: it is truncated after"),
        ("mp3", "s of it cannot be read"),
    ],
)
def test_of_a_truncated_file_what_is_there_is_read_and_the_rest_is_told(ending: str, told: str, tmp_path: Path) -> None:
    path = tmp_path / f"cut.{ending}"
    soundfile.write(path, NOISE, RATE)
    whole: list[str] = []
    assert len(read_samples(path, whole.append)) == pytest.approx(4 * RATE, rel=0.01)
    assert whole == []
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    said: list[str] = []
    samples = read_samples(path, said.append)
    assert 0.8 * RATE < len(samples) < 2.5 * RATE
    (line,) = said
    assert told in line and "what came is used" in line


def test_sizes_that_a_program_writes_to_a_pipe_promise_nothing(tmp_path: Path) -> None:
    path = tmp_path / "piped.wav"
    soundfile.write(path, NOISE, RATE)
    data = bytearray(path.read_bytes())
    data[4:8] = data[40:44] = b"\xff" * 4
    path.write_bytes(data)
    said: list[str] = []
    assert len(read_samples(path, said.append)) == 4 * RATE
    assert said == []


def test_behind_a_damaged_place_it_is_read_on_and_times_stay_right(tmp_path: Path) -> None:
    path = tmp_path / "damaged.flac"
    sound = NOISE.copy()
    sound[3 * RATE :] = 0.0
    sound[round(3.5 * RATE)] = 0.9
    soundfile.write(path, sound, RATE)
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 200] = bytes(range(200))
    path.write_bytes(data)
    said: list[str] = []
    samples = read_samples(path, said.append)
    (line,) = said
    assert "damaged from" in line and "silence stands there" in line
    assert len(samples) == 4 * RATE
    assert np.argmax(np.abs(samples)) == round(3.5 * RATE), "what comes behind stands where it stood"
    first = next(at for at in range(0, len(samples), 800) if not samples[at : at + 800].any())
    assert np.allclose(samples[: first - 800], sound[: first - 800], atol=1e-3)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"hello, I am a text", "is no audio that can be read here.*ffmpeg -i talk.webm -ar 16000 -ac 1 talk-16k.wav"),
        (b"RIFF\0\0", "is no audio.*ffmpeg -i talk.webm"),
        (b"", "talk.webm is empty; name a recording"),
    ],
)
def test_what_is_no_audio_is_refused_with_a_way_out(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "talk.webm"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=message):
        list(read_blocks(path))


def test_a_file_that_is_not_there_and_a_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file"):
        list(read_blocks(tmp_path / "none.wav"))
    with pytest.raises(UsageError, match="a folder"):
        list(read_blocks(tmp_path))


def test_a_long_file_takes_no_more_memory_than_a_block(tmp_path: Path) -> None:
    path = tmp_path / "long.wav"
    with soundfile.SoundFile(path, "w", 8_000, 1, subtype="PCM_16") as file:
        for _ in range(60):
            file.write(tone(8_000, 10.0))
    tracemalloc.start()
    try:
        length = sum(len(block) for block in read_blocks(path))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert length == pytest.approx(600 * RATE, rel=0.001)
    assert peak < 2_000_000
