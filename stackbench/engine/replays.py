"""Replays of recorded runs: the plan of the run, what the command overrides in it, and the recorded answers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stackbench.config import Settings, changeable_on_resume
from stackbench.engine.calls import recorded_generation
from stackbench.engine.plan import BenchmarkPlan, RunPlan
from stackbench.engine.work import AttemptSpec
from stackbench.errors import UsageError
from stackbench.models import Model, parse_model_name
from stackbench.models.replay import ReplayModel, Traits
from stackbench.store import Reader, RunInfo
from stackbench.types import AttemptKey, AttemptStatus, FinishReason, Generation

__all__ = ["Replay", "held_by", "model_traits", "replay_of_run", "replay_settings", "replayed_run", "take_plan"]

SELECTION = ("limit", "sample_ids")
OVERRIDABLE = (*SELECTION, "samples", "temperature", "max_tokens")
"""What a benchmark's plan may say itself."""


@dataclass(frozen=True, slots=True)
class Replay:
    """A plan that asks as a recorded run asked."""

    plan: RunPlan
    overridden: tuple[str, ...]
    """What the user set otherwise, a line each."""
    task_ids: Mapping[str, Sequence[str]]
    """The tasks that the run selected, for benchmarks whose selection is not overridden."""
    first_tasks: bool
    """Whether a limit selected the first tasks, as in runs that recorded no tasks."""


def replay_settings(settings: Settings, given: Mapping[str, Any]) -> Settings:
    """Settings in which only what was `given` counts as set, beside the model and the pace."""
    pace = {name: getattr(settings, name) for name in changeable_on_resume() & settings.model_fields_set}
    return Settings.model_validate({**pace, **given, "model": settings.model})


def replayed_run(plan: RunPlan) -> str | None:
    """The run that a plan's model replays, as it is named; None for other models and replayed files."""
    if plan.samples_file is not None:
        return None
    parsed = parse_model_name(plan.settings.model)
    if parsed.kind != "replay" or Path(parsed.target).is_file():
        return None
    return plan.replays or parsed.target


def take_plan(plan: RunPlan, reader: Reader) -> Replay | None:
    """The plan with all that it does not set itself as the replayed run had it; None where it replays no run.

    Raises:
        UsageError: there is no such run, it scored a file, is of another version, or lacks one of the benchmarks.
    """
    name = replayed_run(plan)
    if name is None or plan.replays is not None:
        return None
    run = reader.run(name)
    recorded = _plan_of(run)
    parts = {part.name: part for part in recorded.benchmarks}
    missing = [part.name for part in plan.benchmarks if part.name not in parts]
    if missing:
        raise UsageError(f"run {run.run_id} has no {missing[0]} to replay; it is of {', '.join(parts)}")
    settings, differences = _merged_settings(plan.settings, recorded.settings)
    benchmarks: list[BenchmarkPlan] = []
    task_ids = dict(reader.task_ids(run.run_id))
    first_tasks = not task_ids
    for part in plan.benchmarks:
        merged, differing = _merged_part(part, parts[part.name])
        benchmarks.append(merged)
        differences += [f"{part.name}: {line}" for line in differing]
        other_seed = merged.limit is not None and settings.limit_seed != recorded.settings.limit_seed
        if other_seed or any(getattr(merged, field) != getattr(parts[part.name], field) for field in SELECTION):
            task_ids.pop(part.name, None)
    taken = plan.model_copy(update={"settings": settings, "benchmarks": tuple(benchmarks), "replays": run.run_id})
    return Replay(taken, tuple(differences), task_ids, first_tasks)


def _plan_of(run: RunInfo) -> RunPlan:
    try:
        plan = RunPlan.model_validate(run.config)
    except ValueError as error:
        raise UsageError(
            f"run {run.run_id} was made by another version of stackbench and cannot be replayed"
        ) from error
    if plan.samples_file is not None:
        raise UsageError(
            f"run {run.run_id} scored the samples in {plan.samples_file} and asked no model; score that file again"
        )
    return plan


def _merged_settings(given: Settings, recorded: Settings) -> tuple[Settings, list[str]]:
    values, differences = recorded.model_dump(), list[str]()
    changeable = changeable_on_resume()
    for name in type(given).model_fields:
        value = getattr(given, name)
        if name in changeable or name == "model":
            values[name] = value
        elif name in given.model_fields_set and value != values[name]:
            if name != "limit":  # a benchmark's plan holds it too, and tells
                differences.append(f"{name} {value!r} in place of {values[name]!r}")
            values[name] = value
    return Settings.model_validate(values), differences


def _merged_part(given: BenchmarkPlan, recorded: BenchmarkPlan) -> tuple[BenchmarkPlan, list[str]]:
    update: dict[str, Any] = {"options": {**recorded.options, **given.options}}
    differences = [
        f"option {name} {value!r} in place of {recorded.options.get(name, 'the default')!r}"
        for name, value in given.options.items()
        if recorded.options.get(name) != value
    ]
    for name in OVERRIDABLE:
        value, before = getattr(given, name), getattr(recorded, name)
        if value not in (None, ()) and value != before:
            update[name] = value
            differences.append(f"{name} {value!r} in place of {before!r}")
    if given.sample_ids and not given.limit:
        update["limit"] = None
    if given.limit and not given.sample_ids:
        update["sample_ids"] = ()
    return recorded.model_copy(update=update), differences


# -- the model


def model_traits(model: Model) -> dict[str, Any]:
    """What benchmarks look at before they ask: recorded with a run, so that its replay is asked alike."""
    return {name: getattr(model, name) for name in Traits.__annotations__}


def held_by(model: Model, specs: Sequence[AttemptSpec]) -> tuple[list[AttemptSpec], int]:
    """The attempts that a model can make, and how many it cannot: a replay has no others than its run's."""
    if not isinstance(model, ReplayModel):
        return list(specs), 0
    held = [spec for spec in specs if model.holds(spec.key)]
    return held, len(specs) - len(held)


def replay_of_run(name: str, target: str, reader: Reader) -> ReplayModel:
    """The model that answers as a recorded run was answered. Raises UsageError for a run that there is not."""
    run = reader.run(target)
    known: Mapping[str, Any] = run.environment.get("model_traits") or {}
    traits = Traits(**{field: known[field] for field in Traits.__annotations__ if field in known})
    answers, errors = _recorded(reader, run.run_id)
    return ReplayModel(name, answers, f"run {run.run_id}", traits=traits, errors=errors, of_run=True)


def _recorded(
    reader: Reader, run_id: str
) -> tuple[Iterator[tuple[AttemptKey, list[Generation]]], dict[AttemptKey, str]]:
    calls: dict[AttemptKey, list[Mapping[str, Any]]] = defaultdict(list)
    for key, payload in reader.model_calls(run_id):
        calls[key].append(payload)
    attempts = list(reader.answers(run_id))
    errors = {one.key: one.error.removeprefix("error: ") for one in attempts if one.status is AttemptStatus.ERROR}

    def answers() -> Iterator[tuple[AttemptKey, list[Generation]]]:
        for one in attempts:
            if one.status is AttemptStatus.ERROR:
                continue
            made = [recorded_generation(payload, one.completion, one.thought) for payload in calls.get(one.key, ())]
            yield (
                one.key,
                made
                or [
                    Generation(
                        one.completion,
                        one.finish_reason or FinishReason.STOP,
                        one.prompt_tokens,
                        one.completion_tokens,
                        one.latency_s,
                        thought=one.thought,
                    )
                ],
            )

    return answers(), errors
