"""The plots of a report as SVG and PNG. Needs matplotlib (the extra `report`), which is loaded when a plot is drawn."""

from stackbench.report.plots.drawing import Plot
from stackbench.report.plots.gallery import draw_plots

__all__ = ["Plot", "draw_plots"]
