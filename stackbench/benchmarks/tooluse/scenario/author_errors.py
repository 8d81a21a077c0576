"""Mistakes of authors that no type tells: names that lead nowhere, checks that nothing fails. Each has its place."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from stackbench.agents.tools import TOOLS, parameters_schema
from stackbench.benchmarks.tooluse.scenario.check_fields import AnswerCheck
from stackbench.benchmarks.tooluse.scenario.patterns import LongTextError, found
from stackbench.benchmarks.tooluse.scenario.scenario import ExpectedCall, ForbiddenCall, Scenario
from stackbench.nesting import is_object

__all__ = ["MATCHER_NAMES", "author_error"]

MATCHER_NAMES = ("regex", "contains", "one_of", "path_of", "any", "effect", "number", "json", "set")
BESIDE = {"tolerance"}
"""Members that a matcher has beside its name."""
OLDER = {"edit": ("oldText", "newText")}
"""Parameters that a tool takes though its schema does not name them."""
CONDITIONS = ("exact", "number", "all_of", "none_of", "regex", "lacks", "file", "output")
MOST_EXPECTED = 12
NOBODY_SAYS = "\u2020"
Place = tuple[str | int, ...]


def author_error(scenario: Scenario) -> tuple[Place, str] | None:
    """The first mistake: its place in the scenario, and what is wrong."""
    return next(_errors(scenario), None)


def _errors(scenario: Scenario) -> Iterator[tuple[Place, str]]:
    yield from _plan(scenario.expected, ("expected",))
    for number, plan in enumerate(scenario.alternatives):
        yield from _plan(plan, ("alternatives", number))
    for number, rule in enumerate(scenario.forbidden):
        if isinstance(rule, ForbiddenCall):
            yield from _matchers((rule.call,), rule.where, ("forbidden", number, "with"))
    for number, check in enumerate(scenario.checks):
        if isinstance(check, AnswerCheck) and _passes_anything(check):
            yield ("checks", number), "every answer passes it"


def _plan(plan: Sequence[ExpectedCall], place: Place) -> Iterator[tuple[Place, str]]:
    if len(plan) > MOST_EXPECTED:
        yield place, f"it has {len(plan)} calls; {MOST_EXPECTED} at most"
    ids = [call.id for call in plan if call.id]
    seen: set[str] = set()
    for number, call in enumerate(plan):
        if call.id and call.id in seen:
            yield (*place, number, "id"), f"{call.id} is the id of a call before it"
        seen.add(call.id)
        for name in call.after:
            if name not in ids or name == call.id:
                yield (*place, number, "after"), f"{name} is the id of no other call{_near(name, ids)}"
        yield from _matchers(call.call, call.where, (*place, number, "with"))


def _matchers(tools: Iterable[str], where: Mapping[str, Any], place: Place) -> Iterator[tuple[Place, str]]:
    known: dict[str, Any] = {}
    for tool in tools:
        known |= {name: {} for name in OLDER.get(tool, ())}
        known |= parameters_schema(TOOLS[tool].parameters).get("properties", {})
    for name, matcher in where.items():
        if name not in known:
            yield (*place, name), f"{', '.join(tools)} has no parameter {name}{_near(name, known)}"
        elif is_object(matcher) and not _takes_objects(known[name]):
            kind = next(iter(matcher), "")
            if kind not in MATCHER_NAMES or not set(matcher) - {kind} <= BESIDE:
                yield (*place, name), f"{kind} is no matcher{_near(str(kind), MATCHER_NAMES)}"


def _takes_objects(schema: Mapping[str, Any]) -> bool:
    kinds = {schema.get("type"), *(one.get("type") for one in schema.get("anyOf", ()))}
    return "object" in kinds or kinds == {None}


def _passes_anything(check: AnswerCheck) -> bool:
    given = [name for name in CONDITIONS if getattr(check, name) not in (None, [])]
    if given != ["regex"] or check.regex is None:
        return not given
    try:
        return found(check.regex, "") and found(check.regex, NOBODY_SAYS)
    except LongTextError:
        return False


def _near(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(known), n=1)
    return f'; did you mean "{near[0]}"?' if near else ""
