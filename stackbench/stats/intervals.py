"""95% intervals of shares, on arrays: Wilson's, on as many units as the data are worth."""

from __future__ import annotations

import math
from typing import NamedTuple

from stackbench.stats.clusters import Layout
from stackbench.stats.numerics import Floats, NDArray, np

__all__ = [
    "LEAST_UNITS",
    "Z95",
    "ShareIntervals",
    "enough_tasks",
    "enough_units",
    "share_intervals",
    "student_t_975",
    "wilson",
]

Z95 = 1.959963984540054
_BOUND = 1e-12
"""Means nearer to 0 or 1 than this are there: sums of weights leave rounding errors."""
_MOST_DF = 1e9
MANY_DF = 60.0
LEAST_UNITS = 15
"""With fewer independent tasks, or clusters of them, a result is told as counts."""
MANY_UNITS = 100
LEAST_RARER = 2.0
_MOST_WIDENED = 1.25


class ShareIntervals(NamedTuple):
    """Means of shares with their standard errors and intervals, all of one shape."""

    mean: Floats
    stderr: Floats
    low: Floats
    high: Floats
    shown: NDArray[np.bool_]
    """Where the interval was found to hold the truth about 95 times in 100 (see `share_intervals`)."""


def wilson(mean: Floats, n: Floats) -> tuple[Floats, Floats]:
    """The score interval of a share on n units, which need not be whole (Wilson 1927, JASA 22:209)."""
    z2 = Z95 * Z95
    centre = (mean + z2 / (2.0 * n)) / (1.0 + z2 / n)
    half = Z95 / (1.0 + z2 / n) * np.sqrt(mean * (1.0 - mean) / n + z2 / (4.0 * n * n))
    low = np.where(mean <= 0.0, 0.0, np.minimum(centre - half, mean))
    high = np.where(mean >= 1.0, 1.0, np.maximum(centre + half, mean))
    return low, high


def enough_units(units: Floats, rarer: Floats) -> NDArray[np.bool_]:
    """Whether so many units, of which `rarer` are of the rarer kind, carry an interval (see `share_intervals`)."""
    return (units >= LEAST_UNITS - _BOUND) & ((units >= MANY_UNITS) | (rarer >= LEAST_RARER - _BOUND))


def enough_tasks(n: float, mean: float) -> bool:
    """Whether a mean between 0 and 1 over `n` independent tasks carries an interval, as `enough_units`."""
    return bool(enough_units(np.asarray(n), np.asarray(n * min(mean, 1.0 - mean))))


def share_intervals(values: Floats, layout: Layout, most_n: float = math.inf) -> ShareIntervals:
    """Means of values between 0 and 1 over tasks, with Wilson's interval on an effective number of units.

    `values` has shape (..., tasks): one number for each task, already averaged over its attempts. The effective number
    is m (1-m) / variance for a mean m, the variance being that of `Layout.variance`, times (z/t)^2 for the degrees of
    freedom behind it (Korn and Graubard 1998, Survey Methodology 24:193). It lies between `layout.least_n`, where a
    cluster's tasks are copies of one another, and `most_n`.

    Near 0 and 1 a sample says little of its own variance: what makes the mean's distribution skewed has mostly not been
    seen. The relative variance is therefore drawn to its greatest value, 1 / least_n, with the weight 1 / (1 + M^2),
    where M = least_n * min(m, 1-m) is the number of units of the rarer kind. This also keeps it from ever being 0.

    An interval is `shown` from 15 units on, with less than 100 of them where two or more are of the rarer kind, and
    where its variance is at most a quarter above the observed one: elsewhere simulation finds it to hold too seldom or
    too often (perf/coverage.py; docs/statistics.md has the tables).
    """
    mean = layout.mean(values)
    mean = np.where(mean < _BOUND, 0.0, np.where(mean > 1.0 - _BOUND, 1.0, mean))
    spread = mean * (1.0 - mean)
    least, greatest = layout.least_n, 1.0 / layout.least_n
    with np.errstate(divide="ignore", invalid="ignore"):
        observed = np.where(spread > 0.0, layout.variance(values) / spread, greatest)
        rarer = least * np.minimum(mean, 1.0 - mean)
        trust = rarer**2 / (1.0 + rarer**2) if layout.clusters > 1 else np.zeros_like(mean)
        relative = trust * observed + (1.0 - trust) * greatest
        # The part that is not estimated has no error of its own: Satterthwaite's degrees of freedom of the sum.
        df = layout.degrees_of_freedom() * np.minimum((relative / (trust * observed)) ** 2, _MOST_DF)
    df = np.where(np.isnan(df) | (df <= 0.0), _MOST_DF, df)
    units = np.clip((Z95 / student_t_975(df)) ** 2 / relative, least, max(least, most_n))
    floor = 1.0 / max(least, most_n)
    stderr = np.sqrt(spread * np.clip(relative, floor, greatest))
    believed = np.maximum(relative, floor) <= _MOST_WIDENED * np.maximum(observed, floor)
    shown = enough_units(np.asarray(least), rarer) & believed
    return ShareIntervals(mean, stderr, *wilson(mean, units), shown)


def student_t_975(df: Floats) -> Floats:
    """The 97.5% quantile of Student's t.

    From `MANY_DF` degrees of freedom on by the expansion around the normal quantile (Abramowitz and Stegun 1964,
    26.7.5), which is then exact to 1e-8; SciPy, which takes a sixth of a second to load, gives the others.
    """
    df = np.asarray(df, dtype=float)
    if bool((df >= MANY_DF).all()):
        x = Z95
        terms = (
            x,
            (x**3 + x) / 4,
            (5 * x**5 + 16 * x**3 + 3 * x) / 96,
            (3 * x**7 + 19 * x**5 + 17 * x**3 - 15 * x) / 384,
            (79 * x**9 + 776 * x**7 + 1482 * x**5 - 1920 * x**3 - 945 * x) / 92160,
        )
        return np.asarray(sum(term / df**power for power, term in enumerate(terms)))
    from scipy.special import stdtrit

    return np.asarray(stdtrit(df, 0.975))
