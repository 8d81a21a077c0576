"""Several models in one command: a run each in the queue of one engine, compared at the end."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from stackbench.cli.console import notice, out, print_json
from stackbench.cli.model_comparison import ModelScore, comparison_document, print_comparison, read_comparison
from stackbench.cli.progress import Progress, make_progress
from stackbench.cli.run_end import exit_code, export_outcome, home_option, leave_interrupted, resume_hint
from stackbench.cli.scoreboard import outcome_document, scoreboard
from stackbench.cli.stop_signals import INTERRUPTED, StopSignals
from stackbench.config import Home
from stackbench.control.client import connect
from stackbench.control.messages import EventKind, RunQueued
from stackbench.engine import RunOutcome, RunPlan, SubmittedRun, check_model_name, foreground_engine
from stackbench.errors import HomeLockedError, StackbenchError, StoreLockedError, UsageError
from stackbench.types import RunStatus

__all__ = ["carry_out_several", "each_model"]

FREE_WITHIN_S = 10.0
AGAIN_EVERY_S = 0.1

Run = tuple[RunPlan, str | None]
"""A plan, and the id of the run of it that is recorded already."""


@dataclass(frozen=True, slots=True)
class RunEnd:
    """How one of the runs ended: its outcome, or why there is none."""

    run_id: str
    model: str
    outcome: RunOutcome | None = None
    error: str = ""
    code: int = 3

    def document(self) -> dict[str, Any]:
        if self.outcome is not None:
            return outcome_document(self.outcome)
        return {"run_id": self.run_id, "status": RunStatus.FAILED.value, "model": self.model, "error": self.error}


def each_model(flags: Mapping[str, Any], otherwise: Sequence[str] = ()) -> list[dict[str, Any]]:
    """The command line once for each model that it names, each model once; without one, for those of `otherwise`.

    Raises:
        UsageError: several models and a name for one run.
    """
    models = list(dict.fromkeys(flags["model"] or otherwise)) or [None]
    if len(models) > 1 and flags["run_name"] is not None:
        raise UsageError(f"--name is the name of one run, and {len(models)} models are {len(models)} runs; use --tag")
    return [{**flags, "model": model} for model in models]


def carry_out_several(home: Home, plans: Sequence[RunPlan], flags: Mapping[str, Any]) -> int:
    """Carries out a run for each plan, one after the other, and compares them; returns the exit code.

    A run that cannot begin or fails leaves the others alone.
    """
    for plan in plans:
        check_model_name(plan.settings)
    if flags["detach"]:
        return _detach(home, plans, flags)
    if flags["wait"]:
        raise UsageError("--wait goes with --detach; without it the command waits anyway")
    runs: list[Run] = [(plan, None) for plan in plans]
    try:
        ends = asyncio.run(_drive(home, runs, flags))
    except HomeLockedError:
        if flags["no_queue"]:
            raise
        ends = _follow(home, runs, flags)
    code = _say_end(home, ends, flags)
    if code == INTERRUPTED:
        leave_interrupted()
    return code


class _Screens:
    """Listens to an engine, and shows the run that is looked at; what the others do is kept until it is their turn."""

    def __init__(self, flags: Mapping[str, Any]) -> None:
        self._flags = flags
        self._lock = threading.RLock()
        self._kept: dict[str, list[EventKind]] = defaultdict(list)
        self._current: tuple[str, Progress] | None = None

    def __call__(self, run_id: str, event: EventKind) -> None:
        with self._lock:
            current = self._current
            if current is not None and run_id in ("", current[0]):
                current[1](run_id, event)
            elif run_id and not isinstance(event, RunQueued):
                self._kept[run_id].append(event)

    @contextmanager
    def show(self, run_id: str) -> Iterator[None]:
        with make_progress(quiet=bool(self._flags["quiet"])) as progress:
            with self._lock:
                self._current = (run_id, progress)
                for event in self._kept.pop(run_id, []):
                    progress(run_id, event)
            try:
                yield
            finally:
                with self._lock:
                    self._current = None

    def say_stopping(self) -> None:
        """May be called from a signal handler."""
        current = self._current
        if current is not None:
            current[1].say_stopping()


async def _drive(home: Home, runs: Sequence[Run], flags: Mapping[str, Any]) -> list[RunEnd]:
    """In an engine of this process."""
    screens = _Screens(flags)
    ends: list[RunEnd] = []
    async with foreground_engine(home, screens) as service:
        submitted = [await service.submit_plan(plan, run_id=None, resume=resume) for plan, resume in runs]
        submitted[-1].last = True

        def stop() -> None:
            for run in submitted:
                if run in service.queue:
                    service.drop(run)
                elif not run.ended.done():
                    run.stop()

        def farewell() -> str:
            return "; ".join(resume_hint(run.run_id, flags) for run in submitted if not run.ended.done())

        with StopSignals(stop, lambda: False, screens.say_stopping, farewell):
            for run in submitted:
                with screens.show(run.run_id):
                    end = await _end_of(run)
                ends.append(_shown(home, end, flags))
    return ends


async def _end_of(run: SubmittedRun) -> RunEnd:
    model = run.order.plan.settings.model
    try:
        return RunEnd(run.run_id, model, await run.outcome())
    except StackbenchError as error:
        return RunEnd(run.run_id, model, error=str(error), code=error.exit_code)


def _follow(home: Home, runs: Sequence[Run], flags: Mapping[str, Any]) -> list[RunEnd]:
    """Another process is the home's engine: the runs wait in its queue and are followed here, one after the other.

    Should that engine die, this process goes on with what is left.
    """
    from stackbench.cli.follow import EngineLostError, follow_run

    async def submit() -> list[str]:
        client = await connect(home.socket, "eval")
        try:
            return [
                (await client.command("submit", who="eval", plan=plan.model_dump(mode="json"), resume=resume))["run_id"]
                for plan, resume in runs
            ]
        finally:
            await client.close()

    async def stop(run_ids: Sequence[str]) -> None:
        client = await connect(home.socket, "eval")
        try:
            for run_id in run_ids:
                await client.command("stop", who="eval", run=run_id)
        finally:
            await client.close()

    run_ids = asyncio.run(submit())
    ends: list[RunEnd] = []
    for number, (run_id, (plan, _)) in enumerate(zip(run_ids, runs, strict=True)):
        progress = make_progress(quiet=bool(flags["quiet"]))
        try:
            outcome = asyncio.run(follow_run(home, run_id, progress, farewell=lambda name: resume_hint(name, flags)))
        except EngineLostError:
            notice(f"the engine has ended; this process goes on with run {run_id} and those behind it")
            rest = [(plan, name) for name, (plan, _) in list(zip(run_ids, runs, strict=True))[number:]]
            return ends + asyncio.run(_drive(home, rest, flags))
        except StackbenchError as error:
            end = RunEnd(run_id, plan.settings.model, error=str(error), code=error.exit_code)
        else:
            end = RunEnd(run_id, plan.settings.model, outcome)
        ends.append(_shown(home, end, flags))
        if end.outcome is not None and end.outcome.status is RunStatus.INTERRUPTED:
            asyncio.run(stop(run_ids[number + 1 :]))
            for name, (other, _) in list(zip(run_ids, runs, strict=True))[number + 1 :]:
                dropped = RunOutcome(name, RunStatus.INTERRUPTED, other.settings.model, 0.0)
                ends.append(RunEnd(name, other.settings.model, dropped))
            break
    return ends


def _detach(home: Home, plans: Sequence[RunPlan], flags: Mapping[str, Any]) -> int:
    """A line of JSON for each run once its engine can be reached; with --wait another when all are done."""
    from stackbench.cli.console import print_json_line
    from stackbench.cli.detach import detach
    from stackbench.cli.follow import follow_run

    if flags["output"] is not None and not flags["wait"]:
        raise UsageError("--output with --detach needs --wait; or export later: stackbench export RUN --to DIR")
    started = [detach(home, plan, None) for plan in plans]
    for one in started:
        print_json_line(one)
    if not flags["wait"]:
        return 0
    ends: list[RunEnd] = []
    for one, plan in zip(started, plans, strict=True):
        run_id, model = str(one["run_id"]), plan.settings.model
        try:
            outcome = asyncio.run(follow_run(home, run_id, make_progress(quiet=True)))
        except asyncio.CancelledError:
            return INTERRUPTED
        except StackbenchError as error:
            ends.append(RunEnd(run_id, model, error=str(error), code=error.exit_code))
        else:
            _export(home, outcome, flags)
            ends.append(RunEnd(run_id, model, outcome))
    print_json_line(_document(home, ends))
    return _code(ends, flags)


def _shown(home: Home, end: RunEnd, flags: Mapping[str, Any]) -> RunEnd:
    """Prints how a run ended, once it has."""
    if end.outcome is None:
        notice(f"stackbench: error: {end.model}: {end.error}")
        return end
    _export(home, end.outcome, flags)
    if not flags["as_json"] and end.outcome.results:
        again = f"next: stackbench show {end.run_id}{home_option(flags)}"
        out().print(scoreboard(end.outcome, [again]), crop=False)
        out().print()
    return end


def _export(home: Home, outcome: RunOutcome, flags: Mapping[str, Any]) -> None:
    """Each run's files in a folder of their own."""
    if flags["output"] is not None:
        export_outcome(home, outcome, {**flags, "output": flags["output"] / outcome.run_id})


