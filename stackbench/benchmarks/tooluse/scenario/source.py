"""Scenario files: YAML with the line of every field, so that an error can name file, line and field."""

# yaml.parse has no types.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
from __future__ import annotations

import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from stackbench.errors import ConfigError
from stackbench.nesting import is_object

__all__ = ["ScenarioError", "Source", "read_source"]

Place = tuple[str | int, ...]
LARGEST = 4 << 20
DEEPEST = 60
MOST_NODES = 100_000
LONGEST_NUMBER = 100
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
        text = _text(path)
        _refuse_depth(path, text)
        loader = LOADER(text)
        node = loader.get_single_node()
        _refuse_growth(path, node)
        fields = None if node is None else loader.construct_document(node)
    except (OSError, UnicodeDecodeError) as error:
        raise ScenarioError(f"{path} cannot be read: {error}") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark is not None else 1
        raise ScenarioError(f"{path}, line {line}: this is no YAML: {getattr(error, 'problem', error)}") from error
    except (ValueError, OverflowError) as error:  # a day that there is not, a number of too many digits
        raise ScenarioError(f"{path}: a value in it is none: {error}") from error
    if not is_object(fields) or node is None:
        raise ScenarioError(f"{path}, line 1: a scenario is a mapping of fields; this is none")
    lines: dict[Place, int] = {}
    _note_lines(node, (), lines)
    repeated = _repeated(node)
    source = Source(path, fields, lines)
    if repeated is not None:
        name, line = repeated
        raise ScenarioError(f"{path}, line {line}: {name}: the field is there twice")
    return source


def _text(path: Path) -> str:
    """The file's text. Raises OSError, ScenarioError."""
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        raise ScenarioError(f"{path} is not a regular file")
    if found.st_size > LARGEST:
        raise ScenarioError(f"{path} has {found.st_size} bytes; a scenario has at most {LARGEST}")
    with path.open("rb") as file:
        return file.read(LARGEST).decode()


def _refuse_depth(path: Path, text: str) -> None:
    """Raises ScenarioError for nesting that would take the composer, which goes down with it, to the end of its stack.

    Only a text with many brackets, or with long indentation, can be nested so deep.
    """
    if text.count("[") + text.count("{") + text.count("- ") <= DEEPEST and " " * DEEPEST not in text:
        return
    depth = 0
    for event in yaml.parse(text, Loader=LOADER):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > DEEPEST:
                line = event.start_mark.line + 1
                raise ScenarioError(f"{path}, line {line}: it is nested more than {DEEPEST} levels deep")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _refuse_growth(path: Path, node: Any) -> None:
    """Raises ScenarioError for aliases that hold themselves, or that make a small file a large document."""
    sizes: dict[int, int] = {}
    within: set[int] = set()

    def size(one: Any) -> int:
        if isinstance(one, yaml.ScalarNode):
            if len(one.value) > LONGEST_NUMBER and one.tag.endswith((":int", ":float")):
                line = one.start_mark.line + 1
                raise ScenarioError(f"{path}, line {line}: a number has at most {LONGEST_NUMBER} characters")
            return 1
        known = sizes.get(id(one))
        if known is not None:
            return known
        if id(one) in within:
            line = one.start_mark.line + 1
            raise ScenarioError(f"{path}, line {line}: an alias (*name) stands within what it is an alias for")
        within.add(id(one))
        parts = one.value if isinstance(one, yaml.SequenceNode) else [part for pair in one.value for part in pair]
        found = 1 + sum(map(size, parts))
        within.discard(id(one))
        if found > MOST_NODES:
            line = one.start_mark.line + 1
            raise ScenarioError(
                f"{path}, line {line}: with its aliases written out it has more than {MOST_NODES} parts"
            )
        sizes[id(one)] = found
        return found

    if node is not None:
        size(node)


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
