"""What the JSON objects of answers.py stand for: new objects of exact standard types, and of no others."""

from __future__ import annotations

import binascii
from collections import Counter, OrderedDict, defaultdict, deque

TYPE_CHECKING = False  # to import typing would cost each container its memory
if TYPE_CHECKING:
    from typing import Any, Callable


def made(found: Any, handle: Callable[[int], Any]):
    """The object that a JSON object stands for; `handle(number)` makes those that stay with the sample.

    Raises any Exception for one that stands for nothing.
    """
    if len(found) == 2:
        keys, values = found.values()
        tag, second = found
        if second != "v" or type(keys) is not list or type(values) is not list or len(keys) != len(values):
            raise ValueError
        return DICTS[tag](zip(keys, values))
    ((tag, value),) = found.items()
    return handle(int(value)) if tag == "h" else MAKERS[tag](value)


def listed(value: Any):
    if type(value) is not list:
        raise ValueError
    return value


def text(value: Any):
    if type(value) is not str:
        raise ValueError
    return value


def rows(value: Any):
    kind, length, table, coded = value
    cells = map(listed(table).__getitem__, binascii.a2b_base64(text(coded)))
    made = zip(*[cells] * length)
    return list(map(list, made)) if kind == "list" else list(made)


def of_library(value: Any):
    name, args = value
    if name == "Decimal":
        from decimal import Decimal

        return Decimal(text(args[0]))
    if name == "Fraction":
        from fractions import Fraction

        return Fraction(int(args[0]), int(args[1]))
    import datetime

    return {
        "date": datetime.date,
        "time": datetime.time,
        "datetime": datetime.datetime,
        "timedelta": datetime.timedelta,
    }[name](*listed(args))


BUILTIN_TYPES = {kind.__name__: kind for kind in __builtins__.values() if isinstance(kind, type)}
MAKERS = {
    "t": lambda value: tuple(listed(value)),
    "s": lambda value: set(listed(value)),
    "f": lambda value: frozenset(listed(value)),
    "i": lambda value: int(text(value), 16),
    "c": lambda value: complex(float(value[0]), float(value[1])),
    "b": lambda value: text(value).encode("latin-1"),
    "B": lambda value: bytearray(text(value).encode("latin-1")),
    "r": lambda value: range(*listed(value)),
    "q": lambda value: deque(listed(value)),
    "I": lambda value: iter(listed(value)),
    "K": lambda value: dict.fromkeys(listed(value)).keys(),
    "V": lambda value: dict(enumerate(listed(value))).values(),
    "M": lambda value: dict(listed(value)).items(),
    "T": lambda value: BUILTIN_TYPES[value],
    "x": of_library,
    "R": rows,
}


def counter(pairs: Any):
    made = Counter()
    for key, value in pairs:
        dict.__setitem__(made, key, value)
    return made


DICTS = {"d": dict, "C": counter, "O": OrderedDict, "D": lambda pairs: defaultdict(None, pairs)}
