"""Numbers as people and models write them: groups, decimal signs, powers of ten, fractions, words."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

__all__ = ["Written", "numbers_in", "plain_text", "spelled_number"]

THIN = "\u2009"
"""Stands for every space that does not break: it groups digits, as a thin space does."""
MOST_DIGITS = 40
MOST_GROUPS = 14
LARGEST_EXPONENT = 40
CURRENCY = "$€£¥₹"
SEPARATORS = ",.'_ " + THIN
DIGIT = re.compile(r"[0-9]")
EXPONENT = re.compile(r"[eE]([-+]?[0-9]{1,3})(?![0-9A-Za-z])")
ENDLESS = re.compile(r"[eE][-+]?[0-9]")
POWER = re.compile(r"[ \u2009]{0,3}(?:\u00d7|x|\*|·)[ \u2009]{0,3}10 ?(?:\^|\*\*) ?[{(]? ?([-+]?[0-9]{1,3})(?![0-9.])")
SLASH = re.compile(r" {0,2}[/\u00f7\u2044] {0,2}(?=[0-9.])")
MIXED = re.compile(r" ([0-9]{1,3})[/\u2044]([0-9]{1,3})(?![0-9/])")
MAGNITUDE = re.compile(
    r"[ \u2009-]?(hundred|thousand|grand|lakhs?|crores?|million|billion|trillion|mn|bn)\b|([kKM])(?![0-9A-Za-z])"
    r"|[ \u2009]?([万萬亿億])",
    re.IGNORECASE,
)
SHORT_FRACTION = re.compile(r"\\[dtc]?frac ?([0-9]) ?([0-9])(?![0-9])")
FRACTION = re.compile(r"\\[dtc]?frac ?\{([^{}]{1,60})\} ?\{([^{}]{1,60})\}")
VULGAR = re.compile(r"([0-9]?)[ \u2009]?([\u00bc-\u00be\u2150-\u215e])")
SUPERSCRIPT = re.compile(r"[⁻⁺]?[⁰¹²³⁴-⁹]{1,4}")
TEXT_COMMAND = re.compile(r"\\(?:text|textbf|mathrm|mathbf|mathit|mbox|operatorname|displaystyle|left|right)\b ?")
SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺", "0123456789-+")
REWRITTEN = (
    ("{,}", ","), ("\\!", ""), ("\\,", THIN), ("\\;", THIN), ("\\:", THIN), ("\\ ", THIN), ("\\$", "$"), ("\\%", "%"),
    ("\\times", "\u00d7"), ("\\cdot", "·"), ("\\div", "÷"), ("\u2212", "-"), ("\u2010", "-"), ("\u2011", "-"),
    ("\u2013", "-"), ("\u2014", "-"), ("\u2019", "'"), ("\u02bc", "'"), ("\xa0", THIN), ("\u202f", THIN),
    ("\u2007", THIN), ("\u200b", ""), ("\u200c", ""), ("\u200d", ""), ("\u200e", ""), ("\u200f", ""), ("\u2060", ""),
    ("\ufeff", ""), ("\uff0c", ","), ("\uff0e", "."), ("`", ""),
)  # fmt: skip
MAGNITUDES = {"hundred": 10**2, "thousand": 10**3, "grand": 10**3, "k": 10**3, "lakh": 10**5, "lakhs": 10**5,
              "crore": 10**7, "crores": 10**7, "万": 10**4, "萬": 10**4, "亿": 10**8, "億": 10**8,
              "million": 10**6, "m": 10**6, "mn": 10**6,
              "billion": 10**9, "bn": 10**9, "trillion": 10**12}  # fmt: skip
UNITS = {
    "zero": 0, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9,
    "ten": 10, "eleven": 11, "twelve": 12, "thirteen": 13, "fourteen": 14, "fifteen": 15, "sixteen": 16,
    "seventeen": 17, "eighteen": 18, "nineteen": 19,
}  # fmt: skip
TENS = {
    "twenty": 20, "thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "seventy": 70, "eighty": 80, "ninety": 90,
}  # fmt: skip
WORD = re.compile(r"[a-z]+")
MOST_WORDS = 12


@dataclass(frozen=True, slots=True)
class Written:
    """A number and where it is written: its sign and currency included."""

    value: Fraction
    begin: int
    end: int


def plain_text(text: str) -> str:
    """A text without LaTeX's and typography's ways around digits; other marks stay."""
    if text.isascii() and "\\" not in text and "{" not in text:
        return text.replace("`", "")
    for old, new in REWRITTEN:
        text = text.replace(old, new)
    if "\\" in text:
        text = SHORT_FRACTION.sub(r"\1/\2", FRACTION.sub(r"\1/\2", TEXT_COMMAND.sub("", text)))
    if not text.isascii():
        text = VULGAR.sub(lambda found: f"{found[1]} " * bool(found[1]) + unicodedata.normalize("NFKC", found[2]), text)
        text = SUPERSCRIPT.sub(lambda found: f"^{found[0].translate(SUPERSCRIPTS)}", text)
        text = "".join(
            str(unicodedata.decimal(char)) if not char.isascii() and char.isdecimal() else char for char in text
        )
    return text


def numbers_in(text: str, *, spaced_sign: bool = False) -> Iterator[Written]:
    """The numbers in a plain text, in order.

    Groups of three digits may be set apart by commas, spaces, apostrophes or underscores, the decimal sign is a point;
    with two kinds of sign the last is the decimal one (`70.000,00`). One comma before three digits groups (`70,000`),
    one before one or two is a decimal sign (`3,5`). One point is a decimal sign (`70.000` is 70) except before three
    digits beside a euro sign. `7e4`, `7 x 10^4`, `70k`, `70 thousand`, `140000/2` and `3 1/2` are one number each.

    Args:
        spaced_sign: a minus at the beginning of the text counts with a blank behind it too: `- 10`.
    """
    at = 0
    while found := DIGIT.search(text, at):
        begin = found.start()
        if begin > 0 and text[begin - 1] == "." and (begin < 2 or not text[begin - 2].isalnum()):
            begin -= 1
        part_of_word = begin > 1 and text[begin - 1].isalpha() and text[begin - 2].isdigit()  # 1e999999999
        read = None if part_of_word else _unsigned(text, begin)
        if read is None:
            at = _end_of_digits(text, found.start())
            continue
        value, at = read
        negative, first = _sign(text, begin, spaced_sign)
        yield Written(-value if negative else value, first, at)


def _unsigned(text: str, begin: int) -> tuple[Fraction, int] | None:
    read = _decimal(text, begin)
    if read is None:
        return None
    value, end = read
    if scaled := (EXPONENT.match(text, end) or POWER.match(text, end)):
        exponent = int(scaled[1])
        if abs(exponent) > LARGEST_EXPONENT:
            return None
        value, end = value * Fraction(10) ** exponent, scaled.end()
        if text[end : end + 1] == "}":
            end += 1
    elif ENDLESS.match(text, end):
        return None
    for _ in range(2):
        if (magnitude := MAGNITUDE.match(text, end)) is None or magnitude[2] == "m":
            break
        value, end = value * MAGNITUDES[(magnitude[1] or magnitude[2] or magnitude[3]).lower()], magnitude.end()
    if (mixed := MIXED.match(text, end)) and value.denominator == 1 and 0 < int(mixed[1]) < int(mixed[2]):
        return value + Fraction(int(mixed[1]), int(mixed[2])), mixed.end()
    if slash := SLASH.match(text, end):
        divisor = _decimal(text, slash.end())
        if divisor and divisor[0] != 0 and text[divisor[1] : divisor[1] + 1] != "/" and text[begin - 1 : begin] != "/":
            return value / divisor[0], divisor[1]
    return value, end


def _decimal(text: str, begin: int) -> tuple[Fraction, int] | None:
    """The digits at a place with their groups and decimals, and where they end; None for more than anybody writes."""
    if text[begin] == ".":
        end = _end_of_digits(text, begin + 1)
        return (
            None if end - begin > MOST_DIGITS else (Fraction(int(text[begin + 1 : end]), 10 ** (end - begin - 1)), end)
        )
    ends = [_end_of_digits(text, begin)]
    signs: list[str] = []
    while (sign := text[ends[-1] : ends[-1] + 1]) and sign in SEPARATORS and len(ends) < MOST_GROUPS:
        start = ends[-1] + 1
        end = _end_of_digits(text, start)
        if end == start:
            break
        ends.append(end)
        signs.append(sign)
    runs = [text[start:end] for start, end in zip([begin, *(end + 1 for end in ends)], ends, strict=False)]
    if len(runs[0]) > MOST_DIGITS:
        return None
    groups = _grouped(runs, signs, euro=_beside_euro(text, begin, ends[0:2][-1]))
    whole = "".join(runs[: groups + 1])
    decimals = ""
    used = groups
    if used < len(signs):
        sign, run = signs[used], runs[used + 1]
        last_of_its_kind = sign not in signs[:used] and (used + 1 == len(signs) or signs[used + 1] != sign)
        point = sign == "." and "." not in signs[:used]
        comma = sign == "," and last_of_its_kind and ("," not in signs[:used])
        listed = begin > 1 and text[begin - 1] == "," and text[begin - 2].isdigit()
        if point or (comma and not listed and (used > 0 or len(run) < 3 or whole == "0")):
            decimals, used = run, used + 1
        elif comma and len(run) > 3:  # a slip: 1,0000
            whole, used = whole + run, used + 1
    if len(whole) + len(decimals) > MOST_DIGITS:
        return None
    if not decimals:
        return Fraction(int(whole)), ends[used]
    return Fraction(int(whole + decimals), 10 ** len(decimals)), ends[used]


def _grouped(runs: list[str], signs: list[str], *, euro: bool) -> int:
    """How many of the runs after the first are groups of the whole number."""
    if not signs:
        return 0
    sign = signs[0]
    same = 0
    while same < len(signs) and signs[same] == sign:
        same += 1
    if sign == "_":
        return same
    lakhs = sign == "," and same > 1 and len(runs[0]) <= 2 and len(runs[same]) == 3
    if lakhs and all(len(run) == 2 for run in runs[1:same]):
        return same
    groups = 0
    while groups < same and len(runs[groups + 1]) == 3:
        groups += 1
    if not 1 <= len(runs[0]) <= 3 or runs[0] == "0":
        return 0
    if sign == "." and groups == 1 and not euro and signs[1:2] != [","]:
        return 0
    return groups


def _beside_euro(text: str, begin: int, end: int) -> bool:
    behind = text[end : end + 5].lstrip(" " + THIN).lower()
    return text[max(0, begin - 2) : begin].strip(" " + THIN).endswith("€") or behind.startswith(("€", "eur"))


def _end_of_digits(text: str, at: int) -> int:
    while at < len(text) and "0" <= text[at] <= "9":
        at += 1
    return at


def _sign(text: str, begin: int, spaced: bool) -> tuple[bool, int]:
    """Whether a minus stands before the number, and where what belongs to the number begins."""
    at = begin
    while at > 0 and text[at - 1] in CURRENCY:
        at -= 1
    if at < begin and at > 0 and text[at - 1] == "-" and _is_sign(text, at - 1):
        return True, at - 1
    if at == begin and at > 0 and text[at - 1] == "-" and _is_sign(text, at - 1):
        first = at - 1
        while first > 0 and text[first - 1] in CURRENCY:
            first -= 1
        return True, first
    if spaced and text[:at].strip(" " + THIN + CURRENCY + "*(") == "-" and at <= MOST_DIGITS:
        return True, 0
    return False, at


def _is_sign(text: str, at: int) -> bool:
    """Whether a hyphen is a sign, rather than one between words or numbers."""
    before = text[max(0, at - 3) : at]
    if before and (before[-1].isalnum() or before[-1] in ")%-"):
        return False
    bare = before.rstrip(" " + THIN)
    return not bare or not (bare[-1].isdigit() or bare[-1] == ")")


def spelled_number(text: str) -> Fraction | None:
    """The last number that is spelled out in English: `seventy thousand`, `one hundred and five`. None for none."""
    words = [found[0] for found in WORD.finditer(text.lower())]
    end = len(words)
    while end > 0 and words[end - 1] not in UNITS and words[end - 1] not in TENS and words[end - 1] not in MAGNITUDES:
        end -= 1
    begin = end
    while begin > 0 and end - begin < MOST_WORDS and _is_number_word(words[begin - 1]):
        begin -= 1
    found = _spelled([word for word in words[begin:end] if word not in ("and", "a")], words[begin:end])
    return -found if found is not None and begin > 0 and words[begin - 1] in ("minus", "negative") else found


def _is_number_word(word: str) -> bool:
    return word in UNITS or word in TENS or (word in MAGNITUDES and len(word) > 2) or word in ("and", "a")


def _spelled(words: list[str], written: list[str]) -> Fraction | None:
    total = current = 0
    for word in words:
        if word in UNITS or word in TENS:
            current += UNITS.get(word, 0) + TENS.get(word, 0)
        elif word == "hundred":
            current = max(current, 1) * 100
        else:
            total, current = total + max(current, 1) * MAGNITUDES[word], 0
    known = any(word in UNITS or word in TENS or word in MAGNITUDES for word in written)
    return Fraction(total + current) if known else None
