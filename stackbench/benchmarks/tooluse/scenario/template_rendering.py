"""Expressions and texts in a template: Jinja in its sandbox, with filters for the formats that tasks are made of."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, cast

import yaml
from jinja2 import StrictUndefined, TemplateError, TemplateSyntaxError

from stackbench.benchmarks.tooluse.scenario.bounded_expressions import BoundedEnvironment
from stackbench.nesting import is_array, is_object

__all__ = ["EACH", "RenderError", "bounded", "charge", "render"]


FAULTS = (
    TemplateError,
    TypeError,
    ValueError,
    LookupError,
    ArithmeticError,
    AttributeError,
    RecursionError,
    SyntaxError,
    MemoryError,
)
"""What a wrong expression raises."""


EACH = re.compile(r"each (\w+) of (.+)", re.DOTALL)
"""A member `each row of rows` of a mapping, or as the only member of a list's element: what is below it, once for each
of them, with `row` bound to it and `n` to its number from 1."""


class RenderError(ValueError):
    """An expression or a text that cannot be rendered; `path` leads to it."""

    def __init__(self, path: tuple[str | int, ...], problem: str) -> None:
        super().__init__(problem)
        self.path = path


def render(value: Any, values: Mapping[str, Any], path: tuple[str | int, ...] = ()) -> Any:
    """The value with every text in it rendered. A text that is one expression becomes what the expression gives.

    Raises:
        RenderError: an expression is wrong, or names what there is not.
    """
    if isinstance(value, str):
        return _text(value, values, path)
    if is_object(value):
        return _mapping(value, values, path)
    if is_array(value):
        return _sequence(value, values, path)
    return value


def _mapping(given: Mapping[str, Any], values: Mapping[str, Any], path: tuple[str | int, ...]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for key, one in given.items():
        below = (*path, key)
        each = EACH.fullmatch(str(key))
        if each is None:
            made[_key(key, values, below)] = render(one, values, below)
            continue
        for bound in _turns(each, values, below):
            inner = render(one, bound, below)
            if not is_object(inner):
                raise RenderError(below, "below `each` in a mapping there is a mapping")
            made |= inner
    return made


def _sequence(given: Sequence[Any], values: Mapping[str, Any], path: tuple[str | int, ...]) -> list[Any]:
    made: list[Any] = []
    for index, one in enumerate(given):
        below = (*path, index)
        name = str(next(iter(one))) if is_object(one) and len(one) == 1 else ""
        each = EACH.fullmatch(name)
        if each is None:
            made.append(render(one, values, below))
            continue
        for bound in _turns(each, values, (*below, name)):
            inner = render(one[name], bound, (*below, name))
            if not is_array(inner):
                raise RenderError((*below, name), "below `each` in a list there is a list")
            made += inner
    return made


def _turns(each: re.Match[str], values: Mapping[str, Any], path: tuple[str | int, ...]) -> list[Mapping[str, Any]]:
    """The values for every turn of an `each`."""
    name, among = each.groups()
    found = _text(f"{{{{ {among} }}}}", values, path)
    if not is_array(found):
        raise RenderError(path, f"{among} is no list")
    return [{**values, name: one, "n": number} for number, one in enumerate(found, 1)]


def _key(key: Any, values: Mapping[str, Any], path: tuple[str | int, ...]) -> Any:
    found = _text(str(key), values, path)
    if isinstance(found, list | dict):
        raise RenderError(path, "a name is a text or a number, not a list or a mapping")
    return found


def _text(text: str, values: Mapping[str, Any], path: tuple[str | int, ...]) -> Any:
    if "{{" not in text and "{%" not in text:
        return text
    if "\r" in text:
        raise RenderError(path, "a carriage return beside an expression is not kept; a file may have `crlf: true`")
    try:
        with bounded():
            return _rendered(text, values)
    except FAULTS as error:
        raise RenderError(path, f"{type(error).__name__}: {error}") from error


def bounded() -> AbstractContextManager[None]:
    """What is rendered within shares one budget of steps and characters: one task's, usually."""
    return ENVIRONMENT.budget()


def charge(steps: int) -> None:
    """Charges the budget for what is made outside of expressions. Raises ValueError when it is used up."""
    ENVIRONMENT.charge(steps)


def _rendered(text: str, values: Mapping[str, Any]) -> Any:
    kind, compiled = _compiled(text)
    if kind != "expression":
        return compiled.render(**values)
    found: Any = compiled(**values)
    if isinstance(found, StrictUndefined):
        str(found)  # says what is undefined
    if isinstance(found, Iterable) and not isinstance(found, str | dict | list):
        found = list(ENVIRONMENT.turns(cast("Iterable[Any]", found)))
    ENVIRONMENT.charge_for(found)
    return cast(Any, found)


@lru_cache(maxsize=20_000)
def _compiled(text: str) -> tuple[str, Any]:
    if text.startswith("{{") and text.endswith("}}"):
        try:
            return "expression", ENVIRONMENT.compile_expression(text[2:-2], undefined_to_none=False)
        except TemplateSyntaxError:  # two expressions with a text between them
            pass
    return "text", ENVIRONMENT.from_string(text)


# -- filters


