"""Benchmarks that users declare in a YAML file with their data beside it, without Python."""

from stackbench.benchmarks.declared.definition_file import is_definition
from stackbench.benchmarks.declared.planning import create_declared, declared_name, declared_options

__all__ = ["create_declared", "declared_name", "declared_options", "is_definition"]
