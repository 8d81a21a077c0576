"""A turn's text piece by piece: thoughts are told from the answer while both come, and nothing is given twice."""

from __future__ import annotations

import pytest

from stackbench.acp.turn_text import TurnText


def told(pieces: list[str], thought: str, answer: str) -> tuple[str, str]:
    """What a client was given in the end, of a turn that is recorded as `thought` and `answer`."""
    text = TurnText()
    found = [*(text.add(piece) for piece in pieces), text.finish(thought, answer)]
    return "".join(one.thought for one in found), "".join(one.answer for one in found)


@pytest.mark.parametrize("size", [1, 2, 5, 100])
@pytest.mark.parametrize(
    ("said", "thought", "answer"),
    [
        ("an answer", "", "an answer"),
        ("<think>so it is</think>an answer", "so it is", "an answer"),
        ("a < b and a[0] > 1; x <", "", "a < b and a[0] > 1; x <"),
        ("", "", ""),
    ],
)
def test_pieces_of_any_size_come_to_the_same(said: str, thought: str, answer: str, size: int) -> None:
    pieces = [said[at : at + size] for at in range(0, len(said), size)]
    assert told(pieces, thought, answer) == (thought, answer)


def test_an_answer_comes_as_it_is_written() -> None:
    text = TurnText()
    assert text.add("one ").answer == "one " and text.add("two").answer == "two"


def test_a_thought_that_comes_apart_is_given_at_once() -> None:
    text = TurnText()
    assert text.add("hm, ", thought=True).thought == "hm, "
    assert text.add("an answer").answer == "an answer"
    last = text.finish("hm, yes", "an answer.")
    assert (last.thought, last.answer) == ("yes", ".")


def test_a_turn_without_pieces_is_given_at_its_end() -> None:
    assert told([], "a thought", "an answer") == ("a thought", "an answer")


def test_where_pieces_were_missed_the_whole_answer_follows() -> None:
    text = TurnText()
    text.add("one ")
    text.add("three")
    text.missed = True
    assert text.finish("", "one two three").answer == "\none two three"
    whole = TurnText()
    whole.add("one ")
    whole.missed = True
    assert whole.finish("", "one two").answer == "two"
