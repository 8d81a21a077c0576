"""The outcome of a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from stackbench.engine.cost import Cost, run_cost
from stackbench.engine.gates import GateResult
from stackbench.engine.plan import RunPlan
from stackbench.engine.recorded_gates import recorded_gates
from stackbench.plurals import number_of
from stackbench.store import BenchmarkResult, Reader, RunInfo
from stackbench.types import RunStatus

__all__ = ["RunOutcome", "recorded_outcome", "summary_line"]


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
    hints: tuple[str, ...] = ()
    """What the checks at the run's end have to say of its scores, a line each."""
    cost: Cost | None = None
    """By the price table of the configuration, where that has a price for the model."""
    chain: str = ""
    """The last hash of the run's chain, for whoever will verify it (docs/verifying.md)."""
    recorded: bool = True
    """False when the run was stopped before it began."""

    @property
    def attempts(self) -> int:
        return sum(result.attempts for result in self.results)

    @property
    def error_rate(self) -> float:
        """The share of attempts that ended in errors."""
        return sum(result.errors for result in self.results) / self.attempts if self.attempts else 0.0


def summary_line(outcome: RunOutcome) -> str:
    """Model, then of each benchmark its first metric, tasks and errors: for people who are told of a run elsewhere."""
    parts: list[str] = []
    for result in outcome.results:
        metric = result.metrics[0] if result.metrics else None
        score = f"{metric.name} {metric.value:.3f}, " if metric is not None else ""
        tasks, errors = number_of(result.tasks_completed, "task"), number_of(result.errors, "error")
        parts.append(f"{result.benchmark} {score}{tasks}, {errors}")
    gates = [gate for gate in outcome.gates if not gate.passed]
    if gates:
        parts.append(f"gates that failed: {', '.join(gate.name for gate in gates)}")
    return f"{outcome.model}: {'; '.join(parts) or 'nothing was measured'}"


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
        gates=recorded_gates(reader, run, results),
        skipped=reader.skipped(run.run_id),
        chain=reader.chain_head(run.run_id),
        cost=run_cost(plan.settings.prices, run.model, results),
    )
