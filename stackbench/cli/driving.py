"""From a planned run to the screen and the exit code: in this process, queued in a live engine, or detached."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from stackbench.cli.console import notice, out, print_json, print_json_line
from stackbench.cli.progress import Progress, make_progress
from stackbench.cli.run_end import exit_code, export_outcome, home_option, leave_interrupted, resume_hint
from stackbench.cli.scoreboard import outcome_document, scoreboard
from stackbench.cli.stop_signals import INTERRUPTED, StopSignals
from stackbench.config import Home
from stackbench.engine import (
    HeadStart,
    RunOutcome,
    RunPlan,
    SampleFile,
    SubmittedRun,
    check_model_name,
    run_plan,
    write_results,
)
from stackbench.errors import HomeLockedError, UsageError
from stackbench.store import Reader, open_queries
from stackbench.types import RunStatus

__all__ = ["attach", "carry_out", "run_here", "run_to_end"]


def carry_out(
    home: Home,
    plan: RunPlan,
    flags: Mapping[str, Any],
    *,
    samples: SampleFile | None = None,
    resume: str | None = None,
    head_start: HeadStart | None = None,
) -> int:
    """Carries a plan out, or what is left of the run `resume`; returns the exit code."""
    if samples is None:
        check_model_name(plan.settings)
    if flags["output"] is not None:
        from stackbench.report.export import check_folder

        check_folder(flags["output"], resume)
    if flags["detach"]:
        return _detach(home, plan, flags, resume)
    if flags["wait"]:
        raise UsageError("--wait goes with --detach; without it the command waits anyway")
    progress = make_progress(quiet=bool(flags["quiet"]))
    try:
        return asyncio.run(_drive(home, plan, flags, progress, samples, resume, head_start))
    except HomeLockedError:
        if flags["no_queue"]:
            raise
        return _follow_queued(home, plan, flags, samples, resume)


async def _drive(
    home: Home,
    plan: RunPlan,
    flags: Mapping[str, Any],
    progress: Progress,
    samples: SampleFile | None,
    resume: str | None,
    head_start: HeadStart | None,
) -> int:
    """Runs the plan in this process and reports it."""
    outcome = await _run(home, plan, flags, progress, samples, resume, head_start)
    code = _report(home, outcome, flags, samples)
    if code == INTERRUPTED:
        leave_interrupted()
    return code


def run_to_end(home: Home, plan: RunPlan, flags: Mapping[str, Any], *, resume: str | None = None) -> RunOutcome:
    """Carries a plan out, here or in the queue of a live engine, and reports nothing but progress.

    A run that is interrupted here is reported, and ends the process.

    Raises:
        StackbenchError: it could not begin, or the database failed under it.
    """

    async def drive() -> RunOutcome:
        progress = make_progress(quiet=bool(flags["quiet"]))
        outcome = await _run(home, plan, flags, progress, None, resume, None)
        if outcome.status is RunStatus.INTERRUPTED:
            _report(home, outcome, flags, None)
            leave_interrupted()
        return outcome

    check_model_name(plan.settings)
    try:
        return asyncio.run(drive())
    except HomeLockedError:
        if flags["no_queue"]:
            raise
    from stackbench.cli.follow import EngineEndedError, EngineLostError, submit_and_follow

    try:
        progress = make_progress(quiet=bool(flags["quiet"]))
        document = plan.model_dump(mode="json")
        return asyncio.run(submit_and_follow(home, document, resume, progress, lambda name: resume_hint(name, flags)))
    except EngineLostError as lost:
        notice(f"the engine has ended; this process goes on with run {lost.run_id}")
        return run_to_end(home, plan, flags, resume=lost.run_id)
    except EngineEndedError:
        return run_to_end(home, plan, flags, resume=resume)


async def run_here(
    home: Home, plan: RunPlan, flags: Mapping[str, Any], samples: SampleFile | None, *, quiet: bool
) -> RunOutcome:
    """Runs a plan in this process, with its progress, and reports nothing.

    Raises:
        HomeLockedError: another process is the home's engine.
    """
    return await _run(home, plan, flags, make_progress(quiet=quiet), samples, None, None)


async def _run(
    home: Home,
    plan: RunPlan,
    flags: Mapping[str, Any],
    progress: Progress,
    samples: SampleFile | None,
    resume: str | None,
    head_start: HeadStart | None,
) -> RunOutcome:
    @contextmanager
    def watching(run: SubmittedRun) -> Iterator[None]:
        signals = StopSignals(run.stop, lambda: run.stopping, progress.say_stopping, lambda: _way_on(progress, flags))
        try:
            with signals, progress:
                yield
        except BaseException:  # whatever it was: a run that is recorded can be resumed
            if progress.run_id is not None:
                notice(resume_hint(progress.run_id, flags))
            raise

    return await run_plan(
        home, plan, progress, resume=resume, samples=samples, head_start=head_start, watching=watching
    )


def _follow_queued(
    home: Home, plan: RunPlan, flags: Mapping[str, Any], samples: SampleFile | None, resume: str | None
) -> int:
    """Another process is the home's engine: the run waits in its queue and is followed here.

    Should that engine die, this process goes on with the run.
    """
    from stackbench.cli.follow import EngineEndedError, EngineLostError, submit_and_follow

    progress = make_progress(quiet=bool(flags["quiet"]))
    try:

        def farewell(run_id: str) -> str:
            return resume_hint(run_id, flags)

        outcome = asyncio.run(submit_and_follow(home, plan.model_dump(mode="json"), resume, progress, farewell))
    except EngineLostError as lost:
        notice(f"the engine has ended; this process goes on with run {lost.run_id}")
        return carry_out(home, plan, flags, samples=samples, resume=lost.run_id)
    except EngineEndedError:
        return carry_out(home, plan, flags, samples=samples, resume=resume)  # it has ended: the home is free
    if samples is not None and outcome.status is RunStatus.COMPLETED:
        queries = open_queries(home.database, home.socket)
        try:
            write_results(samples, outcome.run_id, Reader(queries))
        finally:
            queries.close()
    return _report(home, outcome, flags, samples)


def _detach(home: Home, plan: RunPlan, flags: Mapping[str, Any], resume: str | None) -> int:
    """Prints one line of JSON once the engine can be reached; with --wait another when the run is done."""
    from stackbench.cli.detach import detach

    if flags["output"] is not None and not flags["wait"]:
        raise UsageError("--output with --detach needs --wait; or export the run later: stackbench export RUN --to DIR")
    started = detach(home, plan, resume)
    print_json_line(started)
    if not flags["wait"]:
        return 0
    from stackbench.cli.follow import follow_run

    progress = make_progress(quiet=True)
    try:
        outcome = asyncio.run(follow_run(home, started["run_id"], progress))
    except asyncio.CancelledError:
        return INTERRUPTED
    export_outcome(home, outcome, flags)
    print_json_line(outcome_document(outcome))
    return exit_code(outcome, flags)


def attach(option: Path | None, name: str | None, *, as_json: bool, quiet: bool) -> int:
    """Follows a live or queued run of the home `option` from this terminal; Ctrl-C leaves it alone."""
    from stackbench.cli.follow import choose_run, follow_run

    flags: dict[str, Any] = {"as_json": as_json, "output": None, "home": option, "resume": name}
    home = Home.find(option, to_write=False)

    async def follow() -> RunOutcome:
        run_id = await choose_run(home, name, option)
        return await follow_run(home, run_id, make_progress(quiet=quiet))

    try:
        outcome = asyncio.run(follow())
    except (asyncio.CancelledError, KeyboardInterrupt):
        notice("stackbench: detached; the run goes on")
        return INTERRUPTED
    return _report(home, outcome, flags, None)


def _report(home: Home, outcome: RunOutcome, flags: Mapping[str, Any], samples: SampleFile | None) -> int:
    if samples is not None and outcome.status is RunStatus.COMPLETED:
        notice(f"results written to {samples.results_path}")
    export_outcome(home, outcome, flags)
    if flags["as_json"]:
        print_json(outcome_document(outcome))
    elif outcome.status is not RunStatus.INTERRUPTED or outcome.results:
        name = "last" if not flags.get("resume") else outcome.run_id
        lines = [f"database {home.database}", f"next: stackbench show {name}{home_option(flags)}"]
        out().print(scoreboard(outcome, lines), crop=False)
    return exit_code(outcome, flags)


def _way_on(progress: Progress, flags: Mapping[str, Any]) -> str:
    """The last line of a run that is left in the middle."""
    return "stackbench: interrupted" if progress.run_id is None else resume_hint(progress.run_id, flags)
