"""What a run will take, before it starts: time at the speed of earlier runs, memory of the model and the sandboxes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stackbench.errors import StackbenchError
from stackbench.report.tally import clock
from stackbench.store.pace import Pace

if TYPE_CHECKING:
    from stackbench.config import Home
    from stackbench.engine import RunPlan

__all__ = ["Known", "estimate_lines"]

GIB = 1 << 30


@dataclass(frozen=True, slots=True)
class Known:
    """What earlier runs of the home tell."""

    pace: Mapping[str, Pace]
    tasks: Mapping[str, int]


def estimate_lines(plan: RunPlan, known: Known, home: Home) -> list[str]:
    """Data that are not here, attempts and time, then memory. What is not known is said to be so."""
    return [*_lacking(plan, home), _time(plan, known), _memory(plan)]


def _lacking(plan: RunPlan, home: Home) -> list[str]:
    from stackbench.engine.work import data_not_here

    lacking = data_not_here(plan, home)
    if not lacking:
        return []
    listed = "; ".join(f"{name} ({', '.join(paths)})" for name, paths in lacking.items())
    left = "they are left out" if len(lacking) < len(plan.benchmarks) else "the run fails"
    return [f"! data not on this machine: {listed}. They are fetched as the run begins; where they cannot be, {left}"]


def _time(plan: RunPlan, known: Known) -> str:
    seconds, attempts = 0.0, 0
    unknown: list[str] = []
    counted: list[str] = []
    for part in plan.benchmarks:
        tasks = known.tasks.get(part.name)
        limit = len(part.sample_ids) or part.limit
        planned = min(limit, tasks) if limit and tasks else limit or tasks
        if planned is None:
            unknown.append(part.name)
            continue
        count = planned * plan.attempts(part) * len(plan.settings.seeds)
        attempts += count
        counted.append(f"{part.name} {count:,}")
        pace = known.pace.get(part.name)
        if pace is None or not pace.seconds:
            unknown.append(part.name)
        else:
            seconds += count * pace.seconds / pace.attempts
    line = f"attempts: {attempts:,} ({', '.join(counted)})" if counted else "attempts: known once it starts"
    if not unknown:
        return f"{line}; about {clock(seconds)} at the speed of this model's earlier runs here"
    at_least = f"at least {clock(seconds)}, and " if seconds else ""
    return f"{line}; time: {at_least}not known for {', '.join(unknown)}: no earlier run of it with this model here"


def _memory(plan: RunPlan) -> str:
    import psutil

    settings = plan.settings
    sandboxes = settings.sandboxes or psutil.cpu_count() or 1
    total = psutil.virtual_memory().total
    boxes = f"sandboxes: up to {sandboxes} x {settings.sandbox_memory_mib / 1024:.1f} GiB of {total / GIB:.1f} GiB"
    kind, _, name = settings.model.partition(":")
    if kind in ("oracle", "null", "replay"):
        return f"memory: {boxes}; no model runs"
    if kind not in ("hf", "vllm"):
        return f"memory: {boxes}; the model's is its server's"
    from stackbench.engine.model_files import model_fits

    try:
        found = model_fits(name)
    except StackbenchError:
        return f"memory: {boxes}; the model's is not known by its name"
    wanted = (settings.quantization or "").split("-")[0]
    fit = next((one for one in found.fits if wanted and one.quantization.startswith(wanted)), found.fits[0])
    room = "fits" if fit.fits else f"fits with at most {fit.longest:,} tokens" if fit.longest else "does not fit"
    needs = f"model {fit.total_bytes / GIB:.1f} GiB of {found.memory_bytes / GIB:.1f} GiB ({found.device}): {room}"
    return f"memory: {needs}; {boxes}"
