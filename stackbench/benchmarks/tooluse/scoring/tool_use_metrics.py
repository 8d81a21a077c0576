"""The metrics of the tool-use benchmark, with intervals clustered by template."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence

from stackbench.benchmarks.declared_metrics import MetricKind, amounts, fractions, shares
from stackbench.benchmarks.passes import task_means, to_metric
from stackbench.stats import amount, pass_hat_k, share
from stackbench.types import AttemptSummary, Metric

__all__ = ["HEADLINES", "tool_use_kinds", "tool_use_metrics"]

HEADLINES = ("completion", "tool_call_accuracy", "parameter_correctness", "workflow_success")
WHOLE = {"completion", "workflow_success", "refusal_rate"}
"""What an attempt has or has not; of other shares it may have a part."""
Value = Callable[[AttemptSummary], float | None]


def tool_use_metrics(attempts: Sequence[AttemptSummary]) -> list[Metric]:
    """Completion and pass^k first; then the figures of calls, and what else there is to know of them.

    Every figure is the mean over tasks of the mean over a task's attempts; attempts to which a figure does not apply
    (recovery, where no call failed) are left out of it. The four headlines come for each category, each difficulty and
    the long tasks as well.
    """
    found = _metric(HEADLINES[0], attempts, _of(HEADLINES[0])) + _pass_hat(attempts)
    found += [metric for name in HEADLINES[1:] for metric in _metric(name, attempts, _of(name))]
    for name, value in OTHERS.items():
        found += _metric(name, attempts, value)
    groups: dict[str, list[AttemptSummary]] = defaultdict(list)
    for attempt in attempts:
        groups[attempt.category].append(attempt)
    for attempt in sorted(attempts, key=lambda one: one.metrics["difficulty"]):
        groups[f"difficulty {attempt.metrics['difficulty']}"].append(attempt)
    long = [attempt for attempt in attempts if attempt.metrics.get("long")]
    if long and len(long) < len(attempts):
        groups["long"] = long
    for category, members in groups.items():
        for name in HEADLINES:
            found += _metric(name, members, _of(name), category)
    return found


def tool_use_kinds() -> tuple[MetricKind, ...]:
    """The metrics that `tool_use_metrics` may give."""
    return (
        *shares(*(name for name in HEADLINES if name in WHOLE), by_category=True),
        *fractions(*(name for name in HEADLINES if name not in WHOLE), by_category=True),
        MetricKind("pass^K"),
        *shares(*(name for name in OTHERS if name in WHOLE)),
        *fractions(*(name for name in OTHERS if name not in AMOUNTS | WHOLE)),
        *amounts(*(name for name in OTHERS if name in AMOUNTS)),
    )


def _of(name: str) -> Value:
    if name == "completion":
        return lambda attempt: float(bool(attempt.passed))
    return lambda attempt: attempt.metrics.get(name)


def _share(part: str) -> Value:
    """Of all calls that an attempt made, those in `part`; does not apply where there was none."""
    return lambda attempt: attempt.metrics[part] / attempt.metrics["calls"] if attempt.metrics["calls"] else None


def _legacy(attempt: AttemptSummary) -> float | None:
    """Of the calls, those in an older form; does not apply to attempts that were made before these were counted."""
    return _share("legacy")(attempt) if "legacy" in attempt.metrics else None


def _rejected(attempt: AttemptSummary) -> float | None:
    written = attempt.metrics["calls"] + attempt.metrics["rejected"]
    return attempt.metrics["rejected"] / written if written else None


OTHERS: dict[str, Value] = {
    "recovery_rate": _of("recovered"),
    "efficiency": _of("efficiency"),
    "refusal_rate": _of("refused"),
    "malformed_call_rate": _share("malformed"),
    "repaired_call_rate": _share("repaired"),
    "legacy_call_rate": _legacy,
    "rejected_call_rate": _rejected,
    "calls": _of("calls"),
    "steps": _of("steps"),
    "tokens": lambda attempt: float(attempt.completion_tokens),
    "seconds": _of("seconds"),
}
AMOUNTS = {"efficiency", "calls", "steps", "tokens", "seconds"}
"""What can be more than 1."""


def _metric(name: str, attempts: Sequence[AttemptSummary], value: Value, category: str = "") -> list[Metric]:
    return _over_tasks(name, task_means(attempts, value), attempts, category, single=name == "completion")


def _pass_hat(attempts: Sequence[AttemptSummary]) -> list[Metric]:
    """pass^k for k = 2, 4, 8 and the number of attempts: whether k attempts at a task all complete it."""
    made = Counter(attempt.key.task_id for attempt in attempts)
    passed = Counter(attempt.key.task_id for attempt in attempts if attempt.passed)
    least = min(made.values(), default=0)
    found: list[Metric] = []
    for k in sorted({k for k in (2, 4, 8, least) if 1 < k <= least}):
        found += _over_tasks(f"pass^{k}", {task: pass_hat_k(n, passed[task], k) for task, n in made.items()}, attempts)
    return found


def _over_tasks(
    name: str, values: Mapping[str, float], attempts: Sequence[AttemptSummary], category: str = "", single: bool = False
) -> list[Metric]:
    """The mean over tasks of a value for each, tasks of one template being a cluster; none for none.

    `single`: each attempt is right or wrong.
    """
    if not values:
        return []
    templates = {attempt.key.task_id: attempt.metrics["template"] for attempt in attempts}
    made = Counter(attempt.key.task_id for attempt in attempts)
    clusters, figures = [templates[task] for task in values], list(values.values())
    if name in AMOUNTS:
        return [to_metric(name, amount(figures, clusters=clusters), category)]
    counts = [made[task] for task in values] if single else None
    return [to_metric(name, share(figures, clusters=clusters, attempts=counts), category)]
