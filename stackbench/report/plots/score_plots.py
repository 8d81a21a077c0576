"""Scores with their intervals, pass@k curves, measures by category as a heat map and beside each other."""

# matplotlib has partial types.
# pyright: reportUnknownMemberType=false
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from stackbench.report.colours import COLOURS
from stackbench.report.numbers import interval, measure_interval, number
from stackbench.report.plots.drawing import Plot, draw_measures, grid, new_figure, plain, rendered
from stackbench.report.results_model import BenchmarkReport, Measure, PublishedResult, Results, RunReport
from stackbench.report.summary_page import run_label

__all__ = ["category_plots", "pass_at_k_plot", "published_plot", "score_plot"]

MOST_CATEGORIES = 70
PUBLISHED = "#767676"
TOOL_MEASURES = ("completion", "tool_call_accuracy", "parameter_correctness", "workflow_success")


def score_plot(results: Results) -> Plot | None:
    """The headline of each benchmark that is a share, a row for each run; None without any. Checks are left out."""
    models = [run for run in results.runs if not run.harness_check]
    names = list(dict.fromkeys(one.name for run in models for one in run.benchmarks if _share(one.head)))
    rows: list[tuple[str, int, BenchmarkReport, Measure]] = []
    for name in names:
        for number_, run in enumerate(models):
            one = next((b for b in run.benchmarks if b.name == name), None)
            if one is not None and one.head is not None and _share(one.head):
                rows.append((name, number_, one, one.head))
    if not rows:
        return None
    figure, (axis,) = new_figure(0.9 + 0.34 * len(rows))
    for place, (_, run_number, _, head) in enumerate(reversed(rows)):
        draw_measures(axis, [head], [place], COLOURS[run_number % len(COLOURS)])
        axis.annotate(
            f"{head.value:.3f}",
            (head.value, place),
            textcoords="offset points",
            xytext=(0, 6),
            ha="center",
            fontsize=7.5,
        )
    labels = [f"{plain(name)}, {plain(head.name)} (n={head.n:,})" for name, _, _, head in reversed(rows)]
    axis.set_yticks(range(len(rows)), labels)
    axis.set_ylim(-0.6, len(rows) - 0.3)
    axis.set_xlim(-0.02, 1.02)
    axis.set_xlabel("score; the bar is the 95% interval, an empty circle has none")
    grid(axis)
    if len(models) > 1:
        _legend_of_runs(axis, models)
    said = "; ".join(
        f"{_of(models[i], models)}{name} {head.name} {number(head.value)} {measure_interval(head)}"
        for name, i, _, head in rows
    )
    svg, png = rendered(figure)
    return Plot("scores", svg, png, f"Scores with 95% intervals: {said}", "Scores with their 95% intervals.")


def pass_at_k_plot(run: RunReport, one: BenchmarkReport) -> Plot | None:
    """pass@k against k with the interval as a band; None for one attempt a task."""
    if not one.pass_at_k:
        return None
    figure, (axis,) = new_figure(2.8)
    ks, values = [p.k for p in one.pass_at_k], [p.value for p in one.pass_at_k]
    known = [(p.k, p.low, p.high) for p in one.pass_at_k if p.low is not None and p.high is not None]
    if known:
        axis.fill_between(*zip(*known, strict=True), alpha=0.18, color=COLOURS[0])
    axis.plot(ks, values, marker="o", markersize=4, color=COLOURS[0])
    if len(ks) > 12:
        axis.set_xscale("log")
    axis.set_xticks(_ticks(ks), [str(k) for k in _ticks(ks)])
    axis.minorticks_off()
    axis.set_ylim(0, 1.02)
    axis.set_xlabel("k, attempts at a task")
    axis.set_ylabel("pass@k")
    grid(axis, "both")
    said = "; ".join(f"k={p.k} {number(p.value)} {interval(p.low, p.high)}" for p in one.pass_at_k)
    svg, png = rendered(figure)
    return Plot(
        f"{run.run_id}-{one.name}-pass-at-k", svg, png, f"pass@k of {one.name}: {said}",
        f"{one.name}: pass@k with its 95% interval over {one.pass_at_k[0].n:,} tasks.",
    )  # fmt: skip


def published_plot(run: RunReport, one: BenchmarkReport, published: Sequence[PublishedResult]) -> Plot | None:
    """A run's figures beside published results of other models at the same measure; None without any."""
    measures = {m.name: m for m in one.measures if not m.category}
    found = [p for p in published if p.benchmark == one.name and p.measure in measures]
    if not found:
        return None
    mine = list(dict.fromkeys(p.measure for p in found))
    named = {name: f", {name}" if len(mine) > 1 else "" for name in mine}
    names = [f"{plain(run.model)}{named[name]} (n={measures[name].n:,})" for name in mine]
    names += [f"{p.model}{named[p.measure]} (n={p.n:,})" for p in found]
    figure, (axis,) = new_figure(1.0 + 0.24 * len(names))
    places = list(range(len(names) - 1, -1, -1))
    others = [Measure(name=p.measure, value=p.value, low=p.low, high=p.high, n=p.n) for p in found]
    draw_measures(axis, [measures[name] for name in mine], places[: len(mine)], COLOURS[1])
    draw_measures(axis, others, places[len(mine) :], PUBLISHED)
    axis.set_yticks(places, names, fontsize=8)
    axis.set_ylim(-0.6, len(names) - 0.4)
    axis.set_xlim(-0.02, 1.02)
    axis.set_xlabel(f"{plain(', '.join(mine))}; bar: 95% interval; grey: published")
    grid(axis)
    svg, png = rendered(figure)
    said = [f"{run.model} {name} {number(measures[name].value)} {measure_interval(measures[name])}" for name in mine]
    said += [f"{p.model} {p.measure} {number(p.value)} {interval(p.low, p.high)} published" for p in found]
    return Plot(
        f"{run.run_id}-{one.name}-published", svg, png, f"{one.name} beside published results: {'; '.join(said)}",
        f"{one.name} beside published results of other models, in grey; the table says how far each compares.",
    )  # fmt: skip


