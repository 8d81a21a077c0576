"""Scores by length of context: a table of families, a heat map of depths, effective lengths in words."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Protocol, TypeVar

from stackbench.types import Metric

__all__ = ["depth_cells", "effective_lines", "family_rows", "has_lengths", "heat_map"]

SCORE = "score"
LENGTH = re.compile(r"(\d+)(K?)")
CELL = re.compile(r"(?P<length>\d+K?)@d(?P<depth>[\d.]+)")
FAMILY = re.compile(r"(?P<family>[a-z]+)@(?P<length>\d+K?)")
SHADES = " .:-=+*#%@"
EFFECTIVE = {
    "effective_length_ruler": "effective length, RULER (mean >= 0.856)",
    "effective_length_nolima": "effective length, NoLiMa (>= 0.85 of the score at 1K)",
}


class Valued(Protocol):
    """A measure, as runs and reports have them."""

    @property
    def name(self) -> str: ...

    @property
    def category(self) -> str: ...

    @property
    def value(self) -> float: ...

    @property
    def n(self) -> int: ...


M = TypeVar("M", bound=Valued)


def has_lengths(metrics: Sequence[Metric]) -> bool:
    """Whether these are scores by length."""
    return any(metric.name in EFFECTIVE for metric in metrics)


def family_rows(metrics: Sequence[Metric]) -> tuple[list[str], list[tuple[str, list[str]]]]:
    """Lengths, and for each family its scores at them; the last row is the mean over families."""
    cells: dict[tuple[str, str], str] = {}
    for metric in metrics:
        found = FAMILY.fullmatch(metric.category) if metric.name == SCORE else None
        if found is not None:
            cells[found["family"], found["length"]] = f"{metric.value:.2f}"
        elif metric.name == SCORE and LENGTH.fullmatch(metric.category):
            cells["all", metric.category] = f"{metric.value:.2f}"
    lengths = sorted({length for _, length in cells}, key=_tokens)
    families = list(dict.fromkeys(family for family, _ in cells if family != "all"))
    return lengths, [(name, [cells.get((name, at), "-") for at in lengths]) for name in (*families, "all")]


def heat_map(metrics: Sequence[Metric]) -> list[str]:
    """Lines of a map of scores, depth by length: each cell is shaded and has its score in percent."""
    lengths, depths, cells = depth_cells(metrics)
    if not cells:
        return []
    width = max(6, *(len(length) + 2 for length in lengths))
    lines = [f"{'depth':>6} " + "".join(f"{length:>{width}}" for length in lengths)]
    for depth in depths:
        row = "".join(_cell(cells.get((depth, length)), width) for length in lengths)
        lines.append(f"{depth:>5g}% {row}")
    return lines


def depth_cells(metrics: Sequence[M]) -> tuple[list[str], list[float], dict[tuple[float, str], M]]:
    """Lengths, depths in percent, and the score at each (depth, length) that there is."""
    cells: dict[tuple[float, str], M] = {}
    for metric in metrics:
        found = CELL.fullmatch(metric.category) if metric.name == SCORE else None
        if found is not None:
            cells[float(found["depth"]), found["length"]] = metric
    return sorted({length for _, length in cells}, key=_tokens), sorted({depth for depth, _ in cells}), cells


def effective_lines(metrics: Sequence[Metric]) -> list[str]:
    """Each definition's effective length, and where the intervals do not decide it."""
    found: list[str] = []
    for metric in metrics:
        if metric.name not in EFFECTIVE or metric.category or metric.ci_low is None or metric.ci_high is None:
            continue
        low, high = _name(metric.ci_low), _name(metric.ci_high)
        said = f"{EFFECTIVE[metric.name]}: {_name(metric.value)}"
        found.append(said if low == high else f"{said} (not decided: from {low} to {high})")
    return found


def _cell(metric: Valued | None, width: int) -> str:
    if metric is None:
        return f"{'-':>{width}}"
    value = metric.value
    shade = SHADES[min(len(SHADES) - 1, int(value * len(SHADES)))]
    return f"{shade}{100 * value:.0f}".rjust(width, " ")


def _tokens(length: str) -> int:
    found = LENGTH.fullmatch(length)
    assert found is not None
    return int(found[1]) * (1024 if found[2] else 1)


def _name(tokens: float) -> str:
    count = int(tokens)
    if not count:
        return "under the shortest length"
    return f"{count // 1024}K" if count % 1024 == 0 else f"{count} tokens"
