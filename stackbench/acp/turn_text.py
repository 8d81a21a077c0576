"""The text of a model's turn while it comes: what is thought and what is answer, piece by piece."""

from __future__ import annotations

from dataclasses import dataclass

from stackbench.thoughts import split_thoughts

__all__ = ["Piece", "TurnText"]

MARKS = ("<", "[", "◁", "&lt;")
"""What a mark of a thought begins with."""
LONGEST_MARK = 40


@dataclass(frozen=True, slots=True)
class Piece:
    """What is new."""

    thought: str = ""
    answer: str = ""


class TurnText:
    """Takes the pieces of one turn, then the turn as it is recorded. Nothing is given twice, unless pieces were missed:
    then the whole answer follows what came of it."""

    def __init__(self) -> None:
        self._said = ""
        self._thought = ""
        self._answer = ""
        self.missed = False
        """Whether pieces were lost on the way here."""

    def add(self, text: str, *, thought: bool = False) -> Piece:
        """A piece of the answer, in which thoughts may stand in their marks; or one of a thought that comes apart."""
        if thought:
            self._thought += text
            return Piece(thought=text)
        self._said += text
        split = split_thoughts(_without_begun_mark(self._said))
        return self._new(split.thought, split.answer) if split.thought else self._new(self._thought, split.answer)

    def finish(self, thought: str, answer: str) -> Piece:
        """What has not been given yet of the turn as it is recorded."""
        if self.missed and not answer.startswith(self._answer):
            return Piece(_beyond(self._thought, thought), f"\n{answer}")
        return self._new(thought, answer)

    def _new(self, thought: str, answer: str) -> Piece:
        found = Piece(_beyond(self._thought, thought), _beyond(self._answer, answer))
        self._thought += found.thought
        self._answer += found.answer
        return found


def _beyond(given: str, whole: str) -> str:
    """What the whole has beyond what was given; nothing where it goes on in another way."""
    return whole[len(given) :] if whole.startswith(given) else ""


def _without_begun_mark(text: str) -> str:
    """Without an end that may be the beginning of a mark."""
    tail = text[-LONGEST_MARK:]
    begun = [place for mark in MARKS if (place := tail.rfind(mark)) >= 0 and not any(c in tail[place:] for c in ">];")]
    return text[: len(text) - len(tail) + min(begun)] if begun else text
