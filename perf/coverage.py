"""How often the 95% intervals of stackbench.stats hold the truth, by simulation: the tables of docs/statistics.md.

Usage: python -m perf.coverage [--quick]    About three minutes on one core; --quick takes a tenth of the replicates.

Every cell is a simulated benchmark: tasks are drawn anew in each replicate, since an interval is to tell how far a
score would move with other tasks of the same kind. A cell is shown where the rule of `share_intervals` shows the
interval of most of its samples; "lowest" to "in 93-97" are of these cells, "all" of every cell. Coverage has a
simulation error of half a percent, 1.5 with --quick.
The last column is the lowest coverage of Student's t around the mean, clustered where the tasks are.
"""

from __future__ import annotations

import sys
import time
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaln, gammaln

from stackbench.stats import pass_at_k
from stackbench.stats.clusters import Layout, make_layout
from stackbench.stats.intervals import share_intervals, student_t_975
from stackbench.stats.paired import mcnemar, paired_bounds, smoothed_difference

Floats = NDArray[np.float64]
REPLICATES = 2000
TASKS = (20, 50, 164, 500)
RATES = (0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 0.95, 0.98)
ATTEMPTS = ((1, 1), (2, 1), (5, 1), (10, 1), (20, 1), (10, 5), (20, 2), (20, 10), (20, 20))
SPREADS = (0.1, 0.3, 0.6, 0.9)
"""Correlation of two attempts at one task: tasks' pass rates have a Beta distribution."""
CLUSTERS = (5, 10, 20, 57)
SUMMARY = ("shown", "lowest", "median", "highest", "in 93-97", "all")
LOW, HIGH = (0.02, 0.05, 0.1), (0.3, 0.6, 0.9)
"""Correlation of two tasks of one cluster."""


@dataclass(frozen=True, slots=True)
class Cell:
    """Coverage of one simulated benchmark by our interval, and by Student's t around the mean."""

    ours: float
    plain: float
    shown: bool = True
    """Whether the interval of most samples is shown."""


def main() -> None:
    replicates = REPLICATES // 10 if "--quick" in sys.argv[1:] else REPLICATES
    began = time.monotonic()
    print("### pass@k\n")
    attempts_table(replicates)
    print("\n### Tasks in clusters\n")
    clusters_table(replicates)
    print("\n### Paired differences, one attempt\n")
    paired_table()
    print("\n### Paired differences, several attempts or clusters\n")
    averaged_table(replicates)
    print(f"\n{replicates} replicates in each cell, {time.monotonic() - began:.0f} s", file=sys.stderr)


# -- pass@k over independent tasks


def attempts_table(replicates: int) -> None:
    row("tasks", "attempts", "k", *SUMMARY, "alike: median", "unseen: lowest", "t: lowest")
    row(*["---:"] * 12)
    for tasks in TASKS:
        for attempts, k in ATTEMPTS:
            cells = [c for rho in SPREADS for c in pass_cells(tasks, attempts, k, rho, replicates)]
            alike = list(pass_cells(tasks, attempts, k, 0.0, replicates))
            unseen = list(unseen_cells(tasks, attempts, k, replicates))
            row(tasks, attempts, k, *summary(cells), median(alike), lowest(unseen), lowest_plain(cells))


def pass_cells(tasks: int, attempts: int, k: int, rho: float, replicates: int) -> Iterator[Cell]:
    """Pass rates of tasks have a Beta distribution of mean p, in which two attempts correlate by `rho`."""
    for p in RATES:
        rng = generator("pass", tasks, attempts, k, rho, p)
        rates, truth = np.full((replicates, tasks), p), 1.0 - (1.0 - p) ** k
        if rho:
            a, b = p * (1 / rho - 1), (1 - p) * (1 / rho - 1)
            rates, truth = rng.beta(a, b, (replicates, tasks)), 1.0 - float(np.exp(betaln(a, b + k) - betaln(a, b)))
        if 0.02 <= truth <= 0.98:
            yield pass_cell(rng.binomial(attempts, rates), truth, attempts, k)


