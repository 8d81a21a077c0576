"""Paired differences between two runs over the same tasks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from stackbench.stats.estimates import Estimate, student_t_975

__all__ = ["PairedDifference", "paired_difference"]

RESAMPLES = 20_000
BLOCK = 1000


@dataclass(frozen=True, slots=True)
class PairedDifference:
    """How the second of two runs differs from the first."""

    difference: Estimate
    """Mean of second minus first over tasks; interval by Student's t with n-1 degrees of freedom."""
    better: int
    """Tasks with a higher score in the second."""
    worse: int
    p_value: float
    """Two-sided, of no difference."""
    test: str


def paired_difference(first: Sequence[float], second: Sequence[float], *, seed: int = 0) -> PairedDifference:
    """Compares scores of the same tasks, both of shape (n,).

    The p-value is that of McNemar's exact test (McNemar 1947, Psychometrika 12:153: the binomial test on discordant
    pairs) where all scores are 0 or 1, else of the sign-flip permutation test of the mean (Fisher 1935, The Design of
    Experiments, section 21), with 20,000 flips; `seed` makes it repeatable.

    Raises:
        ValueError: no tasks, or unequal lengths.
    """
    a, b = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    if a.size == 0 or a.shape != b.shape:
        raise ValueError("the two runs need equally many scores, and at least one")
    d = b - a
    n = int(d.size)
    value = float(d.mean())
    stderr = float(d.std(ddof=1) / math.sqrt(n)) if n > 1 else 0.0
    half = student_t_975(n - 1) * stderr if n > 1 else 0.0
    better, worse = int((d > 0).sum()), int((d < 0).sum())
    binary = bool(np.isin(a, (0.0, 1.0)).all() and np.isin(b, (0.0, 1.0)).all())
    p_value = _mcnemar(better, worse) if binary else _sign_flip(d, seed)
    estimate = Estimate(value, stderr, max(-1.0, value - half), min(1.0, value + half), n)
    return PairedDifference(estimate, better, worse, p_value, "McNemar's exact" if binary else "sign-flip permutation")


def _mcnemar(better: int, worse: int) -> float:
    discordant = better + worse
    if discordant == 0:
        return 1.0
    tail = sum(math.comb(discordant, k) for k in range(min(better, worse) + 1))
    return min(1.0, 2 * tail / 2**discordant)


def _sign_flip(differences: np.ndarray, seed: int) -> float:
    """The observed assignment counts among the flips, so that p is never 0 (Phipson and Smyth 2010)."""
    d = differences[differences != 0]
    if d.size == 0:
        return 1.0
    rng = np.random.default_rng(seed)
    observed = abs(float(d.sum())) - 1e-12
    extreme = 0
    for _ in range(0, RESAMPLES, BLOCK):
        signs = rng.integers(0, 2, size=(BLOCK, d.size), dtype=np.int8) * 2 - 1
        extreme += int((np.abs(signs @ d) >= observed).sum())
    return (extreme + 1) / (RESAMPLES + 1)
