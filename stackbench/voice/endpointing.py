"""Where speech begins, seems to end and has ended, from the probability of speech in each frame."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Literal

import numpy as np

from stackbench.voice.audio import RATE, Samples
from stackbench.voice.speech_probability import FRAME, FRAME_S, SpeechProbability

__all__ = ["Boundary", "Ending", "EndpointSettings", "Endpointer"]

Ending = Literal["silence", "length", "released"]
"""Why a turn ended: silence, its greatest length, or the key of push-to-talk."""


@dataclass(frozen=True, slots=True)
class EndpointSettings:
    """When a turn begins and ends."""

    silence_s: float = 0.5
    """Silence that ends a turn."""
    pause_s: float = 0.16
    """Silence after which speech seems to end: the final pass begins."""
    preroll_s: float = 0.3
    """Kept from before speech was noticed, so that no first syllable is lost."""
    longest_s: float = 28.0
    """A turn is cut there: Whisper hears 30 s at once."""
    onset: float = 0.42
    """Mean probability of so many frames that begins a turn: after a reset the model is less sure of a voice."""
    onset_frames: int = 3
    release: float = 0.32
    """Probability below which a frame in a turn is silence."""
    least_speech_s: float = 0.16
    """A turn with less speech is dropped: a click is shorter."""
    settle_s: float = 5.0
    """Without speech for so long after a turn, the model's state begins anew. Not at the turn's end: what is said soon
    after it would be heard by a model that is less sure of a voice, and lose its first words."""
    forget_s: float = 60.0
    """Without speech for so long, it begins anew once more."""


@dataclass(frozen=True, slots=True)
class Boundary:
    """Something that happened at a place of the stream; times in seconds since its beginning."""

    kind: Literal["began", "paused", "went_on", "ended", "dropped"]
    at_s: float
    """When it was known."""
    speech_began_s: float = 0.0
    speech_ended_s: float = 0.0
    """End of the last frame that was speech."""
    ending: Ending = "silence"


class Endpointer:
    """`feed` takes any number of samples and gives the boundaries in them; `audio` is the turn so far.

    With `push_to_talk` a turn is what comes between `press` and `release`, speech or not in the model's eyes.
    """

    def __init__(
        self, model: SpeechProbability, settings: EndpointSettings | None = None, *, push_to_talk: bool = False
    ) -> None:
        self.settings = settings or EndpointSettings()
        self.push_to_talk = push_to_talk
        self.probability = 0.0
        """Of speech in the last frame."""
        self._model = model
        self._rest: Samples = np.zeros(0, np.float32)
        self._before: deque[Samples] = deque(
            maxlen=round(self.settings.preroll_s / FRAME_S) + self.settings.onset_frames
        )
        self._turn: list[Samples] = []
        self._clock = 0
        """Frames since the beginning."""
        self._open = False
        self._recent: deque[float] = deque(maxlen=self.settings.onset_frames)
        self._speech_frames = 0
        self._began_s = 0.0
        self._last_speech_s = 0.0
        self._paused = False
        self._since_speech = 0
        self._unsettled = False
        """Whether the model's state is that of a turn."""
        self._pressed = False

    @property
    def now_s(self) -> float:
        """The place in the stream."""
        return self._clock * FRAME_S

    @property
    def in_turn(self) -> bool:
        return self._open

    @property
    def speech_s(self) -> float:
        """Speech in the turn so far."""
        return self._speech_frames * FRAME_S

    def audio(self) -> Samples:
        """The turn so far, with what came just before it."""
        return np.concatenate(self._turn) if self._turn else np.zeros(0, np.float32)

    def press(self) -> None:
        """The key of push-to-talk goes down."""
        self._pressed = True

    def release(self) -> list[Boundary]:
        """The key goes up: the turn ends at once."""
        self._pressed = False
        if not self._open:
            return []
        return [self._end("released")]

    def feed(self, samples: Samples) -> list[Boundary]:
        """The boundaries in the next samples."""
        found: list[Boundary] = []
        whole = np.concatenate([self._rest, samples]) if len(self._rest) else samples
        count = len(whole) // FRAME
        for index in range(count):
            found += self._frame(whole[index * FRAME : (index + 1) * FRAME])
        self._rest = whole[count * FRAME :].copy()
        return found

    def finish(self) -> list[Boundary]:
        """The stream is over: a turn that is open ends."""
        self._rest = np.zeros(0, np.float32)
        return [self._end("silence")] if self._open else []

    def _frame(self, frame: Samples) -> list[Boundary]:
        self._clock += 1
        self.probability = self._model.probability(frame)
        if self._open:
            return self._within(frame)
        return self._outside(frame)

    def _outside(self, frame: Samples) -> list[Boundary]:
        self._before.append(frame)
        settings = self.settings
        self._recent.append(self.probability)
        full = len(self._recent) == settings.onset_frames
        speech = full and sum(self._recent) >= settings.onset * settings.onset_frames
        self._since_speech = 0 if speech else self._since_speech + 1
        silent_s = self._since_speech * FRAME_S
        if silent_s >= settings.forget_s or (self._unsettled and silent_s >= settings.settle_s):
            self._model.reset()
            self._since_speech, self._unsettled = 0, False
        if not (self._pressed if self.push_to_talk else speech):
            return []
        self._open, self._paused = True, False
        self._turn = list(self._before)
        self._before.clear()
        self._speech_frames = sum(one >= settings.release for one in self._recent)
        self._began_s = self.now_s - len(self._recent) * FRAME_S
        self._recent.clear()
        self._last_speech_s = self.now_s
        return [Boundary("began", self.now_s, self._began_s, self.now_s)]

    def _within(self, frame: Samples) -> list[Boundary]:
        self._turn.append(frame)
        settings = self.settings
        found: list[Boundary] = []
        if self.probability >= settings.release:
            self._speech_frames += 1
            self._last_speech_s = self.now_s
            if self._paused:
                self._paused = False
                found.append(self._boundary("went_on"))
        silence_s = self.now_s - self._last_speech_s
        if not self._paused and silence_s >= settings.pause_s - FRAME_S / 2:
            self._paused = True
            found.append(self._boundary("paused"))
        if len(self._turn) * FRAME >= settings.longest_s * RATE:
            found.append(self._end("length"))
        elif not self.push_to_talk and silence_s >= settings.silence_s - FRAME_S / 2:
            found.append(self._end("silence"))
        return found

    def _boundary(self, kind: Literal["paused", "went_on"]) -> Boundary:
        return Boundary(kind, self.now_s, self._began_s, self._last_speech_s)

    def _end(self, ending: Ending) -> Boundary:
        enough = self._speech_frames * FRAME_S >= self.settings.least_speech_s
        boundary = Boundary("ended" if enough else "dropped", self.now_s, self._began_s, self._last_speech_s, ending)
        self._open = False
        self._since_speech = 0
        self._unsettled = True
        if ending == "silence":  # the next first syllable may have begun in it, unnoticed
            self._before.extend(self._turn[-(self._before.maxlen or 0) :])
        return boundary
