"""Extracts the number from an answer to a word problem: as a person reads it, and by lm-eval's two filters."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction

from stackbench.benchmarks.answer_end import end_of_answer
from stackbench.benchmarks.written_numbers import numbers_in, plain_text, spelled_number

__all__ = ["exact_match", "flexible_match", "read_answer", "shown_number", "strict_match"]

LONGEST_LINE = 400
"""Characters that are read behind a mark of the answer."""
SHOWN_DIGITS = 12

# lm-eval 0.4, tasks/gsm8k/gsm8k.yaml, version 3.0: what its filters take, first and last match.
STRICT = re.compile(r"#### (-?[0-9.,]+)")
FLEXIBLE = re.compile(r"-?[$0-9.,]{2,}|-?[0-9]+")

MARK = "####"
BOXES = ("\\boxed{", "\\fbox{")
SAID = re.compile(
    r"\b(?:answer|antwort|réponse|respuesta|risposta|resposta|ответ)\b"
    r"(?:[^\w\n]{0,4}(?:is|are|was|be|would|will|should|equals|equal|to|ist|est|es|è|é|the|a|an|about|approximately|exactly|"
    r"simply|just|then|therefore|thus|indeed|final|number|value|amount|usd)\b){0,8}[^\w\n]{0,8}"
    r"|(?:答案|答え|答)[^\w\n]{0,4}(?:是|为|は|[:\uff1a])?[^\w\n]{0,6}",
    re.IGNORECASE,
)
PLEASANTRY = re.compile(
    r"[^\w]{0,8}(?:(?:the|final|numerical|correct|answer|result|total|is|are|was|so|thus|therefore|hence|about|"
    r"approximately|a|an|of|usd|x)\b[^\w]{0,8}){0,10}",
    re.IGNORECASE,
)
NEGATIVE = re.compile(r"(?<![\w-])(?:minus|negative)[ \t]{1,3}(?=[$€£]?[0-9])", re.IGNORECASE)
POINTS_GROUP = ("antwort", "respuesta", "risposta", "resposta")
"""Words of languages in which a point before three digits groups them."""
GROUPED_BY_POINTS = re.compile(r"([^\w]{0,8}[0-9]{1,3})((?:\.[0-9]{3})+)(?![.,]?[0-9])")
ENUMERATED = re.compile(r"[0-9]{1,2}[.)] {1,3}[^\W\d]")
# What may stand between a number and an equals sign that it is on the left of.
ARITHMETIC = re.compile(r"[-+*/\u00d7÷·x0-9.,()%$€£ \u2009^]{0,120}=")
OPERATED = re.compile(r" ?(?:[+*\u00d7÷·]|-(?= ))")
REMARK = re.compile(
    r"(?:check|double-check|verification|verify|to verify|note|explanation|remark|p\.?s)\b.{0,40}?:"
    r"|let(?:'s| us| me) (?:check|verify)",
    re.IGNORECASE,
)
EMPHASISED = re.compile(r"\*\*([^*\n]{1,60})\*\*")


def strict_match(text: str) -> str | None:
    """What lm-eval's `strict-match` takes: the digits behind the first `#### `."""
    found = STRICT.search(text)
    return found[1] if found else None


def flexible_match(text: str) -> str | None:
    """What lm-eval's `flexible-extract` takes: the last run of digits, points, commas and dollar signs."""
    found = FLEXIBLE.findall(text)
    return found[-1] if found else None


def exact_match(found: str | None, target: str) -> bool:
    """lm-eval's `exact_match` of GSM8K: equal texts, but for case, commas, dollar signs and a point at the end."""
    return found is not None and _compared(found) == _compared(target)


def read_answer(text: str) -> Fraction | None:
    """The number that an answer gives, as a person reads it; None where it gives none.

    The last of these that holds a number: what follows `####`, what is boxed, what is said to be the answer. Of a
    calculation there, its result. Else an emphasised number in the last line, else the last number, but for remarks and
    checks behind the answer; without any digits a number that is spelled out in English. `numbers_in` says how numbers
    are read.
    """
    text = NEGATIVE.sub("-", plain_text(end_of_answer(text)))
    marked = max((*_after_marks(text), *_boxed(text), *_said(text)), key=lambda found: found[0], default=None)
    if marked is not None:
        return marked[1]
    text = _without_remarks(text)
    lines = text.rstrip().rsplit("\n", 1)
    emphasised = EMPHASISED.findall(lines[-1])
    if len(emphasised) == 1 and (value := _result(emphasised[0])) is not None:
        return value
    numbers = list(numbers_in(text))
    return numbers[-1].value if numbers else spelled_number(text[-LONGEST_LINE:])


