"""Scores by length of context and depth of the evidence, as a heat map."""

# matplotlib has partial types.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
from __future__ import annotations

from typing import Any

from stackbench.report.length_scores import depth_cells
from stackbench.report.plots.drawing import Plot, new_figure, rendered
from stackbench.report.results_model import BenchmarkReport, RunReport

__all__ = ["depth_map"]


def depth_map(run: RunReport, one: BenchmarkReport) -> Plot | None:
    """Depth by length; None for a benchmark without depths."""
    lengths, depths, cells = depth_cells(one.measures)
    if not cells:
        return None
    figure, (axis,) = new_figure(1.1 + 0.32 * len(depths))
    values = [[cells[d, at].value if (d, at) in cells else float("nan") for at in lengths] for d in depths]
    shown: Any = axis.imshow(values, vmin=0, vmax=1, cmap="cividis", aspect="auto")
    for y, depth in enumerate(depths):
        for x, length in enumerate(lengths):
            cell = cells.get((depth, length))
            text, dark = ("-", False) if cell is None else (f"{cell.value:.2f} (n={cell.n})", cell.value < 0.6)
            axis.text(x, y, text, ha="center", va="center", fontsize=8, color="white" if dark else "black")
    axis.set_xticks(range(len(lengths)), lengths)
    axis.set_yticks(range(len(depths)), [f"{depth:g}%" for depth in depths])
    axis.set_xlabel("tokens of the prompt")
    axis.set_ylabel("depth of the evidence")
    axis.spines[:].set_visible(False)
    figure.colorbar(shown, ax=axis, shrink=0.9)
    svg, png = rendered(figure)
    said = "; ".join(f"{at} at {d:g}% {cell.value:.3f} (n={cell.n})" for (d, at), cell in cells.items())
    return Plot(
        f"{run.run_id}-{one.name}-depths", svg, png, f"{one.name}, score by length and depth: {said}",
        f"{one.name}: score by length of the prompt and depth of the evidence; n is the number of questions.",
    )  # fmt: skip
