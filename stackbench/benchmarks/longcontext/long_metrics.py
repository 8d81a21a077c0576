"""Sums up long-context attempts: scores by family, length and depth, effective lengths, position, a combined score."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from stackbench.benchmarks.longcontext.lengths import length_name
from stackbench.benchmarks.passes import task_means, to_metric
from stackbench.stats import Estimate, share
from stackbench.stats.intervals import LEAST_UNITS, enough_tasks
from stackbench.types import AttemptSummary, FinishReason, Metric

__all__ = ["BASE_LENGTH", "LARGEST_TRUNCATED", "RULER_THRESHOLD", "effective_length", "long_metrics"]

RULER_THRESHOLD = 0.856
"""Llama-2-7B's mean at 4K, from which on RULER calls a length effective (Hsieh et al. 2024, arXiv:2404.06654)."""
NOLIMA_SHARE = 0.85
"""Of the model's own score at the base length (Modarressi et al. 2025, arXiv:2502.05167)."""
BASE_LENGTH = 1024
LARGEST_TRUNCATED = 0.05
ENDS = (0.0, 100.0)


@dataclass(frozen=True, slots=True)
class _Cell:
    family: str
    variant: str
    length: int
    depth: float | None


def long_metrics(attempts: Sequence[AttemptSummary]) -> list[Metric]:
    """The combined score first; then what holds for the whole, then by family, length and depth."""
    if not attempts:
        return []
    cells = {a.key.task_id: _cell(a) for a in attempts}
    scores = task_means(attempts, lambda a: a.score or 0.0)
    truncated = task_means(attempts, lambda a: float(a.finish_reason is FinishReason.LENGTH))
    found = [to_metric("score", _share(scores, cells))]
    found += [to_metric("truncated", share(list(truncated.values())))]
    for name in ("f1", "containment", "near", "support_f1"):
        values = task_means(attempts, lambda a, name=name: a.metrics.get(name))
        if values:
            found.append(to_metric(name, share(list(values.values()))))
    chances = task_means(attempts, lambda a: float(a.metrics.get("chance", 0.0)))
    found.append(to_metric("chance", share(list(chances.values()))))
    found += _effective(scores, cells)
    found += _position(scores, cells)
    for category, members in _groups(cells).items():
        mine = {task: scores[task] for task in members}
        found.append(to_metric("score", _share(mine, cells), category))
        if "@d" not in category and not category.startswith("d"):
            cut = [truncated[task] for task in members]
            found.append(to_metric("truncated", share(cut), category))
    return found


def _cell(attempt: AttemptSummary) -> _Cell:
    said = attempt.metrics
    depth = said.get("depth")
    return _Cell(attempt.category, str(said["variant"]), int(said["length"]), None if depth is None else float(depth))


def _share(scores: Mapping[str, float], cells: Mapping[str, _Cell]) -> Estimate:
    """The mean over families, each of which weighs alike."""
    tasks = list(scores)
    families = [cells[task].family for task in tasks]
    if len(set(families)) == 1:
        return share([scores[task] for task in tasks])
    return _weighted([scores[task] for task in tasks], families)


def _weighted(values: Sequence[float], groups: Sequence[str]) -> Estimate:
    """The mean of the groups' means; their intervals joined by MOVER (Zou and Donner 2008, Stat Med 27:1693)."""
    by_group: dict[str, list[float]] = defaultdict(list)
    for value, group in zip(values, groups, strict=True):
        by_group[group].append(value)
    parts = [share(found) for found in by_group.values()]
    count = len(parts)
    value = math.fsum(part.value for part in parts) / count
    below = math.sqrt(math.fsum((part.value - part.ci_low) ** 2 for part in parts)) / count
    above = math.sqrt(math.fsum((part.ci_high - part.value) ** 2 for part in parts)) / count
    stderr = math.sqrt(math.fsum(part.stderr**2 for part in parts)) / count
    shown = enough_tasks(len(values), value)
    return Estimate(value, stderr, max(0.0, value - below), min(1.0, value + above), len(values), shown)


