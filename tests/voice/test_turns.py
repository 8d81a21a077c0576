"""From samples to turns with text."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import psutil
import pytest
import soundfile

from stackbench.voice.audio import RATE, Samples
from stackbench.voice.audio_file import read_blocks
from stackbench.voice.endpointing import Endpointer
from stackbench.voice.recognition import Transcript
from stackbench.voice.turns import Dropped, Level, Partial, SpeechBegan, Turn, TurnEvent, Turns
from tests.voice.pretenders import Loudness, ScriptedRecognizer, loud, quiet
from tests.waiting import wait_for


class Clock:
    """Each look takes a moment, so that a pass has a length."""

    def __init__(self, step_s: float) -> None:
        self.step_s = step_s
        self.now_s = 0.0

    def __call__(self) -> float:
        self.now_s += self.step_s
        return self.now_s


def hear(recognizer: ScriptedRecognizer, *parts: Samples, step_s: float = 0.0) -> list[TurnEvent]:
    heard: list[TurnEvent] = []
    turns = Turns(Endpointer(Loudness()), recognizer, heard.append, live=False, now=Clock(step_s))
    stream = np.concatenate(parts)
    for start in range(0, len(stream), 512):
        turns.feed(stream[start : start + 512])
    turns.finish()
    return heard


def turns_of(heard: list[TurnEvent]) -> list[Turn]:
    return [one for one in heard if isinstance(one, Turn)]


def test_a_turn_has_its_text_and_its_place() -> None:
    heard = hear(ScriptedRecognizer(["pause", "resume"]), quiet(0.5), loud(1), quiet(1), loud(1), quiet(1))
    assert [one.text for one in turns_of(heard)] == ["pause", "resume"]
    assert [round(one.began_s) for one in turns_of(heard)] == [0, 2]
    assert sum(isinstance(one, SpeechBegan) for one in heard) == 2


def test_the_final_pass_begins_at_the_pause_and_its_text_is_there_at_the_endpoint() -> None:
    (turn,) = turns_of(hear(ScriptedRecognizer(["pause"]), loud(1), quiet(1), step_s=0.2))
    assert turn.latency.pass_s == pytest.approx(0.2)
    assert turn.latency.text_s == turn.latency.endpoint_s == pytest.approx(0.5, abs=0.033)
    assert turn.latency.after_endpoint_s == 0


def test_a_pass_longer_than_the_silence_is_counted_from_the_pause() -> None:
    (turn,) = turns_of(hear(ScriptedRecognizer(["pause"]), loud(1), quiet(1), step_s=1.0))
    assert turn.latency.text_s == pytest.approx(0.16 + 1.0)


def test_a_pass_that_began_too_early_is_thrown_away() -> None:
    recognizer = ScriptedRecognizer(["start human", "start human eval"])
    (turn,) = turns_of(hear(recognizer, loud(1), quiet(0.3), loud(1), quiet(1)))
    assert turn.text == "start human eval"
    assert turn.latency.thrown_away == 1
    assert len(recognizer.finals[0]) < len(recognizer.finals[1])


def test_a_turn_in_which_nothing_is_understood_has_no_text_and_says_why() -> None:
    heard = hear(ScriptedRecognizer([""]), loud(1), quiet(1))
    assert not turns_of(heard)
    assert [one.why for one in heard if isinstance(one, Dropped)] == ["no words"]


def test_a_recogniser_that_fails_does_not_end_listening() -> None:
    def say(samples: Samples) -> str:
        if len(samples) < RATE:
            raise RuntimeError("out of memory")
        return "pause"

    heard: list[TurnEvent] = []
    turns = Turns(Endpointer(Loudness()), ScriptedRecognizer(say=say), heard.append, now=Clock(0))
    for part in (loud(0.4), quiet(1), loud(1.5), quiet(1)):
        turns.feed(part)
    turns.finish()
    assert [one.why for one in heard if isinstance(one, Dropped)] == ["the recogniser failed: out of memory"]
    assert [one.text for one in turns_of(heard)] == ["pause"]


def test_sound_that_is_cut_at_full_scale_is_told() -> None:
    (clipped,) = turns_of(hear(ScriptedRecognizer(["pause"]), loud(1, 1.0), quiet(1)))
    (clean,) = turns_of(hear(ScriptedRecognizer(["pause"]), loud(1, 0.5), quiet(1)))
    assert clipped.clipped and not clean.clipped


def test_the_level_is_told_while_nobody_speaks() -> None:
    levels = [one for one in hear(ScriptedRecognizer(["x"]), quiet(2)) if isinstance(one, Level)]
    assert 15 <= len(levels) <= 22
    assert all(level.dbfs == -120 and not level.in_turn for level in levels)


def test_speech_while_something_is_carried_out_is_a_barge_in_or_is_not_heard() -> None:
    for barge_in, expected in ((True, [True]), (False, [])):
        heard: list[TurnEvent] = []
        turns = Turns(Endpointer(Loudness()), ScriptedRecognizer(["stop"]), heard.append, live=False, barge_in=barge_in)
        turns.busy = True
        turns.feed(np.concatenate([loud(1), quiet(1)]))
        turns.finish()
        assert [one.barge_in for one in heard if isinstance(one, SpeechBegan)] == expected


def test_live_there_is_partial_text_while_somebody_speaks_and_final_text_after() -> None:
    heard: list[TurnEvent] = []
    partial_made = threading.Event()

    class Recognizer(ScriptedRecognizer):
        def partial(self, samples: Samples) -> Transcript:
            partial_made.set()
            return Transcript("start human eval")

    turns = Turns(Endpointer(Loudness()), Recognizer(["start human eval"]), heard.append, now=Clock(0.7))
    turns.feed(loud(1))
    turns.feed(loud(0.1))
    assert partial_made.wait(10)
    wait_for(lambda: any(isinstance(one, Partial) for one in heard), within_s=10)
    turns.feed(quiet(1))
    turns.finish()
    assert [one.text for one in turns_of(heard)] == ["start human eval"]
    assert isinstance([one for one in heard if not isinstance(one, Level)][-1], Turn)


class Forgetful(ScriptedRecognizer):
    """Keeps nothing of what it heard."""

    def final(self, samples: Samples) -> Transcript:
        return Transcript("so it is", confidence=0.9)


def test_an_hour_long_file_takes_no_more_memory_than_five_minutes_of_it(tmp_path: Path) -> None:
    path = tmp_path / "hour.wav"
    part = np.concatenate([loud(5), quiet(25)])[::2]
    with soundfile.SoundFile(path, "w", RATE // 2, 1, subtype="PCM_16") as file:
        for _ in range(120):
            file.write(part)
    heard = 0

    def tell(event: TurnEvent) -> None:
        nonlocal heard
        heard += isinstance(event, Turn)

    turns = Turns(Endpointer(Loudness()), Forgetful(), tell, live=False)
    memory, length, early = psutil.Process(), 0, 0
    for block in read_blocks(path):
        turns.feed(block)
        length += len(block)
        if not early and length > 300 * RATE:
            early = memory.memory_info().rss
    turns.finish()
    assert (heard, round(length / RATE)) == (120, 3600)
    assert memory.memory_info().rss - early < 30e6  # its samples are 230 MB
