"""Shards: a run's tasks dealt out to several machines, and their runs merged into one."""

from __future__ import annotations

import hashlib
import itertools
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from stackbench.benchmarks import SpeedBenchmark
from stackbench.config import Home, changeable_on_resume
from stackbench.datasets import DatasetStore
from stackbench.engine.completeness import Figures, sum_up
from stackbench.engine.home_lock import HomeLock
from stackbench.engine.outcome import RunOutcome, recorded_outcome
from stackbench.engine.plan import RunPlan
from stackbench.engine.run_order import utc_now
from stackbench.engine.work import LoadedBenchmark, load_benchmarks, planned_attempts, planned_rows
from stackbench.errors import UsageError
from stackbench.store import FreshQueries, Queries, Reader, RunInfo, RunRow, Writer, open_queries
from stackbench.store.copying import CopiedAttempt, read_copies
from stackbench.types import AttemptKey, RunStatus

__all__ = ["Merged", "check_shard", "merge_shards", "shard_of"]

SHARD = re.compile(r"(\d{1,6})/(\d{1,6})")
SUFFIX = "-merged"
MERGED = "merged"
"""The key of a merged run's environment that tells what it was made from."""


@dataclass(frozen=True, slots=True)
class Merged:
    """What a merge came to."""

    outcome: RunOutcome
    added: int
    """Attempts that the merged run did not have before."""
    shards: Sequence[str]
    missing: Sequence[str]
    """Shards that no source has."""


def check_shard(written: str) -> str:
    """`2/8`, the second of eight, as it is kept. Raises UsageError for what is none."""
    found = SHARD.fullmatch(written.strip())
    number, count = (int(part) for part in found.groups()) if found else (0, 0)
    if not 1 <= number <= count:
        raise UsageError(f'--shard "{written}": write I/N, the I-th of N shards, such as 1/8 to 8/8')
    return f"{number}/{count}"


def shard_of(items: Sequence[LoadedBenchmark], shard: str) -> tuple[list[LoadedBenchmark], dict[str, str]]:
    """The shard's part of each benchmark's tasks, dealt out one by one; and the benchmarks of which it has none.

    Benchmarks of speed are the first shard's: a part of a load is another load.
    """
    number, count = (int(part) for part in shard.split("/"))
    kept: list[LoadedBenchmark] = []
    skipped: dict[str, str] = {}
    for item in items:
        if isinstance(item.benchmark, SpeedBenchmark):
            tasks = item.tasks if number == 1 else ()
        else:
            tasks = item.tasks[number - 1 :: count]
        if tasks:
            kept.append(replace(item, tasks=tuple(tasks)))
        else:
            skipped[item.plan.name] = f"shard {shard} has none of its {len(item.tasks)} tasks"
    return kept, skipped


def merge_shards(home: Home, sources: Sequence[Path]) -> Merged:
    """Merges the newest sharded run of each source, a home's folder, into a run of this home; blocks.

    Each attempt is recorded once, whatever is merged how often: a completed one stays as it is, one that ended in an
    error gives way to a completed one.

    Raises:
        UsageError: a source has no such run, one goes on still, or they are not shards of one run.
        HomeLockedError: an engine of this home is live.
    """
    opened: list[tuple[Path, Queries]] = []
    try:
        for source in {path.resolve(): path for path in sources}.values():
            opened.append((source, _open(source)))
        found = [(source, queries, run) for source, queries in opened for run in _shard_runs(source, queries)]
        key = _same_run(found)
        lock = HomeLock(home.lock)
        lock.acquire()
        try:
            writer = Writer(home.database)
            try:
                return _merge(home, writer, key, [(queries, run) for _, queries, run in found])
            finally:
                writer.close()
        finally:
            lock.release()
    finally:
        for _, queries in opened:
            queries.close()


# -- the sources


def _open(source: Path) -> Queries:
    home = Home(source.parent if source.name == "stackbench.duckdb" else source)
    if not home.database.is_file():
        raise UsageError(f"{source} has no stackbench.duckdb; name the homes that the shards were run in")
    queries = open_queries(home.database, home.socket)
    if not queries.at_rest:
        queries.close()
        raise UsageError(f"an engine is live in {source}; merge when its run has ended")
    return queries


def _shard_runs(source: Path, queries: Queries) -> list[RunInfo]:
    """The newest sharded run, and other shards of the same run."""
    runs = [run for run in Reader(queries).runs(1000) if run.config.get("shard")]
    if not runs:
        raise UsageError(f"{source} has no run of a shard; run each part with --shard I/N")
    key = _key(runs[0])
    return [run for run in runs if _key(run) == key]


def _same_run(found: Sequence[tuple[Path, Queries, RunInfo]]) -> str:
    (first, _, run), *others = found
    key, model = _key(run), dict(run.environment.get("model") or {}).get("sha256")
    for source, _, other in others:
        if _key(other) != key:
            raise UsageError(f"{source} (run {other.run_id}) is no shard of the same run as {first} (run {run.run_id})")
        its = dict(other.environment.get("model") or {}).get("sha256")
        if model and its and its != model:
            raise UsageError(f"{source} was run with other files of {run.model} than {first}: {its[:12]}, {model[:12]}")
    return key


