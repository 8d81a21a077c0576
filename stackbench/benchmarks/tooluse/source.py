"""Scenario files: YAML with the line of every field, so that an error can name file, line and field."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from stackbench.errors import ConfigError

__all__ = ["ScenarioError", "Source", "read_source"]

Place = tuple[str | int, ...]
LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The one in C is ten times as quick; some builds of PyYAML lack it."""


class ScenarioError(ConfigError):
    """A scenario is not written as docs/scenarios.md says; the message names file, line and field."""


@dataclass(frozen=True, slots=True)
class Source:
    """One template as it is written."""

    path: Path
    fields: dict[str, Any]
    lines: dict[Place, int]

    def error(self, place: Place, problem: str) -> ScenarioError:
        """An error at a field, or at the nearest field around it that is written in the file."""
        shown = ".".join(str(part) for part in place) or "the scenario"
        known = place
        while known and known not in self.lines:
            known = known[:-1]
        return ScenarioError(f"{self.path}, line {self.lines.get(known, 1)}: {shown}: {problem}")


def read_source(path: Path) -> Source:
    """Reads one file.

    Raises:
        ScenarioError: it cannot be read, is no YAML, or is no mapping.
    """
    try:
        text = path.read_text(encoding="utf-8")
        loader = LOADER(text)
        node = loader.get_single_node()
        fields = None if node is None else loader.construct_document(node)
    except (OSError, UnicodeDecodeError) as error:
        raise ScenarioError(f"{path} cannot be read: {error}") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark is not None else 1
        raise ScenarioError(f"{path}, line {line}: this is no YAML: {getattr(error, 'problem', error)}") from error
    if not isinstance(fields, dict) or node is None:
        raise ScenarioError(f"{path}, line 1: a scenario is a mapping of fields; this is none")
    lines: dict[Place, int] = {}
    _note_lines(node, (), lines)
    repeated = _repeated(node)
    source = Source(path, fields, lines)
    if repeated is not None:
        name, line = repeated
        raise ScenarioError(f"{path}, line {line}: {name}: the field is there twice")
    return source


def _note_lines(node: yaml.Node, place: Place, lines: dict[Place, int]) -> None:
    lines.setdefault(place, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            below = (*place, key.value)
            lines[below] = key.start_mark.line + 1
            _note_lines(value, below, lines)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            _note_lines(value, (*place, index), lines)


def _repeated(node: yaml.Node) -> tuple[str, int] | None:
    """A key that one mapping has twice: YAML would take the last and say nothing."""
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if key.value in seen:
                return str(key.value), key.start_mark.line + 1
            seen.add(key.value)
            found = _repeated(value)
            if found is not None:
                return found
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            found = _repeated(value)
            if found is not None:
                return found
    return None