def unseen_cells(tasks: int, attempts: int, k: int, replicates: int) -> Iterator[Cell]:
    """A few tasks are never solved and all others nearly always, or the other way round."""
    for p in RATES:
        rng = generator("unseen", tasks, attempts, k, p)
        few, rest = (0.0, 0.9) if p >= 0.5 else (1.0, 0.03)
        share = min(p, 1.0 - p)
        rates = np.where(rng.random((replicates, tasks)) < share, few, rest)
        truth = share * few + (1.0 - share) * (1.0 - (1.0 - rest) ** k)
        if 0.02 <= truth <= 0.98:
            yield pass_cell(rng.binomial(attempts, rates), truth, attempts, k)


def pass_cell(passes: NDArray[np.int64], truth: float, attempts: int, k: int) -> Cell:
    values = np.array([pass_at_k(attempts, c, k) for c in range(attempts + 1)])[passes]
    layout = make_layout(values.shape[-1])
    most = layout.most_n([attempts] * values.shape[-1]) if k == 1 else np.inf
    return covered(values, layout, truth, most)


# -- tasks in clusters


def clusters_table(replicates: int) -> None:
    row("clusters", "tasks in each", "average", "correlation", *SUMMARY, "t: lowest")
    row(*["---:"] * 11)
    for clusters in CLUSTERS:
        for sizes in ("5", "50", "20 to 500"):
            for macro in (False, True) if sizes == "20 to 500" else (False,):
                for name, rhos in (("0.02 to 0.1", LOW), ("0.3 to 0.9", HIGH)):
                    cells = [c for rho in rhos for c in cluster_cells(clusters, sizes, macro, rho, replicates)]
                    average = "macro" if macro else "micro"
                    row(clusters, sizes, average, name, *summary(cells), lowest_plain(cells))


def cluster_cells(clusters: int, sizes: str, macro: bool, rho: float, replicates: int) -> Iterator[Cell]:
    """Right or wrong answers whose rates in clusters have a Beta distribution."""
    counts = cluster_sizes(clusters, sizes)
    names = np.repeat(np.arange(clusters), counts)
    # Sums over a cluster are all that the interval looks at: a cluster's tasks may share its mean.
    weights = np.full(clusters, 1.0 / clusters) if macro else counts / counts.sum()
    layout = make_layout(clusters)
    layout = Layout(layout.order, layout.starts, weights, weights)
    most = make_layout(len(names), list(names), weight_clusters=macro).most_n([1] * len(names))
    for p in RATES:
        rng = generator("clusters", clusters, sizes, macro, rho, p)
        rates = rng.beta(p * (1 / rho - 1), (1 - p) * (1 / rho - 1), (replicates, clusters))
        yield covered(rng.binomial(counts, rates) / counts, layout, p, most)


def cluster_sizes(clusters: int, sizes: str) -> NDArray[np.int64]:
    if sizes != "20 to 500":
        return np.full(clusters, int(sizes))
    drawn = np.exp(generator("sizes", clusters).normal(5.0, 0.7, clusters))
    return np.clip(drawn.round(), 20, 500).astype(np.int64)


def covered(values: Floats, layout: Layout, truth: float, most: float) -> Cell:
    found = share_intervals(values, layout, most)
    half = student_t_975(np.asarray(layout.clusters - 1.0)) * np.sqrt(layout.variance(values))
    plain = np.abs(found.mean - truth) <= half + 1e-12
    held = inside(found.low, truth, found.high)
    return Cell(float(held.mean()), float(plain.mean()), bool(found.shown.mean() >= 0.5))


# -- paired differences


def paired_table() -> None:
    """Exact: sums over every outcome in place of a simulation."""
    row("tasks", *SUMMARY, "wrongly rejected", "interval and test disagree", "t: lowest")
    row(*["---:"] * 10)
    shares = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4)
    for tasks in TASKS:
        up, down = np.meshgrid(np.arange(tasks + 1), np.arange(tasks + 1), indexing="ij")
        up, down = up[(up + down) <= tasks], down[(up + down) <= tasks]
        low, high = paired_bounds(up, down, tasks)
        p_value = mcnemar(up, down)
        d = (up - down) / tasks
        half = student_t_975(np.asarray(tasks - 1.0)) * np.sqrt(((up + down) / tasks - d**2) / (tasks - 1))
        choose = gammaln(tasks + 1) - gammaln(up + 1) - gammaln(down + 1) - gammaln(tasks - up - down + 1)
        cells: list[Cell] = []
        rejected: list[float] = []
        for x in shares:
            for y in (0.0, *(share for share in shares if share <= x)):
                stay = np.log(1.0 - x - y) * (tasks - up - down)
                logs = choose + up * np.log(x) + (down * np.log(y) if y else np.where(down > 0, -np.inf, 0.0)) + stay
                chance = np.exp(logs)
                held = chance[inside(low, x - y, high)].sum()
                cells.append(Cell(float(held), float(chance[np.abs(d - x + y) <= half + 1e-12].sum())))
                if x == y:
                    rejected.append(float(chance[p_value <= 0.05].sum()))
        disagree = int((((low > 0.0) | (high < 0.0)) != (p_value <= 0.05)).sum())
        row(tasks, *summary(cells), percent(max(rejected)), f"{disagree} of {len(up)} outcomes", lowest_plain(cells))


