from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom, norm

from stackbench.stats.paired import mcnemar
from stackbench.stats.power import (
    minimum_detectable_effect,
    paired_sample_size,
    tasks_to_decide,
    unpaired_sample_size,
)


def test_a_difference_of_the_minimum_detectable_size_is_found_four_times_in_five() -> None:
    effect = minimum_detectable_effect(0.03)
    assert effect == pytest.approx(0.03 * (norm.ppf(0.975) + norm.ppf(0.8)), abs=1e-9)
    assert norm.sf(norm.ppf(0.975) - effect / 0.03) == pytest.approx(0.8, abs=1e-6)


def test_connors_number_of_tasks_gives_mcnemar_its_power() -> None:
    """The power of the exact test at that number, summed over every outcome."""
    up, down = 0.12, 0.04
    n = paired_sample_size(up - down, up + down)
    assert n == 194
    power = 0.0
    for discordant in range(n + 1):
        better = np.arange(discordant + 1)
        found = mcnemar(better, discordant - better) <= 0.05
        chance = binom.pmf(better, discordant, up / (up + down)) * binom.pmf(discordant, n, up + down)
        power += float(chance[found].sum())
    assert 0.74 < power < 0.82


def test_unpaired_runs_need_more_tasks_each() -> None:
    assert unpaired_sample_size(0.6, 0.68) > 2 * paired_sample_size(0.08, 0.16)


def test_the_tasks_that_decide_are_those_at_which_the_interval_leaves_the_margin() -> None:
    needed = tasks_to_decide(-0.005, 0.03, 164, 0.02)
    assert needed is not None
    for tasks, decided in ((needed, True), (needed - 1, False)):
        stderr = 0.03 * (164 / tasks) ** 0.5
        assert (-0.005 - norm.ppf(0.975) * stderr > -0.02) == decided
    assert tasks_to_decide(-0.02, 0.03, 164, 0.02) is None


@pytest.mark.parametrize("call", [
    lambda: minimum_detectable_effect(-1),
    lambda: minimum_detectable_effect(0.1, power=1.0),
    lambda: paired_sample_size(0.1, 0.05),
    lambda: paired_sample_size(0.0, 0.5),
    lambda: unpaired_sample_size(0.5, 0.5),
])  # fmt: skip
def test_what_cannot_be_is_refused(call: object) -> None:
    with pytest.raises(ValueError, match=r"\d"):
        call()  # type: ignore[operator]
