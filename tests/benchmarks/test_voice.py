"""The voice benchmark: its recordings, how they are heard, and its metrics on cases computed by hand."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from stackbench.benchmarks.declared_metrics import kind_of
from stackbench.benchmarks.voice.benchmark import VoiceOptions
from stackbench.benchmarks.voice.clips import load_clips, published_clips, tasks_of
from stackbench.benchmarks.voice.hearing import Hearing
from stackbench.benchmarks.voice.voice_metrics import voice_kinds, voice_metrics
from stackbench.errors import AttemptError, ConfigError
from stackbench.types import AttemptKey, AttemptStatus, AttemptSummary
from stackbench.voice.audio import RATE
from stackbench.voice.audio_file import read_samples
from stackbench.voice.conditions import CONDITIONS, under
from stackbench.voice.endpointing import EndpointSettings
from stackbench.voice.grammar import Grammar
from stackbench.voice.scoring import as_written, character_errors, entities_found, word_errors
from stackbench.voice.spoken_symbols import written
from stackbench.voice.vocabulary import benchmark_names
from tests.voice.pretenders import LOUD, Loudness, ScriptedRecognizer, loud, quiet

CLIPS = load_clips(published_clips())


def test_the_published_recordings_are_as_many_and_as_small_as_promised() -> None:
    kinds = Counter("corrected" if clip.corrected else clip.kind for clip in CLIPS)
    assert kinds == {"coding": 60, "tool": 40, "command": 20, "corrected": 24}
    assert sum(path.stat().st_size for path in published_clips().rglob("*") if path.is_file()) < 25e6
    assert len({clip.voice for clip in CLIPS}) >= 5
    listed = json.loads((published_clips() / "clips.json").read_text())
    for clip in CLIPS[::16]:
        samples = read_samples(clip.path)
        assert len(samples) / RATE == pytest.approx(listed[clip.id]["seconds"], abs=0.001)
        assert clip.speech_ends_s == pytest.approx(len(samples) / RATE - 0.2, abs=0.002)


@pytest.mark.parametrize("clip", [clip for clip in CLIPS if clip.kind == "coding"], ids=lambda clip: clip.id)
def test_the_solution_of_a_coding_request_passes_its_tests_and_a_function_of_nothing_does_not(clip: Any) -> None:
    names: dict[str, Any] = {}
    exec(clip.reference, names)
    assert all(eval(test, names) is True for test in clip.tests)
    nothing = {**names, clip.function: lambda *given: None}
    assert not all(eval(test, nothing) for test in clip.tests)
    assert clip.entities == (clip.function,)


def test_what_is_typed_has_every_entity_and_commands_mean_what_they_say() -> None:
    grammar = Grammar(benchmark_names())
    for clip in CLIPS:
        typed = clip.typed or as_written(clip.say)
        if clip.kind != "command":
            assert not entities_found(clip.entities, typed).missing, clip.id
        for text in (typed, clip.say) if clip.kind == "command" else ():
            found = grammar.understand(text)
            assert (found.action, found.name, dict(found.arguments)) == (clip.action, clip.name, clip.arguments), text


def test_noise_is_as_far_below_speech_as_the_condition_says_and_always_the_same() -> None:
    clean = np.concatenate([quiet(0.5), loud(2, 0.1), quiet(0.5)])
    for condition, decibels in (("snr20", 20), ("snr10", 10), ("snr5", 5)):
        heard = under(clean, condition, "a")
        noise = heard - clean
        found = 10 * np.log10(0.01 / np.mean(noise**2))
        assert found == pytest.approx(decibels, abs=0.3)
        assert np.array_equal(heard, under(clean, condition, "a"))
        assert not np.array_equal(heard, under(clean, condition, "b"))
    echo = under(clean, "reverb", "a")
    assert np.mean(echo[round(2.5 * RATE) : round(2.6 * RATE)] ** 2) > 1e-6  # the room rings on
    assert np.array_equal(under(clean, "clean", "a"), clean)


@pytest.mark.parametrize(
    ("said", "text"),
    [
        ("a function called count underscore vowels that", "a function called count_vowels that"),
        ("copy main dot P Y to old dot p.y.", "copy main.py to old.py"),
        ("the file todo dot T-X-T that", "the file todo.txt that"),
        ("cache.jason and data dot C S V", "cache.json and data.csv"),
        ("run it with dash dash verbose", "run it with --verbose"),
        ("look into slash tmp slash log", "look into /tmp/log"),
        ("connect the dots under scores", "connect the dots under scores"),
    ],
)
def test_symbols_that_are_said_are_written(said: str, text: str) -> None:
    assert written(said) == text


def test_error_rates_are_those_of_whisper_s_normalised_text() -> None:
    assert word_errors("Start with ten tasks, please.", "start with 10 tasks please").errors == 0
    found = word_errors("open the file", "open a big file")
    assert (found.errors, found.length, found.rate) == (2, 3, 2 / 3)
    assert character_errors("cat", "car").rate == pytest.approx(1 / 3)
    assert word_errors("stop", "").rate == 1.0


def test_an_entity_is_recovered_only_as_it_is_spelled() -> None:
    found = entities_found(("notes.txt", "12", "/tmp/a", "--all"), "copy notes.txt.bak to /tmp/a with --all 120 times")
    assert found.found == ("/tmp/a", "--all")
    assert found.missing == ("notes.txt", "12")
    assert entities_found(("notes.txt",), "Delete Notes.txt.").whole


# -- hearing


def folder_with(tmp_path: Path, sound: np.ndarray, **clip: Any) -> Path:
    (tmp_path / "clips").mkdir()
    soundfile.write(tmp_path / "clips" / "mine.wav", sound, RATE)
    rows = [{"id": "mine", "kind": "command", "say": "pause", "action": "verb", "name": "pause", **clip}]
    (tmp_path / "commands.yaml").write_text(json.dumps(rows))
    return tmp_path


async def heard(tmp_path: Path, sound: np.ndarray, *texts: str) -> Any:
    (task,) = tasks_of(load_clips(folder_with(tmp_path, sound)), ["clean"])
    return await Hearing(ScriptedRecognizer(texts), EndpointSettings(), Loudness).hear(task)


async def test_a_recording_of_ones_own_is_heard_with_its_endpoint(tmp_path: Path) -> None:
    found = await heard(tmp_path, np.concatenate([quiet(0.5), loud(1), quiet(0.2)]), "pause")
    assert found.text == "pause"
    assert found.endpoint_s == pytest.approx(0.5, abs=0.07)
    assert found.text_s >= found.endpoint_s
    assert not (found.cut_off or found.false_start or found.never_ended)


async def test_a_pause_within_a_sentence_that_ends_the_turn_is_a_cut(tmp_path: Path) -> None:
    found = await heard(tmp_path, np.concatenate([loud(1), quiet(0.8), loud(1)]), "set concurrency", "to ten")
    assert found.cut_off and found.text == "set concurrency to ten"


async def test_a_recording_in_which_nobody_speaks_has_no_text(tmp_path: Path) -> None:
    found = await heard(tmp_path, loud(2, LOUD / 4), "x")
    assert (found.text, found.endpoint_s, found.why_empty) == ("", None, "no speech was found")


async def test_a_recogniser_that_fails_makes_an_attempt_without_a_verdict(tmp_path: Path) -> None:
    def fail(samples: np.ndarray) -> str:
        raise RuntimeError("out of memory")

    (task,) = tasks_of(load_clips(folder_with(tmp_path, loud(1))), ["clean"])
    with pytest.raises(AttemptError, match="out of memory"):
        await Hearing(ScriptedRecognizer(say=fail), EndpointSettings(), Loudness).hear(task)


def test_a_folder_that_is_none_of_recordings_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nowhere: no such folder; name one with coding.yaml and clips/"):
        load_clips(tmp_path / "nowhere")
    with pytest.raises(ConfigError, match="holds no spoken tasks"):
        load_clips(tmp_path)
    (tmp_path / "coding.yaml").write_text("- {id: a, kind: coding}\n")
    with pytest.raises(ConfigError, match=r"coding.yaml: entry 1: say: Field required"):
        load_clips(tmp_path)
    (tmp_path / "coding.yaml").write_text("- {id: a, kind: coding, say: hello, function: f, tests: [f()]}\n")
    with pytest.raises(ConfigError, match="no recording a.flac"):
        load_clips(tmp_path)
    (tmp_path / "coding.yaml").write_text("id: [")
    with pytest.raises(ConfigError, match="is no YAML"):
        load_clips(tmp_path)
    (tmp_path / "coding.yaml").write_text("id: a")
    with pytest.raises(ConfigError, match="is a list of entries"):
        load_clips(tmp_path)


# -- metrics


def attempt(task: str, condition: str, passed: bool, **metrics: Any) -> AttemptSummary:
    given = {
        "typed_passed": 1.0,
        "word_errors": 1,
        "words": 10,
        "character_errors": 2,
        "characters": 40,
        "entities_found": 1,
        "entities": 2,
        "command_right": None,
        "cut_off": 0.0,
        "false_start": 0.0,
        "never_ended": 0.0,
        "endpoint_ms": 500.0,
        "transcript_ms": 600.0,
        "first_token_ms": None,
        "code_complete_ms": None,
        "executed_ms": None,
        "real_time_factor": 0.1,
    }
    key = AttemptKey("voice", f"{task}@{condition}", 0, 0)
    return AttemptSummary(key, condition, AttemptStatus.COMPLETED, float(passed), passed, 0.0, 0, given | metrics)


def test_metrics_come_for_each_condition_and_what_is_pooled_says_so() -> None:
    attempts = [
        attempt("a", "clean", True, word_errors=0, transcript_ms=500.0, command_right=1.0),
        attempt("b", "clean", True, word_errors=1, entities=4, entities_found=4, words=30),
        attempt("a", "snr5", False, word_errors=5, cut_off=1.0),
        attempt("b", "snr5", True, entities=0, entities_found=0),
    ]
    found = {(one.category, one.name): one.value for one in voice_metrics(attempts)}
    assert voice_metrics(attempts)[0].name == "pooled_pass_rate"
    assert found["clean", "pass_rate"] == 1.0 and found["snr5", "pass_rate"] == 0.5
    assert found["snr5", "cost_of_speech"] == 0.5 and found["", "pooled_cost_of_speech"] == 0.25
    assert found["clean", "wer"] == 1 / 40 and found["snr5", "wer"] == 6 / 20
    assert found["clean", "entity_recovery"] == 5 / 6 and found["clean", "clips_with_all_entities"] == 0.5
    assert found["snr5", "entity_recovery"] == 0.5  # what has no entities does not count
    assert found["clean", "command_accuracy"] == 1.0 and ("snr5", "command_accuracy") not in found
    assert found["snr5", "cut_off"] == 0.5
    assert found["clean", "transcript_ms_p50"] == 550.0 and found["clean", "transcript_ms_p90"] == 590.0
    assert not [name for category, name in found if not category and not name.startswith("pooled_")]
    order = [one.category for one in voice_metrics([attempt("a", c, True) for c in ("reverb", "snr5", "clean")])]
    assert list(dict.fromkeys(order)) == ["", "clean", "snr5", "reverb"]


def test_of_one_recording_there_is_one_latency() -> None:
    found = {one.name: (one.value, one.n) for one in voice_metrics([attempt("a", "clean", True)])}
    assert found["endpoint_ms_p50"] == (500.0, 1) and "endpoint_ms_p90" not in found


def test_one_condition_alone_is_not_pooled_and_every_metric_is_declared() -> None:
    alone = voice_metrics([attempt("a", "clean", True), attempt("b", "clean", False)])
    assert alone[0].name == "pass_rate" and not any(one.name.startswith("pooled_") for one in alone)
    both = voice_metrics([attempt("a", "clean", True), attempt("a", "snr5", True), attempt("b", "snr5", False)])
    assert all(kind_of(voice_kinds(), one.name) is not None for one in (*alone, *both))
    assert set(CONDITIONS) >= {one.category for one in both if one.category}


def test_the_interval_of_an_error_rate_is_that_of_a_ratio() -> None:
    attempts = [attempt(str(n), "clean", True, word_errors=errors) for n, errors in enumerate((0, 1, 2, 1) * 4)]
    (wer,) = [one for one in voice_metrics(attempts) if one.name == "wer" and not one.category]
    assert wer.value == 0.1
    assert wer.stderr == pytest.approx((4 * (1 + 0 + 1 + 0) * 16 / 15) ** 0.5 / 160)
    assert (wer.ci_low, wer.ci_high) == pytest.approx((0.1 - 1.96 * wer.stderr, 0.1 + 1.96 * wer.stderr))
    (few,) = [one for one in voice_metrics(attempts[:14]) if one.name == "wer" and not one.category]
    assert (few.stderr, few.ci_low, few.ci_high, few.n) == (None, None, None, 14)


def test_the_units_of_an_error_rate_are_recordings_not_attempts_at_them() -> None:
    once = [attempt(str(n), "clean", True, word_errors=errors) for n, errors in enumerate((0, 1, 2, 1) * 4)]
    five = once * 5
    for name in ("wer", "cer", "entity_recovery"):
        (first,) = [one for one in voice_metrics(once) if one.name == name and not one.category]
        (again,) = [one for one in voice_metrics(five) if one.name == name and not one.category]
        assert (again.value, again.n) == (first.value, first.n) == (first.value, 16)
        assert again.stderr == pytest.approx(first.stderr)


def test_an_entry_that_nothing_is_asked_of_is_refused(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, quiet(1.0))
    (folder / "coding.yaml").write_text(json.dumps([{"id": "mine", "kind": "coding", "say": "Pause the run."}]))
    with pytest.raises(ConfigError, match=r"coding.yaml: entry 1: .*needs function and tests"):
        load_clips(folder)


def test_options_name_each_condition_once_and_at_least_one() -> None:
    assert VoiceOptions(conditions=("clean", "clean", "snr5")).conditions == ("clean", "snr5")
    with pytest.raises(ValueError, match="takes at least one"):
        VoiceOptions(conditions=())


def test_a_recording_of_ones_own_is_checked_before_the_run(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, loud(1.0))
    (folder / "clips" / "mine.txt").write_text("notes on the recording")
    (clip,) = load_clips(folder)
    assert clip.path.name == "mine.wav"
    (folder / "clips.json").write_text('{"mine": {"speech_ends_s": "late"}}')
    with pytest.raises(ConfigError, match=r"clips.json: mine: Input should be a valid number"):
        load_clips(folder)
    (folder / "clips.json").write_text('{"mine": 5}')
    with pytest.raises(ConfigError, match=r"clips.json: mine: "):
        load_clips(folder)
    (folder / "clips.json").unlink()
    (folder / "clips" / "mine.wav").write_bytes(b"no sound at all")
    with pytest.raises(ConfigError, match=r"mine.wav is no audio that can be read here"):
        load_clips(folder)
    (folder / "commands.yaml").write_text(json.dumps([{"id": "*", "kind": "command", "say": "stop", "action": "verb"}]))
    with pytest.raises(ConfigError, match=r"entry 1: id: "):
        load_clips(folder)


async def test_the_end_of_speech_is_told_by_the_model_of_speech_not_by_the_last_noise(tmp_path: Path) -> None:
    """A door falls shut 2 s after the sentence: one loud sample in a frame that is no speech."""
    sound = np.concatenate([loud(1), quiet(2.0), quiet(0.2)])
    sound[-1000] = 0.5
    (task,) = tasks_of(load_clips(folder_with(tmp_path, sound)), ("clean",))
    heard = await Hearing(ScriptedRecognizer(say=lambda samples: "pause"), EndpointSettings(), Loudness).hear(task)
    assert heard.endpoint_s is not None and 0.4 < heard.endpoint_s < 0.7
    assert not heard.cut_off
