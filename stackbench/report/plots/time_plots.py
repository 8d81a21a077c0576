"""Where the time of an attempt goes, and what latency a server has at what throughput."""

# matplotlib has partial types.
# pyright: reportUnknownMemberType=false
from __future__ import annotations

from typing import Any

from stackbench.report.colours import COLOURS
from stackbench.report.numbers import interval, number
from stackbench.report.plots.drawing import Plot, grid, new_figure, plain, rendered
from stackbench.report.results_model import BenchmarkReport, Measure, RunReport
from stackbench.report.saturation import PANELS, LoadPoint, draw_series, load_series
from stackbench.types import Metric

__all__ = ["latency_plot", "throughput_plot"]

STAGES = ("first token", "rest of the answer", "code execution", "tools")


def latency_plot(run: RunReport) -> Plot | None:
    """A waterfall for each benchmark: the parts of the mean attempt's time, one after the other."""
    rows = [(one, one.latency) for one in run.benchmarks if one.latency is not None and one.latency.stages]
    if not rows:
        return None
    figure, (axis,) = new_figure(1.1 + 0.42 * len(rows))
    for place, (_, latency) in enumerate(reversed(rows)):
        begun = 0.0
        for stage in latency.stages:
            colour = COLOURS[STAGES.index(stage.name)]
            axis.barh([place], [stage.mean_s], left=begun, color=colour, height=0.6)
            begun += stage.mean_s
        axis.annotate(
            f"{number(begun)} s", (begun, place), textcoords="offset points", xytext=(4, 0), va="center", fontsize=8
        )
    labels = [f"{plain(one.name)} (n={latency.n:,})" for one, latency in reversed(rows)]
    axis.set_yticks(range(len(rows)), labels)
    axis.margins(x=0.12)
    axis.set_xlabel("mean seconds of an attempt, its parts one after the other")
    grid(axis)
    _legend(axis, {stage.name for _, latency in rows for stage in latency.stages})
    svg, png = rendered(figure)
    said = "; ".join(
        f"{one.name}: {', '.join(f'{stage.name} {number(stage.mean_s)} s' for stage in latency.stages)}"
        for one, latency in rows
    )
    return Plot(
        f"{run.run_id}-latency", svg, png, f"Parts of the mean attempt's time by benchmark: {said}",
        f"Run {run.run_id}: parts of the mean attempt's time; n is the number of attempts.",
    )  # fmt: skip


def throughput_plot(run: RunReport, one: BenchmarkReport) -> Plot | None:
    """Latency against throughput by load; None without loads."""
    series = load_series([_metric(m) for m in one.measures])
    if not series:
        return None
    figure, axes = new_figure(3.2, len(PANELS))
    draw_series(axes, series)
    svg, png = rendered(figure)
    said = "; ".join(f"{name}: {', '.join(map(_point, points))}" for name, points in series.items())
    return Plot(
        f"{run.run_id}-{one.name}-loads", svg, png, f"Latency against throughput by load: {said}",
        f"{one.name}: median latency (dotted: 99th percentile) against output tokens per second; bars are the range of "
        "the repeats.",
    )  # fmt: skip


def _point(point: LoadPoint) -> str:
    spread = interval(point.tok_s_low, point.tok_s_high, "range")
    return f"load {point.label} {number(point.tok_s)} tokens/s, {spread}"


def _metric(m: Measure) -> Metric:
    return Metric(m.name, m.value, m.stderr, None, None, m.n, m.category, m.low, m.high)


def _legend(axis: Any, names: set[str]) -> None:
    from matplotlib.patches import Patch

    handles = [Patch(color=COLOURS[i], label=name) for i, name in enumerate(STAGES) if name in names]
    axis.legend(
        handles=handles, frameon=False, fontsize=8, ncols=len(handles), loc="lower center", bbox_to_anchor=(0.5, 1.0)
    )
