"""How every plot is drawn: one size, one set of colours, the same bytes for the same figures."""

# matplotlib has partial types.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from stackbench.report.glyphs import printable
from stackbench.report.results_model import Measure

__all__ = ["Plot", "draw_measures", "grid", "new_figure", "plain", "rendered"]

LONGEST_LABEL = 48
WIDTH = 7.6
"""Inches: the width of a page's text."""
STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "svg.hashsalt": "stackbench",
    "svg.fonttype": "path",
}


@dataclass(frozen=True, slots=True)
class Plot:
    """A picture in both formats, with its texts."""

    name: str
    """Of its files; begins with RUN-BENCHMARK- where it belongs to a benchmark."""
    svg: bytes
    png: bytes
    alt: str
    """Its figures in words."""
    caption: str


def new_figure(height: float, columns: int = 1) -> tuple[Any, list[Any]]:
    """A figure of a page's width, inches high, and its axes from left to right."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, height), layout="constrained")
        axes: Any = figure.subplots(1, columns, squeeze=False)
    return figure, list(axes[0])


def grid(axis: Any, which: str = "x") -> None:
    """Faint lines behind the data, no frame above and to the right."""
    axis.grid(axis=which, alpha=0.25)
    axis.set_axisbelow(True)
    axis.spines[["top", "right"]].set_visible(False)


def draw_measures(
    axis: Any, measures: Sequence[Measure], places: Sequence[float], colour: str, label: str | None = None
) -> None:
    """A point for each measure with its interval as a bar; an empty circle where no interval is shown."""
    points = list(zip(measures, places, strict=True))
    whole = [(m.value, m.low, m.high, place) for m, place in points if m.low is not None and m.high is not None]
    bare = [(m.value, place) for m, place in points if m.low is None or m.high is None]
    if whole:
        values, low, high, at = zip(*whole, strict=True)
        below = [max(0.0, value - end) for value, end in zip(values, low, strict=True)]
        above = [max(0.0, end - value) for value, end in zip(values, high, strict=True)]
        axis.errorbar(values, at, xerr=[below, above], fmt="o", markersize=5, capsize=3, color=colour, label=label)
    if bare:
        values, at = zip(*bare, strict=True)
        named = None if whole else label
        axis.plot(values, at, "o", markersize=5, markerfacecolor="white", color=colour, label=named)


def plain(text: str) -> str:
    """A name that the font holds, of bounded length, and no formula: what stands between dollar signs is typeset."""
    shown = printable(text)
    shown = shown if len(shown) <= LONGEST_LABEL else f"{shown[: LONGEST_LABEL - 3]}..."
    return shown.replace("$", r"\$")


def rendered(figure: Any) -> tuple[bytes, bytes]:
    """The SVG, whose letters are outlines, and the PNG."""
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    with rc_context(STYLE):
        svg, png = io.BytesIO(), io.BytesIO()
        FigureCanvasSVG(figure).print_svg(svg, metadata={"Date": None, "Creator": None})
        figure.set_dpi(160)
        FigureCanvasAgg(figure).print_png(png, metadata={"Software": None})
    return svg.getvalue(), png.getvalue()
