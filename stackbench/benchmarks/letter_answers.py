"""Extracts the letter of a multiple-choice answer from text."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence, Set

from stackbench.benchmarks.answer_end import end_of_answer
from stackbench.benchmarks.letter_mentions import LETTERS, Mentions

__all__ = ["LETTERS", "find_letter"]

SENTENCE = 40
"""Tokens that are read behind words such as "the answer"."""
BETWEEN = ":=-\uff1a\u2192\u2013\u2014"
COMMAS = ",:\uff0c\uff1a"
LONGEST_CHOICE = 2000
"""Characters of an answer that are compared with a choice."""
ORDER = {"first": "A", "second": "B", "third": "C", "fourth": "D", "last": "D"}
TURNING = {"but", "however", "instead"}
COUNTED = {"answer", "choice", "option"}
TAG = re.compile(r"<(/?)([A-Za-z]{1,20})>")
LATEX = re.compile(r"\\(?:text|textbf|textrm|textit|mathrm|mathbf|mathit|mathsf|mbox|bf|rm|left|right|displaystyle)\b")


def find_letter(text: str, choices: Sequence[str] = ()) -> str:
    """The letter that an answer decides for; empty where it names none, or several without deciding.

    Of the statements that decide (`Answer: B`, `so B`, `B is correct`, `\\boxed{B}`, a last line that is but a letter)
    the last counts; without one, a letter that the answer begins with, or the only one that it names without ruling it
    out. `A` and `a` as words are no letters: small letters count where they are marked as such, `(b)`, `**b**`, `b)`,
    or end a statement. The text of exactly one choice in place of a letter is that choice.

    Args:
        choices: the texts of the choices, in the order of their letters.
    """
    text = _plain(end_of_answer(text))
    whole = _by_content(text, choices)
    if whole:
        return whole
    return _Reading(text, choices).letter()


class _Reading:
    """What a text's statements decide."""

    def __init__(self, text: str, choices: Sequence[str]) -> None:
        self.seen = Mentions(text)
        self.choices = choices

    def letter(self) -> str:
        decided: dict[int, str] = {}
        for at, letter in self._decisions():
            decided[at] = letter
        if decided:
            return decided[max(decided)]
        left = [at for at in self.seen.mentions if at not in self.seen.ruled_out]
        leading = self._leading(left)
        if leading:
            return leading
        if not self.seen.mentions:
            return self._by_order()
        named = {self.seen.mentions[at] for at in left}
        return named.pop() if len(named) == 1 else ""

    def _decisions(self) -> Iterator[tuple[int, str]]:
        """Places and letters of the statements that decide; an undecided statement gives an empty letter."""
        for at, token in enumerate(self.seen.tokens):
            if self._is_answer_word(at):
                yield from self._said_to_be_answer(at)
            elif token.low in self.seen.words.concluding or any(
                token.text.endswith(part) for part in self.seen.words.chosen
            ):
                yield from self._concluded(at)
            elif token.low in TURNING:
                yield from self._concluded(at, named={"it", "it's", "answer"})
        for at in self.seen.mentions:
            if at in self.seen.ruled_out:
                continue
            correct = self.seen.verdict(at) == "correct"
            if correct and self._is_one_of_several(at):
                yield at, ""
            elif correct or self._is_last_line(at):
                yield at, self.seen.mentions[at]

    def _is_answer_word(self, at: int) -> bool:
        token = self.seen.tokens[at]
        if token.low in self.seen.words.answer_words or any(
            part in token.text for part in self.seen.words.answer_parts
        ):
            return True
        if token.low not in self.seen.words.choice_words and token.low != "selection":
            return False
        before, behind = self.seen.get(at - 1), self.seen.get(at + 1)
        qualified = before is not None and before.low in self.seen.words.correct | {"my"}
        return qualified or (behind is not None and (behind.low in ("is", "was") or behind.text in ":="))

    def _said_to_be_answer(self, at: int) -> Iterator[tuple[int, str]]:
        linked = any(self.seen.tokens[at].text.endswith(part) for part in ("是", "为", "は"))
        words = 0
        begun = False
        for place in range(at + 1, min(len(self.seen.tokens), at + 1 + SENTENCE)):
            token = self.seen.tokens[place]
            if place in self.seen.mentions and place not in self.seen.ruled_out:
                if linked or words <= 1:
                    yield place, "" if self._is_undecided(place) else self.seen.mentions[place]
                return
            if token.low in self.seen.words.copulas or token.text in BETWEEN:
                if not linked and (found := self._content(place + 1)):
                    yield place, found
                    return
                linked = True
            elif token.text == "\n":
                if begun or not linked:
                    return
            elif token.text in self.seen.words.stops and self._ends_sentence(place):
                return
            elif token.text not in self.seen.words.markup:
                words += 1
                begun = begun or linked

    def _concluded(self, at: int, named: Set[str] = frozenset()) -> Iterator[tuple[int, str]]:
        """The letter behind a word that concludes; with `named`, where one of those words stands between."""
        is_named = not named
        for place in range(at + 1, min(len(self.seen.tokens), at + 8)):
            token = self.seen.tokens[place]
            if place in self.seen.mentions:
                if is_named and place not in self.seen.ruled_out and not self._is_undecided(place):
                    yield place, self.seen.mentions[place]
                return
            is_named = is_named or token.low in named
            if (
                token.low not in self.seen.words.fillers
                and token.text not in self.seen.words.markup
                and token.text not in COMMAS
            ):
                return

    def _is_undecided(self, at: int) -> bool:
        """Whether a mention is joined to another letter that is not ruled out: `B or C`."""
        other = self.seen.joined(at, 1)
        if other < 0 or other in self.seen.ruled_out or self.seen.mentions[other] == self.seen.mentions[at]:
            return False
        return self.seen.verdict(other) == ""

    def _is_one_of_several(self, at: int) -> bool:
        """Whether several letters are said to be right together: `A and B are correct`."""
        behind = self.seen.skip_on(at + 1, self.seen.words.markup)
        other = self.seen.joined(at, -1)
        return (
            behind is not None
            and behind.low == "are"
            and other >= 0
            and other not in self.seen.ruled_out
            and self.seen.mentions[other] != self.seen.mentions[at]
        )

    def _by_order(self) -> str:
        """The letter of an answer that counts the choices instead: `the second option`."""
        counted = [token for token in self.seen.tokens if token.low in ORDER]
        named = {ORDER[token.low] for token in counted}
        behind = [self.seen.get(token.place + 1) for token in counted]
        meant = any(token is not None and token.low in COUNTED for token in behind)
        return named.pop() if meant and len(named) == 1 else ""

    def _content(self, at: int) -> str:
        """The letter of the one choice whose text stands at a place, up to the end of the sentence or line."""
        if not self.choices or at >= len(self.seen.tokens):
            return ""
        while at < len(self.seen.tokens) and (
            self.seen.tokens[at].text in self.seen.words.markup or self.seen.tokens[at].text == "\n"
        ):
            at += 1
        if at >= len(self.seen.tokens):
            return ""
        line = self.seen.text[self.seen.tokens[at].begin : self.seen.tokens[at].begin + LONGEST_CHOICE].split("\n", 1)[
            0
        ]
        return _by_content(line, self.choices) or _by_content(line.split(". ", 1)[0], self.choices)

    def _is_last_line(self, at: int) -> bool:
        """Whether a letter is all that the last line holds."""
        around = self.seen.words.markup | {".", ":"}
        before, behind = self.seen.skip_back(at - 1, around), self.seen.skip_on(at + 1, around | {"\n"})
        return behind is None and (before is None or before.text == "\n")

    def _leading(self, left: Sequence[int]) -> str:
        """The letter that an answer begins with, unless it goes on to list others in the same way."""
        if not left:
            return ""
        first = left[0]
        before, behind = self.seen.skip_back(first - 1, self.seen.words.markup), self.seen.get(first + 1)
        if before is not None or (behind is not None and behind.text not in ".):*_]},\n-\u2013\u2014"):
            return ""
        labels = {
            self.seen.mentions[at]
            for at in left
            if self.seen.is_line_label(at) or ((mark := self.seen.get(at + 1)) and mark.text == ":")
        }
        listed = len(labels) > 1 and self.seen.mentions[first] in labels and behind is not None and behind.text != "\n"
        undecided = listed or self._is_undecided(first)
        return "" if undecided else self.seen.mentions[first]

    def _ends_sentence(self, at: int) -> bool:
        behind = self.seen.get(at + 1)
        return behind is None or behind.begin > self.seen.tokens[at].end or not self.seen.tokens[at].text.isascii()


