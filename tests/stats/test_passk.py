from __future__ import annotations

import itertools
import math

import pytest

from stackbench.stats import pass_at_k, pass_at_k_estimate


@pytest.mark.parametrize(("n", "c", "k"), [(5, 2, 1), (5, 2, 3), (10, 0, 5), (10, 10, 5), (200, 13, 100), (7, 3, 7)])
def test_pass_at_k_equals_the_combinatorial_definition(n: int, c: int, k: int) -> None:
    assert pass_at_k(n, c, k) == pytest.approx(1 - math.comb(n - c, k) / math.comb(n, k), abs=1e-12)


def test_pass_at_k_is_the_chance_that_a_random_draw_holds_a_pass() -> None:
    outcomes = [True, True, False, False, False, False]
    draws = list(itertools.combinations(outcomes, 3))
    assert pass_at_k(6, 2, 3) == pytest.approx(sum(map(any, draws)) / len(draws))


@pytest.mark.parametrize(("n", "c", "k"), [(3, 4, 1), (3, -1, 1), (3, 1, 4), (3, 1, 0)])
def test_pass_at_k_refuses_what_is_not_defined(n: int, c: int, k: int) -> None:
    with pytest.raises(ValueError, match="not defined"):
        pass_at_k(n, c, k)


def test_single_attempts_are_a_proportion_with_wilson_interval() -> None:
    estimate = pass_at_k_estimate([(1, 1)] * 30 + [(1, 0)] * 70, 1)
    assert estimate is not None
    assert (estimate.value, estimate.n) == (0.3, 100)
    # Wilson 95% for 30 of 100, as R's prop.test(30, 100, correct = FALSE) gives it
    assert (estimate.ci_low, estimate.ci_high) == pytest.approx((0.2189, 0.3958), abs=1e-4)


def test_several_attempts_average_over_tasks_and_bootstrap_repeatably() -> None:
    pairs = [(4, 4), (4, 0), (4, 2), (4, 1)] * 10
    first, second = pass_at_k_estimate(pairs, 2), pass_at_k_estimate(pairs, 2)
    assert first == second
    assert first is not None
    assert first.value == pytest.approx((1 + 0 + 5 / 6 + 1 / 2) / 4)
    assert first.ci_low < first.value < first.ci_high


def test_too_few_attempts_give_no_estimate() -> None:
    assert pass_at_k_estimate([(10, 1), (9, 1)], 10) is None
    assert pass_at_k_estimate([], 1) is None
