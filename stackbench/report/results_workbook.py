"""The master spreadsheet of a report: every figure of results.json as sheets."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, BinaryIO

from pydantic import BaseModel

from stackbench.report.results_model import BenchmarkReport, Results, RunReport
from stackbench.report.workbook import write_workbook

__all__ = ["write_results_workbook"]

Row = dict[str, Any]


def write_results_workbook(results: Results, to: BinaryIO) -> None:
    """Raises ImportError where openpyxl is not installed."""
    sheets: Mapping[str, Iterator[Row]] = {
        "scores": _scores(results),
        "measures": _each(results, lambda one: one.measures),
        "pass_at_k": _each(results, lambda one: one.pass_at_k),
        "seeds": _each(results, lambda one: one.seeds),
        "categories": _each(results, lambda one: one.categories),
        "times": _times(results),
        "failures": _each(results, lambda one: one.failures),
        "exclusions": _each(results, lambda one: one.exclusions),
        "settings": _settings(results),
        "tasks": _each(results, lambda one: one.tasks),
        "published": (dump(one) for one in results.published),
        "comparisons": (dump(one) for one in results.comparisons),
        "gates": ({"run_id": run.run_id, **dump(gate)} for run in results.runs for gate in run.gates),
        "anomalies": ({"run_id": run.run_id, **dump(one)} for run in results.runs for one in run.anomalies),
        "changes": ({"run_id": run.run_id, **dump(change)} for run in results.runs for change in run.changes),
        "runs": (_run(run) for run in results.runs),
    }
    write_workbook(sheets, to)


def dump(part: BaseModel) -> Row:
    """A part of the document as JSON values."""
    return part.model_dump(mode="json")


def _each(results: Results, rows: Callable[[BenchmarkReport], Iterable[BaseModel]]) -> Iterator[Row]:
    """The rows of every benchmark behind its run and name."""
    for run in results.runs:
        for one in run.benchmarks:
            for row in rows(one):
                yield {"run_id": run.run_id, "model": run.model, "benchmark": one.name, **dump(row)}


def _scores(results: Results) -> Iterator[Row]:
    for run in results.runs:
        for one in run.benchmarks:
            yield {**_score(run, one), **_counts(one)}


def _score(run: RunReport, one: BenchmarkReport) -> Row:
    head = one.head
    names = ("value", "stderr", "low", "high", "interval", "n", "minimum_detectable_effect")
    return {
        "run_id": run.run_id,
        "model": run.model,
        "benchmark": one.name,
        "measure": one.headline,
        **{name: getattr(head, name) if head is not None else None for name in names},
    }


def _counts(one: BenchmarkReport) -> Row:
    names = (
        "tasks_available", "tasks_planned", "tasks_completed", "attempts_planned", "attempts", "errors", "cut",
    )  # fmt: skip
    return {name: getattr(one, name) for name in names} | {"leaves_out": "; ".join(one.caveats)}


def _times(results: Results) -> Iterator[Row]:
    for run in results.runs:
        for one in run.benchmarks:
            if one.latency is not None:
                found = dump(one.latency)
                stages = {f"mean {stage['name']} s": stage["mean_s"] for stage in found.pop("stages")}
                known = dict.fromkeys(
                    f"mean {name} s" for name in ("first token", "rest of the answer", "code execution", "tools")
                )
                yield {"run_id": run.run_id, "benchmark": one.name, **found, **known, **stages}


def _settings(results: Results) -> Iterator[Row]:
    for run in results.runs:
        for one in run.benchmarks:
            for name, value in dump(one.settings).items():
                yield {"run_id": run.run_id, "benchmark": one.name, "setting": name, "value": value}


def _run(run: RunReport) -> Row:
    whole = dump(run)
    return {name: value for name, value in whole.items() if name not in ("benchmarks", "gates", "changes", "anomalies")}
