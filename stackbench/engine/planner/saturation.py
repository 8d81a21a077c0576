"""What bounds a run: how long each resource would need for its part of the work if it were the only one."""

from __future__ import annotations

from dataclasses import dataclass

from stackbench.engine.planner.forecast import BenchmarkForecast, RunForecast
from stackbench.engine.planner.speed import ENGINE_REQUESTS_PER_S, ENGINE_TURNS_PER_S

__all__ = ["Bound", "bounds_of"]

EVENTS_PER_S = 50_000.0
"""Of the one writer of the database: the figure asked of it."""
EVENTS_EACH = 2.0
"""Of an attempt, beside one for each turn and one for each call of a tool."""
PULL_BYTES_PER_S = 1e9
"""To one node, of weights and images."""
GIB = 1 << 30


@dataclass(frozen=True, slots=True)
class Bound:
    """One resource; `seconds` is the least that the run can take because of it."""

    resource: str
    seconds: float
    detail: str


def bounds_of(forecast: RunForecast) -> list[Bound]:
    """The resources of a run, the one that saturates first at the top.

    What grows with machines (GPUs, processors, pulls) is divided by them; what does not (the engine's process, the
    writer, the longest attempt) is what a larger fleet meets.
    """
    fleet, model = forecast.fleet, forecast.model
    kept = [one for one in forecast.benchmarks if not one.cut]
    attempts = {one.name: one.attempts for one in kept}
    profiles = {one.name: one.profile for one in kept}
    exclusive = sum(one.seconds for one in kept if one.share == "exclusive")
    serving = sum(
        _at_most_measured(one, model.servers, model.request_seconds(one.profile, fleet, model.batch)[0] * one.attempts)
        for one in kept
        if one.share != "exclusive"
    )
    code = sum(_at_most_measured(one, fleet.total_cores, one.profile.code_s * one.attempts) for one in kept)
    requests = sum(profiles[name].turns * count for name, count in attempts.items())
    steps = sum(profiles[name].turns * count for name, count in attempts.items() if profiles[name].agent)
    events = sum((EVENTS_EACH + 2 * profiles[name].turns) * count for name, count in attempts.items())
    images = sum(profiles[name].image_gib * GIB for name in attempts)
    longest = max(kept, key=lambda one: one.longest_s, default=None)
    found = [
        Bound("model servers", serving / model.servers, _servers(forecast)),
        Bound("processors for sandboxes", code / fleet.total_cores, f"{code:,.0f} s on {fleet.total_cores:,} cores"),
        Bound("the engine's process", requests / ENGINE_REQUESTS_PER_S, f"{requests:,} requests, one core"),
        Bound("agents in the engine", steps / ENGINE_TURNS_PER_S, f"{steps:,} turns, one core"),
        Bound("the database's writer", events / EVENTS_PER_S, f"{events:,.0f} events, one writer"),
        Bound(
            "pulls to each node",
            (model.weight_bytes + images / fleet.nodes) / PULL_BYTES_PER_S,
            f"weights {model.weight_bytes / GIB:.0f} GiB, images {images / GIB / fleet.nodes:.0f} GiB",
        ),
        Bound("loading the model", min(model.start_s, forecast.setup_s), "each server, side by side"),
    ]
    if longest is not None:
        found.append(Bound("the longest attempt", longest.longest_s, f"of {longest.name}: turn after turn"))
    if exclusive:
        found.append(Bound("benchmarks of speed", exclusive, "one server, nothing beside it"))
    return sorted((one for one in found if one.seconds > 0), key=lambda one: -one.seconds)


def _at_most_measured(one: BenchmarkForecast, places: int, assumed: float) -> float:
    """The work of a benchmark in one kind of place: where it was measured, its time there bounds what is assumed."""
    return min(assumed, one.seconds * places) if one.measured else assumed


def _servers(forecast: RunForecast) -> str:
    model = forecast.model
    of = f" of {model.gpus} GPU{'s' if model.gpus > 1 else ''}" if model.gpus else ""
    return f"{model.servers:,} server{'s' if model.servers > 1 else ''}{of}, {model.batch} requests each"
