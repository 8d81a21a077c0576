"""Speech to text through a virtual microphone, beside faster-whisper's defaults and RealtimeSTT on the same recordings.

Usage: python -m perf.voice [N]    N recordings of about 4 s each (default 20), with whisper-base and whisper-tiny.en.

TTFS is the time from the true end of speech to the final text, the silence of 500 ms that ends a turn included, as
Pipecat's benchmark of services for speech defines it. The true end is where the last loud sample arrived from the
microphone, which has no noise of its own. `after the endpoint` is the part behind the silence. faster-whisper's
defaults (beam of 5, the whole window of 30 s) get the whole recording once its end is known. RealtimeSTT 1.1.2 runs in
an environment of its own (it needs portaudio19-dev to be built, and silero-vad) on the same sound, fed at the pace of
speech. Word error rates are over all clean recordings.
Run it on a machine with nothing else to do.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from perf.peers import peer
from stackbench.benchmarks.voice.clips import Clip, load_clips, published_clips
from stackbench.config.home import user_cache
from stackbench.voice.audio import RATE
from stackbench.voice.audio_file import read_samples
from stackbench.voice.devices import PortAudio
from stackbench.voice.endpointing import Endpointer
from stackbench.voice.microphone import Microphone
from stackbench.voice.scoring import as_written, word_errors
from stackbench.voice.speech_probability import SileroModel
from stackbench.voice.spoken_symbols import written
from stackbench.voice.turns import Turn, TurnEvent, Turns
from stackbench.voice.vocabulary import names_in_play
from stackbench.voice.weights_fetch import pull_weights
from stackbench.voice.whisper import WhisperRecognizer

ROOT = Path(__file__).parents[1]
RECORDINGS = 20
LOUD = 0.003
TURN_WITHIN_S = 15.0
SHORTEST_S, LONGEST_S = 2.8, 5.2

PEER = """
import json, sys, threading, time
import numpy as np, soundfile
from RealtimeSTT import AudioToTextRecorder

if __name__ == "__main__":
    model, listed = sys.argv[1], json.loads(sys.argv[2])
    recorder = AudioToTextRecorder(
        use_microphone=False, model=model, language="en", device="cpu", compute_type="int8", spinner=False,
        post_speech_silence_duration=0.5, enable_realtime_transcription=False, no_log_file=True,
    )
    took = []
    for path in [listed[0], *listed]:  # the first one warms it
        samples, rate = soundfile.read(path, dtype="int16")
        loud = np.flatnonzero(np.abs(samples) > 100)[-1]
        samples = np.concatenate([samples, np.zeros(rate * 3, np.int16)])
        ended = []
        def feed():
            begun = time.perf_counter()
            for start in range(0, len(samples), 512):
                wait = begun + start / rate - time.perf_counter()
                if wait > 0:
                    time.sleep(wait)
                recorder.feed_audio(samples[start:start + 512].tobytes(), rate)
                if start <= loud < start + 512:
                    ended.append(time.perf_counter())
        feeding = threading.Thread(target=feed)
        feeding.start()
        text = recorder.text()
        took.append((time.perf_counter() - ended[0], text) if ended else (None, text))
        feeding.join()
    recorder.shutdown()
    print("RESULT " + json.dumps(took[1:]))
