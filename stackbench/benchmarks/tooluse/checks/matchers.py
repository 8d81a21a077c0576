"""Compares a call's parameters with the expected ones."""

from __future__ import annotations

import json
import math
import posixpath
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

from stackbench import nesting
from stackbench.agents.tools import TOOLS, parameters_schema
from stackbench.benchmarks.tooluse.checks.equality import json_equal
from stackbench.benchmarks.tooluse.scenario.patterns import DOTALL, LongTextError, found
from stackbench.benchmarks.tooluse.scenario.scenario import ExpectedCall, ForbiddenCall
from stackbench.nesting import is_array, is_object

if TYPE_CHECKING:
    from stackbench.agents import CallMade

__all__ = ["arguments_of", "call_fits", "is_legacy", "is_of_kind", "is_right", "parameter_score"]

WORKSPACE = "/workspace"
PATHS = {"path", "workdir"}
CONTENT = {
    "command",
    "content",
    "oldText",
    "newText",
    "input",
    "json",
    "body",
    "headers",
    "query",
    "data",
    "text",
    "keys",
    "hex",
    "literal",
    "edits",
    "questions",
}
"""Parameters that can be right in many ways: where nothing is asked of them, the outcome tells."""
INCIDENTAL = {
    "offset", "limit", "workdir", "env", "yieldMs", "background", "timeout", "timeoutSeconds", "pty", "extractMode",
    "maxChars", "eof", "title", "cursor", "optional", "after", "bracketed",
}  # fmt: skip
"""Parameters that say how rather than what: where nothing is asked of them, they do not count."""


def arguments_of(call: CallMade) -> dict[str, Any]:
    """The arguments of a call; none where they are no JSON object. One replacement without the list is one in it."""
    given = nesting.object_of(call.arguments) or {}
    if call.tool == "edit" and "edits" not in given and "oldText" in given:
        one = {name: given.pop(name) for name in ("oldText", "newText") if name in given}
        return {**given, "edits": [one]}
    return given


def is_legacy(call: CallMade) -> bool:
    """Whether a call is in an older form that is taken all the same: `edit` with one replacement outside a list."""
    given = nesting.object_of(call.arguments) or {}
    return call.tool == "edit" and call.valid and "edits" not in given


def call_fits(rule: ForbiddenCall, call: CallMade) -> bool:
    """Whether a call is of the rule's tool and every matcher of the rule fits."""
    if call.tool != rule.call:
        return False
    given = arguments_of(call)
    try:
        return all(name in given and _fits(name, wanted, given[name], False) for name, wanted in rule.where.items())
    except LongTextError:
        return True  # doubt counts against the call


def parameter_score(expected: ExpectedCall, call: CallMade, *, completed: bool) -> tuple[int, int]:
    """Correct parameters, and those that count: the required ones, those asked for, and those given.

    One that a matcher is written for is correct when it fits; content (a command, a body) and incidental ones (a
    terminal) also when the task was completed. Of the others, content is correct when the task was completed,
    incidental ones (a timeout) do not count, and the rest are correct when the call did its work.
    """
    given = arguments_of(call)
    schema = parameters_schema(TOOLS[call.tool].parameters) if call.tool in TOOLS else {}
    known = set(schema.get("properties", {}))
    required = set(schema.get("required", ()))
    wanted = {name: matcher for name, matcher in expected.where.items() if name in known}
    counted = {name for name in required | set(wanted) | set(given) if name in wanted or name not in INCIDENTAL}
    correct = 0
    for name in counted:
        if name in wanted:
            fits = name in given and is_right(name, wanted[name], given[name], completed)
            # What was done tells whether a command or a body was right, however it is written.
            correct += fits or (completed and name in CONTENT | INCIDENTAL)
        elif name not in given or name not in known:
            continue
        elif name in CONTENT:
            correct += completed
        else:
            correct += not call.failed
    return correct, len(counted)


def is_of_kind(expected: ExpectedCall, call: CallMade) -> bool:
    """Whether every matcher of what the call has, contents and ways of doing it aside, fits."""
    given = arguments_of(call)
    return all(
        is_right(name, matcher, given[name], False)
        for name, matcher in expected.where.items()
        if name in given and name not in CONTENT | INCIDENTAL
    )


def is_right(name: str, wanted: Any, given: Any, completed: bool) -> bool:
    """Whether a value fits a matcher; `completed`: the task was."""
    try:
        return _fits(name, wanted, given, completed)
    except LongTextError:
        return False


def _fits(name: str, wanted: Any, given: Any, completed: bool) -> bool:
    if is_object(wanted) and len(wanted) <= 2 and (kind := next(iter(wanted), "")) in MATCHERS:
        return MATCHERS[kind](wanted, given, completed)
    if name in PATHS and isinstance(given, str):
        return _path(str(wanted)) == _path(given)
    if name == "url" and isinstance(given, str):
        return _url(str(wanted)) == _url(given)
    if isinstance(wanted, str) and isinstance(given, str):
        return wanted.strip() == given.strip()
    return json_equal(wanted, given)


def _number(wanted: Mapping[str, Any], given: Any, completed: bool) -> bool:
    if isinstance(given, bool) or not isinstance(given, int | float | str):
        return False
    try:
        return math.isclose(float(given), float(wanted["number"]), abs_tol=float(wanted.get("tolerance", 1e-9)))
    except (ValueError, OverflowError):
        return False


def _json(wanted: Mapping[str, Any], given: Any, completed: bool) -> bool:
    if isinstance(given, str):
        try:
            given = nesting.loads(given)
        except ValueError:
            return False
    return json_equal(wanted["json"], given)


def _set(wanted: Mapping[str, Any], given: Any, completed: bool) -> bool:
    listed = given if is_array(given) else str(given).replace(",", " ").split()
    return sorted(map(str, wanted["set"])) == sorted(map(str, listed))


MATCHERS: dict[str, Callable[[Mapping[str, Any], Any, bool], bool]] = {
    "regex": lambda wanted, given, completed: found(wanted["regex"], _as_text(given), DOTALL),
    "contains": lambda wanted, given, completed: str(wanted["contains"]) in _as_text(given),
    "one_of": lambda wanted, given, completed: any(json_equal(one, given) for one in wanted["one_of"]),
    "path_of": lambda wanted, given, completed: _path(str(given)) in {_path(str(one)) for one in wanted["path_of"]},
    "any": lambda wanted, given, completed: True,
    "effect": lambda wanted, given, completed: completed,
    "number": _number,
    "json": _json,
    "set": _set,
}


def _as_text(given: Any) -> str:
    return given if isinstance(given, str) else json.dumps(given)


def _path(path: str) -> str:
    return posixpath.normpath(posixpath.join(WORKSPACE, path))


def _url(url: str) -> tuple[str, str, list[tuple[str, str]]]:
    """An address with its query in any order, and localhost by either name."""
    try:
        parts = urlsplit(url.strip())
    except ValueError:  # no address, so the same as itself alone
        return url, "", []
    host = parts.netloc.replace("127.0.0.1", "localhost").lower()
    return host, parts.path.rstrip("/") or "/", sorted(parse_qsl(parts.query, keep_blank_values=True))
