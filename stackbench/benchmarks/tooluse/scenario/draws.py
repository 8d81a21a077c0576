"""Draws a template's parameters: numbers, names, dates and tables, the same ones for the same seed."""

from __future__ import annotations

import difflib
import random
import tomllib
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib import resources
from typing import Any

from stackbench.benchmarks.tooluse.scenario.template_rendering import charge, render
from stackbench.nesting import is_array, is_object

__all__ = ["DRAWS", "DrawError", "Drawer"]

MOST_DRAWN = 10_000
MOST_TRIES = 10_000
MISSPELT = 0.7
"""So like a draw's name that nothing else can be meant."""
Draw = Callable[["Drawer", Any], Any]


@cache
def _listed() -> dict[str, Any]:
    """The names and words to draw from."""
    file = resources.files("stackbench.benchmarks.tooluse.scenario").joinpath("words.toml")
    return tomllib.loads(file.read_text(encoding="utf-8"))


class DrawError(ValueError):
    """A parameter is not written as a draw can be."""


class Drawer:
    """Draws for one task. Single words and people do not come twice within it."""

    def __init__(self, seed: str, number: int) -> None:
        self.random = random.Random(f"{seed}\0{number}")
        self._seed = seed
        self.number = number
        """Which task of its template, counted from 0."""
        self._used: set[str] = set()
        self._kinds: set[str] = set()
        self.values: dict[str, Any] = {}

    def parameter(self, name: str, how: Any) -> None:
        """Draws one parameter; it may refer to those before it. Raises DrawError."""
        self.values[name] = self.draw(how, self.values)

    def draw(self, how: Any, values: Mapping[str, Any]) -> Any:
        """A value drawn as `how` says: `{integer: [1, 9]}`, or something fixed with expressions in it."""
        if is_object(how) and len(how) == 1:
            ((kind, given),) = how.items()
            if kind == "table":
                return self._table(given, values)
            if kind == "list":
                return self._list(given, values)
            if kind in DRAWS:
                try:
                    return DRAWS[kind](self, render(given, values))
                except DrawError:
                    raise
                except (TypeError, ValueError, LookupError, ArithmeticError, AttributeError) as error:
                    raise DrawError(f"{kind} cannot be drawn from {str(given)[:80]}: {error}") from error
            near = difflib.get_close_matches(str(kind), [*DRAWS, "table", "list"], n=1, cutoff=MISSPELT)
            if near:
                raise DrawError(f'{kind} is no draw; did you mean "{near[0]}"?')
        return render(how, values)

    def word(self, kind: str) -> str:
        """A word of a list that this task has not had yet. The first of a kind differs from task to task."""
        if kind not in _listed()["words"]:
            raise DrawError(f"there are no words of the kind {kind}; there are: {', '.join(_listed()['words'])}")
        listed: list[str] = _listed()["words"][kind]
        shuffled = random.Random(f"{self._seed}\0{kind}").sample(listed, len(listed))
        start = self.number % len(listed)
        left = [word for word in shuffled[start:] + shuffled[:start] if word not in self._used]
        if not left:
            raise DrawError(f"there are only {len(listed)} words of the kind {kind}")
        chosen = left[0] if kind not in self._kinds else self.random.choice(left)
        self._used.add(chosen)
        self._kinds.add(kind)
        return chosen

    def person(self) -> str:
        """A name that this task has not had yet."""
        for _ in range(MOST_TRIES):
            first, last = self.random.choice(_listed()["first_names"]), self.random.choice(_listed()["last_names"])
            name = f"{first} {last}"
            if name not in self._used:
                self._used.add(name)
                return name
        raise DrawError(f"there are not so many names of people ({len(self._used)} are in use)")

    def _table(self, given: Any, values: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Rows whose columns may refer to `n` (from 1) and to `row`, the columns before."""
        if not is_object(given) or set(given) != {"rows", "columns"}:
            raise DrawError("a table has rows and columns")
        rows: list[dict[str, Any]] = []
        for number in range(1, _count(render(given["rows"], values)) + 1):
            row: dict[str, Any] = {}
            for column, how in given["columns"].items():
                row[column] = self.draw(how, {**values, "n": number, "row": row, "rows": rows})
            rows.append(row)
        return rows

    def _list(self, given: Any, values: Mapping[str, Any]) -> list[Any]:
        if not is_object(given) or set(given) != {"count", "of"}:
            raise DrawError("a list has count and of")
        count = _count(render(given["count"], values))
        return [self.draw(given["of"], {**values, "n": number}) for number in range(1, count + 1)]


def _count(given: Any) -> int:
    """How many are to be drawn. Raises DrawError."""
    try:
        count = int(given)
        charge(max(count, 0))
    except (TypeError, ValueError, OverflowError) as error:
        raise DrawError(f"{str(given)[:80]} is no number of things to draw") from error
    if count > MOST_DRAWN:
        raise DrawError(f"{count} are too many; at most {MOST_DRAWN} are drawn at once")
    return count


def _choice(drawer: Drawer, given: Any) -> Any:
    return drawer.random.choice(list(given))


def _weighted(drawer: Drawer, given: Any) -> Any:
    """`{ok: 9, failed: 1}`: keys by weight."""
    return drawer.random.choices(list(given), weights=list(given.values()))[0]


def _cycle(drawer: Drawer, given: Any) -> Any:
    return given[drawer.number % len(given)]


def _sample(drawer: Drawer, given: Any) -> list[Any]:
    return drawer.random.sample(list(given["from"]), int(given["count"]))


def _shuffle(drawer: Drawer, given: Any) -> list[Any]:
    return drawer.random.sample(list(given), len(given))


def _integer(drawer: Drawer, given: Any) -> int:
    low, high = given
    return drawer.random.randint(int(low), int(high))


def _decimal(drawer: Drawer, given: Any) -> float:
    low, high, places = given
    if not 0 <= int(places) <= 15:
        raise DrawError("a decimal has up to 15 places")
    scale = 10 ** int(places)
    return drawer.random.randint(int(low * scale), int(high * scale)) / scale


def _hexadecimal(drawer: Drawer, given: Any) -> str:
    return f"{drawer.random.getrandbits(4 * _count(given)):0{_count(given)}x}"


def _date(drawer: Drawer, given: Any) -> str:
    first, last = (datetime.fromisoformat(str(one)) for one in given)
    return (first + timedelta(days=drawer.random.randint(0, (last - first).days))).date().isoformat()


def _moment(drawer: Drawer, given: Any) -> str:
    """ISO 8601 in UTC, to the second."""
    first, last = (datetime.fromisoformat(str(one)).replace(tzinfo=UTC) for one in given)
    chosen = first + timedelta(seconds=drawer.random.randint(0, int((last - first).total_seconds())))
    return chosen.strftime("%Y-%m-%dT%H:%M:%SZ")


def _words(drawer: Drawer, given: Any) -> str | list[str]:
    """`{word: service}`: one; `{word: [service, 3]}`: several."""
    if is_array(given):
        kind, count = given
        return [drawer.word(kind) for _ in range(_count(count))]
    return drawer.word(given)


def _people(drawer: Drawer, given: Any) -> str | list[str]:
    return [drawer.person() for _ in range(_count(given))] if given else drawer.person()


def _address(drawer: Drawer, given: Any) -> str:
    """An address of a documentation network (RFC 5737)."""
    net = drawer.random.choice(("192.0.2", "198.51.100", "203.0.113"))
    return f"{net}.{drawer.random.randint(1, 254)}"


DRAWS: Mapping[str, Draw] = {
    "choice": _choice,
    "weighted": _weighted,
    "cycle": _cycle,
    "sample": _sample,
    "shuffle": _shuffle,
    "integer": _integer,
    "decimal": _decimal,
    "hex": _hexadecimal,
    "date": _date,
    "moment": _moment,
    "word": _words,
    "person": _people,
    "address": _address,
}
