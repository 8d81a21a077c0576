"""The recogniser with real weights, and its weights by name."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from stackbench.errors import ModelNotAvailableError, UsageError
from stackbench.voice.audio import RATE, Samples
from stackbench.voice.audio_file import read_samples
from stackbench.voice.conditions import noise_of
from stackbench.voice.endpointing import Endpointer, EndpointSettings
from stackbench.voice.speech_probability import SileroModel
from stackbench.voice.turns import Turn, TurnEvent, Turns
from stackbench.voice.vocabulary import names_in_play
from stackbench.voice.weights import find_weights, weights_name
from stackbench.voice.whisper import WhisperRecognizer

Weights = Callable[[str], Path]
CLIPS = Path(__file__).parents[2] / "audio_fixtures" / "clips"
JFK = "and so my fellow americans ask not what your country can do for you ask what you can do for your country"


@pytest.fixture(scope="module")
def speech(data_dir: Path) -> Samples:
    return read_samples(data_dir / "speech" / "jfk.flac")


@pytest.fixture(scope="module", params=["whisper-base", "whisper-tiny.en"])
def whisper(request: pytest.FixtureRequest, whisper_weights: Weights) -> WhisperRecognizer:
    made = WhisperRecognizer(whisper_weights(request.param), device="cpu")
    made.start()
    return made


def words(text: str) -> str:
    from whisper_normalizer.english import EnglishTextNormalizer

    return EnglishTextNormalizer()(text)


@pytest.mark.model
def test_every_word_of_a_real_recording_is_right(whisper: WhisperRecognizer, speech: Samples) -> None:
    assert words(whisper.final(speech).text) == words(JFK)


@pytest.mark.model
@pytest.mark.parametrize("silence_s", [0.5, 1.0, 1.5])
def test_no_word_is_lost_between_turns(whisper_weights: Weights, speech: Samples, silence_s: float) -> None:
    """A second of silence ends the first turn just where the next word begins."""
    whisper = WhisperRecognizer(whisper_weights("whisper-base"), device="cpu")
    heard: list[TurnEvent] = []
    turns = Turns(Endpointer(SileroModel(), EndpointSettings(silence_s=silence_s)), whisper, heard.append, live=False)
    turns.feed(speech)
    turns.finish()
    assert words(" ".join(one.text for one in heard if isinstance(one, Turn))) == words(JFK)


@pytest.mark.model
def test_names_in_play_do_no_harm_to_what_has_none_of_them(whisper: WhisperRecognizer, speech: Samples) -> None:
    whisper.expect(names_in_play())
    try:
        assert words(whisper.final(speech).text) == words(JFK)
    finally:
        whisper.expect(())


@pytest.mark.model
def test_nothing_is_understood_where_nobody_speaks(whisper: WhisperRecognizer) -> None:
    noise = np.random.default_rng(1).normal(0, 0.05, 3 * RATE).astype(np.float32)
    hum = (0.1 * np.sin(2 * np.pi * 100 * np.arange(3 * RATE) / RATE)).astype(np.float32)
    whisper.expect(names_in_play())
    try:
        for sound in (np.zeros(3 * RATE, np.float32), noise, hum, np.zeros(0, np.float32)):
            assert whisper.final(sound).text == ""
    finally:
        whisper.expect(())


def test_a_recogniser_is_called_by_its_name_or_its_size() -> None:
    assert weights_name("base") == weights_name("whisper-base") == "whisper-base"
    assert weights_name("large") is None


def test_weights_that_are_not_there_name_the_command_that_fetches_them(tmp_path: Path) -> None:
    with pytest.raises(ModelNotAvailableError, match="stackbench models pull whisper-tiny.en"):
        find_weights("tiny.en", tmp_path)
    with pytest.raises(UsageError, match='no recogniser is named "whisper-bas".*did you mean.*whisper-base'):
        find_weights("whisper-bas", tmp_path)


def test_a_folder_with_another_file_of_that_name_is_refused_in_a_line(tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_bytes(b"not a model")
    with pytest.raises(ModelNotAvailableError, match="holds no Whisper model"):
        WhisperRecognizer(find_weights(str(tmp_path), tmp_path), device="cpu").start()


@pytest.mark.model
def test_a_language_that_the_model_does_not_know_is_refused(whisper_weights: Weights) -> None:
    with pytest.raises(UsageError, match='English only, not "de"'):
        WhisperRecognizer(whisper_weights("whisper-tiny.en"), language="de", device="cpu").start()
    with pytest.raises(UsageError, match='knows no language "klingon"'):
        WhisperRecognizer(whisper_weights("whisper-base"), language="klingon", device="cpu").start()


@pytest.mark.model
def test_ten_minutes_of_noise_and_silence_give_no_text(whisper: WhisperRecognizer) -> None:
    """Rooms from quiet to loud, a hum, clicks; the names in play must not come out of nothing."""
    random = np.random.default_rng(7)
    minute = 60 * RATE
    clicks = np.zeros(minute, np.float32)
    clicks[:: 3 * RATE] = 0.9
    hum = (0.2 * np.sin(2 * np.pi * 50 * np.arange(minute) / RATE)).astype(np.float32)
    rooms = [np.float32(level) * noise_of(minute, random) for level in (0.003, 0.01, 0.03, 0.1)]
    white = [np.float32(level) * random.normal(size=minute).astype(np.float32) for level in (0.01, 0.1)]
    whisper.expect(names_in_play())
    heard: list[TurnEvent] = []
    turns = Turns(Endpointer(SileroModel()), whisper, heard.append, live=False)
    try:
        for sound in (np.zeros(2 * minute, np.float32), clicks, hum, *rooms, *white):
            for start in range(0, len(sound), RATE):
                turns.feed(sound[start : start + RATE])
        turns.finish()
    finally:
        whisper.expect(())
    assert turns.endpointer.now_s > 599
    assert [one.text for one in heard if isinstance(one, Turn)] == []


@pytest.mark.model
@pytest.mark.parametrize(
    ("voice", "said"),
    [
        ("de", "Bitte starte den Lauf mit zehn Aufgaben und zeige mir danach die Fehler"),
        ("de", "Guten Tag, ich muss zu einer Autowerkstatt und ein Brot kaufen"),  # English 0.43 by its five seconds
        ("fr", "Bonjour, montrez moi les erreurs de la derniere execution"),
        ("es", "Por favor, muestrame los errores de la ultima prueba"),
        ("pl", "Proszę rozpocząć próbę z dziesięcioma zadaniami"),
    ],
)
def test_another_language_than_the_one_asked_for_is_no_command(
    voice: str, said: str, whisper_weights: Weights, tmp_path: Path
) -> None:
    if shutil.which("espeak-ng") is None:
        pytest.skip("needs espeak-ng")
    path = tmp_path / "said.wav"
    subprocess.run(["espeak-ng", "-v", voice, "-s", "140", "-w", path, said], check=True)
    made = WhisperRecognizer(whisper_weights("whisper-base"), device="cpu")
    made.expect(names_in_play())
    made.start()
    found = made.final(read_samples(path))
    assert found.text == ""
    assert "that sounded like" in found.why_empty or "repeats what was expected" in found.why_empty


@pytest.mark.model
def test_a_short_window_that_takes_english_for_another_language_does_not_decide(whisper: WhisperRecognizer) -> None:
    """The clip says "make a folder called enter, no, called out": English 0.04 by its four seconds, 0.29 by all 30."""
    found = whisper.final(read_samples(CLIPS / "corrected-19.flac"))
    assert (found.why_empty, found.text[:20]) == ("", "Make a folder called")


@pytest.mark.model
def test_a_short_command_of_a_bad_voice_is_understood_once_it_is_expected(whisper: WhisperRecognizer) -> None:
    whisper.expect(names_in_play())
    try:
        assert words(whisper.final(read_samples(CLIPS / "command-04.flac")).text) == "pause the run"
    finally:
        whisper.expect(())
