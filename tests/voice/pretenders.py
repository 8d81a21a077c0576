"""Stand-ins at the edge of the machine: a voice made of noise, a recogniser without weights, audio without devices."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from stackbench.voice.audio import RATE, Samples
from stackbench.voice.devices import DeviceError, InputDevice
from stackbench.voice.recognition import Transcript

LOUD = 0.1


def quiet(seconds: float) -> Samples:
    return np.zeros(round(seconds * RATE), np.float32)


def loud(seconds: float, value: float = LOUD) -> Samples:
    return np.full(round(seconds * RATE), value, np.float32)


class Loudness:
    """Implements `SpeechProbability`: what is loud is speech."""

    def __init__(self) -> None:
        self.resets = 0

    def probability(self, frame: Samples) -> float:
        return float(np.mean(np.abs(frame)) > LOUD / 2)

    def reset(self) -> None:
        self.resets += 1


class ScriptedRecognizer:
    """Implements `Recognizer`: says what it is told to say, one text for each turn that it is asked about."""

    name = "scripted"

    def __init__(self, texts: Sequence[str] = (), say: Callable[[Samples], str] | None = None) -> None:
        self.texts = list(texts)
        self.say = say
        self.finals: list[Samples] = []
        self.expected: Sequence[str] = ()

    def start(self) -> None: ...

    def expect(self, words: Sequence[str]) -> None:
        self.expected = words

    def partial(self, samples: Samples) -> Transcript:
        return Transcript(self.texts[0] if self.texts else "")

    def final(self, samples: Samples) -> Transcript:
        self.finals.append(samples)
        text = self.say(samples) if self.say is not None else self.texts[min(len(self.finals), len(self.texts)) - 1]
        return Transcript(text, confidence=0.9)

    def close(self) -> None: ...


class PretendStream:
    """Implements `AudioStream`."""

    def __init__(self, rate: int, heard: Callable[..., None]) -> None:
        self.rate = rate
        self.heard = heard
        self.active = True
        self.closed = False

    def close(self) -> None:
        self.closed = True


class PretendAudio:
    """Implements `AudioBackend`; tests plug devices in and out."""

    def __init__(self, names: Sequence[str] = ("desk mic",), rate: int = RATE) -> None:
        self.names = list(names)
        self.rate = rate
        self.streams: list[PretendStream] = []
        self.opened: list[str] = []
        self.restarts = 0
        self.refuses = False

    def devices(self) -> list[InputDevice]:
        return [InputDevice(i, name, "pretend", 1, self.rate, i == 0) for i, name in enumerate(self.names)]

    def open(self, device: InputDevice, heard: Callable[..., None]) -> PretendStream:
        if self.refuses:
            raise DeviceError("another program holds it")
        stream = PretendStream(self.rate, heard)
        self.streams.append(stream)
        self.opened.append(device.name)
        return stream

    def restart(self) -> None:
        self.restarts += 1