def shown_number(value: Fraction) -> str:
    """A number in digits: as a decimal where it has one of reasonable length, else as a fraction."""
    if value.denominator == 1:
        return str(value.numerator)
    scaled = value * 10**SHOWN_DIGITS
    if scaled.denominator != 1:
        return f"{value.numerator}/{value.denominator}"
    digits = str(abs(scaled.numerator)).rjust(SHOWN_DIGITS + 1, "0")
    return f"{'-' if value < 0 else ''}{digits[:-SHOWN_DIGITS]}.{digits[-SHOWN_DIGITS:].rstrip('0')}"


def _compared(text: str) -> str:
    text = text.replace(",", "").replace("$", "").rpartition("#### ")[2]
    if text.endswith(".\n"):
        text = text[:-2] + "\n"
    return text.removesuffix(".").lower()


def _after_marks(text: str) -> Iterator[tuple[int, Fraction]]:
    """The numbers behind `####`, each with its place; headings (`#### Step 1`, `#### 1. Cost`) are passed over."""
    at = 0
    while (found := text.find(MARK, at)) >= 0:
        begin = found
        while begin < len(text) and text[begin] == "#":
            begin += 1
        at = begin
        while begin < len(text) and text[begin].isspace():
            begin += 1
        at = max(at, begin)
        line = text[begin : begin + LONGEST_LINE].split("\n", 1)[0]
        pleasantry = PLEASANTRY.match(line)
        said = line[pleasantry.end() :] if pleasantry else line
        headed = said[:1].isalpha() and not said[:1].isdigit()
        if ENUMERATED.match(said) or (headed and any(char.isdigit() for char in said)):
            continue
        if (value := _result(line)) is not None:
            yield found, value


def _boxed(text: str) -> Iterator[tuple[int, Fraction]]:
    for box in BOXES:
        at = 0
        while (found := text.find(box, at)) >= 0:
            at = found + len(box)
            depth, end = 1, at
            last = min(len(text), at + LONGEST_LINE)
            while end < last and depth:
                depth += (text[end] == "{") - (text[end] == "}")
                end += 1
            if (value := _result(text[at : end - 1 if not depth else end])) is not None:
                yield found, value


def _said(text: str) -> Iterator[tuple[int, Fraction]]:
    """The numbers that are said to be the answer: `The final answer is **$70,000**.`"""
    for found in SAID.finditer(text):
        behind = text[found.end() : found.end() + LONGEST_LINE].split("\n", 1)[0]
        if not behind.strip(" *$"):
            continue
        if found[0].lower().startswith(POINTS_GROUP):
            behind = GROUPED_BY_POINTS.sub(lambda number: number[1] + number[2].replace(".", ","), behind, count=1)
        first = next(numbers_in(behind), None)
        if first is None or first.begin > 1 or not _is_statement(found[0]):
            continue
        if ARITHMETIC.match(behind, first.end) is None and OPERATED.match(behind, first.end):
            continue
        value = _result(behind)
        if value is not None:
            yield found.start(), -value if found[0].rstrip(" $€£").endswith("-") and value > 0 else value


def _is_statement(said: str) -> bool:
    """Whether the words before a number say that it is the answer, rather than part of a question or a title."""
    lowered = said.lower()
    verbs = ("is", "was", "be", "are", "equals", "ist", "est", "es", "è", "é", "是", "为", "は")
    return (
        any(mark in lowered for mark in (":", "=", "\uff1a"))
        or any(word in lowered.split() for word in verbs)
        or any(mark in lowered for mark in ("是", "为", "は"))
    )


def _result(text: str) -> Fraction | None:
    """The number of a short text: the first, or the result of the calculation that the first begins."""
    numbers = list(numbers_in(text, spaced_sign=True))
    if not numbers:
        return spelled_number(text)
    at = 0
    chosen = numbers[0]
    while equals := ARITHMETIC.match(text, chosen.end):
        while at < len(numbers) and numbers[at].begin < equals.end():
            at += 1
        if at == len(numbers):
            break
        calculated = OPERATED.match(text, numbers[at].end) and not ARITHMETIC.match(text, numbers[at].end)
        if calculated:  # 10 = 2 * 5
            break
        chosen = numbers[at]
    return chosen.value


def _without_remarks(text: str) -> str:
    """The text up to the first line that begins a check or a remark, where a number stands before it."""
    at = 0
    numbered = False
    for line in text.split("\n"):
        if numbered and REMARK.match(line.lstrip(" *_#(")[:80]):
            return text[:at]
        numbered = numbered or any(char.isdigit() for char in line)
        at += len(line) + 1
    return text
