"""Which plots a report has."""

from __future__ import annotations

from collections.abc import Iterator

from stackbench.report.plots.drawing import Plot
from stackbench.report.plots.length_plots import depth_map
from stackbench.report.plots.score_plots import category_plots, pass_at_k_plot, published_plot, score_plot
from stackbench.report.plots.time_plots import latency_plot, throughput_plot
from stackbench.report.results_model import Results

__all__ = ["draw_plots"]


def draw_plots(results: Results) -> list[Plot]:
    """Those that the results have figures for.

    Raises:
        ImportError: matplotlib is not installed.
    """
    import matplotlib.figure  # noqa: F401  # pyright: ignore[reportUnusedImport]  # a report without figures needs it as well

    return list(_plots(results))


def _plots(results: Results) -> Iterator[Plot]:
    scores = score_plot(results)
    if scores is not None:
        yield scores
    for run in results.runs:
        for one in run.benchmarks:
            beside = published_plot(run, one, results.published)
            for plot in (beside, pass_at_k_plot(run, one), throughput_plot(run, one), depth_map(run, one)):
                if plot is not None:
                    yield plot
            yield from category_plots(run, one)
        latency = latency_plot(run)
        if latency is not None:
            yield latency
