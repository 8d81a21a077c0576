"""The bootstrap over tasks: intervals and p-values that assume no distribution, from resampled means."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from stackbench.stats.numerics import Floats, np

__all__ = ["Bootstrap", "bootstrap_mean", "bootstrap_paired", "resampled_means"]

RESAMPLES = 2000
AT_ONCE = 2_000_000
"""Counts held in memory at once."""


@dataclass(frozen=True, slots=True)
class Bootstrap:
    """The 2.5% and 97.5% quantiles of resampled means, and the p-value of a mean of 0."""

    low: float
    high: float
    p_value: float


def bootstrap_mean(
    values: Sequence[float], *, clusters: Sequence[Hashable] | None = None, seed: int = 0, resamples: int = RESAMPLES
) -> Bootstrap:
    """The percentile bootstrap of a mean over tasks (Efron 1979, Annals of Statistics 7:1).

    Tasks are drawn with replacement; whole clusters of them where they come in clusters (Davison and Hinkley 1997,
    Bootstrap Methods, section 3.8). For pass@k `values` are the tasks' unbiased estimates. The same seed gives the same
    numbers.

    Raises:
        ValueError: no values, or not one cluster for each.
    """
    means = resampled_means(values, clusters=clusters, seed=seed, resamples=resamples)
    low, high = np.quantile(means, [0.025, 0.975])
    # A mean of exactly 0 is evidence for neither side; one more of each keeps p above 0 (Davison and Hinkley, 4.2).
    below, above = float((means <= 0.0).sum()), float((means >= 0.0).sum())
    return Bootstrap(float(low), float(high), min(1.0, 2.0 * (min(below, above) + 1.0) / (len(means) + 1.0)))


def bootstrap_paired(
    first: Sequence[float],
    second: Sequence[float],
    *,
    clusters: Sequence[Hashable] | None = None,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Bootstrap:
    """The paired bootstrap of second minus first over the tasks of both (Koehn 2004, EMNLP, section 5).

    Raises:
        ValueError: no tasks, or unequal lengths.
    """
    a, b = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    if a.shape != b.shape:
        raise ValueError("the two runs need equally many scores")
    return bootstrap_mean(list(b - a), clusters=clusters, seed=seed, resamples=resamples)


def resampled_means(
    values: Sequence[float], *, clusters: Sequence[Hashable] | None = None, seed: int = 0, resamples: int = RESAMPLES
) -> Floats:
    """Shape (resamples,): the mean of each sample of tasks (or clusters) drawn with replacement."""
    data = np.asarray(values, dtype=float)
    if data.size == 0 or (clusters is not None and len(clusters) != data.size):
        raise ValueError("values and clusters must be equally many and not empty")
    numbers: dict[Hashable, int] = {}
    index = np.arange(data.size)
    if clusters is not None:
        index = np.fromiter((numbers.setdefault(name, len(numbers)) for name in clusters), np.intp, data.size)
    if len(numbers) == 1:  # one cluster tells nothing of the spread between clusters
        index = np.arange(data.size)
    sums, sizes = np.bincount(index, weights=data), np.bincount(index).astype(float)
    units = len(sums)
    generator, means = np.random.default_rng(seed), list[Floats]()
    step = max(1, AT_ONCE // units)
    for start in range(0, resamples, step):
        counts = generator.multinomial(units, np.full(units, 1.0 / units), size=min(step, resamples - start))
        means.append((counts @ sums) / (counts @ sizes))
    return np.concatenate(means)
