"""Gates as a run's end, `show` and `runs` tell them: a line each, and the JSON document."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.text import Text

from stackbench.cli.console import shown
from stackbench.engine import GateResult
from stackbench.store import BenchmarkResult

__all__ = ["gate_documents", "gate_lines", "gates_not_passed"]

WORDS = {"passed": "passed", "failed": "FAILED", "undecided": "UNDECIDED"}
STYLES = {"passed": "green", "failed": "red", "undecided": "yellow"}


def gate_lines(gates: Sequence[GateResult], results: Sequence[BenchmarkResult]) -> list[Text]:
    """`gate NAME: FAILED (humaneval pass@1 0.3000, min 0.5)`"""
    return [
        shown(f"gate {gate.name}: {WORDS[gate.outcome]} ({_value(gate, results)})", STYLES[gate.outcome])
        for gate in gates
    ]


def gates_not_passed(gates: Sequence[GateResult]) -> str:
    """`gates FAILED: a, b; UNDECIDED: c`; empty where all passed."""
    parts: list[str] = []
    for outcome in ("failed", "undecided"):
        names = [gate.name for gate in gates if gate.outcome == outcome]
        parts += [f"{WORDS[outcome]}: {', '.join(names)}"] if names else []
    return f"gates {'; '.join(parts)}" if parts else ""


def gate_documents(gates: Sequence[GateResult]) -> list[dict[str, Any]]:
    """For `--json`."""
    return [
        {
            "name": gate.name,
            "benchmark": gate.benchmark,
            "metric": f"{gate.metric}/{gate.category}" if gate.category else gate.metric,
            "on": gate.on,
            "min": gate.min,
            "max": gate.max,
            "threshold": gate.threshold,
            "value": gate.value,
            "passed": gate.passed,
            "outcome": gate.outcome,
            **_baseline_fields(gate),
        }
        for gate in gates
    ]


def _baseline_fields(gate: GateResult) -> dict[str, Any]:
    """Of a gate on the difference to the baseline."""
    if gate.margin is None:
        return {}
    return {
        "baseline": gate.baseline,
        "margin": gate.margin,
        "verdict": gate.verdict,
        "ci_low": gate.ci_low,
        "ci_high": gate.ci_high,
        "attempts_to_decide": gate.needed,
        "why": gate.why or None,
    }


def _value(gate: GateResult, results: Sequence[BenchmarkResult]) -> str:
    """What was held against the bounds, and the bounds."""
    if gate.margin is not None:
        return _difference(gate)
    value = _not_measured(gate, results) if gate.value is None else f"{gate.value:.4f}"
    return f"{gate.measure} {value}".strip() + f", {gate.bounds}"


def _difference(gate: GateResult) -> str:
    """`humaneval pass@1 -0.5 [-4.1, +3.0] points, not worse than RUN by more than 2 points`"""
    if gate.value is None:
        return f"{gate.why}; {gate.bounds}"
    interval = (
        f"points, {gate.why}"
        if gate.ci_low is None or gate.ci_high is None
        else f"[{100 * gate.ci_low:+.1f}, {100 * gate.ci_high:+.1f}] points"
    )
    more = f"; {gate.needed:,} tasks in each run would decide" if gate.needed else ""
    return f"{gate.measure} {100 * gate.value:+.1f} {interval}, {gate.bounds}{more}"


def _not_measured(gate: GateResult, results: Sequence[BenchmarkResult]) -> str:
    planned = next((result.planned for result in results if result.benchmark == gate.benchmark), None)
    missing = planned.missing if planned is not None and not gate.category else ()
    known = [m for r in results if r.benchmark == gate.benchmark for m in r.metrics]
    if gate.on != "value" and any((m.name, m.category) == (gate.metric, gate.category) for m in known):
        return "has no interval: too few tasks, or an interval that would not hold; see docs/statistics.md"
    return next((f"not measured: {one.reason}" for one in missing if one.name == gate.metric), "not measured")
