"""Suites: TOML files that list benchmarks, with the built-in ones in the package."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from stackbench.benchmarks import SpeedBenchmark, benchmark_names, create_benchmark, declared
from stackbench.bounded_files import read_bounded
from stackbench.config import Settings
from stackbench.engine.gates import check_gate_plan
from stackbench.engine.plan import SEVERAL_ATTEMPTS_TEMPERATURE, BenchmarkPlan, Gate, RunPlan
from stackbench.errors import ConfigError, UsageError, one_line
from stackbench.suggestions import did_you_mean

__all__ = ["BatchStages", "Suite", "list_suites", "load_suite", "plan_benchmarks", "plan_suite"]

PACKAGE = "stackbench.suites"
LARGEST_FILE = 1 << 20


class BatchStages(BaseModel):
    """What `--batch` does around a suite's run."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    first: str = ""
    """A suite that must go through before: does everything work here?"""
    report: bool = False
    """Whether the report is written when the run has ended."""
    verify: bool = False
    """Whether its figures are computed, and verdicts executed, again."""
    reruns: int = Field(default=0, ge=0, le=10)
    """As `--reruns`, where that is not set."""


class SuiteBenchmark(BenchmarkPlan):
    """A benchmark as a suite has it."""

    limited_options: dict[str, Any] | None = None
    """Options in place of `options` where `--limit` asks for a small run."""

    def plan(self, *, limited: bool) -> BenchmarkPlan:
        """The benchmark of a run."""
        fields = self.model_dump(exclude={"limited_options"})
        if limited and self.limited_options is not None:
            fields["options"] = self.limited_options
        return BenchmarkPlan.model_validate(fields)


class Suite(BaseModel):
    """A suite file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    description: str = ""
    models: tuple[str, ...] = ()
    """A run for each, unless the command names others."""
    benchmarks: tuple[SuiteBenchmark, ...] = Field(min_length=1)
    gates: tuple[Gate, ...] = ()
    """Tables, or texts such as `humaneval.pass@1 >= 0.8`."""
    baseline: str = ""
    """The run, or the model with published results, that gates call `baseline`, unless `--baseline` names another."""
    batch: BatchStages | None = None
    """Set: `--batch` finishes what an earlier call of it left, and does these stages."""


def list_suites() -> dict[str, Suite]:
    """The built-in suites by name."""
    files = [item for item in resources.files(PACKAGE).iterdir() if item.name.endswith(".toml")]
    return {
        item.name.removesuffix(".toml"): _parse(item.name, item.read_text(encoding="utf-8"))
        for item in sorted(files, key=lambda item: item.name)
    }


def load_suite(name: str) -> tuple[str, Suite]:
    """A built-in suite, or one from a .toml file; returns its name too.

    Raises:
        UsageError: there is none of that name.
        ConfigError: the file is malformed; names the key.
    """
    if name.endswith(".toml"):
        path = Path(name)
        return path.stem, _beside(path, _parse(name, read_bounded(path, LARGEST_FILE)))
    built_in = list_suites()
    if name not in built_in:
        near = did_you_mean(name, [*built_in, *(path.name for path in Path().glob("*.toml"))])
        raise UsageError(f'unknown suite "{name}"{near}; built in: {", ".join(built_in)}; or name a .toml file')
    return name, built_in[name]


def plan_suite(
    name: str,
    settings: Settings,
    sample_ids: Sequence[str] = (),
    own_options: Mapping[str, Mapping[str, Any]] | None = None,
) -> RunPlan:
    """The run of a suite; the user's limit, task ids and options (`own_options`, by benchmark) win over the suite's.

    Raises:
        UsageError, ConfigError: as for `load_suite` and `plan_benchmarks`.
    """
    suite_name, suite = load_suite(name)
    planned = [part.plan(limited=settings.limit is not None) for part in suite.benchmarks]
    parts = [
        part.model_copy(update={"options": {**part.options, **(own_options or {}).get(part.name, {})}})
        for part in planned
    ]
    plans = tuple(_with_user(plan, settings, sample_ids) for plan in parts)
    settings = _varied(settings)
    if suite.batch is not None and len(settings.seeds) > 1 and not settings.reruns:
        settings = settings.model_copy(update={"reruns": suite.batch.reruns})
    if not settings.baseline and suite.baseline:
        settings = settings.model_copy(update={"baseline": suite.baseline})
    gates = _in_their_names(suite.gates, [plan.name for plan in plans])
    return _checked(RunPlan(suite=suite_name, settings=settings, benchmarks=plans, gates=gates))


def plan_benchmarks(
    names: Sequence[str],
    settings: Settings,
    sample_ids: Sequence[str] = (),
    options: Mapping[str, Any] | None = None,
    own_options: Mapping[str, Mapping[str, Any]] | None = None,
) -> RunPlan:
    """The run of named benchmarks, with options of all of them, and of one alone by its name.

    Raises:
        UsageError, ConfigError: a benchmark or option does not exist, or several seeds are to give the same answers.
    """
    plans = tuple(
        _with_user(
            BenchmarkPlan(name=name, options={**(options or {}), **(own_options or {}).get(name, {})}),
            settings,
            sample_ids,
        )
        for name in dict.fromkeys(names)
    )
    return _checked(RunPlan(suite="eval", settings=_varied(settings), benchmarks=plans))


def _in_their_names(gates: Sequence[Gate], benchmarks: Sequence[str]) -> tuple[Gate, ...]:
    """Gates with the benchmarks' own names: `tool_use` is `tooluse`."""
    plain = {name.replace("_", "").replace("-", ""): name for name in benchmarks}
    names = [plain.get(gate.benchmark.replace("_", "").replace("-", ""), gate.benchmark) for gate in gates]
    return tuple(gate.model_copy(update={"benchmark": name}) for gate, name in zip(gates, names, strict=True))


