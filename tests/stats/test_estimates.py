from __future__ import annotations

import numpy as np
import pytest

from stackbench.stats import bootstrap_mean, clustered_mean, mean, proportion


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [(0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0), (5, 10, 0.2366, 0.7634), (1, 1, 0.2065, 1.0)],
)
def test_wilson_interval_matches_published_values(successes: int, n: int, low: float, high: float) -> None:
    estimate = proportion(successes, n)
    assert (estimate.ci_low, estimate.ci_high) == pytest.approx((low, high), abs=1e-4)


def test_wilson_interval_covers_the_truth_about_95_times_in_100() -> None:
    rng = np.random.default_rng(1)
    estimates = [proportion(int(rng.binomial(164, 0.47)), 164) for _ in range(2000)]
    covered = np.mean([e.ci_low <= 0.47 <= e.ci_high for e in estimates])
    assert 0.93 <= covered <= 0.97


@pytest.mark.parametrize(("successes", "n"), [(1, 0), (-1, 5), (6, 5)])
def test_proportion_refuses_impossible_counts(successes: int, n: int) -> None:
    with pytest.raises(ValueError, match="no proportion"):
        proportion(successes, n)


def test_mean_has_the_textbook_standard_error() -> None:
    estimate = mean([1.0, 2.0, 3.0, 4.0])
    assert estimate.value == 2.5
    assert estimate.stderr == pytest.approx(np.std([1, 2, 3, 4], ddof=1) / 2)


def test_bootstrap_interval_agrees_with_the_normal_one_for_many_units() -> None:
    values = np.random.default_rng(2).normal(0.5, 0.1, 500)
    bootstrapped, normal = bootstrap_mean(list(values)), mean(list(values))
    assert bootstrapped.ci_low == pytest.approx(normal.ci_low, abs=1e-3)
    assert bootstrapped.ci_high == pytest.approx(normal.ci_high, abs=1e-3)


def test_clusters_that_agree_within_widen_the_interval() -> None:
    values, clusters = [1.0] * 50 + [0.0] * 50, [f"c{i // 10}" for i in range(100)]
    clustered = clustered_mean(values, clusters)
    alone = clustered_mean(values, [str(i) for i in range(100)])
    assert clustered.value == alone.value == 0.5
    assert clustered.stderr > 3 * alone.stderr
    assert alone.stderr == pytest.approx(mean(values).stderr)


def test_a_single_cluster_has_no_interval_of_width_zero() -> None:
    assert clustered_mean([1.0, 0.0, 0.0, 0.0, 0.0], ["a"] * 5) == proportion(1, 5)
    assert clustered_mean([0.5, 0.7], ["a", "a"], weight_clusters=True) == mean([0.5, 0.7])


@pytest.mark.parametrize("weight_clusters", [False, True])
@pytest.mark.parametrize("value", [0.0, 1.0])
def test_values_without_spread_have_no_interval_of_width_zero(value: float, weight_clusters: bool) -> None:
    estimate = clustered_mean([value] * 60, [f"c{i // 3}" for i in range(60)], weight_clusters=weight_clusters)
    bounds = proportion(20 * int(value), 20)
    assert (estimate.value, estimate.stderr, estimate.n) == (value, 0.0, 60)
    assert (estimate.ci_low, estimate.ci_high) == (bounds.ci_low, bounds.ci_high)


def test_an_interval_holds_nothing_that_a_value_cannot_be() -> None:
    amounts, clusters = [0.2, 0.2, 0.9, 0.9], ["a", "a", "b", "b"]
    for estimate in (clustered_mean(amounts, clusters), clustered_mean(amounts, clusters, shares=False)):
        assert estimate.ci_low == 0.0
    assert clustered_mean(amounts, clusters).ci_high == 1.0
    assert clustered_mean(amounts, clusters, shares=False).ci_high > 4
    assert mean([0.1, 5.0]).ci_low == 0.0
    assert mean([-1.0, 5.0]).ci_low < -1.0
    assert clustered_mean([1.0] * 8, list("aabbccdd"), shares=False).ci_low == 1.0


def test_a_bootstrap_without_spread_has_no_interval_of_width_zero() -> None:
    assert bootstrap_mean([0.0] * 12) == proportion(0, 12)
    assert bootstrap_mean([1.0] * 12) == proportion(12, 12)


def test_macro_average_weighs_clusters_alike() -> None:
    estimate = clustered_mean([1.0, 1.0, 1.0, 0.0], ["a", "a", "a", "b"], weight_clusters=True)
    assert estimate.value == 0.5
    assert 0.0 <= estimate.ci_low <= estimate.ci_high <= 1.0


@pytest.mark.parametrize("estimate", [mean, bootstrap_mean])
def test_no_values_are_refused(estimate: object) -> None:
    with pytest.raises(ValueError, match="no values"):
        estimate([])  # type: ignore[operator]