def _groups(cells: Mapping[str, _Cell]) -> dict[str, list[str]]:
    """Tasks by category: family, length, depth, kind of question, and what they come to together."""
    found: dict[str, list[str]] = defaultdict(list)
    keys: tuple[Callable[[_Cell], str | None], ...] = (
        lambda cell: cell.family,
        lambda cell: length_name(cell.length),
        lambda cell: f"{cell.family}@{length_name(cell.length)}",
        lambda cell: cell.variant,
        lambda cell: f"{cell.variant}@{length_name(cell.length)}",
        lambda cell: None if cell.depth is None else f"d{cell.depth:g}",
        lambda cell: None if cell.depth is None else f"{length_name(cell.length)}@d{cell.depth:g}",
        lambda cell: None if cell.depth is None else f"{cell.family}@{length_name(cell.length)}@d{cell.depth:g}",
    )
    for key in keys:
        named: dict[str, list[str]] = defaultdict(list)
        for task, cell in sorted(cells.items(), key=lambda one: (one[1].length, one[1].depth or 0.0)):
            name = key(cell)
            if name is not None:
                named[name].append(task)
        found |= named
    return found


# -- effective length


def effective_length(lengths: Sequence[int], passes: Sequence[tuple[bool, bool | None]]) -> tuple[int, int, int]:
    """The longest length up to which every length passes, and the least and most that the intervals allow.

    Args:
        passes: for each length, the shortest first: whether its value passes, and whether its whole interval does
            (None: the interval holds the threshold, so that it is not decided).

    0 stands for: not even the shortest.
    """
    value = low = high = 0
    point = sure = possible = True
    for length, (passed, decided) in zip(lengths, passes, strict=True):
        point = point and passed
        sure = sure and decided is True
        possible = possible and decided is not False
        value = length if point else value
        low = length if sure else low
        high = length if possible else high
    return value, low, high


def _effective(scores: Mapping[str, float], cells: Mapping[str, _Cell]) -> list[Metric]:
    by_length: dict[int, dict[str, float]] = defaultdict(dict)
    for task, score in scores.items():
        by_length[cells[task].length][task] = score
    lengths = sorted(by_length)
    estimates = [_share(by_length[length], cells) for length in lengths]
    found = [_length_metric("effective_length_ruler", lengths, [_over(one, RULER_THRESHOLD) for one in estimates])]
    if BASE_LENGTH in by_length:
        base = estimates[lengths.index(BASE_LENGTH)]
        beyond = [length for length in lengths if length >= BASE_LENGTH]
        passes = [
            (True, True) if length == BASE_LENGTH else _over_share(estimates[lengths.index(length)], base)
            for length in beyond
        ]
        if base.value > 0:
            found.append(_length_metric("effective_length_nolima", beyond, passes))
    return found


def _length_metric(name: str, lengths: Sequence[int], passes: Sequence[tuple[bool, bool | None]]) -> Metric:
    value, low, high = effective_length(lengths, passes)
    return Metric(name, float(value), None, float(min(low, value)), float(max(high, value)), len(lengths))


def _over(one: Estimate, threshold: float) -> tuple[bool, bool | None]:
    return one.value >= threshold, _decided(one.ci_low - threshold, one.ci_high - threshold, one.n)


def _over_share(one: Estimate, base: Estimate) -> tuple[bool, bool | None]:
    """Whether a score is so large a share of the base's; the interval of the difference by MOVER."""
    share_of = NOLIMA_SHARE
    difference = one.value - share_of * base.value
    low = difference - math.hypot(one.value - one.ci_low, share_of * (base.ci_high - base.value))
    high = difference + math.hypot(one.ci_high - one.value, share_of * (base.value - base.ci_low))
    return difference >= 0, _decided(low, high, min(one.n, base.n))


def _decided(low: float, high: float, n: int) -> bool | None:
    """Whether an interval of a difference lies above 0; None where it holds 0, or is of too few tasks to tell."""
    if n < LEAST_UNITS:
        return None
    return True if low >= 0 else False if high < 0 else None


# -- position


def _position(scores: Mapping[str, float], cells: Mapping[str, _Cell]) -> list[Metric]:
    """`middle_loss`: the mean score at the ends of the text less the mean between them, over needles with a depth."""
    ends = [scores[task] for task, cell in cells.items() if cell.depth in ENDS]
    middle = [scores[task] for task, cell in cells.items() if cell.depth is not None and cell.depth not in ENDS]
    if not ends or not middle:
        return []
    one, other = share(ends), share(middle)
    value = one.value - other.value
    low = value - math.hypot(one.value - one.ci_low, other.ci_high - other.value)
    high = value + math.hypot(one.ci_high - one.value, other.value - other.ci_low)
    n = len(ends) + len(middle)
    if min(one.n, other.n) < LEAST_UNITS:
        return [Metric("middle_loss", value, None, None, None, n)]
    return [Metric("middle_loss", value, math.hypot(one.stderr, other.stderr), low, high, n)]
