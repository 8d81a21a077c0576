"""Partial text."""

from __future__ import annotations

from stackbench.voice.agreement import LocalAgreement, without_repeats


def test_words_that_two_passes_agree_on_are_settled_and_the_rest_is_open() -> None:
    agreement = LocalAgreement()
    assert agreement.update("start human").settled == ""
    second = agreement.update("start humaneval with ten")
    assert (second.settled, second.open) == ("start", "humaneval with ten")
    third = agreement.update("Start humaneval, with ten tasks")
    assert (third.settled, third.open) == ("start humaneval, with ten", "tasks")


def test_a_pass_that_contradicts_what_is_settled_changes_nothing() -> None:
    agreement = LocalAgreement()
    for _ in range(2):
        agreement.update("pause the run")
    found = agreement.update("because the rain")
    assert (found.settled, found.open) == ("pause the run", "")


def test_text_does_not_pile_up() -> None:
    agreement = LocalAgreement()
    for _ in range(5):
        found = agreement.update("pause the run")
    assert found.text == "pause the run"
    agreement.reset()
    assert agreement.update("go on").text == "go on"


def test_a_phrase_that_a_decoder_repeats_is_kept_twice_at_most() -> None:
    assert without_repeats(["asked", "asked", "asked", "asked", "asked"]) == ["asked", "asked"]
    assert (
        " ".join(without_repeats(["and", "so", "and", "so", "and", "so", "and", "so", "we", "go"]))
        == "and so and so we go"
    )
    assert without_repeats(["1", "1", "1", "1"]) == ["1", "1", "1", "1"]
    assert without_repeats(["set", "it", "to", "twenty", "no", "ten"]) == ["set", "it", "to", "twenty", "no", "ten"]
