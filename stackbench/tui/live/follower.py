"""Keeps what is known of a run up to date: its engine's events while one has it, the database otherwise."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from stackbench.control.answers import RunNow, WhyNow
from stackbench.control.client import EngineClient
from stackbench.control.messages import Missed, OperatorAction
from stackbench.control.verbs import change_line
from stackbench.errors import EngineUnreachableError, StackbenchError, StoreError, UsageError
from stackbench.store import BenchmarkResult, Labels, Queries, Reader, RunInfo
from stackbench.store.load_rows import read_load
from stackbench.store.run_log import LoggedEvent, read_log, read_status
from stackbench.tui.engine_link import EngineLink
from stackbench.tui.live.live_run import READINGS_KEPT, LiveRun, LogLine
from stackbench.types import RunStatus

__all__ = ["Recorded", "follow", "read_name", "read_recorded"]

LOOK_EVERY_S = 1.0
ATTACH_WITHIN_S = 30.0
LOG_LINES = 500


@dataclass(frozen=True, slots=True)
class Recorded:
    """A run as the database has it."""

    info: RunInfo
    results: tuple[BenchmarkResult, ...]
    skipped: dict[str, str]
    load: list[dict[str, float | None]]
    log: list[LogLine]


async def follow(link: EngineLink, run: LiveRun) -> None:
    """Until cancelled. An engine that ends is waited for again: another one may go on with the run."""
    adopted: object = None
    while True:
        now = await link.engine()
        mine = next((one for one in now.runs if one.run_id == run.run_id), None)
        if mine is not None:
            if mine.state == "queued":
                run.suite, run.model, run.phase, run.position = mine.suite, mine.model, "queued", mine.position
                run.version += 1
            elif not run.phase or run.ended:
                run.suite, run.model, run.phase, run.ended = mine.suite, mine.model, mine.phase, False
                run.version += 1
            with suppress(EngineUnreachableError, UsageError):  # it ended as we attached: looked at again
                await _watch(link, run)
        elif now.state in ("none", "dead", "live"):
            state = (now.state, link.written)
            if state != adopted or not run.ended:  # the file is left alone while nothing changes in it
                with suppress(StoreError):  # an engine has just begun or ended: looked at again
                    await _adopt_recorded(link, run)
                    adopted = state
        else:
            run.phase, run.error = "hung", f"the engine (process {now.pid}) does not answer"
            run.version += 1
        await asyncio.sleep(LOOK_EVERY_S)


async def _watch(link: EngineLink, run: LiveRun) -> None:
    """One engine's part of the run, to the end of the run, of the engine, or to a change that events do not tell."""
    async with link.connection() as client:
        since = await _attach(client, run)
        with suppress(StackbenchError):
            run.adopt_load(await link.read(lambda queries: read_load(queries, run.run_id, READINGS_KEPT)))
        async for event in client.events(since=since, run_id=run.run_id, text=False):
            run.take(event)
            if run.ended:
                return
            if isinstance(event, Missed) or (isinstance(event.what, OperatorAction) and event.what.verb == "requeue"):
                return  # counts no longer follow from events: attached to anew


async def _attach(client: EngineClient, run: LiveRun) -> int:
    """Adopts the engine's state; the sequence number from which events are news."""
    async with asyncio.timeout(ATTACH_WITHIN_S):
        try:
            now = RunNow.model_validate(await client.command("status"))
        except UsageError:
            return client.welcome.seq  # it waits in the queue, or its model loads
        if now.run_id != run.run_id:
            return client.welcome.seq
        run.position = None
        run.adopt(now)
        run.adopt_attempts(WhyNow.model_validate(await client.command("why")).attempts)
        return now.next_seq


async def _adopt_recorded(link: EngineLink, run: LiveRun) -> None:
    """No engine has the run: it has ended, or its engine was killed."""
    found = await link.read(lambda queries: read_status(queries, run.run_id))
    if found is None:
        return
    phase = "dead" if found.status in (RunStatus.RUNNING, RunStatus.QUEUED) else found.status
    if phase != run.phase or not run.ended:
        run.suite, run.model, run.phase, run.ended, run.position = found.suite, found.model, phase, True, None
        run.error = found.problem
        run.under_way.clear()
        run.version += 1


def read_recorded(queries: Queries, run_id: str) -> Recorded:
    """Raises UsageError where there is no such run."""
    reader = Reader(queries)
    info = reader.run(run_id)
    log = [_line(event) for event in read_log(queries, run_id, LOG_LINES)]
    if info.problem:
        log.append(LogLine(str(info.finished_at)[11:19], f"run failed: {info.problem}", important=True))
    return Recorded(
        info,
        tuple(reader.results(run_id)),
        reader.skipped(run_id),
        [dict(reading) for reading in read_load(queries, run_id, READINGS_KEPT)],
        log,
    )


def read_name(queries: Queries, run_id: str) -> str:
    """What the user calls a run; empty where it has no name."""
    return Reader(queries).labels().get(run_id, Labels()).name


def _line(event: LoggedEvent) -> LogLine:
    payload, at = event.payload, event.ts[11:19]
    if event.kind == "notice":
        return LogLine(at, str(payload.get("text", "")))
    arguments: dict[str, Any] = payload.get("arguments") or {}
    changed = change_line(str(payload.get("verb")), arguments, payload.get("old"), payload.get("new"))
    return LogLine(at, f"operator ({payload.get('who') or 'unnamed'}): {changed}", important=True)