def _plain(text: str) -> str:
    """The text with full-width letters as letters, LaTeX and tags as words."""
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
    text = text.replace("\\boxed", " answer: ").replace("\\fbox", " answer: ").replace("\r\n", "\n")
    if "\\" in text:
        text = LATEX.sub("", text)
    closed = {tag[2].lower() for tag in TAG.finditer(text) if tag[1]}

    def said(tag: re.Match[str]) -> str:
        if tag[1]:
            return ".\n"
        letter = tag[2] in LETTERS and tag[2].lower() not in closed  # Answer: <B>
        return f" ({tag[2]}) " if letter else f" {tag[2]}: " if tag[2].lower() == "answer" else " "

    return TAG.sub(said, text)


def _by_content(text: str, choices: Sequence[str]) -> str:
    """The letter of the one choice that a text is; empty where none is or several are."""
    wanted = _bare(text)
    if len(wanted) > LONGEST_CHOICE or not wanted or (len(wanted) == 1 and wanted.upper() in LETTERS):
        return ""
    found = [letter for letter, choice in zip(LETTERS, choices, strict=False) if _bare(_plain(choice)) == wanted]
    return found[0] if len(found) == 1 else ""


def _bare(text: str) -> str:
    """A short text without marks around it, for comparison."""
    text = text.strip()
    if len(text) > 2 * LONGEST_CHOICE:
        return ""
    return " ".join(text.strip(" \t\n.*_`\"'$\\{}[]。").split()).casefold()
