"""From samples to turns: endpointing, partial text, and a final pass that begins when speech seems to end."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from stackbench.voice.agreement import LocalAgreement, PartialText
from stackbench.voice.audio import Samples, clipped_share, level_dbfs, seconds
from stackbench.voice.endpointing import Boundary, Ending, Endpointer
from stackbench.voice.recognition import Recognizer, Transcript
from stackbench.voice.speech_probability import FRAME

__all__ = ["Dropped", "Latency", "Level", "Partial", "SpeechBegan", "Turn", "TurnEvent", "Turns"]

LEVEL_EVERY_S = 0.1
PARTIAL_EVERY_S = 0.6
PARTIAL_SHARE = 2.0
"""A partial pass is followed by a rest of so many times its length."""
CLIPPED = 0.01


@dataclass(frozen=True, slots=True)
class Latency:
    """Where the time of a turn went, in seconds; those `since_speech` count from the end of speech."""

    speech_s: float
    """From its first to its last word."""
    endpoint_s: float
    """From the end of speech until the turn was known to be over: the silence."""
    text_s: float
    """From the end of speech to the final text (time to final segment)."""
    pass_s: float
    """The final pass of the recogniser alone."""
    thrown_away: int
    """Final passes that began too early."""

    @property
    def after_endpoint_s(self) -> float:
        return self.text_s - self.endpoint_s


@dataclass(frozen=True, slots=True)
class Level:
    """How loud it is, some ten times a second."""

    dbfs: float
    probability: float
    """Of speech."""
    in_turn: bool


@dataclass(frozen=True, slots=True)
class SpeechBegan:
    at_s: float
    barge_in: bool
    """Whether what was said before is still being carried out."""


@dataclass(frozen=True, slots=True)
class Partial:
    text: PartialText


@dataclass(frozen=True, slots=True)
class Turn:
    """What somebody said."""

    transcript: Transcript
    latency: Latency
    ending: Ending
    began_s: float
    ended_s: float
    """Speech began and ended there, since the beginning of the stream."""
    audio: Samples
    clipped: bool

    @property
    def text(self) -> str:
        return self.transcript.text


@dataclass(frozen=True, slots=True)
class Dropped:
    """A turn without text."""

    why: str
    began_s: float
    ended_s: float
    """The sound began and ended there, since the beginning of the stream."""


TurnEvent: TypeAlias = Level | SpeechBegan | Partial | Turn | Dropped


@dataclass(eq=False)
class _Pass:
    """A final pass under way or done."""

    future: Future[Transcript]
    begun: float
    ended: float = 0.0

    def length(self) -> float:
        return self.ended - self.begun


class Turns:
    """`feed` samples of one stream. Live, the recogniser works in a thread of its own, and so do its events.

    Recorded (`live` False), passes are made within `feed` and their measured lengths are placed on the recording's own
    clock: a final pass that began at the pause is ready so much later, whether or not the turn has ended by then.
    """

    def __init__(
        self,
        endpointer: Endpointer,
        recognizer: Recognizer,
        tell: Callable[[TurnEvent], None],
        *,
        live: bool = True,
        partial: bool = True,
        barge_in: bool = True,
        now: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.endpointer = endpointer
        self.recognizer = recognizer
        self.busy = False
        """Set while what was said is carried out."""
        self._tell = tell
        self._live = live
        self._partials = partial and live
        self._barge_in = barge_in
        self._now = now
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="recognizer") if live else None
        self._agreement = LocalAgreement()
        self._final: _Pass | None = None
        self._partial: Future[None] | None = None
        self._thrown_away = 0
        self._turn_number = 0
        self._next_partial = 0.0
        self._next_level_s = 0.0

    def feed(self, samples: Samples) -> None:
        """The next samples, any number of them."""
        for start in range(0, len(samples), FRAME):  # several turns may lie in them: each is taken as it ends
            self._feed(samples[start : start + FRAME])

    def _feed(self, samples: Samples) -> None:
        if self.busy and not self._barge_in:
            samples = np.zeros(len(samples), np.float32)
        for boundary in self.endpointer.feed(samples):
            self._at(boundary)
        if self.endpointer.now_s >= self._next_level_s:
            self._next_level_s = self.endpointer.now_s + LEVEL_EVERY_S
            self._tell(Level(level_dbfs(samples), self.endpointer.probability, self.endpointer.in_turn))
        self._maybe_partial()

    def press(self) -> None:
        """The key of push-to-talk goes down."""
        self.endpointer.press()

    def release(self) -> None:
        """The key goes up."""
        for boundary in self.endpointer.release():
            self._at(boundary)

    def finish(self) -> None:
        """The stream is over; waits for the texts of what was said."""
        for boundary in self.endpointer.finish():
            self._at(boundary)
        if self._pool is not None:
            self._pool.shutdown(wait=True)

    def _at(self, boundary: Boundary) -> None:
        if boundary.kind == "began":
            self._turn_number += 1
            self._thrown_away = 0
            self._agreement.reset()
            self._next_partial = self._now() + PARTIAL_EVERY_S
            self._tell(SpeechBegan(boundary.speech_began_s, self.busy))
        elif boundary.kind == "paused":
            self._final = self._begin(self.endpointer.audio())
        elif boundary.kind == "went_on":
            self._throw_away()
        elif boundary.kind == "dropped":
            self._throw_away()
            self._tell(_dropped("too short for speech", boundary))
        else:
            self._end(boundary)

    def _begin(self, samples: Samples) -> _Pass:
        if self._pool is None:
            begun = self._now()
            future: Future[Transcript] = Future()
            try:
                future.set_result(self.recognizer.final(samples))
            except Exception as error:
                future.set_exception(error)
            return _Pass(future, begun, self._now())
        made = _Pass(Future(), self._now())

        def work() -> Transcript:
            made.begun = self._now()
            try:
                return self.recognizer.final(samples)
            finally:
                made.ended = self._now()

        made.future = self._pool.submit(work)
        return made

    def _throw_away(self) -> None:
        if self._final is not None:
            self._final.future.cancel()
            self._final = None
            self._thrown_away += 1

    def _end(self, boundary: Boundary) -> None:
        audio = self.endpointer.audio()
        known = self._now()
        silence_s = boundary.at_s - boundary.speech_ended_s
        early = self._final is not None
        made = self._final or self._begin(audio)
        self._final = None
        thrown_away = self._thrown_away
        pause_s = self.endpointer.settings.pause_s

        def deliver(future: Future[Transcript]) -> None:
            if self._live:
                text_s = silence_s + max(0.0, self._now() - known)
            else:
                text_s = max(silence_s, (pause_s if early else silence_s) + made.length())
            self._deliver(boundary, audio, future, Latency(
                boundary.speech_ended_s - boundary.speech_began_s, silence_s, text_s, made.length(), thrown_away
            ))  # fmt: skip

        made.future.add_done_callback(deliver)

    def _deliver(self, boundary: Boundary, audio: Samples, future: Future[Transcript], latency: Latency) -> None:
        try:
            transcript = future.result()
        except Exception as error:  # a recogniser that fails must not end listening
            self._tell(_dropped(f"the recogniser failed: {error}", boundary))
            return
        if not transcript.text:
            self._tell(_dropped(transcript.why_empty or "no words", boundary))
            return
        self._tell(
            Turn(
                transcript,
                latency,
                boundary.ending,
                boundary.speech_began_s,
                boundary.speech_ended_s,
                audio,
                clipped_share(audio) > CLIPPED,
            )
        )

    def _maybe_partial(self) -> None:
        """Begins a pass over the turn so far, where nothing else is being recognised."""
        if not self._partials or self._pool is None or not self.endpointer.in_turn or self._final is not None:
            return
        if self._now() < self._next_partial or (self._partial is not None and not self._partial.done()):
            return
        samples, number = self.endpointer.audio(), self._turn_number
        if seconds(samples) < PARTIAL_EVERY_S:
            return

        def work() -> None:
            begun = self._now()
            text = self.recognizer.partial(samples).text
            took = self._now() - begun
            self._next_partial = self._now() + max(PARTIAL_EVERY_S, PARTIAL_SHARE * took)
            if number == self._turn_number and self.endpointer.in_turn:
                self._tell(Partial(self._agreement.update(text)))

        self._partial = self._pool.submit(work)


def _dropped(why: str, boundary: Boundary) -> Dropped:
    return Dropped(why, boundary.speech_began_s, boundary.speech_ended_s)
