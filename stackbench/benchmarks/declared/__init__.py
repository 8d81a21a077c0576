"""Benchmarks that users declare in a YAML file with their data beside it, without Python."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stackbench.benchmarks.declared.planning import create_declared, declared_name, declared_options

__all__ = ["create_declared", "declared_name", "declared_options", "is_definition"]


def is_definition(name: str) -> bool:
    """Whether what was given as a benchmark names a YAML file."""
    return name.lower().endswith((".yaml", ".yml"))


def __getattr__(name: str) -> Any:
    """The rest is loaded with the first benchmark that is declared in a file: most runs have none."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from stackbench.benchmarks.declared import planning

    return getattr(planning, name)
