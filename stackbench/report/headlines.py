"""The one number that a benchmark is known by."""

from __future__ import annotations

from collections.abc import Sequence

from stackbench.types import Metric

__all__ = ["HEADLINES", "headline"]

HEADLINES = ("pass@1", "completion", "exact_match_robust", "exact_match_flexible", "acc", "score", "output_tok_s")
"""Names of metrics, the best known first."""


def headline(metrics: Sequence[Metric]) -> Metric | None:
    """The benchmark's headline among its metrics of no category; None before it is summed up."""
    heads = [metric for metric in metrics if not metric.category and metric.name in HEADLINES]
    return min(heads, key=lambda metric: HEADLINES.index(metric.name), default=None)