def category_plots(run: RunReport, one: BenchmarkReport) -> list[Plot]:
    """A heat map of measures by category where there are several, and points with intervals."""
    found = [m for m in one.measures if m.category and _share(m)]
    measures = [name for name in dict.fromkeys(m.name for m in found) if name in TOOL_MEASURES or name == one.headline]
    categories = list(dict.fromkeys(m.category for m in found))
    if len(categories) < 2 or not measures or len(categories) > MOST_CATEGORIES:
        return []
    by_place = {(m.category, m.name): m for m in found}
    plots = [_heat_map(run, one, categories, measures, by_place)] if len(measures) > 1 else []
    return [*plots, _intervals(run, one, categories, measures, by_place)]


def _heat_map(
    run: RunReport,
    one: BenchmarkReport,
    categories: Sequence[str],
    measures: Sequence[str],
    by_place: dict[tuple[str, str], Measure],
) -> Plot:
    figure, (axis,) = new_figure(0.9 + 0.3 * len(categories))
    values = [[by_place[c, m].value if (c, m) in by_place else float("nan") for m in measures] for c in categories]
    shown: Any = axis.imshow(values, vmin=0, vmax=1, cmap="cividis", aspect="auto")
    for y, category in enumerate(categories):
        for x, name in enumerate(measures):
            measure = by_place.get((category, name))
            text, dark = (
                ("-", False) if measure is None else (f"{measure.value:.2f} (n={measure.n})", measure.value < 0.6)
            )
            axis.text(x, y, text, ha="center", va="center", fontsize=8, color="white" if dark else "black")
    axis.set_xticks(range(len(measures)), [plain(name) for name in measures])
    axis.set_yticks(range(len(categories)), [plain(name) for name in categories])
    axis.spines[:].set_visible(False)
    figure.colorbar(shown, ax=axis, shrink=0.9)
    svg, png = rendered(figure)
    said = "; ".join(
        f"{c} {m} {number(by_place[c, m].value)}" for c in categories for m in measures if (c, m) in by_place
    )
    return Plot(
        f"{run.run_id}-{one.name}-heat-map", svg, png, f"{one.name} by category and measure: {said}",
        f"{one.name}: measures by category; n is the number of tasks. Intervals stand in the next plot and the table.",
    )  # fmt: skip


def _intervals(
    run: RunReport,
    one: BenchmarkReport,
    categories: Sequence[str],
    measures: Sequence[str],
    by_place: dict[tuple[str, str], Measure],
) -> Plot:
    figure, (axis,) = new_figure(1.0 + (0.14 + 0.11 * len(measures)) * len(categories))
    step = 0.75 / len(measures)
    for index, name in enumerate(measures):
        points = [(y, by_place[c, name]) for y, c in enumerate(reversed(categories)) if (c, name) in by_place]
        places = [y + (len(measures) - 1) * step / 2 - index * step for y, _ in points]
        draw_measures(axis, [m for _, m in points], places, COLOURS[index % len(COLOURS)], plain(name))
    axis.set_yticks(range(len(categories)), [plain(name) for name in reversed(categories)])
    axis.set_ylim(-0.6, len(categories) - 0.4)
    axis.set_xlim(-0.02, 1.02)
    axis.set_xlabel("share; the bar is the 95% interval, an empty circle has none")
    grid(axis)
    if len(measures) > 1:
        axis.legend(
            frameon=False, fontsize=8, ncols=min(4, len(measures)), loc="lower center", bbox_to_anchor=(0.5, 1.0)
        )
    svg, png = rendered(figure)
    said = "; ".join(
        f"{c} {m} {number(by_place[c, m].value)} {measure_interval(by_place[c, m])}"
        for c in categories
        for m in measures
        if (c, m) in by_place
    )
    return Plot(
        f"{run.run_id}-{one.name}-categories", svg, png, f"{one.name} by category with 95% intervals: {said}",
        f"{one.name}: measures by category with their 95% intervals.",
    )  # fmt: skip


def _share(measure: Measure | None) -> bool:
    """A value between 0 and 1, with or without an interval."""
    return measure is not None and measure.at_most == 1.0 and measure.interval != "range"


def _ticks(ks: Sequence[int]) -> list[int]:
    return [k for k in ks if k in (1, 2, 3, 5, 10, 20, 50, 100) or (len(ks) <= 12)] or list(ks)


def _of(run: RunReport, runs: Sequence[RunReport]) -> str:
    return f"run {run.run_id} of {run.model}, " if len(runs) > 1 else ""


def _legend_of_runs(axis: Any, runs: Sequence[RunReport]) -> None:
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], color=COLOURS[i % len(COLOURS)], marker="o", label=plain(run_label(run, runs)))
        for i, run in enumerate(runs)
    ]
    axis.legend(handles=handles, frameon=False, fontsize=8, loc="lower center", bbox_to_anchor=(0.5, 1.0))
