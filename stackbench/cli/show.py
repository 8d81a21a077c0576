"""`show`: one run, or the attempts at one of its tasks."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.table import Table

from stackbench.benchmarks import OwnImages, find_benchmark
from stackbench.cli.attempt_view import attempt_document, print_attempt
from stackbench.cli.console import fits, make_table, out, print_json, shown
from stackbench.cli.gate_lines import gate_lines
from stackbench.cli.history import cost_of, opened, run_document
from stackbench.cli.length_tables import is_by_length, length_tables
from stackbench.cli.scoreboard import caveat_lines, results_table, sampling_lines, skipped_lines, total_line
from stackbench.cli.speeds import is_speed, speeds_table
from stackbench.config import Home, list_settings
from stackbench.control.verbs import change_line
from stackbench.engine import GateResult, RunPlan, sampling_not_set
from stackbench.engine.recorded_gates import recorded_gates
from stackbench.errors import UsageError
from stackbench.report.metric_tables import latex_table, markdown_table
from stackbench.report.reasons import ReasonGroup, group_reasons
from stackbench.report.tally import clock
from stackbench.store import BenchmarkResult, Labels, Reader, RunInfo

__all__ = ["show"]

SHOWN_OF_SETTING = 200
SHOWN_REASONS = 12
"""Of a benchmark's errors, and of its wrong answers."""
SHOWN_ACTIONS = 20
HASH = re.compile(r"\b([0-9a-f]{12})[0-9a-f]{52}\b")
SAMPLING = ("top_p", "max_tokens", "samples", "limit", "limit_seed")


@dataclass(frozen=True, slots=True)
class _Recorded:
    """A run with all that is shown of it."""

    run: RunInfo
    labels: Labels
    results: Sequence[BenchmarkResult]
    skipped: Mapping[str, str]
    gates: Sequence[GateResult]
    reasons: Sequence[ReasonGroup]
    actions: Sequence[tuple[datetime, Mapping[str, Any]]]
    """What operators did."""


def show(home: Path | None, name: str, sample: str | None, *, failures: int, format: str, as_json: bool) -> None:
    """Prints a run, naming `failures` tasks for each reason that attempts did not pass; or the attempts at one task.

    Raises:
        UsageError: there is no such run or task.
    """
    with opened(Home.find(home, to_write=False)) as queries:
        reader = Reader(queries)
        run = reader.run(name)
        found = _read(reader, run) if sample is None else None
        attempts = [] if sample is None else list(reader.sample(run.run_id, sample))
    if found is not None:
        _print(found, failures, format, as_json=as_json)
        return
    if format != "text":
        raise UsageError(f"--format {format} is of a whole run; leave the task out")
    if as_json:
        print_json([attempt_document(attempt) for attempt in attempts])
        return
    for attempt in attempts:
        print_attempt(attempt)


def _print(found: _Recorded, failures: int, format: str, *, as_json: bool) -> None:
    if as_json:
        print_json(run_document(found.run, found.labels, found.results, found.skipped, found.gates))
    elif format == "text":
        _print_run(found, failures)
    else:
        table = {"md": markdown_table, "latex": latex_table}[format]
        out().print(shown(table(found.results), lines=True, whole=True), crop=False)


def _read(reader: Reader, run: RunInfo) -> _Recorded:
    results = reader.results(run.run_id)
    return _Recorded(
        run,
        reader.labels().get(run.run_id, Labels()),
        results,
        reader.skipped(run.run_id),
        recorded_gates(reader, run, results),
        group_reasons(reader.unpassed(run.run_id), [result.benchmark for result in results]),
        reader.operator_actions(run.run_id),
    )


