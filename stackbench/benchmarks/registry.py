"""Finds benchmarks: ours and those of other packages, through the entry point group `stackbench.benchmarks`."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from pydantic import ValidationError

from stackbench.benchmarks.base import Benchmark
from stackbench.errors import ConfigError, UsageError

__all__ = ["create_benchmark", "find_benchmark", "list_benchmarks"]

GROUP = "stackbench.benchmarks"


def list_benchmarks() -> dict[str, type[Benchmark]]:
    """Every benchmark by name, in alphabetical order. Loads their modules."""
    return {name: point.load() for name, point in sorted(_points().items())}


def find_benchmark(name: str) -> type[Benchmark] | None:
    """One benchmark by name; None where it is not installed (any more)."""
    point = _points().get(name)
    return point.load() if point is not None else None


def create_benchmark(name: str, options: Mapping[str, Any]) -> Benchmark:
    """A benchmark with its options.

    Raises:
        UsageError: there is no such benchmark.
        ConfigError: an option does not exist or has no valid value.
    """
    points = _points()
    if name not in points:
        near = difflib.get_close_matches(name, points, n=1)
        hint = f'; did you mean "{near[0]}"?' if near else ""
        raise UsageError(f'unknown benchmark "{name}"{hint}; known: {", ".join(sorted(points))}')
    kind: type[Benchmark] = points[name].load()
    try:
        return kind(kind.options_type.model_validate(dict(options)))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        known = ", ".join(kind.options_type.model_fields) or "none"
        said = first["msg"].removeprefix("Value error, ")
        raise ConfigError(f"{name}: option {where}: {said}; its options: {known}") from error


def _points() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=GROUP)}
