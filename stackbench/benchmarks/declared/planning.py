"""From a YAML file to what a plan records of it, and back to the benchmark in whichever process carries it out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from stackbench.benchmarks.declared.data_rows import sha256_of_file
from stackbench.benchmarks.declared.declared_benchmark import DeclaredBenchmark, DeclaredOptions, make_declared
from stackbench.benchmarks.declared.declared_tasks import data_files, read_tasks
from stackbench.benchmarks.declared.definition_file import read_definition
from stackbench.errors import ConfigError, UsageError

__all__ = ["create_declared", "declared_name", "declared_options"]


def declared_name(path: Path) -> str:
    """What the benchmark in a YAML file is called. Raises UsageError, ConfigError."""
    return read_definition(path).name


def declared_options(path: Path) -> dict[str, Any]:
    """What a plan records of the benchmark in a YAML file; all its files are read, and their rows checked.

    Raises:
        UsageError, ConfigError: a mistake in one of them; names file, row and field.
    """
    path = path.expanduser().absolute()
    definition = read_definition(path)
    hashes = {name: sha256_of_file(file) for name, file in data_files(path, definition).items()}
    read_tasks(path, definition)
    return DeclaredOptions(definition=str(path), sha256=hashes).model_dump()


def create_declared(name: str, options: Mapping[str, Any]) -> DeclaredBenchmark:
    """The benchmark that a plan records.

    Raises:
        UsageError: its YAML file cannot be read, or was altered since.
        ConfigError: the options are none.
    """
    try:
        recorded = DeclaredOptions.model_validate(dict(options))
    except ValidationError as error:
        raise ConfigError(
            f"{name}: a benchmark of your own is named by its file: stackbench eval {options['definition']}"
        ) from error
    path = Path(recorded.definition)
    found, before = sha256_of_file(path), recorded.sha256.get(path.name, "")
    if found != before:
        raise UsageError(
            f"{path} was altered since the run was planned: its sha256 is {found}, it was {before}; "
            "put the file back, or start a new run"
        )
    return make_declared(read_definition(path), recorded)
