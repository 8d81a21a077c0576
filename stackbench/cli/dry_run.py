"""`--dry-run`: the plan of a run as a table, a timeline and what bounds it, or as JSON. Nothing is started."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from stackbench.cli.console import make_table, out, print_json, shown
from stackbench.config import Home
from stackbench.durations import spoken_duration
from stackbench.engine import RunPlan
from stackbench.engine.planner.ahead import plan_ahead
from stackbench.engine.planner.forecast import Bar, BenchmarkForecast, RunForecast
from stackbench.engine.planner.saturation import bounds_of

__all__ = ["dry_run"]

GIB = 1 << 30
BAR_COLUMNS = 36
NAME_COLUMNS = 14
SHARES = {"together": "shared", "alone": "alone", "exclusive": "exclusive"}
COLUMNS = ("benchmark", "attempts", "GPUs", "boxes", "RAM", "VRAM", "disk", "time", "from")


def dry_run(home: Home, plans: Sequence[RunPlan], machines: str, *, as_json: bool) -> int:
    """Prints what each run would need and take; returns the exit code.

    Raises:
        UsageError: the machines or the model mean nothing.
    """
    found = [(plan, plan_ahead(plan, home, machines)) for plan in plans]
    if as_json:
        documents = [_document(plan, forecast) for plan, forecast in found]
        print_json(documents[0] if len(documents) == 1 else {"runs": documents})
        return 0
    for plan, forecast in found:
        _print(plan, forecast)
    return 0


def _print(plan: RunPlan, forecast: RunForecast) -> None:
    console = out()

    def line(text: str, style: str = "") -> None:
        console.print(shown(text, style), soft_wrap=True)

    line(f"plan of {plan.suite}, model {plan.settings.model}; nothing was started", "bold")
    line(forecast.fleet.describe())
    line(_servers(forecast))
    line("")
    console.print(
        make_table(
            COLUMNS,
            [_row(one) for one in forecast.benchmarks],
            right=COLUMNS[1:-1],
            whole=COLUMNS,
        ),
        crop=False,
    )
    line("boxes: containers at once; RAM: of a machine, VRAM: of a GPU; at most; MiB, GiB", "dim")
    if not all(one.counted for one in forecast.benchmarks):
        line("?: its data is not here: fetched as the run begins, left out if it cannot be", "dim")
    line("")
    for one in _timeline(forecast):
        line(one)
    line("")
    span = spoken_duration(forecast.seconds)
    line(
        f"in all about {span} (model and data {spoken_duration(forecast.setup_s)}), disk {_size(forecast.disk_bytes)}, "
        f"RAM {_size(forecast.memory_bytes)}"
    )
    basis = "earlier runs of this home" if forecast.measured else "sizes and published rates, where no run was measured"
    line(f"estimated from {basis}")
    for name, why in forecast.cut.items():
        line(f"cut: {name}: {why}", "yellow")
    for note in forecast.notes:
        line(f"note: {note}", "yellow")
    bounds = bounds_of(forecast)
    line("")
    line("what saturates first: the least time that each part needs, by itself")
    console.print(
        make_table(
            ["", "at least", "because of"],
            [(one.resource, spoken_duration(one.seconds), one.detail) for one in bounds],
            right=["at least"],
            whole=["", "at least"],
        ),
        crop=False,
    )


def _servers(forecast: RunForecast) -> str:
    model = forecast.model
    if not model.parameters:
        return f"model: {model.kind}, reached from here; {model.batch} requests at once"
    where = f"of {model.gpus} GPU{'s' if model.gpus > 1 else ''} each" if model.gpus else "on the processors"
    servers = "1 model server" if model.servers == 1 else f"{model.servers:,} model servers"
    return f"{servers} {where}; weights {_size(model.weight_bytes)}; {model.batch} requests at once on each"


def _row(one: BenchmarkForecast) -> tuple[str, ...]:
    if one.cut:
        return (one.name, f"{one.attempts:,}", "", "", "", "", "", "cut", "")
    return (
        one.name,
        f"{one.attempts:,}" + ("" if one.counted else "?"),
        f"{one.gpus:,}" if one.gpus else "-",
        f"{one.sandboxes:,}" if one.sandboxes else "-",
        _short(one.memory_bytes),
        _short(one.vram_bytes) if one.vram_bytes else "-",
        _short(one.disk_bytes),
        spoken_duration(one.seconds),
        one.basis.removeprefix("measured: "),
    )


def _timeline(forecast: RunForecast) -> list[str]:
    """A line for each benchmark, its bar between the run's start and end; dots are model and data."""
    if not forecast.bars:
        return ["timeline: nothing is left to run"]
    scale = BAR_COLUMNS / max(forecast.seconds, 1e-9)
    ends = f"0{spoken_duration(forecast.seconds):>{BAR_COLUMNS - 1}}"
    lines = [f"{'timeline':<{NAME_COLUMNS}} {ends}"]
    for bar in forecast.bars:
        first = min(int(bar.start_s * scale), BAR_COLUMNS - 1)
        last = max(first + 1, min(BAR_COLUMNS, round(bar.end_s * scale)))
        drawn = " " * first + "#" * (last - first)
        if bar.start_s <= forecast.setup_s:
            drawn = "." * first + drawn[first:]
        lines.append(
            f"{bar.name[:NAME_COLUMNS]:<{NAME_COLUMNS}} {drawn:<{BAR_COLUMNS}} {_where(bar, forecast)}".rstrip()
        )
    return lines


def _where(bar: Bar, forecast: RunForecast) -> str:
    one = next(one for one in forecast.benchmarks if one.name == bar.name)
    notes = [SHARES[one.share]] if one.share != "together" else []
    notes += ["optional"] if one.optional else []
    if forecast.model.servers > 1:
        first, last = bar.servers[0], bar.servers[-1]
        notes.insert(0, f"server {first}" if first == last else f"servers {first}-{last}")
    return ", ".join(notes)


def _short(count: int) -> str:
    """`12M`, `3.4G`, `120G`."""
    return _size(count).replace(" MiB", "M").replace(" GiB", "G")


def _size(count: int) -> str:
    if count < GIB:
        return f"{max(1, count >> 20)} MiB"
    return f"{count / GIB:.1f} GiB" if count < 10 * GIB else f"{count / GIB:,.0f} GiB"


def _document(plan: RunPlan, forecast: RunForecast) -> dict[str, Any]:
    bars = {bar.name: bar for bar in forecast.bars}
    return {
        "suite": plan.suite,
        "model": plan.settings.model,
        "dry_run": True,
        "machine": asdict(forecast.fleet),
        "served": {**asdict(forecast.model), "start_s": forecast.model.start_s},
        "seconds": round(forecast.seconds, 3),
        "setup_s": round(forecast.setup_s, 3),
        "disk_bytes": forecast.disk_bytes,
        "memory_bytes": forecast.memory_bytes,
        "measured": forecast.measured,
        "notes": list(forecast.notes),
        "benchmarks": [
            asdict(one)
            | (
                {"start_s": round(bars[one.name].start_s, 3), "end_s": round(bars[one.name].end_s, 3)}
                | {"on_servers": list(bars[one.name].servers)}
                if one.name in bars
                else {}
            )
            for one in forecast.benchmarks
        ],
        "phases": [[asdict(lane) for lane in phase] for phase in forecast.phases],
        "bounds": [asdict(one) for one in bounds_of(forecast)],
    }
