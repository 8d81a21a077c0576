"""Success gates: checked against the plan before anything runs, and against the metrics after the run."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from stackbench.benchmarks import (
    Benchmark,
    BoundedBenchmark,
    CategorisedMetrics,
    DeclaredMetrics,
    MetricKind,
    SpeedBenchmark,
    create_benchmark,
    kind_of,
)
from stackbench.engine.baseline_gates import Difference
from stackbench.engine.plan import Gate, RunPlan
from stackbench.errors import UsageError
from stackbench.stats import Estimate
from stackbench.store import BenchmarkResult
from stackbench.types import Task

__all__ = ["GateResult", "check_gate_categories", "check_gate_plan", "check_gates", "own_gates"]


@dataclass(frozen=True, slots=True)
class GateResult:
    """A gate after the run; `value` is None when its metric was not measured."""

    name: str
    threshold: float
    value: float | None
    passed: bool
    benchmark: str = ""
    metric: str = ""
    category: str = ""
    on: Literal["value", "ci_low", "ci_high"] = "value"
    min: float | None = None
    max: float | None = None
    margin: float | None = None
    """Of a gate on the difference to the baseline, which is its `value` then."""
    verdict: str = ""
    """Of such a gate: pass, fail or undecided."""
    baseline: str = ""
    ci_low: float | None = None
    ci_high: float | None = None
    needed: int | None = None
    """Independent attempts in each run that would decide an undecided one."""
    why: str = ""
    """Why there is no value, or no interval of a difference."""

    @property
    def outcome(self) -> Literal["passed", "failed", "undecided"]:
        """Undecided where a baseline is held against too little; a metric that was not measured has failed."""
        return "passed" if self.passed else "undecided" if self.verdict == "undecided" else "failed"

    @property
    def measure(self) -> str:
        """What was held against the bounds, in words: `mmlu acc/stem ci_low`."""
        metric = f"{self.metric}/{self.category}" if self.category else self.metric
        return " ".join(part for part in (self.benchmark, metric, "" if self.on == "value" else self.on) if part)

    @property
    def bounds(self) -> str:
        """`min 0.5`, `max 2`, or both; `not worse than RUN by more than 2 points`."""
        if self.margin is not None:
            return f"not worse than {self.baseline} by more than {100 * self.margin:g} points"
        low = f"min {self.min:g}" if self.min is not None else ""
        high = f"max {self.max:g}" if self.max is not None else ""
        return ", ".join(part for part in (low, high) if part) or f"min {self.threshold:g}"


def check_gate_plan(plan: RunPlan) -> None:
    """Raises UsageError for a gate that no run of the plan can be held against; names the gate and what there is.

    A benchmark of another package that does not declare its metrics is taken at its word.
    """
    parts = {part.name: part for part in plan.benchmarks}
    names: set[str] = set()
    held = next((gate for gate in plan.gates if gate.margin is not None), None)
    if held is not None and not plan.settings.baseline:
        raise _fault(held, 'name the baseline: --baseline RUN, or baseline = "RUN" at the top of the suite')
    for gate in plan.gates:
        if gate.name in names:
            raise UsageError(f'two gates are named "{gate.name}"; give each a name of its own')
        names.add(gate.name)
    for gate in plan.gates:
        part = parts.get(gate.benchmark)
        if part is None:
            raise _fault(gate, f'the suite has no benchmark "{gate.benchmark}"{_near(gate.benchmark, parts)}')
        benchmark = create_benchmark(part.name, part.options)
        if not isinstance(benchmark, DeclaredMetrics):
            continue
        found = kind_of(benchmark.metric_kinds, gate.metric)
        if found is None:
            known = [name for kind in benchmark.metric_kinds for name in kind.names()]
            raise _fault(gate, f'{part.name} has no metric "{gate.metric}"{_near(gate.metric, known)}')
        kind, needed = found
        least = benchmark.least_attempts if isinstance(benchmark, SpeedBenchmark) else 1
        made = max(plan.attempts(part), least) * len(plan.settings.seeds)
        if needed > made:
            raise _fault(
                gate,
                f"{gate.metric} needs {needed} attempts at each task, and the plan makes {made}; "
                f"set samples = {-(-needed // len(plan.settings.seeds))}",
            )
        _check_kind(gate, kind)
        _check_range(gate, kind)
        if gate.margin is not None and (gate.category or gate.metric != benchmark.metric_kinds[0].names()[0]):
            raise _fault(
                gate,
                f"a baseline is compared task by task, at {part.name}.{benchmark.metric_kinds[0].names()[0]} alone",
            )


def check_gate_categories(gates: Sequence[Gate], name: str, benchmark: Benchmark, tasks: Sequence[Task]) -> None:
    """Raises UsageError for a gate on a category that a benchmark's tasks do not have."""
    if not isinstance(benchmark, CategorisedMetrics):
        return
    for gate in gates:
        if gate.benchmark != name or not gate.category:
            continue
        known = benchmark.metric_categories(tasks)
        if gate.category not in known:
            raise _fault(
                gate, f'no task of {name} in this run is of the category "{gate.category}"{_near(gate.category, known)}'
            )


