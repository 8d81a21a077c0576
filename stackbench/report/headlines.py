"""The one number that a benchmark is known by."""

from __future__ import annotations

from collections.abc import Sequence

from stackbench.benchmarks import MetricKind, find_benchmark, kind_of
from stackbench.types import Metric

__all__ = ["HEADLINES", "counts", "headline", "interval_or_counts", "interval_text"]

HEADLINES = (
    "pass@1", "completion", "resolved", "exact_match_robust", "exact_match_flexible", "acc", "score", "output_tok_s",
)  # fmt: skip
"""Names of metrics, the best known first."""
UNDECLARED = (MetricKind("acc"), MetricKind("pass@1"), MetricKind("pass@K"))
"""The shares of a benchmark that declares no metrics here: a user's own file, or one that is not installed any more."""


def headline(metrics: Sequence[Metric]) -> Metric | None:
    """The benchmark's headline among its metrics of no category; None before it is summed up."""
    heads = [metric for metric in metrics if not metric.category and metric.name in HEADLINES]
    return min(heads, key=lambda metric: HEADLINES.index(metric.name), default=None)


def counts(benchmark: str, metric: Metric) -> str:
    """What stands in the place of an interval that is not shown: `3 of 5`, where the value is a share of whole tasks.

    Nothing for an amount (calls, tokens, seconds), also where it happens to lie between 0 and 1.
    """
    whole = metric.value * metric.n
    if metric.low is not None or not 0.0 <= metric.value <= 1.0 or abs(whole - round(whole)) > 1e-9:
        return ""
    return (
        f"{round(whole)} of {metric.n}" if _is_counted(benchmark, metric.name, whole=metric.value in (0.0, 1.0)) else ""
    )


def _is_counted(benchmark: str, name: str, *, whole: bool) -> bool:
    """Whether the benchmark declares the metric as a share of units that have it or not; `whole`: all have, or none."""
    kinds: Sequence[MetricKind] = getattr(find_benchmark(benchmark), "metric_kinds", ()) or UNDECLARED
    found = kind_of(kinds, name)
    return found is not None and found[0].at_most == 1.0 and (found[0].counted or whole)


def interval_text(benchmark: str, metric: Metric) -> str:
    """What stands behind a headline's value, with a space before it; empty for nothing."""
    shown = interval_or_counts(benchmark, metric, digits=3)
    return f" {shown}" if shown else ""


def interval_or_counts(benchmark: str, metric: Metric, *, digits: int = 4) -> str:
    """The 95% interval, else what `counts` puts in its place."""
    if metric.ci_low is None:
        return counts(benchmark, metric)
    return f"[{metric.ci_low:.{digits}f}, {metric.ci_high:.{digits}f}]"