def _csv(
    rows: Iterable[Mapping[str, Any]], columns: list[str] | None = None, sep: str = ",", header: bool = True
) -> str:
    listed = list(rows)
    names = columns or list(listed[0])
    out = io.StringIO()
    writer = csv.writer(out, delimiter=sep, lineterminator="\n")
    if header:
        writer.writerow(names)
    writer.writerows([row[name] for name in names] for row in listed)
    return out.getvalue()


def _json(value: Any, indent: int | None = None) -> str:
    return json.dumps(value, indent=indent, ensure_ascii=False)


def _jsonl(rows: Iterable[Any]) -> str:
    return "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows)


def _yaml(value: Any) -> str:
    return yaml.safe_dump(value, sort_keys=False, allow_unicode=True)


def _total(rows: Iterable[Any], attribute: str | None = None) -> float:
    """The sum, rounded to two places: amounts are money."""
    return round(sum(row[attribute] if attribute else row for row in rows), 2)


def _where(rows: Iterable[Mapping[str, Any]], attribute: str, *wanted: Any) -> list[Mapping[str, Any]]:
    return [row for row in rows if row[attribute] in wanted]


def _above(rows: Iterable[Mapping[str, Any]], attribute: str, limit: Any) -> list[Mapping[str, Any]]:
    return [row for row in rows if row[attribute] > limit]


def _below(rows: Iterable[Mapping[str, Any]], attribute: str, limit: Any) -> list[Mapping[str, Any]]:
    return [row for row in rows if row[attribute] < limit]


def _pluck(rows: Iterable[Mapping[str, Any]], attribute: str) -> list[Any]:
    return [row[attribute] for row in rows]


def _only(rows: Iterable[Mapping[str, Any]], *attributes: str) -> list[dict[str, Any]]:
    return [{name: row[name] for name in attributes} for row in rows]


def _totals(rows: Iterable[Mapping[str, Any]], key: str, attribute: str | None = None) -> dict[Any, Any]:
    """By key, in the order of first appearance: the sum of an attribute, or the count."""
    found: dict[Any, Any] = {}
    for row in rows:
        found[row[key]] = round(found.get(row[key], 0) + (row[attribute] if attribute else 1), 2)
    return found


def _index(rows: Iterable[Mapping[str, Any]], key: str) -> dict[Any, Mapping[str, Any]]:
    return {row[key]: row for row in rows}


def _top(totals: Mapping[Any, Any], count: int = 1) -> list[Any]:
    """The keys with the largest values, ties by key."""
    return [key for key, _ in sorted(totals.items(), key=lambda item: (-item[1], str(item[0])))[:count]]


def _days(moment: str, count: int) -> str:
    """A date or moment so many days later."""
    shifted = datetime.fromisoformat(moment.replace("Z", "+00:00")) + timedelta(days=count)
    return shifted.date().isoformat() if len(moment) == 10 else shifted.strftime("%Y-%m-%dT%H:%M:%SZ")


def _seconds(moment: str, count: float) -> str:
    shifted = datetime.fromisoformat(moment.replace("Z", "+00:00")) + timedelta(seconds=count)
    return shifted.strftime("%Y-%m-%dT%H:%M:%SZ")


def _epoch(moment: str) -> int:
    """Seconds since 1970."""
    return int(datetime.fromisoformat(moment.replace("Z", "+00:00")).timestamp())


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _etag(text: str) -> str:
    """The entity tag that the HTTP service gives a body."""
    return f'"{_sha256(text)[:16]}"'


def _b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _escape(text: str) -> str:
    """The text as a regular expression that matches it alone."""
    return re.escape(str(text))


def _money(value: float) -> str:
    return f"{value:.2f}"


def _merged(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    return {**one, **other}


def _affixed(words: Iterable[Any], before: str = "", after: str = "") -> list[str]:
    """Each word with a text before and one after it."""
    return [f"{before}{word}{after}" for word in words]


def _lookup(rows: Iterable[Mapping[str, Any]], key: str, value: str) -> dict[Any, Any]:
    """One attribute by another."""
    return {row[key]: row[value] for row in rows}


def _at(places: Iterable[int], rows: list[Any]) -> list[Any]:
    """The rows at these places."""
    return [rows[place] for place in places]


ENVIRONMENT = BoundedEnvironment(keep_trailing_newline=True, trim_blocks=True, lstrip_blocks=True)
FILTERS: dict[str, Any] = {
    "csv": _csv,
    "json": _json,
    "jsonl": _jsonl,
    "yaml": _yaml,
    "total": _total,
    "totals": _totals,
    "where": _where,
    "above": _above,
    "below": _below,
    "pluck": _pluck,
    "only": _only,
    "index": _index,
    "top": _top,
    "days": _days,
    "seconds": _seconds,
    "sha256": _sha256,
    "epoch": _epoch,
    "etag": _etag,
    "b64": _b64,
    "escape_regex": _escape,
    "money": _money,
    "merged": _merged,
    "affixed": _affixed,
    "lookup": _lookup,
    "at": _at,
}
ENVIRONMENT.add_filters(FILTERS)
GLOBALS: dict[str, Any] = {"api": "http://127.0.0.1:8080"}
ENVIRONMENT.globals.update(GLOBALS)
