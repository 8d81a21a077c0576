"""`runs rm` and `runs tag`: what is done to recorded runs afterwards, by the engine that holds the database."""

from __future__ import annotations

import asyncio
import getpass
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import typer

from stackbench.cli.console import notice, out, print_json, print_line
from stackbench.cli.history import opened
from stackbench.config import Home
from stackbench.control.client import connect
from stackbench.control.messages import Command
from stackbench.engine import EngineService
from stackbench.engine.deletion import remove_run
from stackbench.errors import EngineUnreachableError, UsageError
from stackbench.labels import check_label, check_labels
from stackbench.plurals import number_of
from stackbench.store import Labels, Reader, RunInfo
from stackbench.types import RunStatus
from stackbench.visible_text import in_one_line

__all__ = ["merge", "remove", "tag"]


def remove(home: Path | None, names: Sequence[str], *, yes: bool) -> int:
    """Removes runs for good, after a question; 1 where the answer is no.

    Raises:
        UsageError: there is no such run, it is live or queued, or nobody can be asked.
    """
    place = Home.find(home)
    with opened(place) as queries:
        reader = Reader(queries)
        runs = list({run.run_id: run for run in (reader.run(name) for name in names)}.values())
        labels = reader.labels()
        counts = {run.run_id: sum(result.attempts for result in reader.results(run.run_id)) for run in runs}
    for run in runs:
        if run.status in (RunStatus.RUNNING, RunStatus.QUEUED):
            raise UsageError(f"run {run.run_id} is {run.status}; end it first: stackbench ctl stop --run {run.run_id}")
    if not yes:
        for run in runs:
            notice(_described(run, labels.get(run.run_id, Labels()), counts[run.run_id]))
        if not sys.stdin.isatty():
            raise UsageError("nobody can be asked whether to remove that for good; add --yes")
        what = "this run" if len(runs) == 1 else f"these {len(runs)} runs"
        if not typer.confirm(f"Remove {what} for good, with all attempts and files?", err=True):
            notice("nothing was removed")
            return 1
    for run in runs:
        asyncio.run(remove_run(place, run.run_id, who=f"runs ({getpass.getuser()})"))
        print_line(f"removed {run.run_id}")
    return 0


def merge(home: Path | None, sources: Sequence[Path], *, as_json: bool) -> int:
    """Merges the shards in other homes into a run of this one and prints its results; the exit code: of the run.

    Raises:
        UsageError: the homes do not hold shards of one run.
        HomeLockedError: an engine of this home is live.
    """
    from stackbench.cli.run_end import exit_code
    from stackbench.cli.scoreboard import outcome_document, scoreboard
    from stackbench.engine.shards import merge_shards

    place = Home.find(home)
    found = merge_shards(place, sources)
    if found.missing:
        notice(f"no source has shard {', '.join(found.missing)}")
    flags = {"home": home, "output": None}
    if as_json:
        merged = {"added": found.added, "shards": list(found.shards), "missing": list(found.missing)}
        print_json({**outcome_document(found.outcome), "merged": merged})
    else:
        lines = [
            f"merged {len(found.shards)} shards: {found.added} attempts that were not there yet",
            f"next: stackbench show {found.outcome.run_id}" + (f" --home {home}" if home else ""),
        ]
        out().print(scoreboard(found.outcome, lines), crop=False)
    return exit_code(found.outcome, flags)


def tag(
    home: Path | None, run: str, tags: Sequence[str], *, name: str | None, without: Sequence[str], as_json: bool
) -> None:
    """Gives a run tags and a name (empty: none), or takes tags away; prints what it has then.

    Raises:
        UsageError: there is no such run, a label cannot be one, or another run has the name.
    """
    place = Home.find(home)
    if not tags and name is None and not without:
        raise UsageError("name a tag, --name NAME or --remove TAG")
    given = {
        "tags": list(check_labels(tags, "tag")),
        "without": list(without),
        "name": name if not name else check_label(name, "name"),
    }
    with opened(place) as queries:
        run_id = Reader(queries).run(run).run_id
    asyncio.run(_label(place, run=run_id, **given))
    with opened(place) as queries:
        labels = Reader(queries).labels().get(run_id, Labels())
    if as_json:
        from stackbench.cli.console import print_json

        print_json({"run_id": run_id, "name": labels.name or None, "tags": list(labels.tags)})
        return
    print_line(f"{run_id}  name {labels.name or '-'}  tags {', '.join(labels.tags) or '-'}")


async def _label(home: Home, **arguments: Any) -> None:
    """By the live engine, else by one of this process's."""
    who = f"runs ({getpass.getuser()})"
    try:
        client = await connect(home.socket, "runs")
    except EngineUnreachableError:
        async with EngineService(home) as service:
            await service.command(Command(id=1, verb="label", arguments=arguments, who=who))
        return
    try:
        await client.command("label", who=who, **arguments)
    finally:
        await client.close()


def _described(run: RunInfo, labels: Labels, attempts: int) -> str:
    called = " ".join(filter(None, (labels.name, *(f"#{tag}" for tag in labels.tags))))
    parts = [run.run_id, called, run.status, f"{run.created_at} UTC", run.model, number_of(attempts, "attempt")]
    return in_one_line("  ".join(part for part in parts if part))
