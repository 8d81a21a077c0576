"""`runs`, `query`, `export`: reading what was recorded."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, cast

from rich.console import Group
from rich.text import Text

from stackbench.cli.console import fits, make_table, notice, out, print_json, print_line, print_table, shown
from stackbench.cli.gate_lines import gate_documents, gates_not_passed
from stackbench.cli.query_output import QueryOutput
from stackbench.cli.run_end import home_option
from stackbench.cli.scoreboard import cost_document, result_documents
from stackbench.config import Home, load_settings
from stackbench.engine import Cost, GateResult, run_cost
from stackbench.engine.recorded_gates import recorded_gates
from stackbench.errors import NoRunsError, StackbenchError, UsageError
from stackbench.plurals import number_of
from stackbench.report.caveats import counted, partial_reasons
from stackbench.report.headlines import headline
from stackbench.store import BenchmarkResult, Labels, Queries, Reader, RunInfo, open_queries
from stackbench.suggestions import did_you_mean

__all__ = ["cost_of", "export_run", "opened", "query", "run_document", "runs"]


@contextlib.contextmanager
def opened(home: Home) -> Iterator[Queries]:
    """The database, or the engine that holds it."""
    queries = open_queries(home.database, home.socket)
    try:
        yield queries
    finally:
        queries.close()


def runs(home: Path | None, limit: int, tag: str | None, *, as_json: bool) -> None:
    """Lists the newest runs, or those with a tag, with their headline numbers."""
    place = Home.find(home, to_write=False)
    rows, skipped = _recorded_runs(place, limit, tag)
    if tag is not None and not rows:
        near = did_you_mean(tag, _known_tags(place))
        raise UsageError(f'no run has the tag "{tag}"{near}; stackbench runs tag RUN {tag} gives it to one')
    if as_json:
        print_json([run_document(*row[:3], left, row[3]) for row, left in zip(rows, skipped, strict=True)])
        return
    if not rows:
        first = f"stackbench eval humaneval --limit 20{home_option({'home': home})}"
        print_line(f"no runs yet in {place.path}; to make one: {first}")
        return
    named = any(label != Labels() for _, label, *_ in rows)
    columns = ["run", *(["name, tags"] if named else []), "status", "started (UTC)", "suite", "model", "attempts"]
    table = make_table(
        [*columns, "results"],
        [
            (
                run.run_id,
                *([_called(label)] if named else []),
                run.status,
                run.created_at,
                run.suite,
                run.model,
                _attempts(results),
                "\n".join(_heads(run, results, gates)),
            )
            for run, label, results, gates in rows
        ],
        right=["attempts"],
    )
    out().print(table if fits(table) else Group(*(line for row in rows for line in _run_lines(*row))))


Row = tuple[RunInfo, Labels, list[BenchmarkResult], Sequence[GateResult]]


def _recorded_runs(home: Home, limit: int, tag: str | None) -> tuple[list[Row], list[Mapping[str, str]]]:
    """The newest runs, or those with a tag, and of each the benchmarks left out; none where nothing was run yet."""
    try:
        with opened(home) as queries:
            reader = Reader(queries)
            found = reader.runs(limit) if tag is None else reader.labelled("tag", tag)[:limit]
            labels = reader.labels()
            results = [list(reader.results(run.run_id)) for run in found]
            rows: list[Row] = [
                (run, labels.get(run.run_id, Labels()), mine, recorded_gates(reader, run, mine))
                for run, mine in zip(found, results, strict=True)
            ]
            return rows, [reader.skipped(run.run_id) for run in found]
    except NoRunsError:
        return [], []


def _known_tags(home: Home) -> list[str]:
    try:
        with opened(home) as queries:
            return [tag for label in Reader(queries).labels().values() for tag in label.tags]
    except NoRunsError:
        return []


def run_document(
    run: RunInfo,
    labels: Labels,
    results: Sequence[BenchmarkResult],
    skipped: Mapping[str, str],
    gates: Sequence[GateResult],
) -> dict[str, Any]:
    """A run as `runs --json` and `show --json` have it."""
    return {
        "run_id": run.run_id,
        "name": labels.name or None,
        "tags": list(labels.tags),
        "suite": run.suite,
        "status": run.status,
        "created_at": run.created_at,
        "finished_at": run.finished_at,
        "model": run.model,
        "seeds": list(run.seeds),
        "git_commit": run.git_commit,
        **({"problem": run.problem} if run.problem else {}),
        "config": run.config,
        "environment": run.environment,
        **cost_document(cost_of(run, results), results),
        "results": result_documents(results, skipped, run.status),
        "gates": gate_documents(gates),
    }


def cost_of(run: RunInfo, results: Sequence[BenchmarkResult]) -> Cost | None:
    """What a run cost: by the prices it was recorded with, or else those of the configuration now."""
    recorded: dict[str, Any] = run.config.get("settings", {}).get("prices") or {}
    with contextlib.suppress(StackbenchError):
        settings = load_settings({"prices": recorded} if recorded else {}).settings
        return run_cost(settings.prices, run.model, results)
    return None


def _called(labels: Labels) -> str:
    return " ".join(filter(None, (labels.name, *(f"#{tag}" for tag in labels.tags))))


def _run_lines(
    run: RunInfo, labels: Labels, results: Sequence[BenchmarkResult], gates: Sequence[GateResult]
) -> Iterator[Text]:
    """A run as a list, where a table has no room."""
    yield shown("  ".join(filter(None, (run.run_id, _called(labels), run.status))), "bold")
    yield shown(f"  {run.created_at} UTC  {run.suite}, {number_of(_attempts(results), 'attempt')}")
    yield shown(f"  {run.model}")
    for head in _heads(run, results, gates):
        yield shown(f"  {head}")


def _attempts(results: Sequence[BenchmarkResult]) -> int:
    return sum(result.attempts for result in results)


def _heads(run: RunInfo, results: Sequence[BenchmarkResult], gates: Sequence[GateResult]) -> list[str]:
    """The headline of each benchmark with its denominators, and the gates that did not pass."""
    found: list[str] = []
    settings = run.config.get("settings", {})
    for result in results:
        best = headline(result.metrics)
        value = f"{best.name} {best.value:.3f}" if best is not None else "no score"
        partial = partial_reasons(result, run.status)
        marks = [f"partial: {', '.join(partial)}"] if partial else []
        bounds: Mapping[str, float] = result.planned.lower_bounds if result.planned is not None else {}
        if result.errors and best is not None and best.name in bounds:
            marks.insert(0, f"{bounds[best.name]:.3f} with errors as failures")
        marks += [f"{result.cut} cut"] if result.cut else []
        marks += ["the checkpoint's sampling"] if settings.get("generation_config") == "checkpoint" else []
        found.append(f"{result.benchmark} {value} ({'; '.join([counted(result), *marks])})")
    return [*found, *filter(None, [gates_not_passed(gates), run.problem])]


def query(home: Path | None, sql: str, format: str) -> None:
    """Runs the user's SQL and prints the rows."""
    with opened(Home.find(home, to_write=False)) as queries:
        if format == "table":
            answer = io.BytesIO()
            queries.user_query(sql, format, answer)
            document = json.loads(answer.getvalue())
            print_table(document["columns"], document["rows"])
        else:
            queries.user_query(sql, format, cast(BinaryIO, QueryOutput(format)))


def export_run(home: Home, name: str, to: Path, formats: Sequence[str] | None = None) -> None:
    """Writes a run's files and says which."""
    from stackbench.report.export import export

    with opened(home) as queries:
        run = Reader(queries).run(name)
        for path in export(queries, run.run_id, to, formats or ()):
            notice(f"wrote {path}")