def _varied(settings: Settings) -> Settings:
    """Several seeds are several attempts at a task: like those, they have a temperature unless the user sets one."""
    if settings.temperature is not None or len(settings.seeds) < 2:
        return settings
    return settings.model_copy(update={"temperature": SEVERAL_ATTEMPTS_TEMPERATURE})


def _checked(plan: RunPlan) -> RunPlan:
    names = [part.name for part in plan.benchmarks]
    files = {part.name: part.options["definition"] for part in plan.benchmarks if "definition" in part.options}
    for name in files:
        if names.count(name) > 1:
            raise UsageError(f'two benchmarks of the run are named "{name}" ({files[name]} is one); rename one of them')
    check_gate_plan(plan)
    for part in plan.benchmarks:
        benchmark = create_benchmark(part.name, part.options)
        greedy = plan.temperature(part) == 0 and not isinstance(benchmark, SpeedBenchmark)
        if greedy and len(plan.settings.seeds) > 1:
            raise UsageError(
                f"{part.name}: at temperature 0 a seed changes nothing, so that {len(plan.settings.seeds)} seeds would "
                "give copies of one answer; name one --seed, or set --temperature above 0"
            )
    return plan


def _beside(path: Path, suite: Suite) -> Suite:
    """The suite with the YAML files of benchmarks looked for from its own folder."""
    parts = tuple(
        part.model_copy(update={"name": str(path.parent / part.name)}) if declared.is_definition(part.name) else part
        for part in suite.benchmarks
    )
    return suite.model_copy(update={"benchmarks": parts})


def _declared(plan: BenchmarkPlan) -> BenchmarkPlan:
    """A benchmark that is named by its YAML file, under its own name and with what finds the file again."""
    if not declared.is_definition(plan.name):
        return plan
    if plan.options:
        raise UsageError(
            f"{plan.name}: a benchmark of your own has no options ({', '.join(plan.options)}); its YAML file says all"
        )
    path = Path(plan.name)
    name = declared.declared_name(path)
    if name in benchmark_names():
        raise UsageError(f'{path}: name: "{name}" is the name of an installed benchmark; give yours another')
    return plan.model_copy(update={"name": name, "options": declared.declared_options(path)})


def _with_user(plan: BenchmarkPlan, settings: Settings, sample_ids: Sequence[str]) -> BenchmarkPlan:
    plan = _declared(plan)
    update: dict[str, Any] = {}
    if settings.limit is not None:
        update["limit"] = settings.limit
        update["sample_ids"] = plan.sample_ids[: settings.limit]
    if sample_ids:
        update["sample_ids"] = tuple(sample_ids)
    return plan.model_copy(update=update)


def _parse(name: str, text: str) -> Suite:
    try:
        table = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"the suite {name} is not valid TOML: {one_line(error)}") from error
    try:
        return Suite.model_validate(table)
    except ValidationError as error:
        first = error.errors()[0]
        *place, key = first["loc"] or ("",)
        where = ".".join(str(part) for part in first["loc"])
        said = first["msg"].removeprefix("Value error, ")
        if first["type"] == "extra_forbidden":
            models: dict[str, type[BaseModel]] = {"benchmarks": SuiteBenchmark, "gates": Gate, "batch": BatchStages}
            known = models.get(str(place[0]), Suite).model_fields if place else Suite.model_fields
            near = did_you_mean(str(key), known) or f"; known: {', '.join(known)}"
            where, said = ".".join(str(part) for part in place) or "at its top", f'unknown key "{key}"{near}'
        raise ConfigError(f"the suite {name}: {where}: {said}") from error
