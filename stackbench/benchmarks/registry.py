"""Finds benchmarks: ours and those of other packages, through the entry point group `stackbench.benchmarks`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, cast

from pydantic import ValidationError

from stackbench.benchmarks.base import Benchmark, Options
from stackbench.errors import ConfigError, UsageError, one_line
from stackbench.suggestions import did_you_mean

__all__ = ["benchmark_names", "create_benchmark", "find_benchmark", "list_benchmarks", "may_have_bounds"]

GROUP = "stackbench.benchmarks"
CHOICE = re.compile("'([^']*)'")
SHOWN_OF_VALUE = 200
OURS_WITH_BOUNDS = frozenset({"longcontext"})
"""Of our own benchmarks the ones that are `BoundedBenchmark`: a list of runs need not load the others' modules."""


def list_benchmarks() -> dict[str, type[Benchmark]]:
    """Every benchmark by name, in alphabetical order. Loads their modules."""
    return {name: point.load() for name, point in sorted(_points().items())}


def find_benchmark(name: str) -> type[Benchmark] | None:
    """One benchmark by name; None where it is not installed (any more)."""
    if name == "chat":
        return _chat()
    point = _points().get(name)
    return point.load() if point is not None else None


def create_benchmark(name: str, options: Mapping[str, Any]) -> Benchmark:
    """A benchmark with its options.

    Raises:
        UsageError: there is no such benchmark; or it is a user's own, and its file was altered since the plan was made.
        ConfigError: an option does not exist or has no valid value.
    """
    if name == "chat" and "definition" not in options:
        return _made("chat", _chat(), options)
    points = _points()
    if name not in points:
        if "definition" in options:
            from stackbench.benchmarks.declared import create_declared

            return cast(Benchmark, create_declared(name, options))
        plain = name.replace("+", "plus")
        near = f' (did you mean "{plain}"?)' if plain in points else did_you_mean(name, points)
        raise UsageError(
            f'unknown benchmark "{name}"{near}; known: {", ".join(sorted(points))}; or name a .yaml file of your own'
        )
    return _made(name, points[name].load(), options)


def _chat() -> type[Benchmark]:
    """No benchmark, and in no list of them: see its module."""
    from stackbench.benchmarks.chat import Chat

    return cast("type[Benchmark]", Chat)


def _made(name: str, kind: type[Benchmark], options: Mapping[str, Any]) -> Benchmark:
    """Raises ConfigError."""
    try:
        return kind(kind.options_type.model_validate(dict(options)))
    except ValidationError as error:
        raise ConfigError(f"{name}: {_option_fault(kind.options_type, error)}") from error


def _option_fault(options: type[Options], error: ValidationError) -> str:
    first = error.errors()[0]
    option = str(first["loc"][0]) if first["loc"] else ""
    known = list(options.model_fields)
    if first["type"] == "extra_forbidden":
        listed = f"its options: {', '.join(known)}" if known else "it has none"
        return f'there is no option "{option}"{did_you_mean(option, known)}; {listed}'
    said, given = first["msg"].removeprefix("Value error, "), first["input"]
    choices = CHOICE.findall(said) if first["type"] == "literal_error" else []
    return f"option {option}: {said} (got {one_line(repr(given), SHOWN_OF_VALUE)}){did_you_mean(str(given), choices)}"


def benchmark_names() -> list[str]:
    """The names of the installed benchmarks; their modules are not loaded."""
    return sorted(_points())


def may_have_bounds(name: str) -> bool:
    """Whether a benchmark may hold its own metrics to bounds; only of another package's has its module to tell."""
    point = _points().get(name)
    return point is not None and (name in OURS_WITH_BOUNDS or not point.value.startswith("stackbench."))


@cache
def _points() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=GROUP)}
