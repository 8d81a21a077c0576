"""Reduces what a sample's function answers to plain data that JSON can carry; runs in the sample's own process.

Nothing here guards anything: whatever the text says, the judge (plain.py) makes of it objects of exact standard types
only. What has no plain form stays in this process; the judge gets its number.

JSON's null, booleans, numbers, strings and arrays are None, bool, int and float, str and list; an object with one of
these keys is anything else: t tuple, s set, f frozenset, d (keys) with v (values) dict, i int (hexadecimal), c complex,
b bytes, B bytearray, r range, q deque, I iterator (drained), K V M views of a dict, C Counter, D defaultdict,
O OrderedDict, T built-in type, x other types of the library by name and arguments, h number of an object that stays,
R a long list of rows: their type, their length, the different cells, and which of these each cell is (base64).
"""

from __future__ import annotations

import builtins
import sys
from _collections import deque  # pyright: ignore[reportMissingImports]
from binascii import b2a_base64
from itertools import chain
from json.encoder import c_make_encoder  # pyright: ignore[reportAttributeAccessIssue]
from json.encoder import encode_basestring_ascii as quoted

TYPE_CHECKING = False  # to import typing would cost each container its memory
if TYPE_CHECKING:
    from typing import Any, Callable, Iterable

FLAT = frozenset((bool, float, str, type(None)))
FLAT_OR_INT = FLAT | {int}
SMALL = 1 << 62
DEEPEST = 200
# Of a decimal number that a judge reads. Python 3.8 has no limit, unless it is a late release.
MOST_DIGITS = getattr(sys.int_info, "default_max_str_digits", 4300)
limit_digits = getattr(sys, "set_int_max_str_digits", lambda most: None)
MANY_ROWS = 1 << 14
MOST_CELLS = 256
VIEWS = {type({}.keys()): "K", type({}.values()): "V", type({}.items()): "M"}
LIBRARY = {("decimal", "Decimal"), ("fractions", "Fraction")}
LIBRARY.update(("datetime", name) for name in ("datetime", "date", "time", "timedelta"))
KINDS_OF_DICT = {"defaultdict": "D", "OrderedDict": "O", "Counter": "C"}


def to_json(
    value: Any,
    encode: Callable[[Any, int], Iterable[str]] = c_make_encoder(
        None, None, quoted, None, ":", ",", False, False, True
    ),
):
    """What json.dumps makes of reduced values, without its frames: each fork pays for the code that it runs first."""
    return "".join(encode(value, 0))


def text_of(value: Any, kept: list[Any]):
    """The JSON text of an answer; objects without a plain form are appended to `kept`."""
    kind = type(value)
    if kind is bool:
        return b"true" if value else b"false"
    if kind is int and -SMALL < value < SMALL:
        return b"%d" % value
    if kind is str:
        return quoted(value).encode()
    if value is None:
        return b"null"
    before = len(kept)
    limit_digits(MOST_DIGITS)  # a sample may have set another
    try:
        return to_json(reduced(value, kept, False)).encode()
    except ValueError:  # an integer of too many digits to write in decimal
        del kept[before:]
        return to_json(reduced(value, kept, True)).encode()


def reduced(value: Any, kept: list[Any], hexadecimal: bool, depth: int = 0):
    """The value in the terms above."""
    kind = type(value)
    if kind in FLAT:
        return value
    if kind is int:
        return {"i": f"{value:x}"} if hexadecimal else value
    if depth > DEEPEST:
        return keep(value, kept)
    more = (kept, hexadecimal, depth + 1)
    if kind is list:
        return items(value, *more)
    if kind is tuple:
        return {"t": items(value, *more)}
    if isinstance(value, dict):
        tag = KINDS_OF_DICT.get(kind.__name__, "d") if kind is not dict else "d"
        return {tag: items(list(dict.keys(value)), *more), "v": items(list(dict.values(value)), *more)}
    if isinstance(value, (set, frozenset)):
        base = set if isinstance(value, set) else frozenset
        return {"s" if base is set else "f": items(list(base.__iter__(value)), *more)}  # pyright: ignore[reportArgumentType]
    if isinstance(value, tuple):
        return {"t": items(list(tuple.__iter__(value)), *more)}
    if isinstance(value, list):
        return items(list(list.__iter__(value)), *more)
    if isinstance(value, int):
        return reduced(int.__add__(value, 0), kept, hexadecimal)
    if isinstance(value, float):
        return float.__pos__(value)
    if isinstance(value, str):
        return str.__str__(value)
    return rare(value, kind, *more)


