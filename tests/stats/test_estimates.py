from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats

from stackbench.stats import Estimate, amount, proportion, share
from stackbench.stats.intervals import student_t_975


def width(estimate: Estimate) -> float:
    return estimate.ci_high - estimate.ci_low


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [(0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0), (5, 10, 0.2366, 0.7634), (1, 1, 0.2065, 1.0)],
)
def test_wilson_interval_matches_published_values(successes: int, n: int, low: float, high: float) -> None:
    estimate = proportion(successes, n)
    assert (estimate.ci_low, estimate.ci_high) == pytest.approx((low, high), abs=1e-4)


@pytest.mark.parametrize(("successes", "n"), [(0, 3), (7, 20), (47, 164), (499, 500), (500, 500)])
def test_wilson_interval_is_that_of_scipy(successes: int, n: int) -> None:
    expected = stats.binomtest(successes, n).proportion_ci(0.95, method="wilson")
    estimate = proportion(successes, n)
    assert (estimate.ci_low, estimate.ci_high) == pytest.approx((expected.low, expected.high), abs=1e-12)
    assert estimate.stderr == pytest.approx((successes / n * (1 - successes / n) / n) ** 0.5)


def test_a_proportion_of_copies_has_the_interval_of_the_tasks_alone() -> None:
    copies, alone = proportion(50, 100, units=20), proportion(10, 20)
    assert (copies.value, copies.stderr, copies.ci_low, copies.ci_high) == pytest.approx(
        (alone.value, alone.stderr, alone.ci_low, alone.ci_high)
    )


@pytest.mark.parametrize(("successes", "n"), [(1, 0), (-1, 5), (6, 5)])
def test_proportion_refuses_impossible_counts(successes: int, n: int) -> None:
    with pytest.raises(ValueError, match="no proportion"):
        proportion(successes, n)


@pytest.mark.parametrize(("successes", "n"), [(0, 1), (1, 1), (0, 20), (1, 20), (13, 20), (163, 164)])
def test_a_share_of_right_and_wrong_tasks_is_a_proportion(successes: int, n: int) -> None:
    found, expected = share([1.0] * successes + [0.0] * (n - successes)), proportion(successes, n)
    assert (found.value, found.stderr, found.ci_low, found.ci_high, found.n) == pytest.approx(
        (expected.value, expected.stderr, expected.ci_low, expected.ci_high, n)
    )


def test_no_interval_of_a_share_has_width_zero_or_leaves_its_value_out() -> None:
    """Every sample of up to four tasks with scores of 0, 1/2, 1 or a little beside, alone and in every clustering."""
    for n in range(1, 5):
        for values in itertools.product((0.0, 0.02, 0.5, 1.0), repeat=n):
            for clusters in (None, ["a"] * n, ["a", "b", "a", "b"][:n], ["a", "b", "b", "b"][:n]):
                for macro in (False, True):
                    found = share(values, clusters=clusters, weight_clusters=macro)
                    assert 0.0 <= found.ci_low <= found.value <= found.ci_high <= 1.0
                    assert width(found) > 0.01, (values, clusters, macro)
                    assert np.isfinite(found.stderr)


def test_half_right_in_every_task_has_the_interval_of_as_many_attempts() -> None:
    """20 tasks, one of two attempts right in each: no spread between tasks, 40 attempts at the most."""
    found, attempts = share([0.5] * 20, attempts=[2] * 20), proportion(20, 40)
    assert (found.ci_low, found.ci_high) == pytest.approx((attempts.ci_low, attempts.ci_high))
    assert found.stderr == pytest.approx(attempts.stderr)
    assert found.n == 20


def test_more_tasks_of_the_same_kind_narrow_the_interval_and_move_nothing() -> None:
    one = share([0.2, 0.9, 0.4, 1.0, 0.0])
    widths = [width(share([0.2, 0.9, 0.4, 1.0, 0.0] * times)) for times in (1, 2, 4, 8, 100)]
    assert widths == sorted(widths, reverse=True)
    assert share([0.2, 0.9, 0.4, 1.0, 0.0] * 100).value == pytest.approx(one.value)


def test_a_share_and_its_complement_have_mirrored_intervals() -> None:
    values = [0.1, 0.9, 1.0, 1.0, 0.4, 0.7]
    found, other = share(values, clusters="aabbcc"), share([1 - v for v in values], clusters="aabbcc")
    assert (found.ci_low, found.ci_high) == pytest.approx((1 - other.ci_high, 1 - other.ci_low))


