"""Paired differences between two runs over the same tasks."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from stackbench.stats.clusters import make_layout
from stackbench.stats.estimates import Estimate
from stackbench.stats.intervals import LEAST_UNITS, Z95, student_t_975
from stackbench.stats.numerics import Floats, NDArray, np

__all__ = [
    "ALPHA",
    "MCNEMAR",
    "PairedDifference",
    "SmoothedDifference",
    "mcnemar",
    "paired_bounds",
    "paired_difference",
    "smoothed_difference",
    "tango",
]

MCNEMAR = "McNemar's exact"
ALPHA = 0.05
_HALVINGS = 60


@dataclass(frozen=True, slots=True)
class PairedDifference:
    """How the second of two runs differs from the first. The interval holds 0 exactly where p is above 0.05."""

    difference: Estimate
    """Mean of second minus first over tasks."""
    better: int
    """Tasks with a higher score in the second."""
    worse: int
    p_value: float
    """Two-sided, of no difference."""
    test: str
    """What gave the p-value."""
    method: str
    """What gave the interval."""


def paired_difference(
    first: Sequence[float], second: Sequence[float], *, clusters: Sequence[Hashable] | None = None
) -> PairedDifference:
    """Compares scores of the same tasks, all of shape (tasks,), each averaged over a task's attempts.

    Independent tasks with scores of 0 and 1: the p-value of McNemar's exact test (McNemar 1947, Psychometrika 12:153:
    the binomial test on discordant pairs) and Tango's score interval (Tango 1998, Statistics in Medicine 17:891). The
    score interval leaves 0 out somewhat sooner than the exact test rejects; it is then drawn out to 0, so that
    the two never contradict each other.

    Other scores, and tasks in several `clusters`: interval and p-value of one Student's t, see `smoothed_difference`.

    Raises:
        ValueError: no tasks, or unequal lengths.
    """
    a, b = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    if a.size == 0 or a.shape != b.shape:
        raise ValueError("the two runs need equally many scores, and at least one")
    d = b - a
    better, worse, n = int((d > 0).sum()), int((d < 0).sum()), int(d.size)
    grouped = clusters is not None and len(set(clusters)) > 1
    if not grouped and bool(np.isin(a, (0.0, 1.0)).all() and np.isin(b, (0.0, 1.0)).all()):
        up, down = np.asarray(better, dtype=float), np.asarray(worse, dtype=float)
        p_value, (low, high) = float(mcnemar(up, down)), (float(end) for end in paired_bounds(up, down, n))
        value = (better - worse) / n
        stderr = math.sqrt(max(0.0, (better + worse) / n - value**2) / n)
        estimate = Estimate(value, stderr, low, high, n, n >= LEAST_UNITS)
        return PairedDifference(estimate, better, worse, p_value, MCNEMAR, "Tango's score")
    found = smoothed_difference(d, clusters if grouped else None)
    ends = float(found.low), float(found.high)
    estimate = Estimate(float(d.mean()), float(found.stderr), *ends, n, n >= LEAST_UNITS)
    kind = "cluster-robust t" if grouped else "Student's t"
    return PairedDifference(estimate, better, worse, float(found.p_value), kind, kind)


@dataclass(frozen=True, slots=True)
class SmoothedDifference:
    """Arrays of one shape."""

    stderr: Floats
    low: Floats
    high: Floats
    p_value: Floats


def smoothed_difference(differences: Floats, clusters: Sequence[Hashable] | None = None) -> SmoothedDifference:
    """Student's t of mean differences, shape (..., tasks), with two tasks more: one that went up, one that went down.

    What Bonett and Price (2012, Journal of Educational and Behavioral Statistics 37:479) do for right and wrong
    answers, for differences of any size: those of the added tasks are the root mean square of the differences that are
    not 0; 1 where all are. Tasks in clusters have a cluster-robust variance, each added task being a cluster of its
    own that weighs as the root of a mean cluster's size; the degrees of freedom are Satterthwaite's. The interval ends
    at -1 and 1.
    """
    from scipy.special import stdtr

    d = np.asarray(differences, dtype=float)
    tasks = d.shape[-1]
    differing = (d != 0.0).sum(axis=-1)
    size = np.sqrt(np.where(differing > 0, (d**2).sum(axis=-1) / np.maximum(differing, 1), 1.0))
    more = np.concatenate([d, size[..., None], -size[..., None]], axis=-1)
    names = list(range(tasks)) if clusters is None else list(clusters)
    weight = math.sqrt(tasks / len(set(names)))
    layout = make_layout(
        tasks + 2,
        [*((name,) for name in names), ("added", 0), ("added", 1)],
        weights=[*[1.0] * tasks, weight, weight],
    )
    centre, stderr, df = layout.mean(more), np.sqrt(layout.variance(more)), layout.degrees_of_freedom()
    half = student_t_975(np.asarray(df)) * stderr
    mean = d.mean(axis=-1)
    low = np.minimum(np.maximum(centre - half, -1.0), mean)
    high = np.maximum(np.minimum(centre + half, 1.0), mean)
    return SmoothedDifference(stderr, low, high, 2.0 * stdtr(df, -np.abs(centre) / stderr))


def tango(better: Floats, worse: Floats, n: int) -> tuple[Floats, Floats]:
    """The score interval of (better - worse) / n, by halving (Tango 1998, Statistics in Medicine 17:891, section 3).

    It holds each difference D with |better - worse - n D| <= z sqrt(n (2 q + D (1 - D))), where q is the
    likelihood's greatest for the share of tasks that got worse, given D.
    """
    up, down = np.asarray(better, dtype=float), np.asarray(worse, dtype=float)
    value = np.asarray((up - down) / n)

    def inside(difference: Floats) -> NDArray[np.bool_]:
        linear = (2 * n - up + down) * difference - up - down
        constant = -down * difference * (1.0 - difference)
        q = (np.sqrt(np.maximum(linear**2 - 8.0 * n * constant, 0.0)) - linear) / (4.0 * n)
        variance = n * np.maximum(2.0 * q + difference * (1.0 - difference), 0.0)
        return (up - down - n * difference) ** 2 <= Z95**2 * variance

    ends: list[Floats] = []
    for bound in (-1.0, 1.0):
        outer, inner = np.full_like(value, bound), value.copy()
        for _ in range(_HALVINGS):
            middle = (outer + inner) / 2.0
            held = inside(middle)
            inner, outer = np.where(held, middle, inner), np.where(held, outer, middle)
        ends.append(inner)
    return ends[0], ends[1]


def paired_bounds(better: Floats, worse: Floats, n: int) -> tuple[Floats, Floats]:
    """Tango's interval, drawn out to 0 where McNemar's exact test does not reject."""
    low, high = tango(better, worse, n)
    undecided = mcnemar(better, worse) > ALPHA
    return np.where(undecided, np.minimum(low, 0.0), low), np.where(undecided, np.maximum(high, 0.0), high)


def mcnemar(better: Floats, worse: Floats) -> Floats:
    """The two-sided p-value of McNemar's exact test."""
    from scipy.special import bdtr

    discordant = np.asarray(better + worse, dtype=np.int64)
    return np.minimum(1.0, 2.0 * bdtr(np.minimum(better, worse), discordant, 0.5))
