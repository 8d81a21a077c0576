"""How two runs were set up differently: every setting, option, dataset, model file and version, by its name."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from stackbench.benchmarks import create_benchmark
from stackbench.config import changeable_on_resume
from stackbench.engine.plan import RunPlan
from stackbench.errors import StackbenchError
from stackbench.nesting import is_object
from stackbench.store import PlannedBenchmark, RunInfo

__all__ = ["setup_differences"]

VOLATILE = {"environment.model.history", "environment.model.loading", "environment.model.served.created"}
"""Names in a run's environment that tell of its course, not of how it was set up."""
SHOWN_ELSEWHERE = {"model"}


def setup_differences(
    runs: Sequence[RunInfo], planned: Sequence[Sequence[PlannedBenchmark]]
) -> dict[str, tuple[Any, Any]]:
    """Each name whose value differs, with both values (None: not set); what is measured comes before what is not.

    Benchmarks' names are `BENCHMARK.OPTION`, with defaults filled in; the environment's are `environment.NAME`.
    """
    first, second = (_setup(run, rows) for run, rows in zip(runs, planned, strict=True))
    names = [name for name in {**first, **second} if first.get(name) != second.get(name)]
    shared = {row.benchmark for row in planned[0]} & {row.benchmark for row in planned[1]}
    order = sorted(names, key=lambda name: _rank(name, shared))
    return {name: (first.get(name), second.get(name)) for name in order}


def _setup(run: RunInfo, planned: Sequence[PlannedBenchmark]) -> dict[str, Any]:
    """All that a run was set up with, flat, by name."""
    config = run.config
    settings = config.get("settings", {})
    found: dict[str, Any] = {name: value for name, value in settings.items() if name not in SHOWN_ELSEWHERE}
    found["suite"] = run.suite
    found["seeds"] = list(run.seeds)
    found["samples_file"], found["samples_sha256"] = config.get("samples_file"), config.get("samples_sha256")
    for part in config.get("benchmarks", []):
        found |= {f"{part['name']}.{name}": value for name, value in _part(config, part).items()}
    for row in planned:
        found |= {f"{row.benchmark}.{name}": value for name, value in row.datasets.items()}
    found["commit"] = run.git_commit
    found |= dict(_flat("environment", run.environment))
    return {name: value for name, value in found.items() if not any(_within(name, one) for one in VOLATILE)}


def _part(config: Mapping[str, Any], part: Mapping[str, Any]) -> dict[str, Any]:
    """One benchmark's own settings, its options with their defaults."""
    options = part.get("options", {})
    with contextlib.suppress(StackbenchError, AttributeError):  # an option of another version, a plug-in that is gone
        options = create_benchmark(part["name"], options).options.model_dump(mode="json")  # type: ignore[attr-defined]
    found = {name: part.get(name) or None for name in ("limit", "sample_ids", "max_tokens")}
    try:
        plan = RunPlan.model_validate(config)
        own = next(one for one in plan.benchmarks if one.name == part["name"])
        found |= {"temperature": plan.temperature(own), "samples": plan.attempts(own)}
    except ValueError:
        found |= {"temperature": part.get("temperature"), "samples": part.get("samples")}
    return found | dict(_flat("", options))


def _flat(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """The leaves of nested mappings under dotted names."""
    if is_object(value) and value:
        for key, inner in value.items():
            yield from _flat(f"{name}.{key}" if name else key, inner)
    else:
        yield name, value


def _within(name: str, outer: str) -> bool:
    return name == outer or name.startswith(f"{outer}.")


def _rank(name: str, shared: set[str]) -> tuple[int, int]:
    """Benchmarks' settings first, then sampling and the like, the model, versions, the machine, the pace."""
    if name.split(".")[0] in shared:
        return 0, 0
    if name.startswith("environment.model"):
        return 2, 0
    if name in ("environment.stackbench", "commit"):
        return 3, 0
    if name.startswith("environment."):
        return 4, 0
    return (5, 0) if name in changeable_on_resume() else (1, 0)
