"""`runs`, `show`, `query`, `export`: reading what was recorded."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, cast

from rich.console import Group
from rich.rule import Rule
from rich.syntax import Syntax
from rich.text import Text

from stackbench.cli.console import fits, make_table, notice, out, print_json, print_table
from stackbench.cli.query_output import QueryOutput
from stackbench.cli.scoreboard import caveat_lines, result_documents, results_table, sampling_lines, skipped_lines
from stackbench.cli.speeds import is_speed, speeds_table
from stackbench.cli.transcript import print_transcript
from stackbench.config import Home, list_settings
from stackbench.engine import RunPlan, sampling_not_set
from stackbench.errors import UsageError
from stackbench.report.caveats import counted, partial_reasons
from stackbench.report.headlines import headline
from stackbench.report.transcript import has_transcript
from stackbench.store import AttemptDetail, BenchmarkResult, Queries, Reader, RunInfo, open_queries
from stackbench.types import FinishReason
from stackbench.visible_text import in_one_line, visible

__all__ = ["export_run", "query", "runs", "show"]

SHOWN_IN_TERMINAL = 6000


@contextlib.contextmanager
def opened(home: Home) -> Iterator[Queries]:
    """The database, or the engine that holds it."""
    queries = open_queries(home.database, home.socket)
    try:
        yield queries
    finally:
        queries.close()


def runs(home: Path | None, limit: int, *, as_json: bool) -> None:
    """Lists the newest runs with their headline numbers."""
    with opened(Home.find(home, to_write=False)) as queries:
        reader = Reader(queries)
        found = reader.runs(limit)
        rows = [(run, reader.results(run.run_id)) for run in found]
        skipped = [reader.skipped(run.run_id) for run in found]
    if as_json:
        print_json([_run_document(run, results, left) for (run, results), left in zip(rows, skipped, strict=True)])
        return
    columns = ["run", "status", "started", "suite", "model", "attempts", "results"]
    table = make_table(
        columns,
        [
            (
                run.run_id,
                run.status,
                run.created_at,
                run.suite,
                run.model,
                _attempts(results),
                "\n".join(_heads(run, results)),
            )
            for run, results in rows
        ],
        right=["attempts"],
    )
    out().print(table if fits(table) else Group(*(line for row in rows for line in _run_lines(*row))))


def _run_lines(run: RunInfo, results: Sequence[BenchmarkResult]) -> Iterator[Text]:
    """A run as a list, where a table has no room."""
    yield Text(f"{run.run_id}  {run.status}", style="bold")
    yield Text(f"  {run.created_at}  {run.suite}, {_attempts(results)} attempts")
    yield Text(f"  {run.model}")
    for head in _heads(run, results):
        yield Text(f"  {head}")


def _attempts(results: Sequence[BenchmarkResult]) -> int:
    return sum(result.attempts for result in results)


def _heads(run: RunInfo, results: Sequence[BenchmarkResult]) -> list[str]:
    """The headline of each benchmark with its denominators."""
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
    return found


SHOWN_OF_SETTING = 200
SAMPLING = ("top_p", "max_tokens", "samples", "limit", "limit_seed")


def show(home: Path | None, name: str, sample: str | None, *, failures: int, as_json: bool) -> None:
    """Prints a run, or the attempts at one task."""
    with opened(Home.find(home, to_write=False)) as queries:
        reader = Reader(queries)
        run = reader.run(name)
        if sample is None:
            results, skipped = reader.results(run.run_id), reader.skipped(run.run_id)
            failed = reader.failures(run.run_id, failures) if failures else []
            if as_json:
                print_json(_run_document(run, results, skipped))
            else:
                _print_run(run, results, skipped, failed)
            return
        attempts = list(reader.sample(run.run_id, sample))
    if not attempts:
        raise UsageError(f'run {run.run_id} has no attempt at "{sample}"; name a task id or benchmark/task id')
    if as_json:
        print_json([_attempt_document(attempt) for attempt in attempts])
        return
    for attempt in attempts:
        _print_attempt(attempt)


def _run_document(run: RunInfo, results: Sequence[BenchmarkResult], skipped: Mapping[str, str]) -> dict[str, Any]:
    return {
        "run_id": run.run_id,
        "suite": run.suite,
        "status": run.status,
        "created_at": run.created_at,
        "finished_at": run.finished_at,
        "model": run.model,
        "seeds": list(run.seeds),
        "git_commit": run.git_commit,
        "config": run.config,
        "environment": run.environment,
        "results": result_documents(results, skipped, run.status),
    }  # fmt: skip


def _print_run(
    run: RunInfo,
    results: Sequence[BenchmarkResult],
    skipped: Mapping[str, str],
    failed: Sequence[tuple[str, int, int, str, str | None]],
) -> None:
    console = out()
    settings = run.config.get("settings", {})
    machine = run.environment
    about: list[tuple[str, Any]] = [
        ("run", run.run_id),
        ("status", run.status),
        ("model", run.model),
        ("suite", run.suite),
        ("started", f"{run.created_at} UTC"),
        ("finished", f"{run.finished_at} UTC" if run.finished_at else "-"),
        ("seeds", ", ".join(map(str, run.seeds))),
        ("sampling", f"temperature {_temperatures(run)}, {_pairs(settings, SAMPLING)}"),
        *_asked_line(settings),
        ("stackbench", _own_version(run)),
        ("machine", f"{machine.get('cpu')}, {machine.get('cpus')} processors, {_gib(machine.get('memory_bytes'))}"),
        ("system", f"{machine.get('os')}, Python {machine.get('python')}"),
        ("GPUs", _gpus(machine)),
        ("sandbox", _pairs(machine.get("sandbox", {}), ("image", "id"), nothing="not used")),
        ("versions", _pairs(machine.get("packages", {}), tuple(machine.get("packages", {})))),
        *_model_lines(machine.get("model", {})),
    ]
    for name, value in about:
        console.print(Text.assemble((f"{name:>13}  ", "bold"), in_one_line(value)))
    console.print()
    console.print(results_table(results, categories=True))
    for result in results:
        if is_speed(result):
            console.print(speeds_table(result))
    own = sampling_not_set(settings.get("generation_config"), machine.get("model", {}))
    for line in [*caveat_lines(results, run.status), *sampling_lines(own), *skipped_lines(skipped)]:
        console.print(line)
    if failed:
        console.print(f"\nFailed attempts (the first {len(failed)}):")
        print_table(
            ["task", "attempt", "seed", "status", "reason"],
            [(task, n, seed, status, in_one_line(reason or "")[:100]) for task, n, seed, status, reason in failed],
            whole=["task"],
            or_list=True,
        )


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
    return ", ".join(f"{name} {values[name]}" for name in names if values.get(name) not in (None, {}, "")) or nothing


def _gib(size: int | None) -> str:
    return f"{(size or 0) / 2**30:.1f} GiB"


def _attempt_document(attempt: AttemptDetail) -> dict[str, Any]:
    key = attempt.key
    return {
        "benchmark": key.benchmark,
        "task_id": key.task_id,
        "attempt": key.attempt,
        "seed": key.seed,
        "category": attempt.category,
        "status": attempt.status,
        "score": attempt.score,
        "passed": attempt.passed,
        "error": attempt.error,
        "reason": attempt.reason,
        "prompt": attempt.prompt,
        "completion": attempt.completion,
        "prompt_tokens": attempt.prompt_tokens,
        "completion_tokens": attempt.completion_tokens,
        "finish_reason": attempt.finish_reason,
        "latency_s": attempt.latency_s,
        "metrics": attempt.metrics,
        "events": [{"kind": kind, "payload": payload} for kind, payload in attempt.events],
    }


def _print_attempt(attempt: AttemptDetail) -> None:
    console = out()
    key = attempt.key
    word, style = {True: ("passed", "green"), False: ("failed", "red"), None: ("error", "yellow")}[attempt.passed]
    console.print(
        Rule(
            Text(
                in_one_line(f"{key.benchmark} {key.task_id}  attempt {key.attempt}  seed {key.seed}: {word}"),
                style=style,
            )
        )
    )
    why = attempt.reason or attempt.error
    if why:
        console.print(Text(visible(why), style=style))
    console.print(
        f"{attempt.prompt_tokens} prompt tokens, {attempt.completion_tokens} completion tokens, "
        f"{attempt.latency_s:.2f} s"
    )
    if attempt.finish_reason == FinishReason.LENGTH:
        console.print(Text("an answer ended at its token limit", style="yellow"))
    pairs = [
        f"{name} {json.dumps(value)}" for name, value in attempt.metrics.items() if value not in (None, "", [], {})
    ]
    if pairs:
        console.print(Text(in_one_line(", ".join(pairs)), style="dim"))
    if has_transcript(attempt.events):
        console.print(Rule("task", align="left", style="dim"))
        console.print(Text(visible(_cut(attempt.prompt))))
        print_transcript(console, attempt.events)
        return
    for title, text in (("prompt", attempt.prompt), ("completion", attempt.completion)):
        console.print(Rule(title, align="left", style="dim"))
        console.print(Text(visible(_cut(text))))
    for kind, payload in attempt.events:
        console.print(Rule(Text(in_one_line(kind)), align="left", style="dim"))
        code = payload.get("code")
        if code:
            shown = visible(_cut(str(code)))
            console.print(Syntax(shown, "python", theme="ansi_dark", background_color="default", word_wrap=True))
        rest = {
            name: value
            for name, value in payload.items()
            if name not in ("code", "seed", "request") and value not in ("", [])
        }
        console.print(Text(_cut(in_one_line(json.dumps(rest, ensure_ascii=False)))))


def _cut(text: str) -> str:
    left = len(text) - SHOWN_IN_TERMINAL
    return text if left <= 0 else f"{text[:SHOWN_IN_TERMINAL]}\n... {left} more characters; --json shows all"


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
