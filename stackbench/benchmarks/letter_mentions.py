"""Finds the choices that a text mentions, and whether it affirms or rejects each."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Set
from dataclasses import dataclass
from functools import cache
from importlib import resources

__all__ = ["LETTERS", "Mentions", "Token", "Words"]

LETTERS = "ABCD"
NEAR = 12
"""Tokens that are read on either side of a letter."""
LONGEST_LINE = 40
"""Tokens that are read of a line that a letter labels."""
TOKEN = re.compile(
    r"\b[A-D](?=['\u2019][dt][i\u0131u\u00fc]r\b)|"  # Turkish: B'dir
    r"[A-Za-z\u00c0-\u024f]+(?:['\u2019][a-z]+)?|[^\W\d_A-Za-z\u00c0-\u024f]+|\d+(?:[.,]\d+)*|\n|[^\w\s]|_"
)
REPLIES = {"no": "wrong", "nope": "wrong", "nein": "wrong", "non": "wrong", "нет": "wrong", "yes": "correct"}
NOT_IN_CHINESE = ("不是", "不选", "不選", "并非", "並非")
WRONG_IN_CHINESE = ("错误", "錯誤", "不正确", "不正確", "不对", "不對")
RIGHT_IN_CHINESE = ("正确", "正確")
IS = {"be", "es", "est", "ist", "è", "é"}
RIGHT_MARKS = {"correct", "right", "\u2713", "\u2714", "\u2705"}
WRONG_MARKS = {"wrong", "incorrect", "\u2717", "\u2718", "\u274c"}
MARKS = {mark for mark in RIGHT_MARKS | WRONG_MARKS if not mark.isascii()}


@dataclass(frozen=True, slots=True)
class Token:
    """A word, number, mark or line end of a text."""

    place: int
    """Among the tokens."""
    text: str
    low: str
    begin: int
    end: int


@dataclass(frozen=True, slots=True)
class Words:
    """The groups of `letter_words.toml`."""

    answer_parts: frozenset[str]
    answer_words: frozenset[str]
    choice_words: frozenset[str]
    chosen: frozenset[str]
    concluding: frozenset[str]
    copulas: frozenset[str]
    correct: frozenset[str]
    ends_clause: frozenset[str]
    fillers: frozenset[str]
    follows_letter: frozenset[str]
    markup: frozenset[str]
    negations: frozenset[str]
    or_words: frozenset[str]
    positive: frozenset[str]
    stops: frozenset[str]
    verbs: frozenset[str]
    wrong: frozenset[str]


@cache
def _words() -> Words:
    text = resources.files("stackbench.benchmarks").joinpath("letter_words.toml").read_text(encoding="utf-8")
    groups = {name: frozenset(words.split()) for name, words in tomllib.loads(text).items()}
    groups["verbs"] |= groups["copulas"]
    groups["follows_letter"] |= groups["verbs"]
    groups["ends_clause"] |= {"\n"}
    return Words(**groups)


class Mentions:
    """One text's tokens, the letters among them by their places, and the places of those that it rules out."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.words = _words()
        self.tokens = [
            Token(at, found[0], found[0].lower(), *found.span()) for at, found in enumerate(TOKEN.finditer(text))
        ]
        self.mentions = {at: letter for at in range(len(self.tokens)) if (letter := self._mentioned(at))}
        negated = {at for at in self.mentions if self._is_negated(at)}
        for at in sorted(self.mentions):  # not A or C
            if self.joined(at, -1) in negated:
                negated.add(at)
        wrong = {at for at in self.mentions if self.verdict(at) == "wrong"}
        for at in sorted(self.mentions, reverse=True):  # A and C are wrong
            if self.joined(at, 1) in wrong:
                wrong.add(at)
        self.ruled_out = negated | wrong

    def _mentioned(self, at: int) -> str:
        """The letter that a token is, where it is meant as one; empty for a word."""
        token = self.tokens[at]
        if len(token.text) != 1 or token.text.upper() not in LETTERS:
            return ""
        behind = self.get(at + 1)
        if behind is not None and behind.begin == token.end and self._is_part_of_name(at, behind):
            return ""
        if token.text.islower():
            return token.text.upper() if self._is_marked(at) else ""
        return "" if token.text == "A" and self._is_article(at) else token.text

    def _is_part_of_name(self, at: int, behind: Token) -> bool:
        """Whether a letter goes on as in `C#`, `C++`, `B-complex` or `B.C.`"""
        after = self.text[behind.end : behind.end + 1]
        return (
            behind.text in "#+"
            or (behind.text == "-" and after.isalpha())
            or (behind.text == "." and self._is_initial(at))
        )

    def _is_initial(self, at: int) -> bool:
        """Whether a letter with a point is one of several: `B.C.`, `D.N.A.`"""
        begin, end = self.tokens[at].begin, self.tokens[at + 1].end
        around = self.text[max(0, begin - 2) : begin], self.text[end : end + 1]
        return around[1].isupper() or (around[0][1:] == "." and around[0][:1].isupper())

    def _is_marked(self, at: int) -> bool:
        """Whether a small letter is set apart as a choice: `(b)`, `b)`, `**b**`, `{b}`, or ends what is said."""
        before, behind = self.get(at - 1), self.get(at + 1)
        if behind is not None and behind.begin == self.tokens[at].end and behind.text in ")]}*_`\"'":
            touching = before is not None and before.end == self.tokens[at].begin
            opened = touching and before is not None and before.text in "([{*_`\"'"
            return opened or (behind.text == ")" and (before is None or before.text == "\n"))
        if behind is None or behind.text in "\n.。":
            said = self.skip_back(
                at - 1,
                self.words.markup | {":"} | self.words.copulas | {"the", "option", "letter", "choice", "it", "it's"},
            )
            return (
                said is None
                or said.low in self.words.answer_words
                or (before is not None and before.low in self.words.choice_words)
            )
        return False

    def _is_article(self, at: int) -> bool:
        before, behind = self.get(at - 1), self.get(at + 1)
        if behind is None or behind.begin == self.tokens[at].end or not behind.text[0].isalpha():
            return False
        if before is not None and (
            before.low in self.words.choice_words or before.low in self.words.answer_words or before.text in "(*_["
        ):
            return False
        begins = before is None or before.text in self.words.stops or before.text in "\n:-\"'"
        return begins and behind.text[0].islower() and behind.low not in self.words.follows_letter

    def joined(self, at: int, step: int) -> int:
        """The mention that `or`, `and` or a comma joins a mention to; -1 for none."""
        seen = False
        for other in range(at + step, at + 5 * step, step):
            token = self.get(other)
            if token is None:
                return -1
            if other in self.mentions:
                return other if seen else -1
            if token.low in self.words.or_words:
                seen = True
            elif token.text not in self.words.markup and token.low not in self.words.choice_words:
                return -1
        return -1

    def _is_negated(self, at: int) -> bool:
        """Whether a mention is ruled out by what stands before it: `not B`, `rather than B`, `isn't option B`."""
        skipped = self.words.markup | self.words.choice_words | {"the", "answer", "both", "either"} | IS
        said = self.skip_back(at - 1, skipped)
        if said is None:
            return False
        if said.low == "of":
            before = self.get(said.place - 1)
            return before is not None and before.low in ("instead", "none")
        if said.low == "but":
            before = self.get(said.place - 1)
            return before is not None and before.low in ("anything", "nothing")
        if said.low == "except" and self._is_of_wrong_ones(at):
            return False
        if said.low.endswith(NOT_IN_CHINESE):
            return True
        if said.low == "no":
            return not self._is_clause_end(said.place + 1)
        return said.low in self.words.negations

    def _is_of_wrong_ones(self, at: int) -> bool:
        """Whether the sentence around a mention says of others that they are wrong: `all but B are wrong`."""
        around = (*range(at - 1, at - NEAR, -1), -1, *range(at + 1, at + NEAR))
        ended = False
        for place in around:
            token = self.get(place)
            if place == -1:
                ended = False
            elif token is None or token.text in self.words.stops or token.text == "\n":
                ended = True
            elif not ended and token.low in WRONG_MARKS | self.words.wrong - self.words.negations:
                return True
        return False

    def verdict(self, at: int) -> str:
        """`correct` or `wrong`, where the clause behind a mention says so; else empty."""
        begin = at + 1
        while (token := self.get(begin)) and token.text in "*_`\"')]}|":
            begin += 1
        if (token := self.get(begin)) and token.text in "(":
            close = next((p for p in range(begin, begin + NEAR) if (t := self.get(p)) and t.text == ")"), begin)
            begin = close + 1
        first = self.get(begin)
        if first is None:
            return ""
        if first.text in MARKS or any(part in first.text for part in (*WRONG_IN_CHINESE, *RIGHT_IN_CHINESE)):
            wrong = first.text in WRONG_MARKS or any(part in first.text for part in WRONG_IN_CHINESE)
            excepted = (before := self.get(at - 1)) is not None and before.low == "except"
            return "wrong" if wrong and not excepted else "correct"
        if first.text == "?" and (reply := self.get(begin + 1)) and reply.low in REPLIES:
            return REPLIES[reply.low]
        line = self.is_line_label(at)
        if first.low not in self.words.verbs | self.words.wrong | self.words.positive and not line:
            return ""
        words: list[str] = []
        met = False  # whether the next letter ends the clause: what negates it is not said of this one
        for place in range(begin, begin + (LONGEST_LINE if line else NEAR)):
            token = self.get(place)
            met = place in self.mentions
            if token is None or token.text == "\n" or met or (not line and token.low in self.words.ends_clause):
                break
            words.append(token.low)
        while (
            met
            and words
            and (words[-1] in self.words.negations | self.words.choice_words | self.words.markup or words[-1] in ",.")
        ):
            words.pop()
        if line and first.low not in self.words.verbs:
            words = words[-2:]
            negative = any(word in WRONG_MARKS for word in words)
            positive = any(word in RIGHT_MARKS for word in words)
            negative = negative or (positive and "not" in words)
        else:
            negative = any(word in self.words.wrong for word in words)
            positive = any(word in self.words.positive for word in words)
        if negative and (before := self.get(at - 1)) and before.low == "except":
            return "correct"
        return "wrong" if negative else "correct" if positive else ""

    def is_line_label(self, at: int) -> bool:
        """Whether a mention labels its line, as in a list of the choices: `B. Rome`, `(B) Rome`."""
        before, behind = (
            self.skip_back(at - 1, self.words.markup | self.words.choice_words | {"-", "•"}),
            self.get(at + 1),
        )
        return (
            (before is None or before.text == "\n")
            and behind is not None
            and (behind.text in ".):*" or behind.text in RIGHT_MARKS | WRONG_MARKS)
        )

    def get(self, at: int) -> Token | None:
        return self.tokens[at] if 0 <= at < len(self.tokens) else None

    def skip_back(self, at: int, skipped: Set[str]) -> Token | None:
        last = at - NEAR
        while at >= 0 and at > last and self.tokens[at].low in skipped:
            at -= 1
        return self.get(at)

    def skip_on(self, at: int, skipped: Set[str]) -> Token | None:
        while at < len(self.tokens) and self.tokens[at].low in skipped:
            at += 1
        return self.get(at)

    def _is_clause_end(self, at: int) -> bool:
        token = self.get(at)
        return token is None or token.low in self.words.ends_clause
