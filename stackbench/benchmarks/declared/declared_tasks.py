"""From a definition and its rows to tasks; a row that does not have what the definition uses is named."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from stackbench.benchmarks.declared.data_rows import Row, read_rows
from stackbench.benchmarks.declared.definition import Definition
from stackbench.benchmarks.declared.row_templates import render_row
from stackbench.benchmarks.letter_answers import LETTERS
from stackbench.benchmarks.number_answers import read_answer
from stackbench.errors import ConfigError
from stackbench.nesting import is_array
from stackbench.suggestions import did_you_mean
from stackbench.types import Task

__all__ = ["DeclaredTask", "Example", "data_files", "read_tasks"]

TEXTS = (str, int, float)


@dataclass(frozen=True, slots=True)
class DeclaredTask(Task):
    """One question."""

    prompt: str = ""
    answers: tuple[str, ...] = ()
    """Any of them is right; of a choice, its letter."""
    numbers: tuple[Fraction, ...] = ()
    choices: tuple[str, ...] = ()
    tests: str = ""
    entry_point: str = ""


@dataclass(frozen=True, slots=True)
class Example:
    """A question with its answer, to show before others."""

    prompt: str
    answer: str


def data_files(path: Path, definition: Definition) -> dict[str, Path]:
    """The files that a definition at `path` is made of, itself among them, by their names in it."""
    found = {path.name: path, definition.data: path.parent / definition.data}
    if definition.fewshot is not None and definition.fewshot.file:
        found[definition.fewshot.file] = path.parent / definition.fewshot.file
    return found


def read_tasks(path: Path, definition: Definition) -> tuple[list[DeclaredTask], list[Example]]:
    """The tasks in the data's order, and the examples.

    Raises:
        UsageError: a file cannot be read.
        ConfigError: a row is malformed; names file, row and field.
    """
    rows = list(enumerate(read_rows(path.parent / definition.data)))
    fewshot = definition.fewshot
    shown: Sequence[Row] = ()
    if fewshot is not None:
        source = read_rows(path.parent / fewshot.file) if fewshot.file else [row for _, row in rows]
        if len(source) < fewshot.count:
            raise ConfigError(
                f"{path}: fewshot.count: {fewshot.count} examples are asked for, and {source[0].path} has "
                f"{len(source)} rows"
            )
        shown = source[: fewshot.count]
        if not fewshot.file:
            rows = rows[fewshot.count :]
            if not rows:
                raise ConfigError(
                    f"{path}: fewshot.count: all {fewshot.count} rows of {definition.data} are examples, and none is "
                    "left to ask; lower the count, or name a file of examples"
                )
    first: dict[str, Row] = {}
    tasks: list[DeclaredTask] = []
    for index, row in rows:
        task = _task(definition, row, index)
        if task.task_id in first:
            raise row.fault(f'{definition.id}: the id "{task.task_id}" is that of row {first[task.task_id].number} too')
        first[task.task_id] = row
        tasks.append(task)
    return tasks, [_example(definition, row) for row in shown]


def _task(definition: Definition, row: Row, index: int) -> DeclaredTask:
    choices = _choices(definition, row)
    answers = _answers(definition, row)
    numbers: tuple[Fraction, ...] = ()
    if definition.metric == "number":
        numbers = tuple(_number(definition, row, answer) for answer in answers)
    if definition.metric == "choice":
        answers = tuple(_letter(definition, row, answer, choices) for answer in answers)
    return DeclaredTask(
        _text(row, definition.id) if definition.id else f"{definition.name}/{index}",
        _text(row, definition.category) if definition.category else "",
        prompt=_rendered(row, "prompt", definition.prompt, choices),
        answers=answers,
        numbers=numbers,
        choices=choices,
        tests=_field_or_template(row, "tests", definition.tests) if definition.tests else "",
        entry_point=_name(row, definition.entry_point) if definition.entry_point else "",
    )


def _example(definition: Definition, row: Row) -> Example:
    choices = _choices(definition, row)
    assert definition.fewshot is not None
    if definition.fewshot.answer:
        answer = _rendered(row, "fewshot.answer", definition.fewshot.answer, choices)
    else:
        answer = _answers(definition, row)[0]
        answer = _letter(definition, row, answer, choices) if definition.metric == "choice" else answer
    return Example(_rendered(row, "prompt", definition.prompt, choices), answer)


def _rendered(row: Row, what: str, template: str, choices: Sequence[str]) -> str:
    lettered = "\n".join(f"{letter}. {choice}" for letter, choice in zip(LETTERS, choices, strict=False))
    try:
        return render_row(template, {**({"lettered_choices": lettered} if choices else {}), **row.fields})
    except ValueError as error:
        raise row.fault(f"{what}: {error}") from error


def _field_or_template(row: Row, what: str, name: str) -> str:
    return _rendered(row, what, name, ()) if "{{" in name or "{%" in name else _text(row, name)


def _value(row: Row, field: str) -> Any:
    if field not in row.fields:
        near = did_you_mean(field, row.fields)
        raise row.fault(f'there is no field "{field}"{near}; it has: {", ".join(row.fields)}')
    return row.fields[field]


def _text(row: Row, field: str) -> str:
    return _as_text(row, field, _value(row, field))


def _as_text(row: Row, field: str, value: Any) -> str:
    if not isinstance(value, TEXTS) or isinstance(value, bool):
        raise row.fault(f"{field}: a text or a number is needed here, not {_shown(value)}")
    if not str(value).strip():
        raise row.fault(f"{field}: the field is empty")
    return str(value)


def _name(row: Row, field: str) -> str:
    name = _text(row, field)
    if not name.isidentifier():
        raise row.fault(f'{field}: "{name[:80]}" is no name of a Python function')
    return name


def _answers(definition: Definition, row: Row) -> tuple[str, ...]:
    found: list[str] = []
    for field in definition.answer:
        value = _value(row, field)
        values = value if is_array(value) else [value]
        if not values:
            raise row.fault(f"{field}: the list of answers is empty")
        found += [_as_text(row, field, one) for one in values]
    return tuple(found)


def _number(definition: Definition, row: Row, answer: str) -> Fraction:
    number = read_answer(answer)
    if number is None:
        raise row.fault(f'{definition.answer[0]}: "{answer[:80]}" holds no number')
    return number


def _choices(definition: Definition, row: Row) -> tuple[str, ...]:
    if not definition.choices:
        return ()
    named = ", ".join(definition.choices)
    if len(definition.choices) == 1:
        value = _value(row, named)
        if not is_array(value):
            raise row.fault(f"{named}: the choices are a list, not {_shown(value)}; or name a field for each choice")
        found = tuple(_as_text(row, named, one) for one in value)
    else:
        found = tuple(_text(row, field) for field in definition.choices)
    if not 2 <= len(found) <= len(LETTERS):
        raise row.fault(f"{named}: there are {len(found)} choices; two to {len(LETTERS)} can be told apart by letters")
    if len(set(found)) < len(found):
        raise row.fault(f"{named}: two choices are the same")
    return found


def _letter(definition: Definition, row: Row, answer: str, choices: Sequence[str]) -> str:
    """The letter of the right choice, given as its text, its letter, or its number from 0."""
    answer = answer.strip()
    stripped = [choice.strip() for choice in choices]
    if answer in stripped:
        return LETTERS[stripped.index(answer)]
    letters = LETTERS[: len(choices)]
    if len(answer) == 1 and answer.upper() in letters:
        return answer.upper()
    if answer.isdecimal() and int(answer) < len(choices):
        return letters[int(answer)]
    raise row.fault(
        f'{definition.answer[0]}: "{answer[:80]}" is none of the choices; give its text, its letter '
        f"({letters[0]} to {letters[-1]}) or its number (0 to {len(choices) - 1})"
    )


def _shown(value: Any) -> str:
    names = {list: "a list", dict: "an object", bool: "true or false", type(None): "null"}
    return names.get(type(value), "something else")
