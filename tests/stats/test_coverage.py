"""How often intervals hold the truth, on few cells of perf/coverage.py; the numbers are the same in every run."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from stackbench.stats import pass_at_k
from stackbench.stats.clusters import make_layout
from stackbench.stats.intervals import share_intervals
from stackbench.stats.paired import mcnemar, paired_bounds, smoothed_difference

REPLICATES = 400


def held(low: np.ndarray, truth: float, high: np.ndarray) -> float:
    return float(((low <= truth) & (truth <= high)).mean())


@pytest.mark.parametrize(
    ("tasks", "attempts", "k", "p"),
    [(20, 5, 1, 0.05), (20, 10, 1, 0.95), (20, 20, 10, 0.8), (50, 20, 10, 0.9), (164, 10, 1, 0.5), (50, 2, 1, 0.02)],
)
def test_pass_at_k(tasks: int, attempts: int, k: int, p: float) -> None:
    """Two attempts at a task correlate by 0.6. The bootstrap over tasks covers 70 to 86% of the first four."""
    rng = np.random.default_rng(11)
    a, b = p * 2 / 3, (1 - p) * 2 / 3
    truth = 1 - float(np.prod([(b + i) / (a + b + i) for i in range(k)]))
    passes = rng.binomial(attempts, rng.beta(a, b, (REPLICATES, tasks)))
    values = np.array([pass_at_k(attempts, c, k) for c in range(attempts + 1)])[passes]
    layout = make_layout(tasks)
    found = share_intervals(values, layout, layout.most_n([attempts] * tasks) if k == 1 else np.inf)
    assert 0.925 <= held(found.low, truth, found.high) <= 0.99


@pytest.mark.parametrize("macro", [False, True])
@pytest.mark.parametrize(("clusters", "p", "rho"), [(5, 0.9, 0.3), (10, 0.2, 0.6), (20, 0.95, 0.6), (57, 0.65, 0.1)])
def test_clusters(clusters: int, p: float, rho: float, macro: bool) -> None:
    """Student's t on the cluster-robust error covers 69 to 87% of the first three."""
    rng = np.random.default_rng(12)
    sizes = np.resize([4, 8, 20], clusters)
    names = np.repeat(np.arange(clusters), sizes)
    rates = rng.beta(p * (1 / rho - 1), (1 - p) * (1 / rho - 1), (REPLICATES, clusters))
    values = rng.binomial(1, rates[:, names]).astype(float)
    layout = make_layout(len(names), list(names), weight_clusters=macro)
    found = share_intervals(values, layout, layout.most_n([1] * len(names)))
    assert held(found.low, p, found.high) >= 0.92


def test_paired_differences_of_one_attempt() -> None:
    """A change in one direction alone, at 50 tasks: summed over every outcome, not drawn."""
    up = np.arange(51)
    for rate in (0.02, 0.05, 0.1, 0.3):
        low, high = paired_bounds(up, np.zeros(51), 50)
        chance = binom.pmf(up, 50, rate)
        assert chance[(low <= rate) & (rate <= high)].sum() >= 0.93
        # Student's t left 0 out from four changed tasks on; the exact test rejects from six on.
        assert chance[low > 0].sum() == pytest.approx(chance[6:].sum())


def test_interval_and_test_never_contradict_each_other() -> None:
    up, down = np.meshgrid(np.arange(101), np.arange(101))
    up, down = up[up + down <= 100], down[up + down <= 100]
    low, high = paired_bounds(up, down, 100)
    assert (((low > 0) | (high < 0)) == (mcnemar(up, down) <= 0.05)).all()
    assert (high - low > 0.05).all()


def test_no_change_over_several_attempts_is_seldom_found_to_be_one() -> None:
    rng = np.random.default_rng(13)
    rates = rng.beta(0.5, 0.5, (REPLICATES, 50))
    found = smoothed_difference((rng.binomial(5, rates) - rng.binomial(5, rates)) / 5)
    assert held(found.low, 0.0, found.high) >= 0.93
    assert ((found.p_value > 0.05) == ((found.low <= 0) & (found.high >= 0))).all()


@pytest.mark.parametrize(
    ("tasks", "attempts", "p", "shown"),
    [(14, 1, 0.5, False), (20, 1, 0.05, False), (20, 1, 0.5, True), (50, 1, 0.1, True), (164, 1, 0.02, True),
     (20, 20, 0.1, False), (50, 10, 0.35, True), (164, 10, 0.95, True)],
)  # fmt: skip
def test_an_interval_is_shown_where_it_holds(tasks: int, attempts: int, p: float, shown: bool) -> None:
    """Two attempts at a task correlate by 0.1. The full table of shown cells is in docs/statistics.md."""
    rng = np.random.default_rng(14)
    rates = rng.beta(9 * p, 9 * (1 - p), (REPLICATES, tasks))
    values = rng.binomial(attempts, rates) / attempts
    layout = make_layout(tasks)
    found = share_intervals(values, layout, layout.most_n([attempts] * tasks))
    assert bool(found.shown.mean() >= 0.5) is shown
    if shown:
        assert 0.92 <= held(found.low, p, found.high) <= 0.985


@pytest.mark.parametrize(
    ("clusters", "rho", "shown"), [(5, 0.6, False), (10, 0.6, False), (57, 0.3, True), (20, 0.02, False)]
)
def test_few_clusters_or_alike_ones_have_no_interval(clusters: int, rho: float, shown: bool) -> None:
    rng = np.random.default_rng(15)
    rates = rng.beta(0.8 * (1 / rho - 1), 0.2 * (1 / rho - 1), (REPLICATES, clusters))
    values = rng.binomial(50, rates) / 50
    found = share_intervals(values, make_layout(clusters), 50.0 * clusters)
    assert bool(found.shown.mean() >= 0.5) is shown
    if shown:
        assert 0.92 <= held(found.low, 0.8, found.high) <= 0.985
