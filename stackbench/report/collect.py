"""Collects everything that a report says of runs into one `Results` document."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from stackbench import __version__
from stackbench.errors import UsageError
from stackbench.report.beside import compare_reports, published_results
from stackbench.report.collect_benchmark import benchmark_report
from stackbench.report.reasons import group_reasons
from stackbench.report.results_model import (
    Anomaly,
    Change,
    Gate,
    Price,
    Results,
    RunReport,
    section,
)
from stackbench.store import BenchmarkResult, Queries, Reader, RunInfo
from stackbench.types import RunStatus
from stackbench.visible_text import in_one_line

__all__ = ["HARNESS_CHECKS", "Judged", "collect_results"]

HARNESS_CHECKS = ("oracle", "null")
"""Models that check the harness; they are never listed beside models."""
CHANGES = """
SELECT strftime(ts::TIMESTAMP, '%Y-%m-%d %H:%M:%S'), payload FROM events
WHERE run_id = ? AND kind = 'operator' ORDER BY seq
"""
SANITY = "SELECT payload FROM events WHERE run_id = ? AND kind = 'sanity' ORDER BY seq"
NEAR_LIMIT = """
SELECT benchmark, count(*) FROM attempts WHERE run_id = ? AND metrics ->> '$.near_limit' = 'true'
GROUP BY ALL ORDER BY ALL
"""
Judged = tuple[Sequence[Gate], Price | None]
"""What the engine's rules say of a run: its gates, and the price of its tokens."""


def collect_results(
    queries: Queries, names: Sequence[str], judge: Callable[[RunInfo, Sequence[BenchmarkResult]], Judged]
) -> Results:
    """Of runs named by id, the start of it, name, tag or `last`.

    Raises:
        UsageError: a run does not exist, goes on, is named twice, or two have different data of a benchmark.
    """
    reader = Reader(queries)
    runs = [reader.run(name) for name in names]
    _check_runs(runs)
    results = [reader.results(run.run_id) for run in runs]
    _check_data(runs, results)
    reports = [
        _run_report(queries, reader, run, found, judge(run, found)) for run, found in zip(runs, results, strict=True)
    ]
    comparisons, warnings = compare_reports(reader, runs, reports)
    return Results(
        stackbench=__version__,
        runs=tuple(reports),
        comparisons=tuple(comparisons),
        published=tuple(published_results(reports)),
        warnings=tuple(warnings),
    )


def _check_runs(runs: Sequence[RunInfo]) -> None:
    seen: set[str] = set()
    for run in runs:
        if run.run_id in seen:
            raise UsageError(f"run {run.run_id} is named twice; name it once")
        seen.add(run.run_id)
        if run.status in (RunStatus.RUNNING, RunStatus.QUEUED):
            raise UsageError(f"run {run.run_id} goes on; wait for its end (stackbench attach {run.run_id}) or stop it")


def _check_data(runs: Sequence[RunInfo], results: Sequence[Sequence[BenchmarkResult]]) -> None:
    """Scores on different data stand in no table together."""
    known: dict[str, tuple[str, Mapping[str, str]]] = {}
    for run, found in zip(runs, results, strict=True):
        for result in found:
            if result.planned is None:
                continue
            first, data = known.setdefault(result.benchmark, (run.run_id, result.planned.datasets))
            if data != result.planned.datasets:
                differing = sorted(
                    name
                    for name in {*data, *result.planned.datasets}
                    if data.get(name) != result.planned.datasets.get(name)
                )
                raise UsageError(
                    f"runs {first} and {run.run_id} have different data of {result.benchmark}: "
                    f"{', '.join(differing)} differ in their sha256, so that the scores cannot stand side by side; "
                    "make a report of each"
                )


def _run_report(
    queries: Queries, reader: Reader, run: RunInfo, results: Sequence[BenchmarkResult], judged: Judged
) -> RunReport:
    gates, price = judged
    groups = group_reasons(reader.unpassed(run.run_id), [result.benchmark for result in results])
    return RunReport(
        run_id=run.run_id,
        suite=run.suite,
        status=run.status,
        model=in_one_line(run.model),
        harness_check=run.model in HARNESS_CHECKS,
        created_at=run.created_at,
        finished_at=run.finished_at,
        seconds=round(run.seconds, 3),
        seeds=run.seeds,
        git_commit=run.git_commit,
        config=dict(run.config),
        environment=dict(run.environment),
        cost=price,
        gates=tuple(gates),
        changes=tuple(_change(*row) for row in queries.rows(CHANGES, [run.run_id])),
        anomalies=tuple(_anomalies(queries, run.run_id)),
        skipped={name: in_one_line(why) for name, why in reader.skipped(run.run_id).items()},
        benchmarks=tuple(
            benchmark_report(queries, run, result, [g for g in groups if g.benchmark == result.benchmark])
            for result in results
        ),
    )


def _anomalies(queries: Queries, run_id: str) -> Iterator[Anomaly]:
    """What the checks at the run's end found, and verdicts that another machine might give otherwise."""
    for (payload,) in queries.rows(SANITY, [run_id]):
        found: dict[str, Any] = json.loads(payload or "{}")
        if "fault" in found:
            yield Anomaly(kind="fault", text=in_one_line(found["fault"]))
        elif "hint" in found:
            yield Anomaly(kind="hint", text=in_one_line(found["hint"]))
    for benchmark, count in queries.rows(NEAR_LIMIT, [run_id]):
        text = f"{benchmark}: {count} verdicts were near the time limit: they depend on the machine's speed"
        yield Anomaly(kind="hint", text=text)


def _change(at: str, payload: str) -> Change:
    action: dict[str, Any] = json.loads(payload or "{}")
    arguments = " ".join(map(str, section(action, "arguments").values()))
    what = f"{action.get('verb', '')} {arguments}".strip()
    return Change(
        at=at,
        who=in_one_line(action.get("who", "")),
        what=in_one_line(f"{what}: {action.get('old')} to {action.get('new')}"),
    )
