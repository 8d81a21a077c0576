from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats

from stackbench.stats import paired_difference
from stackbench.stats.paired import tango


def binary(better: int, worse: int, n: int) -> tuple[list[int], list[int]]:
    same = n - better - worse
    return [0] * better + [1] * worse + [1] * same, [1] * better + [0] * worse + [1] * same


def test_right_and_wrong_answers_are_compared_by_mcnemars_exact_test() -> None:
    found = paired_difference(*binary(7, 2, 20))
    assert (found.better, found.worse) == (7, 2)
    assert found.p_value == pytest.approx(stats.binomtest(2, 9).pvalue)
    assert found.difference.value == pytest.approx(5 / 20)
    assert found.test == "McNemar's exact"


def test_tangos_interval_matches_published_values() -> None:
    """Airway reactivity of 21 children: 1 changed in one direction, 7 in the other.

    Fagerland, Lydersen and Laake 2014, Statistics in Medicine 33:2850: -0.517 to -0.026.
    """
    low, high = tango(np.asarray(1), np.asarray(7), 21)
    assert (float(low), float(high)) == pytest.approx((-0.517, -0.026), abs=5e-4)


def test_tangos_interval_ends_where_the_score_test_rejects() -> None:
    """At each end the statistic, with q by a search for the greatest likelihood, is the quantile."""
    better, worse, n = 9, 4, 40
    grid = np.linspace(1e-6, 0.5, 200_001)
    for end in tango(np.asarray(better), np.asarray(worse), n):
        d = float(end)
        inside = (grid + d > 0) & (2 * grid + d < 1)
        q = grid[inside]
        likelihood = better * np.log(q + d) + worse * np.log(q) + (n - better - worse) * np.log(1 - 2 * q - d)
        best = q[likelihood.argmax()]
        statistic = (better - worse - n * d) / np.sqrt(n * (2 * best + d * (1 - d)))
        assert abs(statistic) == pytest.approx(stats.norm.ppf(0.975), abs=1e-3)


def test_no_interval_has_width_zero_or_contradicts_its_test() -> None:
    for n in (1, 2, 5, 20):
        for better, worse in itertools.product(range(n + 1), repeat=2):
            if better + worse > n:
                continue
            found = paired_difference(*binary(better, worse, n))
            low, high = found.difference.ci_low, found.difference.ci_high
            assert -1.0 <= low <= found.difference.value <= high <= 1.0
            assert high - low > 0.01
            assert (low <= 0.0 <= high) == (found.p_value > 0.05)


def test_runs_that_agree_have_an_interval_about_0_and_no_evidence() -> None:
    for scores in ([1, 0, 1], [0.5] * 20, [1] * 164, [0], [0.3]):
        for clusters in (None, [i % 2 for i in range(len(scores))]):
            found = paired_difference(scores, scores, clusters=clusters)
            assert (found.p_value, found.difference.value, found.better, found.worse) == (1.0, 0.0, 0, 0)
            assert found.difference.ci_low < 0.0 < found.difference.ci_high
            assert found.difference.ci_low == pytest.approx(-found.difference.ci_high)


def test_averaged_scores_are_compared_by_student_with_two_tasks_more() -> None:
    first, second = [0.2, 0.4, 0.9, 0.1, 0.5], [0.5, 0.4, 0.8, 0.6, 0.7]
    d = np.subtract(second, first)
    size = np.sqrt((d**2).sum() / 4)
    more = [*d, size, -size]
    expected = stats.ttest_1samp(more, 0)
    found = paired_difference(first, second)
    low, high = expected.confidence_interval(0.95)
    assert (found.difference.ci_low, found.difference.ci_high) == pytest.approx((low, high))
    assert found.p_value == pytest.approx(expected.pvalue)
    assert (found.difference.value, found.test) == (pytest.approx(d.mean()), "Student's t")


def test_many_right_and_wrong_answers_have_the_same_interval_both_ways() -> None:
    """Tango's interval and the smoothed t of the same thousand differences, each in a cluster of its own."""
    scores = binary(60, 30, 1000)
    exact, smooth = paired_difference(*scores), paired_difference(*scores, clusters=list(range(1000)))
    assert exact.difference.ci_low == pytest.approx(smooth.difference.ci_low, abs=1e-3)
    assert exact.difference.ci_high == pytest.approx(smooth.difference.ci_high, abs=1e-3)


def test_tasks_that_move_together_are_little_evidence() -> None:
    """20 tasks of two templates, one of which went up as a whole: as two tasks, not as ten of twenty."""
    first, second = [0] * 20, [1] * 10 + [0] * 10
    together = paired_difference(first, second, clusters=["a"] * 10 + ["b"] * 10)
    assert paired_difference(first, second).p_value < 0.01
    assert together.p_value > 0.05
    assert together.difference.ci_low <= 0.0
    assert together.test == "cluster-robust t"


def test_one_cluster_alone_is_no_clustering() -> None:
    scores = binary(7, 2, 20)
    assert paired_difference(*scores, clusters=["a"] * 20) == paired_difference(*scores)


def test_unequal_runs_are_refused() -> None:
    with pytest.raises(ValueError, match="equally many"):
        paired_difference([1], [1, 0])
    with pytest.raises(ValueError, match="at least one"):
        paired_difference([], [])
