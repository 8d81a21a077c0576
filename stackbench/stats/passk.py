"""The pass@k estimator."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from stackbench.stats.estimates import Estimate, bootstrap_mean, proportion

__all__ = ["pass_at_k", "pass_at_k_estimate", "pass_hat_k"]


def pass_at_k(n: int, c: int, k: int) -> float:
    """The unbiased estimate of pass@k for one task from n attempts of which c passed: 1 - C(n-c, k) / C(n, k).

    Source: Chen et al. 2021 (arXiv:2107.03374), equation 1, in its product form. Raises ValueError unless
    0 <= c <= n and 1 <= k <= n.
    """
    if not (0 <= c <= n and 1 <= k <= n):
        raise ValueError(f"pass@{k} is not defined for {c} passes of {n} attempts")
    if n - c < k:
        return 1.0
    return 1.0 - float(np.prod(1.0 - k / np.arange(n - c + 1, n + 1)))


def pass_hat_k(n: int, c: int, k: int) -> float:
    """The unbiased estimate of pass^k for one task, the chance that k attempts all pass: C(c, k) / C(n, k).

    Source: Yao et al. 2024, tau-bench (arXiv:2406.12045), section 3. Raises ValueError unless 0 <= c <= n and
    1 <= k <= n.
    """
    if not (0 <= c <= n and 1 <= k <= n):
        raise ValueError(f"pass^{k} is not defined for {c} passes of {n} attempts")
    return math.comb(c, k) / math.comb(n, k)


def pass_at_k_estimate(attempts: Sequence[tuple[int, int]], k: int, *, seed: int = 0) -> Estimate | None:
    """pass@k over tasks, from (attempts, passes) per task; None when a task has fewer than k attempts.

    With one attempt per task it is a proportion (Wilson interval), else a mean over tasks (bootstrap over tasks).
    """
    if not attempts or any(n < k for n, _ in attempts):
        return None
    if all(n == 1 for n, _ in attempts):
        return proportion(sum(c for _, c in attempts), len(attempts))
    return bootstrap_mean([pass_at_k(n, c, k) for n, c in attempts], seed=seed)
