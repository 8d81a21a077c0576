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


def test_several_attempts_average_over_tasks() -> None:
    found = pass_at_k_estimate([(4, 4), (4, 0), (4, 2), (4, 1)] * 10, 2)
    assert found is not None
    assert found.value == pytest.approx((1 + 0 + 5 / 6 + 1 / 2) / 4)
    assert found.ci_low < found.value < found.ci_high
    assert found.n == 40


def test_copies_of_one_attempt_are_no_evidence() -> None:
    """Ten copies of each of 50 answers have the interval of the 50."""
    copies, alone = (
        pass_at_k_estimate([(10, 10)] * 20 + [(10, 0)] * 30, 1),
        pass_at_k_estimate([(1, 1)] * 20 + [(1, 0)] * 30, 1),
    )
    assert copies == alone


@pytest.mark.parametrize("pairs", [[(1, 0)], [(1, 1)], [(10, 5)], [(10, 10)], [(2, 1)] * 20, [(20, 20)] * 5])
def test_no_interval_has_width_zero(pairs: list[tuple[int, int]]) -> None:
    for k in (1, 2, 10):
        found = pass_at_k_estimate(pairs, k)
        if found is None:
            continue
        assert 0.0 <= found.ci_low <= found.value <= found.ci_high <= 1.0
        assert found.ci_high - found.ci_low > 0.01
        assert math.isfinite(found.stderr)


def test_too_few_attempts_give_no_estimate() -> None:
    assert pass_at_k_estimate([(10, 1), (9, 1)], 10) is None
    assert pass_at_k_estimate([], 1) is None