def averaged_table(replicates: int) -> None:
    row("tasks", "clusters", "attempts", *SUMMARY, "wrongly rejected")
    row(*["---:"] * 10)
    for tasks, clusters, attempts in (
        *((tasks, 0, attempts) for tasks in TASKS for attempts in (2, 5, 10)),
        *((clusters * size, clusters, 1) for clusters in CLUSTERS for size in (5, 50)),
    ):
        cells: list[Cell] = []
        rejected: list[float] = []
        for p in (0.05, 0.2, 0.5, 0.8, 0.95):
            for moved in (0.1, 0.5):
                for gain in (0.0, 0.1, 0.3):
                    cell, reject = averaged_cell(tasks, clusters, attempts, p, moved, gain, replicates)
                    cells.append(cell)
                    rejected += [reject] if gain == 0.0 else []
        row(tasks, clusters or "none", attempts, *summary(cells), percent(max(rejected)))


def averaged_cell(
    tasks: int, clusters: int, attempts: int, p: float, moved: float, gain: float, replicates: int
) -> tuple[Cell, float]:
    """The second run draws the pass rates of the share `moved` of units anew, and solves `gain` of what was unsolved.

    Units are tasks, or clusters of tasks with one rate.
    """
    rng = generator("averaged", tasks, clusters, attempts, p, moved, gain)
    units = clusters or tasks
    a, b = p, 1.0 - p  # two attempts at one unit correlate by a half
    first = rng.beta(a, b, (replicates, units))
    second = np.where(rng.random(first.shape) < moved, rng.beta(a, b, first.shape), first)
    second = second + gain * (1.0 - second)
    names = np.repeat(np.arange(units), tasks // units)
    d = (rng.binomial(attempts, second[:, names]) - rng.binomial(attempts, first[:, names])) / attempts
    found = smoothed_difference(d, list(names) if clusters else None)
    held = inside(found.low, gain * (1.0 - p), found.high)
    return Cell(float(held.mean()), 0.0), float((found.p_value <= 0.05).mean())


# -- what the tables show


def inside(low: Floats, truth: float, high: Floats) -> NDArray[np.bool_]:
    return (low <= truth + 1e-12) & (truth - 1e-12 <= high)


def summary(cells: Iterable[Cell]) -> list[str]:
    every = list(cells)
    both = np.array([cell.ours for cell in every])
    all_cells = f"{percent(both.min())} to {percent(both.max())}"
    found = np.array([cell.ours for cell in every if cell.shown])
    if not len(found):
        return [f"0 of {len(every)}", "", "", "", "", all_cells]
    middle = np.mean((found >= 0.93) & (found <= 0.97))
    ends = percent(found.min()), percent(float(np.median(found))), percent(found.max())
    return [f"{len(found)} of {len(every)}", *ends, f"{100 * middle:.0f}%", all_cells]


def median(cells: Iterable[Cell]) -> str:
    return percent(float(np.median([cell.ours for cell in cells])))


def lowest(cells: Iterable[Cell]) -> str:
    return percent(min(cell.ours for cell in cells))


def lowest_plain(cells: Iterable[Cell]) -> str:
    return percent(min(cell.plain for cell in cells))


def percent(value: float) -> str:
    return f"{100 * value:.1f}"


def row(*fields: object) -> None:
    print("| " + " | ".join(map(str, fields)) + " |")


def generator(*names: object) -> np.random.Generator:
    """The same numbers for the same cell, whatever else is simulated."""
    return np.random.default_rng(zlib.crc32(repr(names).encode()))


if __name__ == "__main__":
    main()
