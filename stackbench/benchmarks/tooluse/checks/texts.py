"""Compares texts with expected ones, and formats texts and lists for a reason."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from stackbench import nesting
from stackbench.benchmarks.tooluse.checks.equality import at_path, json_equal, step_below, steps
from stackbench.nesting import is_array, is_object

__all__ = ["json_problem", "lines_problem", "listed", "relative", "sequence_problem", "shown", "yaml_problem"]

LARGEST_YAML = 1 << 18
DEEPEST_YAML = 60
LOADER: Any = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
"""Scalars stay as they are written: whether 12:30 is a time or a number depends on the version of YAML."""


def lines_problem(wanted: Sequence[str], text: str, *, any_order: bool) -> str:
    """Where lines differ, white space at their ends aside; empty where they do not."""
    found = [line.rstrip() for line in text.rstrip("\n").split("\n")] if text.strip() else []
    expected = [line.rstrip() for line in wanted]
    if any_order:
        found, expected = sorted(found), sorted(expected)
    if found == expected:
        return ""
    for number, (have, want) in enumerate(zip(found, expected, strict=False), 1):
        if have != want:
            return f"line {number} is {shown(have)}, not {shown(want)}"
    return f"it has {len(found)} lines, not {len(expected)}"


def json_problem(wanted: Mapping[str, Any], text: str, *, more: bool = False) -> str:
    """Which value by path is not as wanted, or, unless there may be `more`, which member is not named beside ones that
    are; empty for none."""
    try:
        document = nesting.loads(text)
    except ValueError as error:
        return f"it is no JSON: {error}"
    return _values_problem(wanted, document) or ("" if more else _surplus(wanted, document))


def yaml_problem(wanted: Mapping[str, Any], text: str, *, more: bool = False) -> str:
    """As `json_problem`, of a YAML document, whose scalars are compared as texts. It has no aliases, which could make a
    small text a large value."""
    try:
        document = _yaml(text)
        problem = _values_problem({path: _as_written(value) for path, value in wanted.items()}, document)
        return problem or ("" if more else _surplus(wanted, document))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        return f"it is no YAML: {shown(str(error))}"


def _yaml(text: str) -> Any:
    """Raises YAMLError, ValueError."""
    if len(text) > LARGEST_YAML:
        raise ValueError(f"its {len(text)} characters are more than are read ({LARGEST_YAML})")
    depth = 0
    for event in yaml.parse(text, Loader=LOADER):  # pyright: ignore[reportUnknownMemberType,reportUnknownVariableType]
        if isinstance(event, yaml.AliasEvent):
            raise ValueError("it holds an alias")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST_YAML:
            raise ValueError(f"it is nested more than {DEEPEST_YAML} levels deep")
    return yaml.load(text, Loader=LOADER)


def _as_written(value: Any) -> Any:
    if is_object(value):
        return {name: _as_written(one) for name, one in value.items()}
    if is_array(value):
        return [_as_written(one) for one in value]
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    return str(value)


def sequence_problem(wanted: Sequence[Any], bodies: Sequence[str]) -> str:
    """Where JSON bodies differ from those wanted, in their order; empty where they do not."""
    if len(bodies) != len(wanted):
        return f"{len(bodies)} came, not {len(wanted)}"
    for number, (body, value) in enumerate(zip(bodies, wanted, strict=True), 1):
        problem = json_problem({"$": value}, body)
        if problem:
            return f"number {number}: {problem}"
    return ""


def _values_problem(wanted: Mapping[str, Any], document: Any) -> str:
    for path, value in wanted.items():
        try:
            found = at_path(document, path)
        except LookupError:
            return f"it has no {path}"
        if not json_equal(found, value):
            return f"{path} is {shown(json.dumps(found, default=str))}, not {shown(json.dumps(value))}"
    return ""


def _surplus(wanted: Mapping[str, Any], document: Any) -> str:
    """A member of an object that no path names, where another one of the same object is named; empty for none."""
    named: dict[str, set[str]] = {}
    for path in wanted:
        above = "$"
        for step in steps(path) if path != "$" else ():
            if not step.startswith("["):
                named.setdefault(above, set()).add(step)
            above = step_below(above, step)
    for path, names in named.items():
        found = at_path(document, path)
        others = sorted(set(found) - names) if is_object(found) else []
        if others:
            return f"it also has {listed(others)}"
    return ""


def shown(text: str) -> str:
    """A text in quotes on one line, cut."""
    flat = " ".join(text[:4000].split())
    return f'"{flat[:77]}..."' if len(flat) > 80 else f'"{flat}"'


def listed(found: Sequence[str]) -> str:
    """The first of a list, and how many more there are."""
    more = f" and {len(found) - 5} more" if len(found) > 5 else ""
    return ", ".join(found[:5]) + more


def relative(path: str) -> str:
    """A path as snapshots have it: from the workspace, without its name."""
    return "" if path in (".", "/workspace") else path.removeprefix("/workspace/").removeprefix("./")
