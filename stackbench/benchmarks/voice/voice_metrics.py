"""The metrics of the voice benchmark, for each condition; over several conditions they are called pooled."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from statistics import quantiles

from stackbench.benchmarks.declared_metrics import MetricKind
from stackbench.benchmarks.passes import task_means, to_metric
from stackbench.stats import amount, paired_difference, share
from stackbench.stats.intervals import LEAST_UNITS
from stackbench.types import AttemptSummary, Metric
from stackbench.voice.conditions import CONDITIONS

__all__ = ["LATENCIES", "voice_kinds", "voice_metrics"]

LATENCIES = ("endpoint_ms", "transcript_ms", "first_token_ms", "code_complete_ms", "executed_ms")
PERCENTILES = (50, 90, 99)
SHARES = ("command_accuracy", "clips_with_all_entities", "cut_off", "false_start", "never_ended")
POOLED = "pooled_"
Value = Callable[[AttemptSummary], float | None]


def voice_metrics(attempts: Sequence[AttemptSummary]) -> list[Metric]:
    """The headline first: the share of requests done as they were spoken. With several conditions the figures over all
    of them have `pooled_` before their names."""
    groups: dict[str, list[AttemptSummary]] = defaultdict(list)
    for attempt in attempts:
        groups[attempt.category].append(attempt)
    found = _group(attempts, "", POOLED if len(groups) > 1 else "")
    for condition in sorted(groups, key=_place):
        found += _group(groups[condition], condition)
    return found


def _place(condition: str) -> tuple[int, str]:
    """From the easiest condition on."""
    return (CONDITIONS.index(condition) if condition in CONDITIONS else len(CONDITIONS), condition)


def voice_kinds() -> tuple[MetricKind, ...]:
    """The metrics that `voice_metrics` may give."""
    found: list[MetricKind] = []
    for before, by_category in (("", True), (POOLED, False)):
        for name in ("pass_rate", "typed_pass_rate", "entity_recovery", *SHARES):
            counted = name != "entity_recovery"
            found.append(MetricKind(before + name, counted=counted, by_category=by_category))
        for name in ("cost_of_speech", "wer", "cer", "real_time_factor"):
            found.append(MetricKind(before + name, at_most=None, by_category=by_category))
        for name in (f"{latency}_p{percent}" for latency in LATENCIES for percent in PERCENTILES):
            found.append(MetricKind(before + name, at_most=None, interval=False, by_category=by_category))
    return tuple(found)


def _group(attempts: Sequence[AttemptSummary], category: str, before: str = "") -> list[Metric]:
    spoken = task_means(attempts, lambda one: float(bool(one.passed)))
    typed = task_means(attempts, lambda one: one.metrics["typed_passed"])
    found = _share("pass_rate", spoken, category, before) + _share("typed_pass_rate", typed, category, before)
    if len(spoken) > 1:
        paired = paired_difference([spoken[task] for task in spoken], [typed[task] for task in spoken])
        found.append(to_metric(f"{before}cost_of_speech", paired.difference, category))
    found += _rate("wer", attempts, "word_errors", "words", category, before)
    found += _rate("cer", attempts, "character_errors", "characters", category, before)
    found += _entities(attempts, category, before)
    values: dict[str, Value] = {
        "command_accuracy": lambda one: one.metrics["command_right"],
        "clips_with_all_entities": lambda one: None if (kept := _entity_share(one)) is None else float(kept == 1.0),
        "cut_off": lambda one: one.metrics["cut_off"],
        "false_start": lambda one: one.metrics["false_start"],
        "never_ended": lambda one: one.metrics["never_ended"],
    }
    for name, value in values.items():
        found += _share(name, task_means(attempts, value), category, before)
    speed = list(task_means(attempts, lambda one: one.metrics["real_time_factor"]).values())
    if speed:
        found.append(to_metric(f"{before}real_time_factor", amount(speed), category))
    for name in LATENCIES:
        found += _percentiles(name, attempts, category, before)
    return found


def _entities(attempts: Sequence[AttemptSummary], category: str, before: str) -> list[Metric]:
    """Of all entities, the share that was recovered; `n` counts the recordings that have some."""
    with_entities = [one for one in attempts if one.metrics["entities"]]
    found = _rate("entity_recovery", with_entities, "entities_found", "entities", category, before)
    return [replace(one, ci_high=None if one.ci_high is None else min(one.ci_high, 1.0)) for one in found]


def _entity_share(attempt: AttemptSummary) -> float | None:
    meant = attempt.metrics["entities"]
    return attempt.metrics["entities_found"] / meant if meant else None


def _share(name: str, values: dict[str, float], category: str, before: str) -> list[Metric]:
    return [to_metric(before + name, share(list(values.values())), category)] if values else []


def _rate(
    name: str, attempts: Sequence[AttemptSummary], errors: str, length: str, category: str, before: str
) -> list[Metric]:
    """All errors by all that was said, with the standard error of a ratio (Cochran 1977, section 6.5); recordings are
    the units."""
    by_clip: dict[str, tuple[float, float]] = {}  # attempts at one recording are no units, nor are its conditions
    for one in attempts:
        clip = one.key.task_id.rpartition("@")[0] or one.key.task_id
        wrong, size = by_clip.get(clip, (0.0, 0.0))
        by_clip[clip] = (wrong + float(one.metrics[errors]), size + float(one.metrics[length]))
    pairs = list(by_clip.values())
    total = sum(size for _, size in pairs)
    if not total:
        return []
    rate = sum(wrong for wrong, _ in pairs) / total
    count = len(pairs)
    if count < LEAST_UNITS:
        return [Metric(before + name, rate, None, None, None, count, category)]
    spread = sum((wrong - rate * size) ** 2 for wrong, size in pairs) * count / (count - 1)
    stderr = math.sqrt(spread) / total
    low, high = max(0.0, rate - 1.96 * stderr), rate + 1.96 * stderr
    return [Metric(before + name, rate, stderr, low, high, count, category)]


def _percentiles(name: str, attempts: Sequence[AttemptSummary], category: str, before: str) -> list[Metric]:
    values = sorted(float(one.metrics[name]) for one in attempts if one.metrics[name] is not None)
    if not values:
        return []
    cuts = quantiles(values, n=100, method="inclusive") if len(values) > 1 else values * 99
    return [
        Metric(f"{before}{name}_p{percent}", cuts[percent - 1], None, None, None, len(values), category)
        for percent in (PERCENTILES if len(values) > 1 else PERCENTILES[:1])
    ]
