"""Means over tasks with their standard errors and 95% intervals."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from stackbench.plurals import number_of
from stackbench.stats.clusters import make_layout
from stackbench.stats.intervals import LEAST_UNITS, enough_tasks, share_intervals, student_t_975, wilson
from stackbench.stats.numerics import np

__all__ = ["Estimate", "amount", "proportion", "share", "too_few"]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value, its standard error, its 95% interval and the number of tasks behind it."""

    value: float
    stderr: float
    ci_low: float
    ci_high: float
    n: int
    shown: bool = True
    """Whether the interval is told: False for few tasks, and where it does not hold as often as it says."""

    @property
    def ends(self) -> tuple[float, float] | tuple[None, None]:
        """The interval where it is told, else two None."""
        return (self.ci_low, self.ci_high) if self.shown else (None, None)


def proportion(successes: int, n: int, *, units: float | None = None) -> Estimate:
    """A proportion with the Wilson score interval (Wilson 1927, JASA 22:209; no continuity correction).

    `stderr` is the plug-in sqrt(p(1-p)/n). `units` is the number of independent tasks among the n, where it is not all
    of them. Raises ValueError when n is 0 or successes lie outside 0..n.
    """
    if not 0 <= successes <= n or n == 0:
        raise ValueError(f"{successes} successes of {n} is no proportion")
    p, independent = successes / n, float(n if units is None else units)
    low, high = wilson(np.asarray(p), np.asarray(independent))
    deviation = math.sqrt(p * (1 - p) / independent)
    return Estimate(p, deviation, float(low), float(high), n, enough_tasks(independent, p))


def share(
    values: Sequence[float],
    *,
    clusters: Sequence[Hashable] | None = None,
    weight_clusters: bool = False,
    attempts: Sequence[int] | None = None,
) -> Estimate:
    """A mean of values between 0 and 1, one for each task, with Wilson's interval on an effective number of tasks.

    Args:
        values: shape (tasks,); a task's attempts are already averaged.
        clusters: which tasks belong together (MMLU's subjects, a template's tasks); None: they are independent.
        weight_clusters: the macro average, in which clusters weigh alike; else tasks do.
        attempts: how many right or wrong attempts each value is the mean of. The tasks are then never worth more than
            so many independent attempts. None where a value is anything else.

    The interval is never of width zero and holds the value. Method and coverage: docs/statistics.md.

    Raises:
        ValueError: no values, unequal lengths, or values outside 0..1.
    """
    data = np.asarray(values, dtype=float)
    layout = make_layout(data.size, clusters, weight_clusters=weight_clusters)
    if not ((data >= 0.0) & (data <= 1.0)).all():
        raise ValueError("shares lie between 0 and 1")
    found = share_intervals(data, layout, math.inf if attempts is None else layout.most_n(attempts))
    ends = float(found.low), float(found.high)
    return Estimate(float(found.mean), float(found.stderr), *ends, data.size, bool(found.shown))


def amount(values: Sequence[float], *, clusters: Sequence[Hashable] | None = None) -> Estimate:
    """A mean of counts, seconds or the like, one for each task, with Student's t interval.

    The variance is cluster-robust with Satterthwaite's degrees of freedom (see `Layout`); the interval ends at 0 where
    no value is below. Where all values are equal, or there is one alone, the data have no spread to tell of: the
    interval is then that of the same values and one more that lies as far away as 0 does (1 away from a mean of 0).

    Raises:
        ValueError: no values, or unequal lengths.
    """
    data = np.asarray(values, dtype=float)
    layout = make_layout(data.size, clusters)
    value, variance, df = float(layout.mean(data)), float(layout.variance(data)), layout.degrees_of_freedom()
    if variance <= (1e-12 * value) ** 2:
        variance, df = ((abs(value) or 1.0) / (data.size + 1)) ** 2, float(data.size)
    stderr = math.sqrt(variance)
    half = float(student_t_975(np.asarray(df))) * stderr
    low = value - half
    ends = low if data.min() < 0 else max(0.0, low), value + half
    return Estimate(value, stderr, *ends, data.size, layout.least_n >= LEAST_UNITS)


def too_few(tasks: int, what: str = "an interval") -> str:
    """What is said in the place of one that is not shown: `12 tasks: too few independent ones for an interval`."""
    return f"{number_of(tasks, 'task')}: too few independent ones for {what}"
