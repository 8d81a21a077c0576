"""The gate of `compare`: whether the second of two runs is worse than the first by more than a margin."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from stackbench.report.comparison import BenchmarkComparison
from stackbench.stats import Estimate
from stackbench.stats.estimates import too_few
from stackbench.stats.regression import Regression, paired_regression, point_regression

__all__ = ["GateMode", "regression_document", "regression_line", "regression_of", "regressions"]

GateMode = Literal["paired", "point"]


def regressions(found: Sequence[BenchmarkComparison], mode: GateMode, margin: float) -> list[tuple[str, Regression]]:
    """The verdict for each benchmark; `margin` is a share."""
    return [(one.benchmark, regression_of(one.paired.difference, mode, margin)) for one in found]


def regression_of(difference: Estimate, mode: GateMode, margin: float) -> Regression:
    """The verdict on one difference: by its interval, or by its value alone."""
    return paired_regression(difference, margin) if mode == "paired" else point_regression(difference, margin)


def regression_line(name: str, found: Regression, mode: GateMode) -> str:
    """`gate humaneval: undecided: not worse by more than 2 points? -0.5 [-4.1, +3.0] points; ...`"""
    d = found.difference
    interval = f" [{100 * d.ci_low:+.1f}, {100 * d.ci_high:+.1f}]" if mode == "paired" else ""
    if mode == "paired" and not d.shown:
        return (
            f"gate {name}: {found.verdict}: not worse by more than {100 * found.margin:g} points? "
            f"{100 * d.value:+.1f} points over {too_few(d.n)}"
        )
    line = (
        f"gate {name}: {found.verdict}: not worse by more than {100 * found.margin:g} points? "
        f"{100 * d.value:+.1f}{interval} points over {d.n} tasks"
    )
    if found.verdict != "undecided":
        return line
    if found.needed is None:
        return f"{line}; the difference lies on the margin, where no number of tasks decides"
    return f"{line}; if the difference stays, {found.needed:,} tasks in each run would decide"


def regression_document(name: str, found: Regression, mode: GateMode) -> dict[str, Any]:
    """For `--json`."""
    low, high = found.difference.ends
    return {
        "name": name,
        "gate": mode,
        "margin": found.margin,
        "verdict": found.verdict,
        "passed": found.verdict == "pass",
        "difference": found.difference.value,
        "ci_low": low,
        "ci_high": high,
        "tasks": found.difference.n,
        "attempts_to_decide": found.needed,
    }
