"""How a report writes numbers: one way for every output, so that they can be read back and compared."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

from stackbench.nesting import is_array, is_object
from stackbench.report.results_model import Measure, PairedComparison

__all__ = [
    "COMPARABLE",
    "detectable",
    "difference_interval",
    "duration",
    "interval",
    "measure_interval",
    "number",
    "p_text",
    "setting",
]

COMPARABLE = {"close": "closely", "partly": "in part", "not": "not"}
"""How far a published result compares, in words."""


def number(value: float | None) -> str:
    """Four decimals below 10, two below 1,000, none above; empty for None."""
    if value is None:
        return ""
    size = abs(value)
    return f"{value:.4f}" if size < 10 else f"{value:.2f}" if size < 1000 else f"{value:,.0f}"


def interval(low: float | None, high: float | None, kind: str | None = "confidence") -> str:
    """`[0.4200, 0.5800]`, or `range 8.5000 to 10.00` of repeats; `none` where there is none."""
    if low is None or high is None:
        return "none"
    return f"range {number(low)} to {number(high)}" if kind == "range" else f"[{number(low)}, {number(high)}]"


def measure_interval(measure: Measure) -> str:
    """A measure's interval; `3 of 5, no interval` of few tasks, where the value is of whole ones."""
    whole = measure.value * measure.n
    is_share = measure.at_most == 1.0 and (measure.counted or measure.value in (0.0, 1.0))
    if measure.interval is None and is_share and abs(whole - round(whole)) < 1e-9:
        return f"{round(whole)} of {measure.n}, no interval"
    return interval(measure.low, measure.high, measure.interval)


def difference_interval(one: PairedComparison) -> str:
    """The interval of a paired difference; of too few tasks the counts: `3 better, 0 worse, no interval`."""
    if one.low is None:
        return f"{one.better} better, {one.worse} worse, no interval"
    return interval(one.low, one.high)


def p_text(p_value: float | None) -> str:
    """A p-value in a cell."""
    return "-" if p_value is None else f"{p_value:.3g}"


def detectable(measure: Measure) -> str:
    """A measure's minimum detectable effect."""
    return number(measure.minimum_detectable_effect) or "-"


def duration(seconds: float) -> str:
    """`45 s`, `12 min 30 s`, `3 h 5 min`."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def setting(value: Any) -> str:
    """A setting's value in a cell."""
    if value is None:
        return "not set"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple) or is_array(value):
        return ", ".join(setting(one) for one in cast("Iterable[Any]", value)) or "none"
    if is_object(value):
        return ", ".join(f"{name} {setting(one)}" for name, one in value.items()) or "none"
    return str(value) or "none"
