"""From templates to tasks: every parameter drawn from a seed, every field checked, the whole set under one hash."""

from __future__ import annotations

import difflib
import hashlib
import json
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from pydantic import ValidationError

from stackbench.benchmarks.tooluse.scenario.author_errors import author_error
from stackbench.benchmarks.tooluse.scenario.draws import Drawer, DrawError
from stackbench.benchmarks.tooluse.scenario.scenario import Scenario
from stackbench.benchmarks.tooluse.scenario.source import ScenarioError, Source, read_source
from stackbench.benchmarks.tooluse.scenario.template_rendering import EACH, RenderError, bounded, render
from stackbench.nesting import is_array, is_object
from stackbench.types import Task

__all__ = ["PUBLISHED_SEED", "ToolTask", "expand", "list_sources", "load_tasks", "set_hash"]

PUBLISHED_SEED = 29
MOST_TASKS = 8
OWN_FIELDS = ("parameters", "tasks", "twin", "twins")
"""Fields of a template that its tasks do not have."""


@dataclass(frozen=True, slots=True)
class ToolTask(Task):
    """One task of the tool-use benchmark."""

    template: str = ""
    scenario: Scenario | None = None
    source: Source | None = None

    @property
    def strata(self) -> tuple[str, ...]:
        return (self.category, str(self.spec.difficulty), self.template)

    @property
    def spec(self) -> Scenario:
        assert self.scenario is not None
        return self.scenario


def load_tasks(folder: Path, seed: int = PUBLISHED_SEED) -> list[ToolTask]:
    """Every task of a folder of scenario files, in the order of their paths.

    Raises:
        ScenarioError: there is none, one is malformed, or an id is there twice; names file, line and field.
    """
    tasks: list[ToolTask] = []
    seen: dict[str, Path] = {}
    for source in list_sources(folder):
        found = expand(source, seed)
        name = found[0].template
        if name in seen:
            raise source.error(("id",), f"{name} is also the id of {seen[name]}")
        seen[name] = source.path
        tasks += found
    return tasks


def list_sources(folder: Path) -> list[Source]:
    """The templates below a folder (or the one in a file). Raises ScenarioError."""
    if folder.is_file():
        return [read_source(folder)]
    if not folder.is_dir():
        raise ScenarioError(f"there is no folder {folder} with scenarios")
    paths = sorted(path for pattern in ("*.yaml", "*.yml") for path in folder.rglob(pattern))
    if not paths:
        raise ScenarioError(f'{folder} holds no scenario (.yaml); "stackbench scenarios new" writes one to start from')
    return [read_source(path) for path in paths]


def expand(source: Source, seed: int = PUBLISHED_SEED) -> list[ToolTask]:
    """The tasks of one template.

    Raises:
        ScenarioError: a field is not as it must be.
    """
    count = source.fields.get("tasks", 1)
    if not isinstance(count, int) or isinstance(count, bool) or not 1 <= count <= MOST_TASKS:
        raise source.error(("tasks",), f"between 1 and {MOST_TASKS} tasks come from one template, not {count!r}")
    name = str(source.fields.get("id", ""))
    twins = _twins(source, name, count, seed)
    tasks: list[ToolTask] = []
    for number in range(count):
        with bounded():
            tasks.append(_task(source, name, number, count, seed, is_twin=number in twins))
    return tasks


