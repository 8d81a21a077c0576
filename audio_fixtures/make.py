"""Makes the clips from the texts beside this file, with espeak-ng and flite: `python audio_fixtures/make.py`.

Voice, rate and pitch of each clip follow from its place. Sound is 16 kHz mono FLAC with 0.3 s of silence before and
0.2 s after, its loudest sample at -3 dB. Noise and rooms are put over it when it is heard
(stackbench/voice/conditions.py). `clips.json` says which voice each clip has, how long it is, where its speech ends,
and the sha256 of its samples. `--check` makes nothing and compares.
"""

# ruff: noqa: T201
from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import soxr
import yaml

HERE = Path(__file__).parent
TEXTS = ("coding.yaml", "tools.yaml", "commands.yaml", "corrected.yaml")
RATE = 16_000
BEFORE_S, AFTER_S = 0.3, 0.2
PEAK = 0.7


@dataclass(frozen=True)
class Voice:
    """A synthetic voice; rates in words a minute for espeak-ng, as a factor of duration for flite."""

    program: str
    name: str
    rates: tuple[float, ...]
    pitches: tuple[int, ...]


VOICES = (
    Voice("flite", "slt", (1.0, 1.1, 1.3), (180, 165)),
    Voice("flite", "rms", (1.0, 1.1, 1.25), (95, 105)),
    Voice("flite", "awb", (1.0, 1.15), (110, 125)),
    Voice("flite", "rms", (1.05, 1.2), (100, 110)),
    Voice("flite", "slt", (1.05, 1.25), (190, 172)),
    Voice("espeak-ng", "en-us", (130, 150), (45, 55)),
    Voice("flite", "rms", (1.0, 1.15), (90, 98)),
    Voice("flite", "slt", (1.15, 1.3), (185, 170)),
    Voice("flite", "kal16", (1.2, 1.3), (100, 110)),
    Voice("flite", "awb", (1.05, 1.25), (115, 120)),
    Voice("flite", "rms", (1.1, 1.25), (103, 97)),
    Voice("flite", "slt", (1.0, 1.2), (175, 182)),
    Voice("espeak-ng", "en-us+f3", (130, 150), (50, 60)),
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare with what is there, write nothing")
    arguments = parser.parse_args()
    for program in ("espeak-ng", "flite"):
        if shutil.which(program) is None:
            print(
                f"make: error: {program} is not installed (Debian, as root: apt-get install -y {program})",
                file=sys.stderr,
            )
            return 2
    texts = [entry for name in TEXTS for entry in yaml.safe_load((HERE / name).read_text(encoding="utf-8"))]
    listed = HERE / "clips.json"
    before = json.loads(listed.read_text()) if listed.is_file() else {}
    made: dict[str, Any] = {}
    for number, entry in enumerate(texts):
        made[entry["id"]] = make(entry["id"], entry["say"], number, write=not arguments.check)
    if arguments.check:
        differing = [name for name in made.keys() | before.keys() if made.get(name) != before.get(name)]
        print(f"{len(made)} clips, {len(differing)} differ from clips.json", *sorted(differing))
        return 1 if differing else 0
    listed.write_text(json.dumps(made, indent=1) + "\n")
    size = sum(path.stat().st_size for path in (HERE / "clips").glob("*.flac"))
    print(f"{len(made)} clips, {size / 1e6:.1f} MB, {sum(one['seconds'] for one in made.values()) / 60:.1f} minutes")
    return 0


def make(name: str, text: str, number: int, *, write: bool) -> dict[str, Any]:
    """One clip; gives its row of clips.json."""
    voice = VOICES[number % len(VOICES)]
    rate = voice.rates[number // len(VOICES) % len(voice.rates)]
    pitch = voice.pitches[number // (len(VOICES) * 2) % len(voice.pitches)]
    speech = normalised(spoken(voice, text, rate, pitch))
    samples = np.concatenate([np.zeros(round(BEFORE_S * RATE)), speech, np.zeros(round(AFTER_S * RATE))])
    whole = np.round(samples * 32767).astype(np.int16)
    path = HERE / "clips" / f"{name}.flac"
    if write:
        path.parent.mkdir(exist_ok=True)
        soundfile.write(path, whole, RATE, subtype="PCM_16")
    return {
        "voice": f"{voice.program} {voice.name}",
        "rate": rate,
        "pitch": pitch,
        "seconds": round(len(whole) / RATE, 3),
        "speech_ends_s": round(BEFORE_S + len(speech) / RATE, 3),
        "sha256": hashlib.sha256(whole.tobytes()).hexdigest(),
    }


def spoken(voice: Voice, text: str, rate: float, pitch: int) -> np.ndarray:
    """The voice's samples, 16 kHz."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "speech.wav"
        if voice.program == "flite":
            settings = ["--setf", f"duration_stretch={rate}", "--setf", f"int_f0_target_mean={pitch}"]
            command = ["flite", "-voice", voice.name, *settings, "-t", text, "-o", str(path)]
        else:
            command = ["espeak-ng", "-v", voice.name, "-s", str(int(rate)), "-p", str(pitch), "-w", str(path), text]
        subprocess.run(command, check=True, capture_output=True)
        samples, found = soundfile.read(path, dtype="float32")
    return samples if found == RATE else soxr.resample(samples, found, RATE)


def normalised(samples: np.ndarray) -> np.ndarray:
    """Without silence at both ends, at a peak of -3 dB."""
    loud = np.flatnonzero(np.abs(samples) > 0.01 * np.max(np.abs(samples)))
    cut = samples[loud[0] : loud[-1] + 1]
    return cut * (PEAK / np.max(np.abs(cut)))


if __name__ == "__main__":
    raise SystemExit(main())