def check_gates(
    gates: Sequence[Gate],
    results: Sequence[BenchmarkResult],
    baseline: str = "",
    difference: Difference = lambda gate: "there is no baseline",
) -> tuple[GateResult, ...]:
    """Each gate against its metric, or against the baseline; a metric that was not measured fails its gate."""
    metrics = {(r.benchmark, m.category, m.name): m for r in results for m in r.metrics}
    found: list[GateResult] = []
    for gate in gates:
        if gate.margin is not None:
            found.append(_against_baseline(gate, gate.margin, baseline, difference(gate)))
            continue
        metric = metrics.get((gate.benchmark, gate.category, gate.metric))
        value = (
            None
            if metric is None
            else {"value": metric.value, "ci_low": metric.ci_low, "ci_high": metric.ci_high}[gate.on]
        )
        passed = (
            value is not None and (gate.min is None or value >= gate.min) and (gate.max is None or value <= gate.max)
        )
        found.append(replace(_result(gate, value, passed), min=gate.min, max=gate.max))
    return tuple(found)


def _against_baseline(gate: Gate, margin: float, baseline: str, difference: Estimate | str) -> GateResult:
    if isinstance(difference, str):
        found = _result(gate, None, passed=False)
        return replace(found, margin=margin, baseline=baseline, verdict="undecided", why=difference)
    from stackbench.stats.estimates import too_few
    from stackbench.stats.regression import paired_regression

    regression = paired_regression(difference, margin)
    low, high = difference.ends
    return replace(
        _result(gate, difference.value, regression.verdict == "pass"),
        margin=margin,
        baseline=baseline,
        verdict=regression.verdict,
        ci_low=low,
        ci_high=high,
        needed=regression.needed,
        why="" if difference.shown else too_few(difference.n),
    )


def _result(gate: Gate, value: float | None, passed: bool) -> GateResult:
    return GateResult(
        name=gate.name,
        threshold=gate.threshold,
        value=value,
        passed=passed,
        benchmark=gate.benchmark,
        metric=gate.metric,
        category=gate.category,
        on=gate.on,
    )


def own_gates(gates: Sequence[Gate], benchmarks: Iterable[tuple[str, Benchmark]]) -> list[Gate]:
    """The bounds that benchmarks hold their own metrics to, where the suite has no gate on them."""
    taken = {(gate.benchmark, gate.metric) for gate in gates}
    return [
        Gate(name=f"{name} {metric}", benchmark=name, metric=metric, max=most)
        for name, benchmark in benchmarks
        if isinstance(benchmark, BoundedBenchmark)
        for metric, most in benchmark.most_of.items()
        if (name, metric) not in taken
    ]


def _check_kind(gate: Gate, kind: MetricKind) -> None:
    if gate.on != "value" and not kind.interval:
        raise _fault(
            gate, f"{gate.metric} has no confidence interval; leave on out, to hold its value against the bounds"
        )
    if gate.category and not kind.by_category:
        raise _fault(gate, f"{gate.metric} comes for the whole benchmark alone; leave category out")
    if not gate.category and not kind.whole:
        raise _fault(gate, f"{gate.metric} comes for each category alone; name one in category")


def _check_range(gate: Gate, kind: MetricKind) -> None:
    for name, bound in (("min", gate.min), ("max", gate.max)):
        if bound is None:
            continue
        if kind.at_most is None and bound < 0:
            raise _fault(gate, f"{name} {bound:g} is below 0, which {gate.metric} never is")
        if kind.at_most is not None and not 0 <= bound <= kind.at_most:
            share = f"; for {bound:g}% write {bound / 100:g}" if 1 < bound <= 100 else ""
            raise _fault(gate, f"{name} {bound:g} lies outside 0 to {kind.at_most:g}, where {gate.metric} lies{share}")


def _near(name: str, known: Iterable[str]) -> str:
    listed = sorted(known)
    near = difflib.get_close_matches(name, listed, n=1)
    if near:
        return f'; did you mean "{near[0]}"?'
    shown = ", ".join(listed[:20]) + (", ..." if len(listed) > 20 else "")
    return f"; there is {shown}" if listed else ""


def _fault(gate: Gate, problem: str) -> UsageError:
    return UsageError(f'gate "{gate.name}": {problem}')
