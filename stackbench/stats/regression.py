"""Whether one run is worse than another by more than a margin: a test of non-inferiority on paired differences."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from stackbench.stats.estimates import Estimate
from stackbench.stats.intervals import LEAST_UNITS, Z95, wilson
from stackbench.stats.numerics import np
from stackbench.stats.power import tasks_to_decide

__all__ = ["Regression", "Verdict", "paired_regression", "point_regression", "unpaired_difference"]

Verdict = Literal["pass", "fail", "undecided"]


@dataclass(frozen=True, slots=True)
class Regression:
    """The verdict on `second is not worse than first by more than margin`."""

    verdict: Verdict
    margin: float
    """As a share: 0.02 for two points."""
    difference: Estimate
    """Second minus first."""
    needed: int | None = None
    """Of an undecided one: the tasks with one attempt in each run that would decide it if the difference stays."""


def paired_regression(difference: Estimate, margin: float) -> Regression:
    """Passes where the whole 95% interval lies above -margin, fails where it lies below (Piaggio et al. 2012, JAMA
    308:2594: non-inferiority by a confidence interval); else, and where too few tasks have no interval, the data do not
    say.

    Raises:
        ValueError: the margin is negative.
    """
    _check(margin)
    if not difference.shown:
        return Regression("undecided", margin, difference, LEAST_UNITS if difference.n < LEAST_UNITS else None)
    if difference.ci_low > -margin:
        return Regression("pass", margin, difference)
    if difference.ci_high < -margin:
        return Regression("fail", margin, difference)
    # Where hardly any task differs the plug-in error is 0 or nearly so; the interval's own width is not.
    stderr = max(difference.stderr, (difference.ci_high - difference.ci_low) / (2 * Z95))
    needed = tasks_to_decide(difference.value, stderr, difference.n, margin)
    return Regression("undecided", margin, difference, None if needed is None else max(needed, difference.n + 1))


def point_regression(difference: Estimate, margin: float) -> Regression:
    """Compares the two values alone, whatever their uncertainty. Raises ValueError for a negative margin."""
    _check(margin)
    return Regression("pass" if difference.value >= -margin - 1e-12 else "fail", margin, difference)


def unpaired_difference(first: float, first_n: int, second: float, second_n: int) -> Estimate:
    """Second minus first for two shares of which the tasks' results are not known pair by pair: a published figure.

    Newcombe's hybrid score interval (Newcombe 1998, Statistics in Medicine 17:873, method 10: the square-and-add of two
    Wilson intervals). On the same tasks it is wider than a paired one. It is told from 15 tasks on, as a paired one is.

    Raises:
        ValueError: a share outside 0..1, or no tasks.
    """
    if first_n < 1 or second_n < 1 or not (0.0 <= first <= 1.0 and 0.0 <= second <= 1.0):
        raise ValueError(f"{first:g} of {first_n} and {second:g} of {second_n} are no two shares")
    low_a, high_a = (float(end) for end in wilson(np.asarray(first), np.asarray(float(first_n))))
    low_b, high_b = (float(end) for end in wilson(np.asarray(second), np.asarray(float(second_n))))
    value = second - first
    return Estimate(
        value,
        (first * (1 - first) / first_n + second * (1 - second) / second_n) ** 0.5,
        value - ((second - low_b) ** 2 + (high_a - first) ** 2) ** 0.5,
        value + ((high_b - second) ** 2 + (first - low_a) ** 2) ** 0.5,
        min(first_n, second_n),
        min(first_n, second_n) >= LEAST_UNITS,
    )


def _check(margin: float) -> None:
    if not 0.0 <= margin < 1.0:
        raise ValueError(f"a margin of {margin:g} is none: it is a share from 0 on, 0.02 for two points")
