from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from stackbench.stats.bootstrap import bootstrap_mean, bootstrap_paired, resampled_means


def test_resampled_means_have_the_mean_and_the_error_of_the_data() -> None:
    values = np.random.default_rng(1).random(120)
    means = resampled_means(list(values), resamples=4000)
    assert means.mean() == pytest.approx(values.mean(), abs=0.003)
    assert means.std() == pytest.approx(stats.sem(values, ddof=0), rel=0.05)


def test_resampled_clusters_have_the_error_of_the_clusters() -> None:
    """Ten clusters of ten copies each are ten values."""
    values = np.random.default_rng(2).random(10)
    means = resampled_means(list(np.repeat(values, 10)), clusters=[i // 10 for i in range(100)], resamples=4000)
    assert means.std() == pytest.approx(stats.sem(values, ddof=0), rel=0.05)


def test_the_interval_is_scipys_percentile_bootstrap() -> None:
    values = np.random.default_rng(3).random(80)
    found = bootstrap_mean(list(values), resamples=9999)
    expected = stats.bootstrap((values,), np.mean, method="percentile", rng=7).confidence_interval
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=0.004)


def test_a_seed_gives_the_same_numbers() -> None:
    assert bootstrap_mean([0, 1, 1, 0.5], seed=4) == bootstrap_mean([0, 1, 1, 0.5], seed=4)
    assert resampled_means([0, 1, 1, 0.5], seed=4)[:9].tolist() != resampled_means([0, 1, 1, 0.5], seed=5)[:9].tolist()


def test_a_clear_difference_is_found_and_no_difference_is_not() -> None:
    first = [0.0] * 60 + [1.0] * 40
    found = bootstrap_paired(first, [1.0] * 20 + [0.0] * 40 + [1.0] * 40)
    assert found.low > 0.1 and found.p_value < 0.01
    assert bootstrap_paired(first, first) == bootstrap_paired([0.0], [0.0])
    assert bootstrap_paired(first, first).p_value == 1.0


def test_unequal_or_no_values_are_refused() -> None:
    with pytest.raises(ValueError, match="equally many"):
        bootstrap_paired([1.0], [1.0, 0.0])
    with pytest.raises(ValueError, match="not empty"):
        bootstrap_mean([])
