"""`report`: a run's results as documents."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from stackbench.cli.console import notice, print_json, print_line
from stackbench.cli.history import cost_of, opened
from stackbench.config import Home
from stackbench.engine.gates import GateResult
from stackbench.engine.recorded_gates import recorded_gates
from stackbench.report.collect import Judged, collect_results
from stackbench.report.results_model import Gate, Price, Results
from stackbench.report.write_report import ReportWriter
from stackbench.store import BenchmarkResult, Reader, RunInfo

__all__ = ["collected", "report"]


def report(home: Path | None, runs: Sequence[str], to: Path, formats: Sequence[str], *, as_json: bool) -> None:
    """Writes the report of runs and prints the paths of its files.

    Raises:
        UsageError: see `collect_results` and `ReportWriter`.
    """
    writer = ReportWriter(collected(home, runs), to, formats)
    paths: list[str] = []
    for path in writer.write():
        paths.append(str(path))
        if not as_json:
            print_line(path)
    for line in writer.left_out:
        notice(f"left out: {line}")
    if as_json:
        print_json({"files": paths, "left_out": writer.left_out})


def collected(home: Path | None, runs: Sequence[str]) -> Results:
    """Everything that is recorded of runs, with what the engine's rules make of it."""
    with opened(Home.find(home, to_write=False)) as queries:
        reader = Reader(queries)
        return collect_results(queries, runs, lambda run, results: _judge(reader, run, results))


def _judge(reader: Reader, run: RunInfo, results: Sequence[BenchmarkResult]) -> Judged:
    """A run's gates, and the price of its tokens."""
    cost = cost_of(run, results)
    price = Price(amount=cost.amount, currency=cost.currency, pattern=cost.pattern) if cost is not None else None
    return [_gate(gate) for gate in recorded_gates(reader, run, results)], price


def _gate(gate: GateResult) -> Gate:
    return Gate(
        name=gate.name,
        measure=gate.measure,
        bounds=gate.bounds,
        value=gate.value,
        passed=gate.passed,
        verdict=cast("Any", gate.verdict),
        low=gate.ci_low,
        high=gate.ci_high,
        needed=gate.needed,
        why=gate.why,
    )
