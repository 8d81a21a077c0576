"""How the screen shows what a speed benchmark measured: a row for each load."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from stackbench.cli.console import make_table, out
from stackbench.cli.visible_text import in_one_line
from stackbench.store import BenchmarkResult
from stackbench.types import Metric

__all__ = ["is_speed", "speeds_table"]

HEADLINE = "output_tok_s"
WIDE_ENOUGH = 120
GIB = 1 << 30
PAIRS = (("ttft", "TTFT ms"), ("tpot", "TPOT ms"), ("itl", "ITL ms"), ("e2el", "E2E ms"))


def is_speed(result: BenchmarkResult) -> bool:
    """Whether a result's metrics are those of loads."""
    return any(metric.name == HEADLINE and metric.category for metric in result.metrics)


def speeds_table(result: BenchmarkResult) -> RenderableType:
    """Medians of the repeats; latencies as median and 99th percentile. A narrow terminal gets fewer columns."""
    loads: dict[str, dict[str, Metric]] = defaultdict(dict)
    for metric in result.metrics:
        if metric.category:
            loads[metric.category][metric.name] = metric
    wide = out().width >= WIDE_ENOUGH
    goodput = any("goodput_requests_s" in found for found in loads.values())
    per_gpu = any("output_tok_s_per_gpu" in found for found in loads.values())
    columns = ["load", "tok/s", "least-most", "req/s"] if wide else ["load", "tok/s", "req/s"]
    columns += ["good/s"] if goodput else []
    columns += ["tok/s/GPU"] if per_gpu else []
    shown = PAIRS if wide else tuple(pair for pair in PAIRS if pair[0] != "itl")
    columns += [title for _, title in shown]
    columns += ["peak GiB"] if wide else []
    rows: list[Sequence[str]] = []
    for load, found in sorted(loads.items(), key=lambda item: _natural(item[0])):
        speed = found[HEADLINE]
        row = [load, f"{speed.value:.1f}"]
        row += [_range(speed)] if wide else []
        row += [_value(found, "requests_s", 2)]
        row += [_value(found, "goodput_requests_s", 2)] if goodput else []
        row += [_value(found, "output_tok_s_per_gpu", 1)] if per_gpu else []
        row += [f"{_value(found, f'{kind}_ms_p50')}/{_value(found, f'{kind}_ms_p99')}" for kind, _ in shown]
        row += [_memory(found)] if wide else []
        rows.append(row)
    title = Text(f"\n{in_one_line(result.benchmark)}, medians of the repeats; latencies p50/p99", style="bold")
    return Group(title, make_table(columns, rows, right=columns[1:]))


def _natural(load: str) -> list[tuple[int, str]]:
    """Sorts b2 before b16."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", load)]


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
