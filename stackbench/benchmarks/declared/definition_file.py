"""Reads a declared benchmark's YAML file; every mistake is one line with the file and the field."""

# yaml.compose has no types.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from stackbench.benchmarks.declared.definition import Definition, FewShot
from stackbench.benchmarks.declared.patterns_of_answers import refuse_bad_pattern
from stackbench.benchmarks.declared.row_templates import refuse_bad_template
from stackbench.bounded_files import read_bounded
from stackbench.errors import ConfigError, one_line
from stackbench.nesting import is_object
from stackbench.suggestions import did_you_mean

__all__ = ["read_definition"]

LARGEST = 1 << 20


def read_definition(path: Path) -> Definition:
    """A file's benchmark.

    Raises:
        UsageError: the file cannot be read.
        ConfigError: it is no YAML, or does not define a benchmark; names the file and the field.
    """
    fields = _fields(path, read_bounded(path, LARGEST))
    try:
        definition = Definition.model_validate(fields)
    except ValidationError as error:
        raise ConfigError(f"{path}: {_fault(error)}") from error
    try:
        refuse_bad_pattern(definition.pattern)
    except ValueError as error:
        raise ConfigError(f"{path}: pattern: {error}") from error
    for name, template in (
        ("prompt", definition.prompt),
        ("tests", definition.tests),
        ("fewshot.answer", definition.fewshot.answer if definition.fewshot else ""),
    ):
        try:
            refuse_bad_template(template)
        except ValueError as error:
            raise ConfigError(f"{path}: {name}: {error}") from error
    return definition


def _fields(path: Path, text: str) -> dict[str, Any]:
    try:
        node: Any = yaml.compose(text, Loader=yaml.SafeLoader)
        fields: Any = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark is not None else ""
        raise ConfigError(f"{path}{line}: this is no YAML: {one_line(getattr(error, 'problem', error))}") from error
    except (ValueError, OverflowError, RecursionError) as error:
        raise ConfigError(f"{path}: this is no YAML: {one_line(error)}") from error
    if not is_object(fields):
        raise ConfigError(f"{path}: a benchmark is a mapping of fields (name, data, prompt, metric ...); this is none")
    seen: set[str] = set()
    for key, _ in node.value:
        if key.value in seen:
            raise ConfigError(f"{path}, line {key.start_mark.line + 1}: {key.value} is there twice; leave one out")
        seen.add(key.value)
    return fields


def _fault(error: ValidationError) -> str:
    first = error.errors()[0]
    place = [str(part) for part in first["loc"]]
    said = first["msg"].removeprefix("Value error, ")
    if first["type"] == "extra_forbidden":
        model: type[BaseModel] = FewShot if place[0] == "fewshot" and len(place) > 1 else Definition
        known = list(model.model_fields)
        where = "fewshot: " if model is FewShot else ""
        return f'{where}unknown key "{place[-1]}"{did_you_mean(place[-1], known)}; known: {", ".join(known)}'
    if first["type"] == "missing":
        return f"{'.'.join(place)}: the field is missing; give it"
    if not place:
        return said
    if place == ["name"] and first["type"] == "string_pattern_mismatch":
        said = "a name begins with a letter and has letters, digits, - and _, at most 64"
    return f"{'.'.join(place)}: {said} (got {one_line(repr(first['input']), 100)})"
