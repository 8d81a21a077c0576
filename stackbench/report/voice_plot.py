"""Plots of speech: quality and latency under each condition of `eval voice`, and latencies measured live."""

# matplotlib has partial types.
# pyright: reportUnknownMemberType=false
from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

from stackbench.report.colours import COLOURS
from stackbench.types import Metric
from stackbench.voice.conditions import CONDITIONS

__all__ = ["LatencySteps", "latency_plot", "voice_plot"]

QUALITY = ("pass_rate", "typed_pass_rate", "command_accuracy", "clips_with_all_entities", "wer")
STEPS = ("endpoint_ms", "transcript_ms", "first_token_ms", "code_complete_ms", "executed_ms")
PERCENTILES = (50, 90, 99)
DPI = 120
WIDE = 20.0
"""The largest of the latencies by the smallest, above which the scale is logarithmic."""

LatencySteps = Mapping[str, Mapping[int, float]]
"""Milliseconds since the end of speech by step, then by percentile."""


def voice_plot(metrics: Sequence[Metric], title: str) -> bytes | None:
    """A PNG: shares and error rates, then latencies, by condition; None for a run without the benchmark.

    Raises ImportError without matplotlib.
    """
    values = {(one.category, one.name): one for one in metrics if one.category}
    conditions = list(dict.fromkeys(category for category, name in values if name == "pass_rate"))
    conditions.sort(key=lambda one: CONDITIONS.index(one) if one in CONDITIONS else len(CONDITIONS))
    if not conditions:
        return None
    figure, (above, below) = _figure(2)
    _quality(above, conditions, values)
    _latencies(
        below,
        {
            f"{condition}: {step.removesuffix('_ms').replace('_', ' ')}": {
                percent: values[condition, f"{step}_p{percent}"].value
                for percent in PERCENTILES
                if (condition, f"{step}_p{percent}") in values
            }
            for condition in conditions
            for step in STEPS
            if (condition, f"{step}_p50") in values
        },
    )
    figure.suptitle(title)
    return _png(figure)


def latency_plot(steps: LatencySteps, title: str) -> bytes:
    """A PNG of one measurement's latencies. Raises ImportError without matplotlib."""
    figure, (axes,) = _figure(1)
    _latencies(axes, steps)
    figure.suptitle(title)
    return _png(figure)


def _figure(panels: int) -> tuple[Any, Sequence[Any]]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4.5 * panels), layout="constrained")
    return figure, [figure.add_subplot(panels, 1, number + 1) for number in range(panels)]


def _quality(axes: Any, conditions: Sequence[str], values: Mapping[tuple[str, str], Metric]) -> None:
    names = [name for name in QUALITY if any((condition, name) in values for condition in conditions)]
    width = 0.8 / len(names)
    for place, name in enumerate(names):
        for number, condition in enumerate(conditions):
            metric = values.get((condition, name))
            if metric is None:
                continue
            errors = None
            if metric.ci_low is not None and metric.ci_high is not None:
                errors = [[max(0.0, metric.value - metric.ci_low)], [max(0.0, metric.ci_high - metric.value)]]
            at = number - 0.4 + width * (place + 0.5)
            label = name.replace("_", " ") if number == 0 else None
            colour = COLOURS[place % len(COLOURS)]
            axes.bar(at, metric.value, width * 0.9, color=colour, label=label, yerr=errors, ecolor="0.4", capsize=2)
    axes.set_xticks(range(len(conditions)), conditions)
    axes.set_ylabel("share of requests; errors by words; whiskers: 95% intervals")
    axes.set_ylim(bottom=0)
    axes.legend(fontsize=8, ncols=3)


def _latencies(axes: Any, steps: LatencySteps) -> None:
    names = [name for name in steps if steps[name]]
    if not names:
        axes.set_axis_off()
        axes.text(0.5, 0.5, "no latencies were measured", ha="center", transform=axes.transAxes)
        return
    for place, (percent, marker) in enumerate(zip(PERCENTILES, "o|x", strict=True)):
        rows = [row for row, name in enumerate(names) if percent in steps[name]]
        values = [steps[names[row]][percent] for row in rows]
        label = f"p{percent}" if percent > 50 or all(90 in steps[name] for name in names) else "p50, or the only one"
        if rows:
            axes.plot(values, rows, marker, color=COLOURS[place], label=label)
    shown = [value for step in steps.values() for value in step.values() if value > 0]
    wide = bool(shown) and max(shown) > WIDE * min(shown)
    left = 0.7 * min(shown) if wide else 0.0
    for row, name in enumerate(names):
        axes.plot([left, max(left, steps[name][50])], [row, row], color=COLOURS[0], linewidth=4, alpha=0.35)
    axes.set_yticks(range(len(names)), names, fontsize=8)
    axes.invert_yaxis()
    axes.set_xscale("log" if wide else "linear")
    axes.set_xlim(left=left)
    axes.set_xlabel(f"ms from the end of speech{', logarithmic' if wide else ''}")
    axes.legend(fontsize=8)


def _png(figure: Any) -> bytes:
    made = io.BytesIO()
    figure.savefig(made, format="png", dpi=DPI)
    return made.getvalue()
