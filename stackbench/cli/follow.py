"""Follows a run of an engine in another process: `attach`, and `eval` where an engine is live already."""

from __future__ import annotations

import asyncio
import shlex
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from stackbench.cli.ended_runs import ended_line, find_ended
from stackbench.cli.progress import Progress
from stackbench.cli.stop_signals import StopSignals
from stackbench.config import Home
from stackbench.control.client import EngineClient, connect
from stackbench.control.messages import BenchmarkStarted, Event, Missed, Notice, RunFinished, RunStarted
from stackbench.engine.home_lock import holder_of
from stackbench.engine.outcome import RunOutcome, recorded_outcome
from stackbench.engine.service import outcome_adapter
from stackbench.errors import EngineUnreachableError, RunFailedError, StackbenchError, StoreError, UsageError
from stackbench.store import Reader, open_queries
from stackbench.types import RunStatus

__all__ = ["EngineEndedError", "EngineLostError", "choose_run", "follow_run", "submit_and_follow"]

ANOTHER_ENGINE_WITHIN_S = 5.0
LISTENS_WITHIN_S = 10.0
AGAIN_EVERY_S = 0.2


class EngineEndedError(EngineUnreachableError):
    """The engine that held the home has ended before it took the run."""


class EngineLostError(RunFailedError):
    """The engine ended before the run did, and no other took its queue over."""

    def __init__(self, home: Home, run_id: str) -> None:
        super().__init__(
            f"the engine of {home.path} has ended before run {run_id} did; to go on: stackbench eval --resume {run_id} "
            f"--home {shlex.quote(str(home.path))}"
        )
        self.run_id = run_id


async def submit_and_follow(
    home: Home, plan: dict[str, Any], resume: str | None, progress: Progress, farewell: Callable[[str], str]
) -> RunOutcome:
    """Puts a run into the live engine's queue and follows it; Ctrl-C takes it back or stops it, and a second one leaves
    at once, with what `farewell` says of the run of that id.

    Raises:
        EngineUnreachableError: no engine answers.
        UsageError: the engine refused the run.
    """
    client = await _connect_to_starting(home)
    try:
        answer = await client.command("submit", who="eval", plan=plan, resume=resume)
        return await follow_run(home, answer["run_id"], progress, client=client, farewell=farewell)
    finally:
        await client.close()


async def _connect_to_starting(home: Home) -> EngineClient:
    """An engine holds the home's lock before it listens: until it does, it is tried again."""
    loop = asyncio.get_running_loop()
    give_up_at = loop.time() + LISTENS_WITHIN_S
    while True:
        try:
            return await connect(home.socket, "eval")
        except EngineUnreachableError as error:
            if holder_of(home.lock) is None:
                raise EngineEndedError(str(error)) from error
            if loop.time() >= give_up_at:
                raise
        await asyncio.sleep(0.05)


async def follow_run(
    home: Home,
    run_id: str,
    progress: Progress,
    *,
    client: EngineClient | None = None,
    farewell: Callable[[str], str] | None = None,
) -> RunOutcome:
    """Shows a run until it ends. When its engine ends before, the engine that goes on with the queue is waited for.

    `farewell`, where the run was asked for here: Ctrl-C stops the run, a second one leaves with these words. Otherwise
    Ctrl-C ends the watching alone, with asyncio.CancelledError.

    Raises:
        RunFailedError: the run could not be run, or its engine was killed.
    """
    watcher = _Watcher(home, run_id, progress)
    if farewell is not None:
        with StopSignals(watcher.stop, lambda: False, progress.say_stopping, lambda: farewell(run_id)):
            return await watcher.outcome(client)
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    assert task is not None
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, task.cancel)
    try:
        return await watcher.outcome(client)
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


