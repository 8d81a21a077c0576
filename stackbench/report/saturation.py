"""The saturation plot: what latency a server has at what throughput. Needs matplotlib (the extra `report`)."""

# matplotlib has partial types.
# pyright: reportUnknownMemberType=false
from __future__ import annotations

import io
import math
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stackbench.report.colours import COLOURS
from stackbench.types import Metric

__all__ = ["PANELS", "LoadPoint", "draw_series", "load_series", "saturation_plot"]

ROOM = 1.08
"""Of an axis, by the largest value on it."""

LOAD = re.compile(r"(?P<series>.+)/(?P<kind>[cr])(?P<size>[\d.]+)")
WANTED = ("output_tok_s", "e2el_ms_p50", "e2el_ms_p99", "ttft_ms_p50", "ttft_ms_p99")
PANELS = (("e2el", "end-to-end latency, s"), ("ttft", "time to first token, s"))


@dataclass(frozen=True, slots=True)
class LoadPoint:
    """One load of the throughput benchmark: medians of its repeats, with least and most of the throughput."""

    label: str
    """8 streams, or 2.5/s."""
    size: float
    tok_s: float
    tok_s_low: float
    tok_s_high: float
    latency_ms: dict[str, float]
    """By name: e2el_ms_p50, ttft_ms_p99, ..."""


def load_series(metrics: Sequence[Metric]) -> dict[str, list[LoadPoint]]:
    """The loads of a run by way of serving, mix and kind of load, the lightest first."""
    by_load: dict[str, dict[str, Metric]] = defaultdict(dict)
    for metric in metrics:
        if metric.category and metric.name in WANTED:
            by_load[metric.category][metric.name] = metric
    series: dict[str, list[LoadPoint]] = defaultdict(list)
    for category, found in by_load.items():
        match = LOAD.fullmatch(category)
        if match is None or "output_tok_s" not in found:
            continue
        size = float(match["size"])
        closed = match["kind"] == "c"
        tok_s = found["output_tok_s"]
        series[f"{match['series']}, {'streams' if closed else 'requests/s'}"].append(
            LoadPoint(
                label=f"{size:g}" if closed else f"{size:g}/s",
                size=size,
                tok_s=tok_s.value,
                tok_s_low=tok_s.value if tok_s.low is None else tok_s.low,
                tok_s_high=tok_s.value if tok_s.high is None else tok_s.high,
                latency_ms={name: metric.value for name, metric in found.items() if name != "output_tok_s"},
            )
        )
    return {name: sorted(points, key=lambda point: point.size) for name, points in series.items()}


def saturation_plot(metrics: Sequence[Metric], title: str) -> bytes | None:
    """A PNG of latency (median, and the 99th percentile dotted) against throughput; None without loads to draw.

    Raises:
        ImportError: matplotlib is not installed.
    """
    series = load_series(metrics)
    if not series:
        return None
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.8), dpi=150, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    draw_series(figure.subplots(1, len(PANELS)), series)
    figure.suptitle(title.replace("$", r"\$"), fontsize=11)  # a name, not a formula
    out = io.BytesIO()
    canvas.print_png(out)
    return out.getvalue()


def draw_series(axes: Any, series: Mapping[str, Sequence[LoadPoint]]) -> None:
    """Draws end-to-end latency and time to first token, an axis each, as `PANELS` has them."""
    for axis, (kind, label) in zip(axes, PANELS, strict=True):
        for colour, (name, points) in zip(_cycle(len(series)), series.items(), strict=True):
            _draw(axis, points, kind, name, colour)
        axis.set_xlabel("output tokens/s")
        axis.set_ylabel(label)
        axis.set_ylim(0, ROOM * axis.get_ylim()[1])  # a single point would stand in the corner
        axis.set_xlim(0, ROOM * axis.get_xlim()[1])
        axis.grid(alpha=0.25)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].legend(frameon=False, fontsize=8, title="median; dotted: 99th percentile", title_fontsize=8)


def _draw(axis: Any, points: Sequence[LoadPoint], kind: str, name: str, colour: str) -> None:
    x = [point.tok_s for point in points]
    spread = [
        [point.tok_s - point.tok_s_low for point in points],
        [point.tok_s_high - point.tok_s for point in points],
    ]
    middle = [point.latency_ms.get(f"{kind}_ms_p50", math.nan) / 1000 for point in points]
    tail = [point.latency_ms.get(f"{kind}_ms_p99", math.nan) / 1000 for point in points]
    axis.errorbar(x, middle, xerr=spread, marker="o", markersize=4, linewidth=1.4, capsize=2, color=colour, label=name)
    axis.plot(x, tail, linestyle=":", marker=".", linewidth=1, color=colour)
    for point, tokens, latency in zip(points, x, middle, strict=True):
        axis.annotate(point.label, (tokens, latency), textcoords="offset points", xytext=(4, -10), fontsize=8)


def _cycle(count: int) -> list[str]:
    return [COLOURS[index % len(COLOURS)] for index in range(count)]