def _twins(source: Source, name: str, count: int, seed: int) -> set[int]:
    """Which of a template's tasks are twins: tasks that look alike and want the opposite."""
    twin = source.fields.get("twin")
    if twin is None:
        return set()
    if not is_object(twin):
        raise source.error(("twin",), "a twin is a mapping of the fields in which it differs")
    many = source.fields.get("twins", count // 2)
    if not isinstance(many, int) or isinstance(many, bool) or not 1 <= many < count:
        raise source.error(("twins",), f"between 1 and {count - 1} of {count} tasks are twins, not {many!r}")
    return set(random.Random(f"{seed}\0{name}\0twins").sample(range(count), many))


def _task(source: Source, name: str, number: int, count: int, seed: int, *, is_twin: bool) -> ToolTask:
    values = _drawn(source, name, number, seed)
    given = {key: value for key, value in source.fields.items() if key not in OWN_FIELDS}
    twin: dict[str, Any] = source.fields["twin"] if is_twin else {}
    given = _overlaid(given, twin)
    prompts = given.get("prompt")
    if is_array(prompts) and prompts:
        given["prompt"] = prompts[number % len(prompts)]

    def place(path: Sequence[str | int]) -> tuple[str | int, ...]:
        return ("twin", *path) if path and path[0] in twin else tuple(path)

    try:
        rendered = render(given, values)
    except RenderError as error:
        raise source.error(place(error.path), str(error)) from error
    try:
        scenario = Scenario.model_validate(rendered)
    except ValidationError as error:
        # A name that is misspelt is told before the field that is missing for it.
        first = next((one for one in error.errors() if one["type"] == "extra_forbidden"), error.errors()[0])
        said = first["msg"].removeprefix("Value error, ") + _meant(first["loc"])
        raise source.error(place(_before_each(given, _written(first["loc"]))), said) from error
    mistake = author_error(scenario)
    if mistake is not None:
        raise source.error(place(_before_each(given, mistake[0])), mistake[1])
    task_id = name if count == 1 else f"{name}-{number + 1}"
    return ToolTask(task_id, scenario.category, name, scenario, source)


def _overlaid(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """A mapping with others laid over it: mappings are merged, null takes a member away, anything else replaces it."""
    made = dict(base)
    for name, value in over.items():
        old = made.get(name)
        if value is None:
            made.pop(name, None)
        elif is_object(value) and is_object(old):
            made[name] = _overlaid(old, value)
        else:
            made[name] = value
    return made


def _before_each(given: Any, path: Sequence[str | int]) -> Sequence[str | int]:
    """A place in a rendered task, cut where a list or mapping was written with `each`: its parts have other numbers
    than those written."""
    here = given
    for depth, step in enumerate(path):
        names: list[Any] = []
        if is_object(here):
            names = [] if step in here else list(here)
        elif is_array(here):
            names = [name for one in here if is_object(one) for name in one]
        if any(EACH.fullmatch(str(name)) for name in names):
            return path[:depth]
        try:
            here = cast(Any, here)[step]
        except (LookupError, TypeError):
            return path
    return path


def _drawn(source: Source, name: str, number: int, seed: int) -> dict[str, Any]:
    parameters = source.fields.get("parameters", {})
    if not is_object(parameters):
        raise source.error(("parameters",), "parameters are a mapping of names to draws")

    drawer = Drawer(f"{seed}\0{name}", number)
    drawer.values["task_number"] = number + 1
    for parameter, how in parameters.items():
        try:
            drawer.parameter(parameter, how)
        except RenderError as error:
            raise source.error(("parameters", parameter, *error.path), str(error)) from error
        except DrawError as error:
            raise source.error(("parameters", parameter), str(error)) from error
    return drawer.values


def _written(place: Sequence[str | int]) -> tuple[str | int, ...]:
    """The place as the file has it: which kind of check it is, is no step there."""
    if len(place) > 2 and place[0] in ("checks", "forbidden"):
        return (*place[:2], *place[3:])
    return tuple(place)


def _meant(place: Sequence[str | int]) -> str:
    """The field of a scenario that a name like it may have been meant for."""
    near = difflib.get_close_matches(str(place[0]), Scenario.model_fields, n=1) if len(place) == 1 else []
    return f'; did you mean "{near[0]}"?' if near and near[0] != place[0] else ""


def set_hash(tasks: Iterable[ToolTask]) -> str:
    """sha256 over all that the tasks hold, in their order."""
    made = hashlib.sha256()
    for task in tasks:
        document = [task.task_id, task.spec.model_dump(mode="json", by_alias=True)]
        made.update(json.dumps(document, sort_keys=True, ensure_ascii=True).encode())
    return made.hexdigest()
