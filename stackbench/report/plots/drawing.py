"""How every plot is drawn: one size, one set of colours, the same bytes for the same figures."""

# matplotlib has partial types.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

__all__ = ["Plot", "grid", "new_figure", "plain", "rendered"]

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


def plain(text: str) -> str:
    """A name, not a formula: matplotlib typesets what stands between dollar signs."""
    return text.replace("$", r"\$")


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