"""


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else RECORDINGS
    every = load_clips(published_clips())
    clips = [clip for clip in every if SHORTEST_S < len(read_samples(clip.path)) / RATE < LONGEST_S][:count]
    folder = user_cache() / "models"
    print(f"{os.cpu_count()} processors; {len(clips)} recordings of {SHORTEST_S} to {LONGEST_S} s")
    for name in ("whisper-base", "whisper-tiny.en"):
        weights = pull_weights(name, folder, print)
        print(f"\n{name}, int8")
        ours = through_microphone(weights, clips)
        defaults = with_defaults(weights, clips)
        show("TTFS", [ttfs for ttfs, _ in ours])
        show("after the endpoint", after := [rest for _, rest in ours])
        show("faster-whisper's defaults, after the endpoint", defaults)
        share = statistics.median(after) / statistics.median(defaults)
        print(f"  {share:.2f} of the defaults' time at the median (asked: at most 0.40)")
        windows(weights, every)
        with_realtime_stt(weights, clips)


def through_microphone(weights: Path, clips: Sequence[Clip]) -> list[tuple[float, float]]:
    """TTFS and the part after the endpoint of each recording, in seconds."""
    recognizer = WhisperRecognizer(weights, device="cpu")
    recognizer.expect(names_in_play())
    recognizer.start()
    found: list[tuple[float, float]] = []
    with virtual_microphone() as environment:
        microphone = Microphone(PortAudio(), say=print)
        microphone.open()
        heard: list[tuple[float, Turn]] = []

        def tell(event: TurnEvent) -> None:
            if isinstance(event, Turn):
                heard.append((time.perf_counter(), event))

        turns = Turns(Endpointer(SileroModel()), recognizer, tell)
        ends: list[float] = []
        stop = threading.Event()

        def listen() -> None:
            while not stop.is_set():
                samples = microphone.read()
                if len(samples):
                    now = time.perf_counter()
                    loud = np.flatnonzero(np.abs(samples) > LOUD)
                    if len(loud):
                        ends[:] = [now - (len(samples) - 1 - int(loud[-1])) / RATE]
                    turns.feed(samples)

        listening = threading.Thread(target=listen)
        listening.start()
        try:
            for clip in clips:
                heard.clear()
                subprocess.run(["paplay", "--device=vmic", clip.path], env=environment, check=True)
                wait(lambda: bool(heard) and not turns.endpointer.in_turn, f"no text of {clip.id}")
                ttfs = heard[-1][0] - ends[0]
                found.append((ttfs, heard[-1][1].latency.after_endpoint_s))
        finally:
            stop.set()
            listening.join()
            turns.finish()
            microphone.close()
    print(f"  longest audio callback {1000 * microphone.longest_callback_s:.2f} ms, {microphone.overflows} overflows")
    return found


def with_defaults(weights: Path, clips: Sequence[Clip]) -> list[float]:
    """Seconds that faster-whisper takes for a whole recording by its defaults."""
    from faster_whisper import WhisperModel

    model = WhisperModel(str(weights), device="cpu", compute_type="int8", cpu_threads=min(4, os.cpu_count() or 1))
    took: list[float] = []
    for clip in (clips[0], *clips):
        samples = read_samples(clip.path)
        begun = time.perf_counter()
        segments, _ = model.transcribe(samples, language="en")
        for _ in segments:
            pass
        took.append(time.perf_counter() - begun)
    return took[1:]


def windows(weights: Path, clips: Sequence[Clip]) -> None:
    """Errors and the time of a final pass in the window that a recording needs, and in all 30 s."""
    for what, whole in (("as much of the window as it needs", False), ("the whole window", True)):
        recognizer = WhisperRecognizer(weights, device="cpu", whole_window=whole)
        recognizer.expect(names_in_play())
        recognizer.start()
        wrong = length = 0
        took: list[float] = []
        for clip in clips:
            samples = read_samples(clip.path)
            begun = time.perf_counter()
            text = recognizer.final(samples).text
            took.append(time.perf_counter() - begun)
            errors = word_errors(as_written(clip.say), written(text))
            wrong, length = wrong + errors.errors, length + errors.length
        print(
            f"  {what}: WER {100 * wrong / length:.1f}%, a pass {1000 * statistics.median(took):.0f} ms at the median"
        )


def with_realtime_stt(weights: Path, clips: Sequence[Clip]) -> None:
    python = peer("RealtimeSTT==1.1.2", "torch==2.13.0", more=("silero-vad", "onnxruntime", "faster-whisper"))
    paths = json.dumps([str(clip.path) for clip in clips])
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "peer.py"
        script.write_text(PEER)
        command = [str(python), str(script), str(weights), paths]
        done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    result = next((line for line in done.stdout.splitlines() if line.startswith("RESULT ")), None)
    if result is None:
        print(f"  RealtimeSTT does not run here: {(done.stderr.strip().splitlines() or ['no output'])[-1]}")
        return
    rows: list[Any] = json.loads(result.removeprefix("RESULT "))
    show("RealtimeSTT 1.1.2, TTFS", [took for took, _ in rows if took is not None])


def show(what: str, values: Sequence[float]) -> None:
    cuts = np.quantile(values, [0.5, 0.95, 0.99]) * 1000
    print(f"  {what}: p50 {cuts[0]:.0f} ms, p95 {cuts[1]:.0f} ms, p99 {cuts[2]:.0f} ms (n={len(values)})")


@contextmanager
def virtual_microphone() -> Iterator[dict[str, str]]:
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "STACKBENCH_MIC_DIR": folder, "XDG_RUNTIME_DIR": folder}
        subprocess.run(
            [ROOT / "scripts" / "virtual-mic", "start"], env=environment, stdout=subprocess.DEVNULL, check=True
        )
        os.environ["XDG_RUNTIME_DIR"] = folder
        try:
            yield environment
        finally:
            subprocess.run([ROOT / "scripts" / "virtual-mic", "stop"], env=environment, check=False)


def wait(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + TURN_WITHIN_S
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit(f"perf.voice: {what} within {TURN_WITHIN_S:.0f} s")
        time.sleep(0.005)


if __name__ == "__main__":
    main()