def items(values: Any, kept: list[Any], hexadecimal: bool, depth: int):
    kinds = set(map(type, values))
    if kinds <= FLAT or (not hexadecimal and kinds <= FLAT_OR_INT):
        return values
    if len(values) >= MANY_ROWS and len(kinds) == 1:
        found = rows(values, kinds.pop())
        if found is not None:
            return found
    return [reduced(value, kept, hexadecimal, depth) for value in values]


def rows(values: Any, kind: Any):
    """Many rows of few different texts, in a form that takes no memory for the text of each; None for others."""
    if kind is not tuple and kind is not list:
        return None
    lengths = set(map(len, values))
    cells = {type(cell) for row in values[:MANY_ROWS] for cell in row}
    if len(lengths) != 1 or cells != {str} or len(set(chain.from_iterable(values[:MANY_ROWS]))) > MOST_CELLS:
        return None
    table = list(dict.fromkeys(chain.from_iterable(values)))
    if len(table) > MOST_CELLS or set(map(type, table)) != {str}:
        return None
    numbers = {cell: number for number, cell in enumerate(table)}
    coded = bytes(map(numbers.__getitem__, chain.from_iterable(values)))
    return {"R": [kind.__name__, lengths.pop(), table, b2a_base64(coded, newline=False).decode()]}


def rare(value: Any, kind: Any, kept: list[Any], hexadecimal: bool, depth: int):
    more = (kept, hexadecimal, depth)
    if isinstance(value, complex):
        return {"c": [value.real, value.imag]}
    if isinstance(value, (bytes, bytearray)):
        return {"b" if isinstance(value, bytes) else "B": bytes(value).decode("latin-1")}
    if kind is range:
        return {"r": items([value.start, value.stop, value.step], *more)}
    if isinstance(value, deque):
        return {"q": items(list(deque.__iter__(value)), *more)}
    if kind in VIEWS:
        pairs = VIEWS[kind] == "M"
        return {
            VIEWS[kind]: [{"t": items(list(pair), *more)} for pair in value] if pairs else items(list(value), *more)
        }
    if isinstance(value, type):
        return {"T": kind_name(value)} if kind_name(value) else keep(value, kept)
    if hasattr(kind, "__next__"):
        return {"I": items(list(value), *more)}
    name = library_name(kind)
    if name == "Decimal":
        return {"x": [name, [str(value)]]}
    if name == "Fraction":
        return {"x": [name, items([value.numerator, value.denominator], *more)]}
    if name and getattr(value, "tzinfo", None) is None:
        return {"x": [name, parts_of(value, name)]}
    return keep(value, kept)


def kind_name(kind: Any):
    """The name of a built-in type; empty for others, also for a sample's own, whose module is called the same."""
    name = kind.__name__
    return name if getattr(builtins, name, None) is kind else ""


def library_name(kind: Any):
    """Which of the library's types a type is or comes from; empty for none. Types of a sample may have their names."""
    for base in kind.__mro__:
        if (getattr(base, "__module__", ""), base.__name__) in LIBRARY:
            return base.__name__
    return ""


def parts_of(value: Any, name: str):
    day, clock = ("year", "month", "day"), ("hour", "minute", "second", "microsecond")
    parts = {"date": day, "time": clock, "datetime": day + clock, "timedelta": ("days", "seconds", "microseconds")}
    return [getattr(value, part) for part in parts[name]]


def keep(value: Any, kept: list[Any]):
    kept.append(value)
    return {"h": len(kept) - 1}


def restored(value: Any, kept: list[Any]):
    """An argument in which (..., "h", number) stands for an object kept here and (..., "T", name) for a type."""
    kind = type(value)
    if kind is tuple and len(value) == 3 and value[0] is ...:
        return kept[value[2]] if value[1] == "h" else getattr(__import__("builtins"), value[2])
    if kind in (tuple, list, set, frozenset):
        return kind([restored(item, kept) for item in value])
    if kind is dict:
        return {restored(key, kept): restored(item, kept) for key, item in value.items()}
    return value
