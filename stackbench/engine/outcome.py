"""What came of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from stackbench.engine.cost import Cost, run_cost
from stackbench.engine.plan import Gate, RunPlan
from stackbench.store import BenchmarkResult, Reader, RunInfo
from stackbench.types import RunStatus

__all__ = ["GateResult", "RunOutcome", "check_gates", "recorded_outcome"]


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


@dataclass(frozen=True, slots=True)
class RunOutcome:
    """A run at its end, all its parts counted when it was resumed."""

    run_id: str
    status: RunStatus
    model: str
    seconds: float
    """Of this part of the run."""
    results: tuple[BenchmarkResult, ...] = ()
    gates: tuple[GateResult, ...] = ()
    skipped: Mapping[str, str] = field(default_factory=dict[str, str])
    """Benchmarks that could not be run, with the reason."""
    problem: str = ""
    """Why the run ended before its work did."""
    last_error: str = ""
    """Of the attempts that ended in errors."""
    sampling_not_set: str = ""
    """Whose sampling took the place of what the user did not set, where it is not neutral."""
    cost: Cost | None = None
    """By the price table of the configuration, where that has a price for the model."""
    recorded: bool = True
    """False when the run was stopped before it began."""

    @property
    def attempts(self) -> int:
        return sum(result.attempts for result in self.results)

    @property
    def error_rate(self) -> float:
        """The share of attempts that ended in errors."""
        return sum(result.errors for result in self.results) / self.attempts if self.attempts else 0.0


def recorded_outcome(reader: Reader, run: RunInfo) -> RunOutcome:
    """The outcome of a run that has ended, from the database; `seconds` are those from its start to its end."""
    plan = RunPlan.model_validate(run.config)
    order = {part.name: number for number, part in enumerate(plan.benchmarks)}
    results = tuple(sorted(reader.results(run.run_id), key=lambda r: order.get(r.benchmark, len(order))))
    return RunOutcome(
        run_id=run.run_id,
        status=RunStatus(run.status),
        model=run.model,
        seconds=run.seconds,
        results=results,
        gates=check_gates(plan.gates, results),
        skipped=reader.skipped(run.run_id),
        cost=run_cost(plan.settings.prices, run.model, results),
    )


def check_gates(gates: Sequence[Gate], results: Sequence[BenchmarkResult]) -> tuple[GateResult, ...]:
    """Each gate against its metric; a metric that was not measured fails its gate."""
    values = {(r.benchmark, m.category, m.name): m.value for r in results for m in r.metrics}
    found: list[GateResult] = []
    for gate in gates:
        value = values.get((gate.benchmark, gate.category, gate.metric))
        passed = value is not None and value >= gate.threshold
        found.append(GateResult(gate.name, gate.threshold, value, passed, gate.benchmark, gate.metric, gate.category))
    return tuple(found)