def _print_run(found: _Recorded, failures: int) -> None:
    console = out()
    run, results = found.run, found.results
    settings, machine = run.config.get("settings", {}), run.environment
    about: list[tuple[str, Any]] = [
        ("run", run.run_id),
        *([("name", found.labels.name)] if found.labels.name else []),
        *([("tags", ", ".join(found.labels.tags))] if found.labels.tags else []),
        ("status", run.status),
        *([("problem", run.problem)] if run.problem else []),
        ("model", run.model),
        ("suite", run.suite),
        ("started", f"{run.created_at} UTC"),
        ("finished", f"{run.finished_at} UTC, after {clock(run.seconds)}" if run.finished_at else "-"),
        ("seeds", ", ".join(map(str, run.seeds))),
        ("sampling", _sampling(run, settings)),
        *_asked_line(settings),
        *(_machine_lines(run, machine) if machine.get("stackbench") else []),  # a run may fail before it is looked at
    ]
    grid = Table.grid(padding=(0, 2))
    grid.add_column(justify="right", style="bold", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in about:
        grid.add_row(shown(name), shown(value))
    console.print(grid)
    console.print()
    console.print(results_table(results, categories=True))
    for result in results:
        if is_speed(result):
            console.print(speeds_table(result))
        if is_by_length(result):
            console.print(length_tables(result))
    own = sampling_not_set(settings.get("generation_config"), machine.get("model", {}))
    under = [*caveat_lines(results, run.status), *sampling_lines(own), *skipped_lines(found.skipped)]
    for line in [*under, *gate_lines(found.gates, results)]:
        console.print(line, crop=False)
    console.print(shown(total_line(results, cost_of(run, results))))
    _print_actions(found)
    _print_reasons(found, failures)


def _print_actions(found: _Recorded) -> None:
    """What operators did to the run, the last of it where it was much."""
    console, actions = out(), found.actions
    for at, action in actions[-SHOWN_ACTIONS:]:
        change = change_line(action["verb"], action.get("arguments") or {}, action.get("old"), action.get("new"))
        console.print(shown(f"{at:%Y-%m-%d %H:%M:%SZ} {change} (by {action.get('who', '')})", "dim"))
    if len(actions) > SHOWN_ACTIONS:
        console.print(shown(f"... and {len(actions) - SHOWN_ACTIONS} before; stackbench query lists all", "dim"))


def _print_reasons(found: _Recorded, failures: int) -> None:
    """Why attempts did not pass: errors first, then wrong answers, each benchmark's own, with the tasks."""
    console = out()
    for is_error, title in ((True, "ended in errors"), (False, "did not pass")):
        groups = [group for group in found.reasons if group.is_error is is_error]
        if not groups:
            continue
        total = sum(result.attempts for result in found.results)
        console.print()
        console.print(shown(f"{sum(group.attempts for group in groups)} of {total} attempts {title}", "bold"))
        listed = [
            group
            for name in dict.fromkeys(group.benchmark for group in groups)
            for group in [one for one in groups if one.benchmark == name][:SHOWN_REASONS]
        ]
        columns = ["benchmark", "attempts", "reason", "tasks"]
        rows = [(g.benchmark, g.attempts, g.reason, _tasks(g.tasks, failures)) for g in listed]
        table = make_table(columns, rows, right=["attempts"])
        if fits(table):
            console.print(table)
        else:
            for benchmark, attempts, reason, tasks in rows:
                console.print(shown(f"{benchmark}: {attempts} {reason}"))
                console.print(shown(f"    {tasks}", "dim"))
        left = len(groups) - len(listed)
        if left:
            rest = sum(group.attempts for group in groups) - sum(group.attempts for group in listed)
            console.print(shown(f"... {rest} attempts with {left} other reasons; stackbench query lists all"))
    if found.reasons and failures:
        console.print(shown(f"one of them: stackbench show {found.run.run_id} TASK", "dim", whole=True), crop=False)


def _tasks(tasks: Sequence[str], most: int) -> str:
    left = len(tasks) - most
    named = ", ".join(tasks[:most])
    return named if left <= 0 else f"{named}, {left} more" if most else f"{left} tasks"


def _own_version(run: RunInfo) -> str:
    """Stackbench's own: version, commit, and what its files were where the commit does not tell."""
    source = run.environment.get("source_sha256")
    files = f", files {source[:12]}" if source else ""
    return f"{run.environment.get('stackbench', '?')}, commit {run.git_commit or 'unknown'}{files}"


def _asked_line(settings: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """How else the model was asked, where it was not as by default."""
    found: list[str] = []
    for field in list_settings():
        value = settings.get(field.attribute, field.default)
        if field.asked and value != field.default and value not in ([], None):
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            found.append(f"{field.name} {text if len(text) <= SHOWN_OF_SETTING else text[:SHOWN_OF_SETTING] + ' ...'}")
    return [("asked with", ", ".join(found))] if found else []


def _machine_lines(run: RunInfo, machine: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return [
        ("stackbench", _own_version(run)),
        ("machine", f"{machine.get('cpu')}, {machine.get('cpus')} processors, {_gib(machine.get('memory_bytes'))}"),
        ("system", f"{machine.get('os')}, Python {machine.get('python')}"),
        ("GPUs", _gpus(machine)),
        ("sandbox", _sandbox(run, machine.get("sandbox", {}))),
        ("versions", _pairs(machine.get("packages", {}), tuple(machine.get("packages", {})))),
        *_model_lines(machine.get("model", {})),
    ]


def _sampling(run: RunInfo, settings: Mapping[str, Any]) -> str:
    if samples := run.config.get("samples_file"):
        return f"no model was asked: recorded samples, {samples}"
    return f"temperature {_temperatures(run)}, {_pairs(settings, SAMPLING)}"


def _sandbox(run: RunInfo, recorded: Mapping[str, Any]) -> str:
    if recorded:
        return _pairs(recorded, ("image", "id"))
    names = [str(part["name"]) for part in run.config.get("benchmarks", ())]
    own = [name for name in names if isinstance(find_benchmark(name), OwnImages)]
    return f"an image for each task of {', '.join(own)} (show RUN TASK names it)" if own else "not used"


def _temperatures(run: RunInfo) -> str:
    """What was drawn with: one number, or one for each benchmark where they differ."""
    try:
        plan = RunPlan.model_validate(run.config)
    except ValueError:
        return "?"
    found = {part.name: f"{plan.temperature(part):g}" for part in plan.benchmarks}
    if len(set(found.values())) == 1:
        return next(iter(found.values()))
    return " ".join(f"{name}={value}" for name, value in found.items())


def _gpus(machine: Mapping[str, Any]) -> str:
    found = ", ".join(f"{gpu['name']} (driver {gpu['driver']})" for gpu in machine.get("gpus", []))
    cuda = f", CUDA {machine['cuda']}" if machine.get("cuda") else ""
    return f"{found}{cuda}" if found else "none"


def _model_lines(model: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """What the model told of itself: single values in one line, tables, restarts and reloads in lines of their own."""
    single = {name: value for name, value in model.items() if not isinstance(value, dict | list)}
    lines: list[tuple[str, Any]] = [("model details", _pairs(single, tuple(single)))]
    for name in ("files", "origin", "loading", "capabilities"):
        if model.get(name):
            lines.append((name, _pairs(model[name], tuple(model[name]))))
    history = model.get("history", [])
    if len(history) > 1:
        lines += [("history", _pairs(entry, tuple(entry))) for entry in history]
    return lines


def _pairs(values: Mapping[str, Any], names: Sequence[str], nothing: str = "defaults") -> str:
    """Names and values; of hashes the beginning (`--json` has them whole)."""
    found = {name: HASH.sub(r"\1...", str(values[name])) for name in names if values.get(name) not in (None, {}, "")}
    return ", ".join(f"{name} {text}" for name, text in found.items()) or nothing


def _gib(size: int | None) -> str:
    return f"{(size or 0) / 2**30:.1f} GiB"
