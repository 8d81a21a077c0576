"""The pass@k estimator."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

from stackbench.stats.estimates import Estimate, share
from stackbench.stats.numerics import np

__all__ = ["pass_at_k", "pass_at_k_estimate", "pass_hat_k"]


@functools.lru_cache(maxsize=4096)
def pass_at_k(n: int, c: int, k: int) -> float:
    """The unbiased estimate of pass@k for one task from n attempts of which c passed: 1 - C(n-c, k) / C(n, k).

    Source: Chen et al. 2021 (arXiv:2107.03374), equation 1, in its product form. Raises ValueError unless
    0 <= c <= n and 1 <= k <= n.
    """
    if not (0 <= c <= n and 1 <= k <= n):
        raise ValueError(f"pass@{k} is not defined for {c} passes of {n} attempts")
    if n - c < k:
        return 1.0
    if c == 0:
        return 0.0
    return 1.0 - float(np.prod(1.0 - k / np.arange(n - c + 1, n + 1)))


def pass_hat_k(n: int, c: int, k: int) -> float:
    """The unbiased estimate of pass^k for one task, the chance that k attempts all pass: C(c, k) / C(n, k).

    Source: Yao et al. 2024, tau-bench (arXiv:2406.12045), section 3. Raises ValueError unless 0 <= c <= n and
    1 <= k <= n.
    """
    if not (0 <= c <= n and 1 <= k <= n):
        raise ValueError(f"pass^{k} is not defined for {c} passes of {n} attempts")
    return math.comb(c, k) / math.comb(n, k)


def pass_at_k_estimate(attempts: Sequence[tuple[int, int]], k: int) -> Estimate | None:
    """pass@k over tasks, from (attempts, passes) per task; None when a task has fewer than k attempts.

    The mean over tasks with the interval of `share`; with one attempt per task it is a proportion's (Wilson).
    """
    if not attempts or any(n < k for n, _ in attempts):
        return None
    return share([pass_at_k(n, c, k) for n, c in attempts], attempts=[n for n, _ in attempts] if k == 1 else None)
