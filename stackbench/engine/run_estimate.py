"""The estimate of a run that begins, and at its end how far off it was; what it took is kept for the next one."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from stackbench.config import Home
from stackbench.durations import spoken_duration
from stackbench.engine.lanes import RunLane
from stackbench.engine.plan import RunPlan
from stackbench.engine.planner.schedule import Lane, Phase
from stackbench.engine.work import LoadedBenchmark
from stackbench.models import Model, Pooled
from stackbench.store import Queries
from stackbench.store.timings import TIMING, BenchmarkTiming, RunTiming, read_timings, timing_payload

__all__ = ["RunEstimate", "estimate_run", "unestimated"]


@dataclass(slots=True)
class RunEstimate:
    """Of one part of a run; times in seconds of `time.monotonic`."""

    phases: Sequence[Phase]
    cut: Mapping[str, str]
    """Benchmarks that are left out for want of time, with the reason."""
    started: float
    slots: int
    seconds: float | None = None
    """That the run is estimated to take; None: nobody asked."""
    measured: bool = False
    """Whether every benchmark is estimated from earlier runs of this home."""
    set_up: float = 0.0
    """When the first benchmark began."""
    prepared: dict[str, float] = field(default_factory=dict[str, float])
    """Seconds before the first attempt of each benchmark."""
    lanes: dict[str, RunLane] = field(default_factory=dict[str, RunLane])
    """By benchmark."""

    @property
    def known(self) -> bool:
        return self.seconds is not None

    def beginning(self) -> str:
        """The line for the operator when work begins."""
        known = "from earlier runs" if self.measured else "roughly: no earlier run of it is known here"
        return f"estimated to take {spoken_duration(self.seconds or 0.0)} ({known})"

    def finish(self, record: Callable[[str, Mapping[str, Any]], None]) -> str:
        """Keeps what the run took; returns the line for the operator."""
        now, seconds = time.monotonic(), self.seconds or 0.0
        took = now - self.started
        timing = RunTiming(
            setup_s=self.set_up - self.started,
            finish_s=max(0.0, now - self.set_up - self._work_s()),
            seconds=took,
            slots=self.slots,
            benchmarks={name: self._of(name, lane) for name, lane in self.lanes.items()},
        )
        record(TIMING, timing_payload(timing, seconds))
        off = (seconds - took) / took
        measured = "" if self.measured else "; the next run of it is estimated from this one"
        how = f"{abs(off):.0%} too {'much' if off > 0 else 'little'}"
        return f"took {spoken_duration(took)}; estimated {spoken_duration(seconds)}, {how}{measured}"

    def _work_s(self) -> float:
        """Of the phases, each as long as its longest lane."""
        return sum(
            max(
                sum(
                    self.lanes[name].shares.seconds.get(name, 0.0) + self.prepared.get(name, 0.0)
                    for name in lane.names
                    if name in self.lanes
                )
                for lane in phase
            )
            for phase in self.phases
        )

    def _of(self, name: str, lane: RunLane) -> BenchmarkTiming:
        return BenchmarkTiming(
            attempts=lane.shares.ended[name],
            share_s=lane.shares.seconds.get(name, 0.0),
            longest_s=lane.shares.longest_s.get(name, 0.0),
            prepare_s=self.prepared.get(name, 0.0),
            servers=lane.first_servers,
        )


def estimate_run(
    plan: RunPlan,
    home: Home,
    model: Model,
    loaded: Sequence[LoadedBenchmark],
    queries: Queries,
    *,
    done: Mapping[str, int],
    started: float,
    slots: int,
) -> RunEstimate:
    """The estimate of a run whose model is started and whose tasks are loaded; `done` counts the attempts that a
    resumed run has by benchmark: nothing of it is cut. Blocks."""
    from stackbench.engine.planner.ahead import workloads
    from stackbench.engine.planner.fleet import this_machine
    from stackbench.engine.planner.forecast import forecast_run
    from stackbench.engine.planner.speed import served_model

    settings = plan.settings if plan.samples_file is None else plan.settings.model_copy(update={"model": "null"})
    fleet = this_machine(home.path, settings.gpus)
    work = [replace(one, attempts=max(0, one.attempts - done.get(one.name, 0))) for one in workloads(plan, loaded)]
    served = served_model(settings, fleet)
    servers = model.servers if isinstance(model, Pooled) else 1
    if not model.gpus:
        fleet, served = replace(fleet, gpus=0), replace(served, gpus=0)
    forecast = forecast_run(
        work, settings, fleet, served, read_timings(queries, model.name), servers=servers, may_cut=not done
    )
    return RunEstimate(forecast.phases, forecast.cut, started, slots, forecast.seconds, forecast.measured)


def unestimated(names: Sequence[str], started: float, slots: int) -> RunEstimate:
    """Of a run without a model, whose answers are given: all of its benchmarks together."""
    return RunEstimate([(Lane(tuple(names), (0,)),)], {}, started, slots)