class _Watcher:
    def __init__(self, home: Home, run_id: str, progress: Progress) -> None:
        self._home = home
        self._run_id = run_id
        self._progress = progress
        self._client: EngineClient | None = None
        self._begun: set[str] = set()
        self._stopping: asyncio.Task[None] | None = None

    def stop(self) -> None:
        """Asks the engine to end the run."""
        if self._client is not None and self._stopping is None:
            self._stopping = asyncio.create_task(self._stop(self._client))

    async def _stop(self, client: EngineClient) -> None:
        try:
            await client.command("stop", who="eval", run=self._run_id)
        except StackbenchError as error:
            self._progress(self._run_id, Notice(text=str(error)))
        finally:
            self._stopping = None

    async def outcome(self, client: EngineClient | None) -> RunOutcome:
        """Shows the run until it ends, whichever engine carries it out."""
        with self._progress:
            outcome = None if client is None else await self.watch(client)
            while outcome is None:  # without a client too: the run may have ended with its engine meanwhile
                outcome = await self.watch_next_engine()
            return outcome

    async def watch(self, client: EngineClient | None) -> RunOutcome | None:
        """The outcome; None when the engine ended before the run did."""
        own = client is None
        connected = client or await connect(self._home.socket, "watcher")
        self._client = connected
        try:
            runs = await connected.command("runs")
            if own and not any(run["run_id"] == self._run_id for run in runs):
                outcome = await asyncio.to_thread(self._recorded)
                if outcome is None:
                    raise EngineUnreachableError(f"this engine has no run {self._run_id}")
                return outcome
            since = await self._catch_up(connected, runs)
            async for event in connected.events(since=since, run_id=self._run_id, text=False):
                outcome = self._take(event)
                if outcome is not None:
                    return outcome
            return None
        finally:
            self._client = None
            if own:
                await connected.close()

    async def watch_next_engine(self) -> RunOutcome | None:
        """After its engine ended: the outcome from the database, or the watch of the engine that took over."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + ANOTHER_ENGINE_WITHIN_S
        while True:
            try:
                return await self.watch(None)
            except EngineUnreachableError:
                outcome = await asyncio.to_thread(self._recorded)
                if outcome is not None:
                    return outcome
            if loop.time() > deadline:
                raise EngineLostError(self._home, self._run_id)
            await asyncio.sleep(AGAIN_EVERY_S)

    async def _catch_up(self, client: EngineClient, runs: list[dict[str, Any]]) -> int:
        """Shows where the run stands; the sequence number from which events are news."""
        if not runs or runs[0]["run_id"] != self._run_id or runs[0]["state"] != "running":
            return client.welcome.seq
        try:
            status = await client.command("status", who="watcher")
        except UsageError:  # its model loads, or it has just ended: events tell of either
            return client.welcome.seq
        if status["run_id"] != self._run_id:
            return client.welcome.seq
        self._progress(self._run_id, RunStarted(suite=status["suite"], model=status["model"]))
        for row in status["benchmarks"]:
            self._begun.add(row["benchmark"])
            made = row["before"] + row["done"]
            self._progress(
                self._run_id,
                BenchmarkStarted(benchmark=row["benchmark"], total=row["total"], done=made, passed=row["passed"]),
            )
        return int(status["next_seq"])

    def _take(self, event: Event | Missed) -> RunOutcome | None:
        if isinstance(event, Missed):
            return None
        if isinstance(event.what, RunFinished) and event.run_id == self._run_id:
            if event.what.error:
                error = RunFailedError(event.what.error)
                error.exit_code = event.what.exit_code
                raise error
            return outcome_adapter.validate_python(event.what.outcome)
        self._progress(event.run_id, event.what)
        return None

    def _recorded(self) -> RunOutcome | None:
        """What the database says, once the run has ended."""
        try:
            queries = open_queries(self._home.database, self._home.socket)
        except StoreError:
            return None
        try:
            run = Reader(queries).run(self._run_id)
            if run.status not in (RunStatus.COMPLETED, RunStatus.FAILED):
                return None
            return recorded_outcome(Reader(queries), run)
        except (UsageError, StoreError):
            return None
        finally:
            queries.close()


async def choose_run(home: Home, name: str | None, option: Path | None = None) -> str:
    """The id of the run to follow: by its id or the start of it, its name or tag; without one, the live run.

    `option` is the home as the command line gave it.

    Raises:
        UsageError: none is live, or none is named so; of one that has ended, how it did.
        EngineUnreachableError: no engine answers.
    """
    try:
        client = await connect(home.socket, "attach")
    except EngineUnreachableError as error:
        ended = await asyncio.to_thread(find_ended, home, name)
        if ended is None:
            raise
        line = ended_line(ended, option)
        raise UsageError(line if name else f"no run is live; the newest {line}") from error
    try:
        runs: list[dict[str, Any]] = await client.command("runs")
    finally:
        await client.close()
    if name is None:
        if not runs:
            raise UsageError('no run is live; "stackbench runs" lists those that ended')
        return str(runs[0]["run_id"])
    found = [run["run_id"] for run in runs if run["run_id"].startswith(name) or name in (run["name"], *run["tags"])]
    if not found and (ended := find_ended(home, name)) is not None:
        raise UsageError(ended_line(ended, option))
    if len(found) != 1:
        listed = ", ".join(run["run_id"] for run in runs) or "none"
        what = "names several runs" if found else "is no live or queued run"
        raise UsageError(f'"{name}" {what}; live and queued: {listed}')
    return str(found[0])
