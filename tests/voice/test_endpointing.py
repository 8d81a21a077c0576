"""Where turns begin and end."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from stackbench.voice.audio import RATE
from stackbench.voice.endpointing import Boundary, Endpointer, EndpointSettings
from stackbench.voice.speech_probability import FRAME, SileroModel
from tests.voice.pretenders import Loudness, loud, quiet


def boundaries(endpointer: Endpointer, *parts: np.ndarray, block: int = 777) -> list[Boundary]:
    stream = np.concatenate(parts)
    return [one for start in range(0, len(stream), block) for one in endpointer.feed(stream[start : start + block])]


def kinds(found: list[Boundary]) -> list[str]:
    return [one.kind for one in found]


def test_a_turn_begins_with_speech_seems_to_end_and_ends_after_the_silence() -> None:
    found = boundaries(Endpointer(Loudness()), quiet(1), loud(1), quiet(1))
    assert kinds(found) == ["began", "paused", "ended"]
    began, paused, ended = found
    assert began.speech_began_s == pytest.approx(1.0, abs=0.07)
    assert ended.speech_ended_s == pytest.approx(2.0, abs=0.04)
    assert paused.at_s - paused.speech_ended_s == pytest.approx(0.16, abs=0.033)
    assert ended.at_s - ended.speech_ended_s == pytest.approx(0.5, abs=0.033)


def test_the_sound_of_a_turn_begins_300_ms_before_speech() -> None:
    endpointer = Endpointer(Loudness())
    boundaries(endpointer, quiet(1), loud(0.5))
    first_loud = int(np.argmax(np.abs(endpointer.audio()) > 0)) / RATE
    assert 0.27 <= first_loud <= 0.40


def test_speech_that_goes_on_after_a_pause_is_one_turn() -> None:
    found = boundaries(Endpointer(Loudness()), loud(0.5), quiet(0.3), loud(0.5), quiet(1))
    assert kinds(found) == ["began", "paused", "went_on", "paused", "ended"]


def test_the_silence_that_ends_a_turn_can_be_set() -> None:
    slow = Endpointer(Loudness(), EndpointSettings(silence_s=1.5))
    assert kinds(boundaries(slow, loud(0.5), quiet(1.2))) == ["began", "paused"]
    assert kinds(boundaries(slow, quiet(0.5))) == ["ended"]


def test_a_click_is_no_turn() -> None:
    found = boundaries(Endpointer(Loudness()), quiet(0.5), loud(0.04), quiet(1))
    assert kinds(found) in ([], ["began", "paused", "dropped"])


def test_a_turn_is_cut_at_its_greatest_length_and_the_next_one_goes_on() -> None:
    endpointer = Endpointer(Loudness(), EndpointSettings(longest_s=2))
    found = boundaries(endpointer, loud(3), quiet(1))
    assert kinds(found) == ["began", "ended", "began", "paused", "ended"]
    assert [one.ending for one in found if one.kind == "ended"] == ["length", "silence"]


def test_push_to_talk_takes_what_is_said_while_the_key_is_down_and_nothing_else() -> None:
    endpointer = Endpointer(Loudness(), push_to_talk=True)
    assert boundaries(endpointer, loud(1), quiet(1)) == []
    endpointer.press()
    held = boundaries(endpointer, quiet(0.2), loud(0.5), quiet(2), loud(0.5))
    assert "ended" not in kinds(held) and kinds(held)[0] == "began"
    (ended,) = endpointer.release()
    assert (ended.kind, ended.ending) == ("ended", "released")
    assert boundaries(endpointer, loud(1)) == []


def test_the_state_is_forgotten_after_a_turn_and_after_a_minute_without_speech() -> None:
    model = Loudness()
    endpointer = Endpointer(model)
    boundaries(endpointer, loud(0.5), quiet(1), loud(0.5), quiet(5))
    assert model.resets == 0  # what is said soon after a turn is heard by a model that knows the voice
    boundaries(endpointer, quiet(1))
    assert model.resets == 1
    boundaries(endpointer, quiet(61))
    assert model.resets == 2


def test_a_turn_right_behind_another_keeps_its_first_syllable() -> None:
    endpointer = Endpointer(Loudness())
    ended = boundaries(endpointer, loud(0.5), quiet(0.54))[-1]
    assert ended.kind == "ended"
    began = boundaries(endpointer, loud(0.3))[0]
    assert began.kind == "began"
    before = len(endpointer.audio()) / RATE - (endpointer.now_s - began.speech_began_s)
    assert before == pytest.approx(endpointer.settings.preroll_s, abs=0.04)


def test_an_hour_of_speech_and_silence_by_turns_loses_no_onset() -> None:
    endpointer = Endpointer(Loudness())
    part = np.concatenate([loud(1), quiet(1.5)])
    found: list[Boundary] = []
    for _ in range(3600 * 2 // 5):
        found += endpointer.feed(part)
    began = [one.speech_began_s for one in found if one.kind == "began"]
    assert len(began) == 1440
    assert all(abs(one - 2.5 * number) < 0.1 for number, one in enumerate(began))


@pytest.fixture(scope="module")
def speech(data_dir: Path) -> np.ndarray:
    from stackbench.voice.audio_file import read_samples

    path = data_dir / "speech" / "jfk.flac"
    if not path.is_file():
        pytest.skip("needs speech/jfk.flac in the folder that STACKBENCH_DATA names")
    return read_samples(path)


def test_the_state_is_carried_as_one_pass_over_all_frames_carries_it(speech: np.ndarray) -> None:
    """faster-whisper's own class, given everything at once, is the reference."""
    from faster_whisper.vad import get_vad_model

    whole = speech[: len(speech) // FRAME * FRAME]
    model = SileroModel()
    ours = [model.probability(whole[at : at + FRAME]) for at in range(0, len(whole), FRAME)]
    theirs = get_vad_model()(whole.copy()).reshape(-1)
    assert ours[:-1] == pytest.approx(theirs[:-1].tolist(), abs=1e-3)  # theirs gets the last frame without its context
    model.reset()
    assert model.probability(whole[:FRAME]) == pytest.approx(ours[0])


def test_real_speech_in_and_out_of_silence_is_found_every_time(speech: np.ndarray) -> None:
    phrase = speech[round(5.2 * RATE) : round(7.8 * RATE)]
    endpointer = Endpointer(SileroModel())
    found = boundaries(endpointer, *[part for _ in range(12) for part in (phrase, quiet(1.7))], block=4096)
    began = [one.speech_began_s for one in found if one.kind == "began"]
    assert len(began) == 12
    assert all(abs(one - (4.3 * number + 0.2)) < 0.2 for number, one in enumerate(began))
