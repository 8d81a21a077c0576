"""A comparison as rows of tables: its benchmarks, and a benchmark's tasks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

from stackbench.natural_order import natural
from stackbench.report.comparison import BenchmarkComparison
from stackbench.tui.virtual_table import Cell, Column

__all__ = [
    "BENCHMARK_COLUMNS",
    "SHOWN",
    "TASK_COLUMNS",
    "Shown",
    "TaskPair",
    "benchmark_cells",
    "task_cells",
    "tasks_shown",
]

TaskPair = tuple[str, float, float]
"""A task and its score in either run."""
Shown = Literal["flips", "A better", "B better", "all"]
SHOWN: tuple[Shown, ...] = get_args(Shown)

BENCHMARK_COLUMNS = (
    Column("benchmark", 10, grows=True),
    Column("tasks", 6, right=True),
    Column("A", 6, right=True),
    Column("B", 6, right=True),
    Column("B - A", 7, right=True),
    Column("95% interval", 17),
    Column("p", 7, right=True),
    Column("A better", 8, right=True, needs=100),
    Column("B better", 8, right=True, needs=100),
    Column("test", 12, grows=True, needs=120),
)
TASK_COLUMNS = (
    Column("", 10),
    Column("task", 20, grows=True),
    Column("A", 7, right=True),
    Column("B", 7, right=True),
)


def benchmark_cells(one: BenchmarkComparison) -> list[Cell]:
    """One cell per column of `BENCHMARK_COLUMNS`; a difference whose interval leaves 0 out is bold."""
    estimate = one.paired.difference
    low, high = estimate.ci_low, estimate.ci_high
    apart = estimate.shown and (low > 0 or high < 0)
    return [
        one.benchmark,
        str(estimate.n),
        f"{one.first:.3f}",
        f"{one.second:.3f}",
        (f"{estimate.value:+.3f}", "strong" if apart else ""),
        f"[{low:+.3f}, {high:+.3f}]" if estimate.shown else "",
        ("" if one.p_value is None else f"{one.p_value:.3g}", "strong" if apart else ""),
        str(one.paired.worse),
        str(one.paired.better),
        (one.paired.test, "dim"),
    ]


def task_cells(pair: TaskPair) -> list[Cell]:
    """One cell per column of `TASK_COLUMNS`. A run alone in scoring at all is said to be the only one."""
    task, first, second = pair
    if first > second:
        verdict: Cell = ("◀ only A" if second == 0 else "◀ A", "accent")
    elif second > first:
        verdict = ("▶ only B" if first == 0 else "▶ B", "warn")
    else:
        verdict = ("= equal", "dim")
    return [verdict, task, f"{first:g}", f"{second:g}"]


def tasks_shown(one: BenchmarkComparison, shown: Shown, words: Sequence[str]) -> list[TaskPair]:
    """Those of a kind that hold every word, as people count: task 2 before task 10."""
    signs = {"flips": (-1, 1), "A better": (1,), "B better": (-1,), "all": (-1, 0, 1)}[shown]
    found = [
        pair
        for pair in one.tasks
        if (pair[1] > pair[2]) - (pair[1] < pair[2]) in signs and all(word in pair[0].lower() for word in words)
    ]  # fmt: skip
    return sorted(found, key=lambda pair: natural(pair[0]))
