"""The metrics of SWE-bench: resolution over all instances and over those whose reference patch passes here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from stackbench.benchmarks.declared_metrics import MetricKind, amounts, fractions, shares
from stackbench.benchmarks.passes import pass_at_k_metrics, task_means, to_metric
from stackbench.stats import amount, share
from stackbench.types import AttemptSummary, Metric

__all__ = ["swe_kinds", "swe_metrics"]

Value = Callable[[AttemptSummary], float | None]
HEADLINE = "resolved"
GOLD_PASSES = "resolved_where_gold_passes"
GOLD = "gold_passes"
FRACTIONS = (
    "fail_to_pass_rate",
    "pass_to_pass_rate",
    "test_pass_rate",
    "edit_similarity",
    "file_precision",
    "file_recall",
)
"""What an instance may have a part of."""
SHARES = ("patch_applies", "empty_patch", "environment_failure", "ambiguous_failure")
"""What an instance has or has not."""
AMOUNTS = ("steps", "tokens", "seconds", "test_seconds", "grading_overhead_s")


def swe_metrics(attempts: Sequence[AttemptSummary]) -> list[Metric]:
    """Resolution first: over all instances asked, as the leaderboard counts, where a reference patch that fails here
    counts as unresolved; then, where that is known of each instance, over those whose reference patch passes here. An
    interval counts instances, and clusters those of one repository only by its own row in the table of categories."""
    made = Counter(attempt.key.task_id for attempt in attempts)
    resolved = task_means(attempts, _resolved)
    found = _share(HEADLINE, resolved, made)
    if all_known := all(attempt.metrics.get("gold_passes") is not None for attempt in attempts):
        # of some alone it would be told by how their own patches did: those are the ones it was asked for
        passing = task_means(attempts, lambda attempt: _resolved(attempt) if attempt.metrics["gold_passes"] else None)
        found += _share(GOLD_PASSES, passing, made)
    found += [metric for metric in pass_at_k_metrics(attempts) if metric.name != "pass@1"]
    for name in (*((GOLD,) if all_known else ()), *FRACTIONS, *SHARES):
        found += _share(name, task_means(attempts, _of(name)))
    for name in AMOUNTS:
        values = task_means(attempts, _of(name))
        found += [to_metric(name, amount(list(values.values())))] if values else []
    for category in sorted({attempt.category for attempt in attempts}):
        members = [attempt for attempt in attempts if attempt.category == category]
        found += _share(HEADLINE, task_means(members, _resolved), made, category)
    return found


def swe_kinds() -> tuple[MetricKind, ...]:
    """The metrics that `swe_metrics` may give."""
    return (
        *shares(HEADLINE, by_category=True),
        *shares(GOLD_PASSES, GOLD, *SHARES),
        *fractions(*FRACTIONS),
        MetricKind("pass@K", (10, 100)),
        *amounts(*AMOUNTS),
    )


def _resolved(attempt: AttemptSummary) -> float:
    return float(bool(attempt.passed))


def _of(name: str) -> Value:
    def value(attempt: AttemptSummary) -> float | None:
        found = attempt.metrics.get(name)
        return None if found is None else float(found)

    return value


def _share(
    name: str, values: Mapping[str, float], attempts: Mapping[str, int] | None = None, category: str = ""
) -> list[Metric]:
    if not values:
        return []
    counts = [attempts[task] for task in values] if attempts is not None else None
    return [to_metric(name, share(list(values.values()), attempts=counts), category)]
