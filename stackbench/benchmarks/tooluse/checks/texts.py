"""Compares texts with expected ones, and formats texts and lists for a reason."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from stackbench import nesting
from stackbench.benchmarks.tooluse.checks.equality import at_path, json_equal

__all__ = ["json_problem", "lines_problem", "listed", "shown"]


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


def json_problem(wanted: Mapping[str, Any], text: str) -> str:
    """Which value by path is not as wanted; empty for none."""
    try:
        document = nesting.loads(text)
    except ValueError as error:
        return f"it is no JSON: {error}"
    for path, value in wanted.items():
        try:
            found = at_path(document, path)
        except LookupError:
            return f"it has no {path}"
        if not json_equal(found, value):
            return f"{path} is {shown(json.dumps(found))}, not {shown(json.dumps(value))}"
    return ""


def shown(text: str) -> str:
    """A text in quotes on one line, cut."""
    flat = " ".join(text[:4000].split())
    return f'"{flat[:77]}..."' if len(flat) > 80 else f'"{flat}"'


def listed(found: Sequence[str]) -> str:
    """The first of a list, and how many more there are."""
    more = f" and {len(found) - 5} more" if len(found) > 5 else ""
    return ", ".join(found[:5]) + more