def _key(run: RunInfo) -> str:
    """Names what a run measures, whichever shard of it: sha256."""
    document = json.loads(json.dumps(dict(run.config)))
    count = str(document.pop("shard", "")).partition("/")[2]
    for name in changeable_on_resume():
        document.get("settings", {}).pop(name, None)
    for name in ("name", "tags"):
        document.pop(name, None)
    return hashlib.sha256(json.dumps([document, run.model, count], sort_keys=True).encode()).hexdigest()


# -- the merged run


def _merge(home: Home, writer: Writer, key: str, runs: Sequence[tuple[Queries, RunInfo]]) -> Merged:
    reader = Reader(FreshQueries(writer.cursor))
    first = min((run for _, run in runs), key=lambda run: run.created_at)
    plan = RunPlan.model_validate({**first.config, "shard": ""})
    loaded, skipped = load_benchmarks(plan, DatasetStore.of_home(home), None)
    skipped = {**skipped, **_skipped_by_all(runs, [item.plan.name for item in loaded])}
    loaded = [item for item in loaded if item.plan.name not in skipped]
    shards = sorted({str(run.config["shard"]) for _, run in runs}, key=lambda shard: int(shard.split("/")[0]))
    of = int(shards[0].split("/")[1])
    run_id = next((run.run_id for run in reader.runs(100_000) if _is_merged(run, key, of)), "")
    environment = {**first.environment, MERGED: {"key": key, "shards": shards}}
    if not run_id:
        run_id = f"{first.run_id}{SUFFIX}"
        writer.start_run(
            RunRow(run_id, plan.suite, utc_now(), first.model, plan.model_dump(mode="json"), plan.settings.seeds,
                   first.git_commit, environment),
            planned_rows(plan, loaded, skipped, None),
        )  # fmt: skip
    added = _copy(writer, reader, run_id, runs)
    if added or reader.run(run_id).status != RunStatus.COMPLETED:
        _finish(writer, reader, run_id, plan, loaded, environment)
    outcome = recorded_outcome(reader, reader.run(run_id))
    missing = [f"{number}/{of}" for number in range(1, of + 1) if f"{number}/{of}" not in shards]
    return Merged(outcome, added, shards, missing)


def _is_merged(run: RunInfo, key: str, of: int) -> bool:
    """Whether a run was merged from so many shards of that run; also one that was resumed since."""
    whole = run.run_id.endswith(SUFFIX) and not run.config.get("shard")
    return whole and _key(replace(run, config={**run.config, "shard": f"1/{of}"})) == key


def _skipped_by_all(runs: Sequence[tuple[Queries, RunInfo]], names: Sequence[str]) -> dict[str, str]:
    """Benchmarks that no shard could run, with the reason of the first."""
    each = [Reader(queries).skipped(run.run_id) for queries, run in runs]
    return {name: each[0][name] for name in names if all(name in skipped for skipped in each)}


def _copy(writer: Writer, reader: Reader, run_id: str, runs: Sequence[tuple[Queries, RunInfo]]) -> int:
    """Records what the merged run does not have; how many attempts that were."""
    done = set(reader.done(run_id))
    held = done | {key for key, _ in reader.verdicts(run_id).items()}
    seq = itertools.count(reader.last_seq(run_id) + 1)
    added = 0
    for queries, run in runs:
        for attempt in read_copies(queries, run.run_id):
            if attempt.key in done or (attempt.key in held and not attempt.completed):
                continue
            if attempt.key in held:
                writer.flush()
                writer.take_back(run_id, [attempt.key])
            writer.copy_attempt(*_rows(run_id, attempt, seq))
            held.add(attempt.key)
            if attempt.completed:
                done.add(attempt.key)
            added += 1
    writer.flush()
    return added


def _rows(run_id: str, attempt: CopiedAttempt, seq: Any) -> tuple[Any, ...]:
    key: AttemptKey = attempt.key
    where = (run_id, key.benchmark, key.task_id, key.attempt, key.seed)
    events = [(*where, next(seq), *event) for event in attempt.events]
    calls = [(*where, *call) for call in attempt.tool_calls]
    return (run_id, *attempt.row), events, calls, attempt.texts


def _finish(
    writer: Writer,
    reader: Reader,
    run_id: str,
    plan: RunPlan,
    loaded: Sequence[LoadedBenchmark],
    environment: dict[str, Any],
) -> None:
    """Computes the figures over all attempts; a run that lacks some can be resumed."""
    figures: dict[str, Figures] = {}
    whole = True
    done = reader.done(run_id)
    for item in loaded:
        planned = planned_attempts(plan, item, None)
        summaries = reader.summaries(run_id, item.plan.name)
        figures[item.plan.name] = sum_up(item.benchmark, summaries, planned, "no shard has made the others")
        whole = whole and done.attempts[item.plan.name] >= sum(planned.values())
    errors = sum(1 for item in loaded for one in reader.summaries(run_id, item.plan.name) if one.key not in done)
    attempts = errors + len(done)
    failed = bool(attempts) and errors / attempts > plan.settings.max_error_rate
    status = RunStatus.FAILED if failed else RunStatus.COMPLETED if whole else RunStatus.INTERRUPTED
    writer.finish_run(
        run_id,
        status,
        utc_now(),
        {name: found.metrics for name, found in figures.items()},
        environment,
        lower_bounds={name: found.lower_bounds for name, found in figures.items()},
        missing={name: found.missing for name, found in figures.items()},
    )