def _say_end(home: Home, ends: Sequence[RunEnd], flags: Mapping[str, Any]) -> int:
    if flags["as_json"]:
        print_json(_document(home, ends))
    else:
        print_comparison(_compared(home, ends))
    return _code(ends, flags)


def _document(home: Home, ends: Sequence[RunEnd]) -> dict[str, Any]:
    return {"runs": [end.document() for end in ends], "comparison": comparison_document(_compared(home, ends))}


def _compared(home: Home, ends: Sequence[RunEnd]) -> list[ModelScore]:
    """The runs side by side; an engine that has just ended may hold the database for another moment."""
    deadline = time.monotonic() + FREE_WITHIN_S
    while True:
        try:
            return read_comparison(home, [(end.run_id, end.model) for end in ends])
        except StoreLockedError:
            if time.monotonic() > deadline:
                raise
            time.sleep(AGAIN_EVERY_S)


def _code(ends: Sequence[RunEnd], flags: Mapping[str, Any]) -> int:
    """Of all runs together: interrupted, else failed, else a gate not reached; 2 where none could begin."""
    codes = [end.code if end.outcome is None else exit_code(end.outcome, flags) for end in ends]
    if INTERRUPTED in codes:
        return INTERRUPTED
    if all(code == 2 for code in codes):
        return 2
    return 3 if 2 in codes or 3 in codes else max(codes)
