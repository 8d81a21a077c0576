from __future__ import annotations

import pytest

from stackbench.stats import Estimate, paired_difference
from stackbench.stats.multiple import shared_ranks
from stackbench.stats.regression import paired_regression, point_regression
from stackbench.stats.spread import spread


def of(better: int, worse: int, n: int) -> Estimate:
    first = [0.0] * better + [1.0] * worse + [1.0] * (n - better - worse)
    second = [1.0] * better + [0.0] * worse + [1.0] * (n - better - worse)
    return paired_difference(first, second).difference


@pytest.mark.parametrize(
    ("better", "worse", "verdict"), [(40, 10, "pass"), (5, 60, "fail"), (20, 22, "undecided"), (0, 0, "pass")]
)
def test_the_interval_decides_and_not_the_value(better: int, worse: int, verdict: str) -> None:
    assert paired_regression(of(better, worse, 500), 0.02).verdict == verdict


def test_an_undecided_gate_tells_the_tasks_that_would_decide_it() -> None:
    found = paired_regression(of(20, 22, 500), 0.02)
    assert found.needed is not None and found.needed > 500
    scale = found.needed / 500
    more = of(round(20 * scale), round(22 * scale), round(500 * scale * 1.02))
    assert paired_regression(more, 0.02).verdict == "pass"


def test_too_few_tasks_for_an_interval_decide_nothing() -> None:
    assert paired_regression(of(0, 12, 12), 0.02).verdict == "undecided"
    assert paired_regression(of(12, 0, 12), 0.02).verdict == "undecided"
    assert paired_regression(of(12, 0, 12), 0.02).needed == 15


def test_a_plain_comparison_ignores_the_uncertainty() -> None:
    assert point_regression(of(20, 22, 500), 0.02).verdict == "pass"
    assert point_regression(of(20, 31, 500), 0.02).verdict == "fail"
    assert point_regression(of(0, 10, 500), 0.02).verdict == "pass"  # exactly the margin


def test_a_negative_margin_is_refused() -> None:
    with pytest.raises(ValueError, match="0.02 for two points"):
        paired_regression(of(1, 2, 50), -0.02)


def test_models_that_do_not_differ_share_a_rank() -> None:
    scores = [0.5, 0.9, 0.88, 0.7, 0.69]
    assert shared_ranks(scores, lambda a, b: abs(scores[a] - scores[b]) > 0.05) == [5, 1, 1, 3, 3]
    assert shared_ranks([], lambda a, b: True) == []


def test_replicates_have_mean_median_and_standard_deviation() -> None:
    found = spread([0.5, 0.6, 0.1])
    assert (found.n, found.mean, found.median, found.low, found.high) == (3, pytest.approx(0.4), 0.5, 0.1, 0.6)
    assert found.sd == pytest.approx(0.2645751311)
    assert found.range == pytest.approx(0.5)
    assert spread([0.5]).sd is None
    with pytest.raises(ValueError, match="not be empty"):
        spread([])
