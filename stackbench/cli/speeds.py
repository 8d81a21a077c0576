"""How the screen shows what a speed benchmark measured: a row for each load."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence

from rich.console import Group, RenderableType

from stackbench.cli.console import fits, make_table, shown
from stackbench.natural_order import natural
from stackbench.store import BenchmarkResult
from stackbench.types import Metric

__all__ = ["is_speed", "speeds_table"]

HEADLINE = "output_tok_s"
GIB = 1 << 30
PAIRS = (("ttft", "TTFT ms"), ("tpot", "TPOT ms"), ("itl", "ITL ms"), ("e2el", "E2E ms"))


def is_speed(result: BenchmarkResult) -> bool:
    """Whether a result's metrics are those of loads."""
    return any(metric.name == HEADLINE and metric.category for metric in result.metrics)


def speeds_table(result: BenchmarkResult) -> RenderableType:
    """Medians of the repeats; latencies as median and 99th percentile. What does not fit as a table is a list."""
    loads: dict[str, dict[str, Metric]] = defaultdict(dict)
    for metric in result.metrics:
        if metric.category:
            loads[metric.category][metric.name] = metric
    columns = _columns(list(loads.values()))
    rows = [
        (load, *(cell(found) for cell in columns.values()))
        for load, found in sorted(loads.items(), key=lambda item: natural(item[0]))
    ]
    title = shown(f"{result.benchmark}, medians of the repeats; latencies p50/p99", "bold")
    table = make_table(["load", *columns], rows, right=list(columns))
    if fits(table):
        return Group("", title, table)
    lines: list[RenderableType] = []
    for load, *cells in rows:
        lines.append(shown(load))
        lines.append(shown("  " + ", ".join(f"{name} {cell}" for name, cell in zip(columns, cells, strict=True))))
    return Group("", title, *lines)


def _columns(loads: Sequence[dict[str, Metric]]) -> dict[str, Callable[[dict[str, Metric]], str]]:
    """What is shown of a load, by heading."""
    columns: dict[str, Callable[[dict[str, Metric]], str]] = {
        "tok/s": lambda found: f"{found[HEADLINE].value:.1f}",
        "least-most": lambda found: _range(found[HEADLINE]),
        "req/s": lambda found: _value(found, "requests_s", 2),
    }
    if any("goodput_requests_s" in found for found in loads):
        columns["good/s"] = lambda found: _value(found, "goodput_requests_s", 2)
    if any("output_tok_s_per_gpu" in found for found in loads):
        columns["tok/s/GPU"] = lambda found: _value(found, "output_tok_s_per_gpu", 1)
    for kind, title in PAIRS:
        columns[title] = lambda found, kind=kind: f"{_value(found, f'{kind}_ms_p50')}/{_value(found, f'{kind}_ms_p99')}"
    columns["peak GiB"] = _memory
    return columns


def _range(metric: Metric) -> str:
    return "-" if metric.low is None or metric.high is None else f"{metric.low:.1f}-{metric.high:.1f}"


def _value(found: dict[str, Metric], name: str, digits: int | None = None) -> str:
    if name not in found:
        return "-"
    value = found[name].value
    return f"{value:.{digits}f}" if digits is not None else f"{value:.0f}" if value >= 100 else f"{value:.1f}"


def _memory(found: dict[str, Metric]) -> str:
    metric = found.get("vram_peak_bytes") or found.get("memory_peak_bytes")
    return f"{metric.value / GIB:.1f}" if metric else "-"
