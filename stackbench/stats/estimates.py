"""Means and proportions with their standard errors and 95% intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

__all__ = ["Estimate", "bootstrap_mean", "clustered_mean", "mean", "proportion", "student_t_975"]

Z95 = 1.959963984540054
RESAMPLES = 10_000
_BLOCK_CELLS = 2_000_000


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value, its standard error, its 95% interval and the number of units behind it."""

    value: float
    stderr: float
    ci_low: float
    ci_high: float
    n: int


def proportion(successes: int, n: int) -> Estimate:
    """A proportion with the Wilson score interval (Wilson 1927, JASA 22:209; without continuity correction).

    `stderr` is the plug-in sqrt(p(1-p)/n). Raises ValueError when n is 0 or successes lie outside 0..n.
    """
    if not 0 <= successes <= n or n == 0:
        raise ValueError(f"{successes} successes of {n} is no proportion")
    p = successes / n
    z2 = Z95 * Z95
    centre = (p + z2 / (2 * n)) / (1 + z2 / n)
    half = Z95 / (1 + z2 / n) * math.sqrt(p * (1 - p) / n + z2 / (4 * n * n))
    low = 0.0 if successes == 0 else centre - half
    high = 1.0 if successes == n else centre + half
    return Estimate(p, math.sqrt(p * (1 - p) / n), low, high, n)


def mean(values: Sequence[float]) -> Estimate:
    """A mean with its standard error and normal interval, kept at 0 or above for values that are.

    Raises ValueError for no values.
    """
    data = np.asarray(values, dtype=float)
    if data.size == 0:
        raise ValueError("no values to average")
    value = float(data.mean())
    stderr = float(data.std(ddof=1) / math.sqrt(data.size)) if data.size > 1 else 0.0
    low = value - Z95 * stderr
    return Estimate(value, stderr, low if data.min() < 0 else max(0.0, low), value + Z95 * stderr, int(data.size))


def bootstrap_mean(values: Sequence[float], *, seed: int = 0, resamples: int = RESAMPLES) -> Estimate:
    """A mean with the percentile bootstrap interval over units (Efron and Tibshirani 1993, chapter 13).

    `values` holds one number per unit (task), shape (n,). `seed` makes it repeatable. Values that are all 0 or all 1
    tell a bootstrap of no spread: the interval is then Wilson's. Raises ValueError for no values.
    """
    data = np.asarray(values, dtype=float)
    if data.size == 0:
        raise ValueError("no values to average")
    if _all_one_bound(data):
        return proportion(int(data.sum()), data.size)
    rng = np.random.default_rng(seed)
    means = np.empty(resamples)
    block = max(1, _BLOCK_CELLS // data.size)
    for start in range(0, resamples, block):
        size = min(block, resamples - start)
        means[start : start + size] = data[rng.integers(0, data.size, (size, data.size))].mean(axis=1)
    low, high = np.quantile(means, (0.025, 0.975))
    stderr = float(data.std(ddof=1) / math.sqrt(data.size)) if data.size > 1 else 0.0
    return Estimate(float(data.mean()), stderr, float(low), float(high), int(data.size))


def clustered_mean(
    values: Sequence[float], clusters: Sequence[str], *, shares: bool = True, weight_clusters: bool = False
) -> Estimate:
    """A mean whose units come in clusters (MMLU's subjects), with the cluster-robust standard error.

    Micro average (default): the ratio estimator's linearised variance, G/(G-1) * sum_g (sum_i (x_gi - mean))^2 / N^2
    (Liang and Zeger 1986, Biometrika 73:13). Macro average (`weight_clusters`): the mean of cluster means, its error
    from their spread. Interval: Student's t with G-1 degrees of freedom, kept within what a value can be: 0..1, or
    at 0 or above where `shares` is false (counts, seconds).
    A single cluster says nothing of the spread between clusters: its units are then taken as independent. Values that
    are all 0 or all 1 have no spread at all: the interval of shares is then Wilson's for as many units as there are
    clusters, the least that they can stand for.
    Raises ValueError for no values or unequal lengths.
    """
    data = np.asarray(values, dtype=float)
    if data.size == 0 or len(clusters) != data.size:
        raise ValueError("values and clusters must be equally many and not empty")
    _, index = np.unique(np.asarray(clusters), return_inverse=True)
    sums, counts = np.bincount(index, weights=data), np.bincount(index)
    groups, most = len(counts), 1.0 if shares else math.inf
    if groups == 1 and shares and np.isin(data, (0.0, 1.0)).all():
        return proportion(int(data.sum()), data.size)
    if groups == 1:
        alone = mean(list(data))
        return replace(alone, ci_high=min(most, alone.ci_high))
    if shares and _all_one_bound(data):
        bounds = proportion(int(data[0]) * groups, groups)
        return Estimate(bounds.value, 0.0, bounds.ci_low, bounds.ci_high, int(data.size))
    if weight_clusters:
        value = float((sums / counts).mean())
        variance = float((sums / counts).var(ddof=1)) / groups
    else:
        value = float(data.mean())
        residuals = sums - counts * value
        variance = groups / (groups - 1) * float((residuals**2).sum()) / data.size**2
    stderr = math.sqrt(variance)
    half = student_t_975(groups - 1) * stderr
    return Estimate(value, stderr, max(0.0, value - half), min(most, value + half), int(data.size))


def _all_one_bound(data: np.ndarray) -> bool:
    """Whether all values are 0, or all 1."""
    return bool(data.min() == data.max() and data[0] in (0.0, 1.0))


def student_t_975(df: int) -> float:
    """The 97.5% quantile of Student's t."""
    from scipy.special import stdtrit

    return float(stdtrit(df, 0.975))
