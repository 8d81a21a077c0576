"""Whether a final answer commits itself to what was asked for: a list of candidates, or a hedge, is no answer."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from stackbench.benchmarks.tooluse.checks.equality import (
    NUMBER,
    mentions,
    number_value,
    with_digits,
    without_markup,
    word_pattern,
)

__all__ = ["DATE", "settles_on", "settles_on_number"]

MOST_NUMBERS = 8
"""An answer with more numbers is a report: its last line that has any tells."""
MOST_BESIDE = 4
"""Other numbers in a statement that explains the one asked for: 7 of 12 run, so 5 are missing."""
MOST_LISTED = 40
"""Numbers of a statement, lists in it included."""
END = re.compile(r"[.!?](?=\s|$)|\n")
PART = re.compile(r"[.!?;](?=\s|$)|\n")
MARK = "\ue000"
HEDGE = re.compile(
    r"\b(?:one|some|any) of (?:them|these|those)\b|\bwhich (?:one|of (?:them|these|those))\b"
    r"|\b(?:not|n.t|cannot|hardly) (?:sure|know|certain|tell|say|decide)\b|\b(?:unsure|uncertain|unclear)\b",
    re.IGNORECASE,
)
DATE = re.compile(
    r"\b\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d)?Z?)?|\b\d{1,2}:\d\d(?::\d\d)?\b|\b\d+(?:\.\d+){2,}\b|\d+(?:\.\d+)? ?%"
)
SPACE = r"[\s,;/|&()\[\]]*"
JOINT = rf"{SPACE}(?:(?:and|or|to|through|until|up|\.\.\.?|\u2026|-|\u2013){SPACE})*"
LISTED = r"[\s,/|&()]*(?:and\b)?[\s,/|&()]*"
CHOICE = r"(?:\W+\w+){0,3}?\W+(?:or|and/or)\W+(?:\w+\W+){0,3}?"


def settles_on_number(answer: str, wanted: float, tolerance: float = 0.0) -> bool:
    """Whether an answer names a number as its own.

    One statement (a sentence, a part of one up to a semicolon, a line) must name it, with at most four other numbers
    beside it (`7 of 12 run, so 5 are missing`; dates, times, versions, percentages and lists aside). There it may not
    stand in a list of three numbers or more, nor in a choice (`7 or 8`), nor beside `I do not know which`; and no other
    statement may say the same of another number (`It is 7. It is 8.`). An answer with more than eight numbers is a
    report, of which the last line that has any tells. In an answer without digits the words zero to twelve count.
    """
    text = with_digits(answer)
    text = DATE.sub(" ", text) if not _all_dates(text, wanted, tolerance) else text
    if len(NUMBER.findall(text)) > MOST_NUMBERS:
        text = next((line for line in reversed(text.splitlines()) if NUMBER.search(line)), text)
    statements = _statements(text, PART)
    said: dict[str, set[frozenset[float]]] = {}
    for one in statements:
        said.setdefault(_frame(one), set()).add(frozenset(map(number_value, NUMBER.findall(one))))
    return any(_commits(one, wanted, tolerance) and len(said[_frame(one)]) == 1 for one in statements)


def settles_on(answer: str, wanted: str, among: Sequence[str]) -> bool:
    """Whether an answer picks one of several candidates; without any other it only has to name it.

    A statement (a sentence or a line) must name it with at most one other of them, which comes after it, no more often
    and not as a choice or in a list (`a or b`, `a, b`), and without `I do not know which`; no statement
    may say the same of another (`a. b. c.`).
    """
    others = [other for other in dict.fromkeys(among) if other != wanted and not mentions(wanted, other)]
    if not others:
        return mentions(answer, wanted)
    names = [wanted, *others]
    # By what is said, the candidates taken out: of which of them it is said.
    said: dict[str, set[frozenset[str]]] = {}
    picks: list[str] = []
    for statement in _statements(without_markup(answer), END):
        named = frozenset(name for name in names if mentions(statement, name))
        if named:
            frame = _without(statement, names)
            said.setdefault(frame, set()).add(named)
            if _picks(statement, wanted, named):
                picks.append(frame)
    return any(len(said[frame]) == 1 for frame in picks)


def _picks(statement: str, wanted: str, named: frozenset[str]) -> bool:
    beside = named - {wanted}
    if wanted not in named or len(beside) > 1 or HEDGE.search(statement):
        return False
    return all(_is_first(statement, wanted, other) for other in beside)


def _statements(text: str, end: re.Pattern[str]) -> list[str]:
    return [one for one in end.split(text) if one.strip()]


def _all_dates(text: str, wanted: float, tolerance: float) -> bool:
    """Whether the number stands only within what else would be taken for a date, a version or a share."""
    left = DATE.sub(" ", text)
    return not any(_is(one, wanted, tolerance) for one in NUMBER.findall(left))


def _commits(statement: str, wanted: float, tolerance: float) -> bool:
    found = list(NUMBER.finditer(statement))
    right = [one for one in found if _is(one[0], wanted, tolerance)]
    if not right or len(found) > MOST_LISTED or HEDGE.search(statement):
        return False
    listed = {one.start() for place, one in enumerate(found) if _is_listed(statement, found, place)}
    alone = {number_value(one[0]) for one in found if one.start() not in listed and not _is(one[0], wanted, tolerance)}
    return len(alone) <= MOST_BESIDE and any(one.start() not in listed for one in right)


def _is_listed(statement: str, found: Sequence[re.Match[str]], place: int) -> bool:
    """Whether a number is one of three or more in a row, or one of two to choose from."""
    run = 1
    for step in (-1, 1):
        at = place
        while 0 <= at + step < len(found):
            one, other = sorted((at, at + step))
            between = statement[found[one].end() : found[other].start()]
            if re.fullmatch(CHOICE, between, re.IGNORECASE) and number_value(found[one][0]) != number_value(
                found[other][0]
            ):
                return True
            if not re.fullmatch(JOINT, between, re.IGNORECASE):
                break
            run, at = run + 1, at + step
    return run > 2


def _is_first(statement: str, wanted: str, other: str) -> bool:
    """Whether a statement that mentions both names one first, the other no more often and not as a choice."""
    text = _marked(statement, wanted).lower()
    theirs = [one.start() for one in re.finditer(word_pattern(other), text, re.IGNORECASE)]
    mine = [found.start() for found in re.finditer(MARK, text)]
    if not theirs:
        return True
    choice = rf"{MARK}(?:{CHOICE}\w*|{LISTED}){re.escape(other.lower())}|{re.escape(other.lower())}{CHOICE}\w*{MARK}"
    return bool(mine) and mine[0] < theirs[0] and len(mine) >= len(theirs) and not re.search(choice, text)


def _frame(statement: str) -> str:
    """What a statement says, its numbers taken out."""
    return " ".join(NUMBER.sub(MARK, statement).lower().split())


def _without(statement: str, names: Sequence[str]) -> str:
    """What a statement says, the candidates taken out."""
    for name in sorted(names, key=len, reverse=True):
        statement = _marked(statement, name)
    return " ".join(statement.lower().split())


def _marked(statement: str, name: str) -> str:
    return re.sub(word_pattern(name), MARK, statement, flags=re.IGNORECASE)


def _is(number: str, wanted: float, tolerance: float) -> bool:
    return math.isclose(number_value(number), wanted, rel_tol=1e-9, abs_tol=tolerance + 1e-9)
