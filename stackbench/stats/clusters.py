"""Weighted means over tasks that come in clusters: their value, variance and degrees of freedom."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

from stackbench.stats.numerics import Floats, NDArray, np

__all__ = ["Layout", "make_layout"]


@dataclass(frozen=True, slots=True)
class Layout:
    """How tasks weigh and which of them belong together. Tasks that stand alone are clusters of one."""

    order: NDArray[np.intp]
    """Shape (tasks,): the tasks, cluster by cluster."""
    starts: NDArray[np.intp]
    """Shape (clusters,): where each cluster begins in that order."""
    weights: Floats
    """Shape (tasks,), in the tasks' own order; they sum to 1."""
    shares: Floats
    """Shape (clusters,): the sum of the weights in each cluster."""

    @property
    def clusters(self) -> int:
        return len(self.shares)

    @property
    def least_n(self) -> float:
        """The units that the tasks are worth when the tasks of a cluster are copies of one another.

        Kish's effective number of clusters, 1 / sum of squared shares (Kish 1965, Survey Sampling).
        """
        return 1.0 / float((self.shares**2).sum())

    def most_n(self, attempts: Sequence[int]) -> float:
        """The units that the tasks are worth when all their attempts, so many for each task, are independent."""
        return 1.0 / float((self.weights**2 / np.asarray(attempts, dtype=float)).sum())

    def mean(self, values: Floats) -> Floats:
        """The weighted mean over the last axis, shape (..., tasks) to (...)."""
        if self.weights.min() == self.weights.max():
            return values.mean(axis=-1)
        return values @ self.weights

    def variance(self, values: Floats) -> Floats:
        """The variance of that mean, shape (..., tasks) to (...); 0 for a single cluster, which cannot tell.

        Cluster-robust, with the small-sample correction CR2 (Bell and McCaffrey 2002, Survey Methodology 28:169):
        sum over clusters of r^2 / (1 - share), r being the weighted sum of the cluster's deviations from the mean.
        For clusters of one task and equal weights this is s^2 / n.
        """
        if self.clusters < 2:
            return np.zeros(values.shape[:-1])
        deviations = (values - self.mean(values)[..., None]) * self.weights
        sums = np.add.reduceat(deviations[..., self.order], self.starts, axis=-1)
        return sums**2 @ (1.0 / (1.0 - self.shares))

    def degrees_of_freedom(self) -> float:
        """Satterthwaite's, of that variance, for a working model of cluster effects alone (Bell and McCaffrey 2002).

        Equal clusters have one less than there are; unequal ones fewer. 0 for a single cluster.
        """
        if self.clusters < 2:
            return 0.0
        share, effect = self.shares, self.shares**2
        scale, whole = 1.0 / (1.0 - share), float(effect.sum())
        # The variance is r' D r with cov(r) = diag(effect) + off, where off is of rank two: sums do instead of
        # matrices.
        off_diagonal = whole * share**2 - 2.0 * share * effect
        aa, ab, bb = (float((scale * x).sum()) for x in (share**2, share * effect, effect**2))
        trace = float((scale * (effect + off_diagonal)).sum())
        squares = 2.0 * (aa * bb + ab**2) - 4.0 * whole * aa * ab + (whole * aa) ** 2
        squares += float((scale**2 * (effect**2 + 2.0 * effect * off_diagonal)).sum())
        return trace**2 / squares


def make_layout(
    tasks: int,
    clusters: Sequence[Hashable] | None = None,
    *,
    weight_clusters: bool = False,
    weights: Sequence[float] | None = None,
) -> Layout:
    """Equal weights for tasks, or as given; or (`weight_clusters`) for clusters, whose tasks share theirs.

    A single cluster says nothing of the spread between clusters: its tasks are taken as independent.

    Raises:
        ValueError: no tasks, or not one cluster for each.
    """
    if tasks == 0 or (clusters is not None and len(clusters) != tasks):
        raise ValueError("values and clusters must be equally many and not empty")
    numbers: dict[Any, int] = {}
    index = np.arange(tasks)
    if clusters is not None:
        index = np.fromiter((numbers.setdefault(name, len(numbers)) for name in clusters), np.intp, tasks)
    if len(numbers) == 1:
        index = np.arange(tasks)
    counts = np.bincount(index)
    whole = np.ones(tasks) if weights is None else np.asarray(weights, dtype=float)
    if weight_clusters:
        whole = 1.0 / counts[index]
    whole = whole / whole.sum()
    starts = np.concatenate(([0], np.cumsum(counts)[:-1]))
    return Layout(np.argsort(index, kind="stable"), starts, whole, np.bincount(index, weights=whole).astype(float))