def test_clusters_that_agree_within_widen_the_interval() -> None:
    values, clusters = [1.0] * 50 + [0.0] * 50, [f"c{i // 10}" for i in range(100)]
    clustered, alone = share(values, clusters=clusters), share(values)
    assert clustered.value == alone.value == 0.5
    assert clustered.stderr > 3 * alone.stderr
    # Ten clusters of copies are worth ten tasks.
    ten = proportion(5, 10)
    assert (clustered.ci_low, clustered.ci_high) == pytest.approx((ten.ci_low, ten.ci_high))


@pytest.mark.parametrize("weight_clusters", [False, True])
@pytest.mark.parametrize("value", [0.0, 1.0])
def test_values_that_are_all_0_or_all_1_are_worth_as_many_units_as_clusters(
    value: float, weight_clusters: bool
) -> None:
    estimate = share([value] * 60, clusters=[f"c{i // 3}" for i in range(60)], weight_clusters=weight_clusters)
    bounds = proportion(20 * int(value), 20)
    assert (estimate.value, estimate.stderr, estimate.n) == (value, 0.0, 60)
    assert (estimate.ci_low, estimate.ci_high) == pytest.approx((bounds.ci_low, bounds.ci_high))


def test_a_single_cluster_says_nothing_and_its_tasks_are_independent() -> None:
    assert share([1.0, 0.0, 0.0, 0.0, 0.0], clusters=["a"] * 5) == share([1.0, 0.0, 0.0, 0.0, 0.0])
    assert share([0.5, 0.7], clusters=["a", "a"], weight_clusters=True) == share([0.5, 0.7])


def test_macro_average_weighs_clusters_alike() -> None:
    estimate = share([1.0, 1.0, 1.0, 0.0], clusters=["a", "a", "a", "b"], weight_clusters=True)
    assert estimate.value == 0.5
    assert 0.0 <= estimate.ci_low <= estimate.ci_high <= 1.0


@pytest.mark.parametrize("values", [[-0.1], [1.1], [float("nan")]])
def test_a_share_outside_0_to_1_is_refused(values: list[float]) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        share(values)


def test_an_amount_has_students_interval() -> None:
    values = [11.0, 12.0, 13.0, 14.5]
    low, high = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    estimate = amount(values)
    assert (estimate.ci_low, estimate.ci_high) == pytest.approx((low, high))
    assert (estimate.value, estimate.stderr) == pytest.approx((12.625, stats.sem(values)))


def test_an_amount_in_clusters_of_one_size_has_students_interval_of_their_means() -> None:
    values, clusters = [1.0, 2.0, 5.0, 6.0, 4.0, 9.0], list("aabbcc")
    low, high = stats.ttest_1samp([1.5, 5.5, 6.5], 0).confidence_interval(0.95)
    estimate = amount(values, clusters=clusters)
    assert (estimate.ci_low, estimate.ci_high) == pytest.approx((max(0.0, low), high))


def test_an_interval_of_amounts_ends_at_0_where_no_value_is_below() -> None:
    assert amount([0.1, 5.0]).ci_low == 0.0
    assert amount([-1.0, 5.0]).ci_low < -1.0


@pytest.mark.parametrize("values", [[3.0], [3.0] * 12, [0.0], [0.0] * 12, [0.1] * 3])
def test_equal_amounts_have_an_interval_too(values: list[float]) -> None:
    for clusters in (None, list("abababababab")[: len(values)]):
        estimate = amount(values, clusters=clusters)
        assert estimate.ci_low <= estimate.value < estimate.ci_high
        assert np.isfinite([estimate.stderr, estimate.ci_low, estimate.ci_high]).all()


@pytest.mark.parametrize("estimate", [share, amount])
def test_no_values_are_refused(estimate: object) -> None:
    with pytest.raises(ValueError, match="not empty"):
        estimate([])  # type: ignore[operator]
    with pytest.raises(ValueError, match="equally many"):
        estimate([0.5], clusters=["a", "b"])  # type: ignore[operator]


@pytest.mark.parametrize("df", [1.0, 4.5, 30.0, 59.9, 60.0, 61.5, 163.0, 1318.0, 14041.0, 1e9])
def test_the_quantile_of_student_s_t_is_scipy_s(df: float) -> None:
    from scipy.special import stdtrit

    assert float(student_t_975(np.asarray(df))) == pytest.approx(stdtrit(df, 0.975), abs=1e-8)
