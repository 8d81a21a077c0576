"""Equality of values in checks: numbers with a tolerance, JSON, values mentioned in free text."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from stackbench.nesting import is_array

if TYPE_CHECKING:
    from typing_extensions import TypeIs

__all__ = [
    "NUMBER",
    "at_path",
    "cell_equal",
    "json_equal",
    "mentions",
    "number_value",
    "numbers_in",
    "step_below",
    "steps",
    "with_digits",
    "without_markup",
    "word_pattern",
]

NUMBER = re.compile(r"(?<![\w.])[-+\u2212]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:[eE][-+]?\d+)?")
LINE = re.compile(r"(?<!\w)#?L(?=\d+\b)")
WORDS = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
)  # fmt: skip
WORD = re.compile(rf"(?<!\w)({'|'.join(WORDS)})(?!\w)", re.IGNORECASE)
STEP = re.compile(r"\[(-?\d+)\]|\.?((?:[^.\[\]\\]|\\.)+)")
CLOSE = 1e-9


def json_equal(one: Any, other: Any) -> bool:
    """Equal as JSON: 1 and 1.0 are equal, true and 1 are not; the order of an object's members does not count."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, int) and isinstance(other, int):
        return one == other  # they may be larger than any float
    if isinstance(one, int | float) and isinstance(other, int | float):
        return _near(one, other)
    if _is_mapping(one) and _is_mapping(other):
        return one.keys() == other.keys() and all(json_equal(one[key], other[key]) for key in one)
    if is_array(one) and is_array(other):
        return len(one) == len(other) and all(json_equal(a, b) for a, b in zip(one, other, strict=True))
    return type(one) is type(other) and bool(one == other)


def _is_mapping(value: object) -> TypeIs[Mapping[str, Any]]:
    return isinstance(value, Mapping)


def _is_sequence(value: object) -> TypeIs[Sequence[Any]]:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _near(one: float, other: float) -> bool:
    try:
        return math.isclose(one, other, rel_tol=CLOSE, abs_tol=CLOSE)
    except OverflowError:  # one is a whole number that no float can hold
        return one == other


def at_path(document: Any, path: str) -> Any:
    """The value at `a.b[0]`; `$` is the document. A dot within a name is written as a backslash and a dot.

    Raises:
        LookupError: there is none.
    """
    if path == "$":
        return document
    found: Any = document
    for index, name in STEP.findall(path):
        try:
            if index:
                if not _is_sequence(found):
                    raise LookupError(path)
                found = found[int(index)]
            else:
                if not _is_mapping(found):
                    raise LookupError(path)
                found = found[re.sub(r"\\(.)", r"\1", name)]
        except (KeyError, IndexError) as error:
            raise LookupError(path) from error
    return found


def steps(path: str) -> list[str]:
    """The parts of a path: names as they are in the document, and indices as `[0]`."""
    return [f"[{index}]" if index else re.sub(r"\\(.)", r"\1", name) for index, name in STEP.findall(path)]


def step_below(path: str, step: str) -> str:
    """The path one step further."""
    if step.startswith("["):
        return f"{path}{step}" if path != "$" else step
    name = re.sub(r"([.\[\]\\])", r"\\\1", step)
    return name if path == "$" else f"{path}.{name}"


def cell_equal(wanted: Any, cell: str) -> bool:
    """Whether a cell of a CSV file holds a value: a number in any notation, `true` or `True` for a truth, else text."""
    cell = cell.strip()
    if isinstance(wanted, bool):
        return cell.lower() == str(wanted).lower()
    if isinstance(wanted, int | float):
        try:
            return math.isclose(float(cell), wanted, rel_tol=CLOSE, abs_tol=CLOSE)
        except ValueError:
            return False
    return cell == ("" if wanted is None else str(wanted).strip())


def without_markup(answer: str) -> str:
    """An answer without the marks of Markdown around words."""
    # A run of underscores is tried once, at its start, and given back by no letter: else it costs its length squared.
    return re.sub(r"[*`]+|(?<!\w)_++|(?<!_)_++(?!\w)", "", answer)


def mentions(answer: str, wanted: str) -> bool:
    """Whether an answer holds a text as a whole word or words, upper and lower case and white space alike."""
    return re.search(word_pattern(wanted), without_markup(answer), re.IGNORECASE) is not None


def word_pattern(text: str) -> str:
    """Finds a text as a whole word or words, white space alike."""
    words = r"\s+".join(re.escape(word) for word in text.split())
    return rf"(?<!\w){words}(?!\w)"


def with_digits(answer: str) -> str:
    """An answer without markup, its numbers as digits: `client.py#L28` names a line, and one without digits may write
    a number up to twelve as a word."""
    text = LINE.sub(" ", without_markup(answer))
    return text if NUMBER.search(text) else WORD.sub(lambda found: str(WORDS.index(found[0].lower())), text)


def numbers_in(text: str) -> list[float]:
    """The numbers of a text, as `with_digits` reads it."""
    return [number_value(number) for number in NUMBER.findall(with_digits(text))]


def number_value(number: str) -> float:
    """The value of what `NUMBER` finds."""
    return float(number.replace(",", "").replace("\u2212", "-"))
