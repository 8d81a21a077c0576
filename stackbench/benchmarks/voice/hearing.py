"""Hears a recording as a microphone would: its text, where the time went, and what endpointing got wrong."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from stackbench.benchmarks.voice.clips import SpokenTask
from stackbench.errors import AttemptError
from stackbench.voice.audio import RATE, Samples, seconds
from stackbench.voice.audio_file import read_samples
from stackbench.voice.conditions import Condition, under
from stackbench.voice.endpointing import Endpointer, EndpointSettings
from stackbench.voice.recognition import Recognizer
from stackbench.voice.speech_probability import FRAME, FRAME_S, SileroModel, SpeechProbability
from stackbench.voice.turns import Dropped, SpeechBegan, Turn, TurnEvent, Turns

__all__ = ["Heard", "Hearing"]

SILENCE_BEHIND_S = 1.5
BLOCK = 1600
CUT_BEFORE_S = 0.3
"""A turn that ends so long before speech does is cut off."""


@dataclass(frozen=True, slots=True)
class Heard:
    """What was understood of a recording; times in seconds from the true end of speech."""

    text: str
    endpoint_s: float | None
    """Until the turn was known to be over; None where it never was."""
    text_s: float | None
    """Until the final text."""
    passes_s: float
    """All passes of the recogniser."""
    sound_s: float
    cut_off: bool
    """The turn ended while somebody still spoke."""
    false_start: bool
    """A turn began where nobody spoke."""
    never_ended: bool
    began_s: float | None
    why_empty: str = ""


class Hearing:
    """One recogniser, which hears one recording at a time, off the event loop."""

    def __init__(
        self,
        recognizer: Recognizer,
        settings: EndpointSettings,
        probability: Callable[[], SpeechProbability] = SileroModel,
    ) -> None:
        self._recognizer = recognizer
        self._settings = settings
        self._probability = probability
        self._alone = asyncio.Lock()
        self._started = False

    async def start(self) -> None:
        """Raises UsageError, ModelError."""
        async with self._alone:
            if not self._started:
                await asyncio.to_thread(self._recognizer.start)
                self._started = True

    async def hear(self, task: SpokenTask) -> Heard:
        """Raises AttemptError: the recogniser failed."""
        await self.start()
        async with self._alone:
            return await asyncio.to_thread(self._hear, task)

    def _hear(self, task: SpokenTask) -> Heard:
        clip = task.spec
        clean = read_samples(clip.path)
        sound = _with_silence_behind(clean, task.condition, clip.id)
        events: list[TurnEvent] = []
        timed = _Timed(self._recognizer)
        turns = Turns(Endpointer(self._probability(), self._settings), timed, events.append, live=False)
        for start in range(0, len(sound), BLOCK):
            turns.feed(sound[start : start + BLOCK])
        ended_inside = not turns.endpointer.in_turn
        turns.finish()
        failed = next((one.why for one in events if isinstance(one, Dropped) and "failed" in one.why), None)
        if failed is not None:
            raise AttemptError(failed)
        said = [one for one in events if isinstance(one, Turn)]
        begins_s, ends_s = clip.speech_begins_s, clip.speech_ends_s
        if begins_s is None or ends_s is None:
            first_s, last_s = self._speech_span_s(clean)
            begins_s = first_s if begins_s is None else begins_s
            ends_s = last_s if ends_s is None else ends_s
        began = [one.at_s for one in events if isinstance(one, SpeechBegan)]
        last = said[-1] if said else None
        dropped = (one.why for one in events if isinstance(one, Dropped))
        behind_s = 0.0 if last is None else last.ended_s - ends_s
        # a turn that was over before the speech was tells of no latency
        too_early = last is not None and ended_inside and behind_s + last.latency.endpoint_s < 0
        known = last is not None and ended_inside and not too_early
        return Heard(
            " ".join(one.text for one in said),
            behind_s + last.latency.endpoint_s if known and last is not None else None,
            behind_s + last.latency.text_s if known and last is not None else None,
            timed.spent_s,
            seconds(sound),
            cut_off=too_early or any(one.ended_s < ends_s - CUT_BEFORE_S for one in said[:-1]),
            false_start=any(at < begins_s - CUT_BEFORE_S or at > ends_s + CUT_BEFORE_S for at in began),
            never_ended=not ended_inside,
            began_s=began[0] - begins_s if began else None,
            why_empty="" if said else next(dropped, "no speech was found"),
        )

    def _speech_span_s(self, samples: Samples) -> tuple[float, float]:
        """Where speech begins and ends, as the model of speech sees the recording; 0 and 0 where there is none."""
        model = self._probability()
        frames = [samples[at : at + FRAME] for at in range(0, len(samples) - FRAME + 1, FRAME)]
        speech = [number for number, frame in enumerate(frames) if model.probability(frame) >= self._settings.release]
        return (speech[0] * FRAME_S, (speech[-1] + 1) * FRAME_S) if speech else (0.0, 0.0)


class _Timed:
    """A recogniser whose passes are timed."""

    def __init__(self, recognizer: Recognizer) -> None:
        self._recognizer = recognizer
        self.name = recognizer.name
        self.start, self.expect, self.partial = recognizer.start, recognizer.expect, recognizer.partial
        self.close = recognizer.close
        self.spent_s = 0.0

    def final(self, samples: Samples):
        begun = time.perf_counter()
        try:
            return self._recognizer.final(samples)
        finally:
            self.spent_s += time.perf_counter() - begun


def _with_silence_behind(clean: Samples, condition: Condition, name: str) -> Samples:
    """The recording under its condition, with the room's own silence behind it."""
    behind = np.zeros(round(SILENCE_BEHIND_S * RATE), np.float32)
    return under(np.concatenate([clean, behind]), condition, name)
