from __future__ import annotations

import math

import pytest
from scipy import stats

from stackbench.stats import paired_difference


def test_right_and_wrong_answers_are_compared_by_mcnemars_exact_test() -> None:
    first = [1] * 8 + [0] * 12
    second = [1] * 6 + [0] * 2 + [1] * 7 + [0] * 5
    found = paired_difference(first, second)
    assert (found.better, found.worse) == (7, 2)
    assert found.p_value == pytest.approx(stats.binomtest(2, 9).pvalue)
    assert found.difference.value == pytest.approx(5 / 20)
    assert found.test == "McNemar's exact"


def test_the_interval_is_students() -> None:
    first, second = [0.2, 0.4, 0.9, 0.1], [0.5, 0.4, 0.8, 0.6]
    found = paired_difference(first, second)
    low, high = stats.ttest_rel(second, first).confidence_interval(0.95)
    assert (found.difference.ci_low, found.difference.ci_high) == pytest.approx((low, high))
    assert found.difference.stderr == pytest.approx(stats.sem([b - a for a, b in zip(first, second, strict=True)]))


def test_shares_are_compared_by_flipping_signs() -> None:
    first, second = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6], [0.3, 0.5, 0.4, 0.8, 0.6, 0.9]
    found = paired_difference(first, second)
    # All six differ in the same direction: 2 of the 64 ways to flip them are as far out.
    assert found.p_value == pytest.approx(2 / 64, abs=0.005)
    assert found.p_value == paired_difference(first, second).p_value


def test_runs_that_agree_have_nothing_to_tell_them_apart() -> None:
    found = paired_difference([1, 0, 1], [1, 0, 1])
    assert (found.p_value, found.difference.value, found.better, found.worse) == (1.0, 0.0, 0, 0)
    assert paired_difference([0.5], [0.5]).p_value == 1.0
    assert math.isfinite(paired_difference([0], [1]).difference.ci_low)


def test_unequal_runs_are_refused() -> None:
    with pytest.raises(ValueError, match="equally many"):
        paired_difference([1], [1, 0])
    with pytest.raises(ValueError, match="at least one"):
        paired_difference([], [])
