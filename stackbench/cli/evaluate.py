"""`eval`, `--batch` and `score`: from flags to a run, from a run to the screen and the exit code."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from stackbench import nesting
from stackbench.cli.arguments import LATEST
from stackbench.cli.console import notice, out, print_json, print_json_line
from stackbench.cli.options import run_settings
from stackbench.cli.progress import Progress, make_progress
from stackbench.cli.run_end import exit_code, export_outcome, hand_on, home_option, resume_hint
from stackbench.cli.scoreboard import outcome_document, scoreboard
from stackbench.cli.several_models import carry_out_several, each_model
from stackbench.cli.stop_signals import INTERRUPTED, StopSignals
from stackbench.config import HIDDEN, Home, Settings, load_settings, read_texts
from stackbench.engine import (
    PACE,
    EngineService,
    RunOutcome,
    RunPlan,
    SampleFile,
    load_suite,
    plan_benchmarks,
    plan_suite,
    read_plan_samples,
    read_samples,
    replay_settings,
    write_results,
)
from stackbench.errors import HomeLockedError, StoreError, UsageError
from stackbench.labels import check_label, check_labels
from stackbench.models import parse_model_name
from stackbench.sandbox.launch import HeadStart
from stackbench.store import Reader, RunInfo, open_queries
from stackbench.types import RunStatus

__all__ = ["batch", "evaluate", "score"]


def evaluate(benchmarks: Sequence[str], flags: Mapping[str, Any]) -> int:
    """Runs named benchmarks, or resumes a run; returns the exit code."""
    home = Home.find(flags["home"])
    if flags["resume"]:
        return _resume(home, flags, benchmarks=benchmarks)
    if not benchmarks:
        raise UsageError('name a benchmark to run; "stackbench list benchmarks" shows them')
    options = _options(flags["benchmark_options"])
    if flags["scenarios"] is not None:
        if list(benchmarks) != ["tooluse"]:
            raise UsageError(
                "--scenarios goes with the benchmark tooluse alone: stackbench eval tooluse --scenarios DIR"
            )
        options["scenarios"] = str(flags["scenarios"].absolute())
    names = _names(flags["sample_ids"])
    plans = [plan_benchmarks(benchmarks, _settings(variant), names, options) for variant in each_model(flags)]
    return _run_all(home, plans, flags)


def batch(suite: str, flags: Mapping[str, Any]) -> int:
    """Runs a suite, or resumes a run; returns the exit code."""
    home = Home.find(flags["home"])
    if flags["resume"]:
        return _resume(home, flags, suite=suite)
    if flags["scenarios"] is not None:
        raise UsageError(
            "--scenarios goes with eval tooluse; in a suite it stands in its file, as an option of tooluse"
        )
    if flags["benchmark_options"]:
        raise UsageError("-T sets options of benchmarks named to eval; in a suite they stand in its file")
    suite = suite or "full"
    variants = each_model(flags, load_suite(suite)[1].models)
    names = _names(flags["sample_ids"])
    return _run_all(home, [plan_suite(suite, _settings(variant), names) for variant in variants], flags)


def score(
    path: Path,
    benchmark: str,
    flags: Mapping[str, Any],
    home: Home,
    settings: Settings,
    head_start: HeadStart | None,
) -> int:
    """Scores recorded samples and writes `FILE_results.jsonl`; returns the exit code."""
    samples = read_samples(path, benchmark, home)
    for line in samples.warnings():
        notice(f"stackbench: warning: {line}")
    plan = plan_benchmarks([benchmark], settings).model_copy(
        update={"suite": "score", "samples_file": str(path.absolute()), "samples_sha256": samples.sha256}
    )
    return _run(home, labelled(plan, flags), flags, samples=samples, head_start=head_start)


def _run_all(home: Home, plans: Sequence[RunPlan], flags: Mapping[str, Any]) -> int:
    """One run, or one for each of several models."""
    labels = [labelled(plan, flags) for plan in plans]
    if len(labels) == 1:
        return _run(home, labels[0], flags)
    for plan in labels:
        parse_model_name(plan.settings.model)
    return carry_out_several(home, labels, flags)


def _run(
    home: Home,
    plan: RunPlan,
    flags: Mapping[str, Any],
    *,
    samples: SampleFile | None = None,
    resume: str | None = None,
    head_start: HeadStart | None = None,
) -> int:
    if samples is None:
        parse_model_name(plan.settings.model)
    if flags["detach"]:
        return _detach(home, plan, flags, resume)
    if flags["wait"]:
        raise UsageError("--wait goes with --detach; without it the command waits anyway")
    progress = make_progress(quiet=bool(flags["quiet"]))
    left: list[dict[str, Any]] = []
    try:
        code = asyncio.run(_drive(home, plan, flags, progress, samples, resume, head_start, left))
    except HomeLockedError:
        if flags["no_queue"]:
            raise
        return _follow_queued(home, plan, flags, samples, resume)
    finally:
        hand_on(home, left)
    return code


async def _drive(
    home: Home,
    plan: RunPlan,
    flags: Mapping[str, Any],
    progress: Progress,
    samples: SampleFile | None,
    resume: str | None,
    head_start: HeadStart | None,
    left: list[dict[str, Any]],
) -> int:
    """Runs the plan in this process; `left` takes the runs that others put into its queue."""
    async with EngineService(home, listener=progress) as service:
        run = service.submit(plan, resume=resume, samples=samples, head_start=head_start, last=True)
        try:
            signals = StopSignals(
                run.stop, lambda: run.stopping, progress.say_stopping, lambda: _way_on(progress, flags)
            )
            with signals, progress:
                outcome = await run.outcome()
        except BaseException:  # whatever it was: a run that is recorded can be resumed
            if progress.run_id is not None:
                notice(resume_hint(progress.run_id, flags))
            raise
        finally:
            left += service.hand_over()
    code = _report(home, outcome, flags, samples)
    if code == INTERRUPTED:
        hand_on(home, left)
        # Threads of libraries may be deep in work that nobody waits for any more.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    return code


def _follow_queued(
    home: Home, plan: RunPlan, flags: Mapping[str, Any], samples: SampleFile | None, resume: str | None
) -> int:
    """Another process is the home's engine: the run waits in its queue and is followed here.

    Should that engine die, this process goes on with the run.
    """
    from stackbench.cli.follow import EngineLostError, submit_and_follow

    progress = make_progress(quiet=bool(flags["quiet"]))
    try:
        farewell = lambda run_id: resume_hint(run_id, flags)  # noqa: E731
        outcome = asyncio.run(submit_and_follow(home, plan.model_dump(mode="json"), resume, progress, farewell))
    except EngineLostError as lost:
        notice(f"the engine has ended; this process goes on with run {lost.run_id}")
        return _run(home, plan, flags, samples=samples, resume=lost.run_id)
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
    home = Home.find(option)

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
        notice(f"results written to {write_results(samples, outcome.run_id, home)}")
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


# -- resuming


def _resume(home: Home, flags: Mapping[str, Any], *, benchmarks: Sequence[str] = (), suite: str = "") -> int:
    variants = each_model(flags)
    if len(variants) > 1:
        raise UsageError("a run that is resumed has one model; leave -m out, or name one")
    if flags["run_name"] is not None or flags["run_tags"]:
        raise UsageError("a resumed run keeps its name and tags; change them with stackbench runs tag")
    flags = variants[0]
    given = _as_settings(run_settings(flags))
    run = _find_run(home, flags["resume"], benchmarks, suite, given)
    try:
        plan = RunPlan.model_validate(run.config)
    except ValueError as error:
        raise UsageError(f"run {run.run_id} was made by another version of stackbench and cannot be resumed") from error
    if benchmarks and set(benchmarks) != {part.name for part in plan.benchmarks}:
        names = ", ".join(part.name for part in plan.benchmarks)
        raise UsageError(f"run {run.run_id} is of {names}, not of {', '.join(benchmarks)}")
    if flags["sample_ids"] or flags["benchmark_options"] or flags["scenarios"]:
        raise UsageError("a resumed run keeps its tasks and options; leave --sample-ids, --scenarios and -T out")
    given = read_texts(given)
    for name, value in given.items():
        kept = getattr(plan.settings, name)
        if name not in PACE and value != kept:
            raise UsageError(
                f"run {run.run_id} has {name} {kept!r}, not {value!r}; a resumed run keeps what it measures: "
                "leave the option out, or start a new run"
            )
    pace = {name: value for name, value in given.items() if name in PACE}
    settings = Settings.model_validate({**plan.settings.model_dump(), **pace})
    hidden = [header.partition(":")[0] for header in settings.headers if header.endswith(f":{HIDDEN}")]
    if hidden:
        again = " ".join(f"--header {name}:VALUE" for name in hidden)
        raise UsageError(f"run {run.run_id} sends headers whose values are not recorded; give them again: {again}")
    plan = plan.model_copy(update={"settings": settings})
    return _run(home, plan, flags, samples=read_plan_samples(plan, home), resume=run.run_id)


def _as_settings(given: dict[str, Any]) -> dict[str, Any]:
    """The flags with their values as the settings have them. Raises ConfigError for one that is not valid."""
    if "extra_body" in given:
        given["extra_body"] = load_settings({"extra_body": given["extra_body"]}).settings.extra_body
    return given


def _find_run(home: Home, name: str, benchmarks: Sequence[str], suite: str, given: Mapping[str, Any]) -> RunInfo:
    """The run of that id, or the latest unfinished one that fits what else was said."""
    try:
        queries = open_queries(home.database, home.socket)
    except StoreError as error:
        raise UsageError(str(error)) from error
    try:
        reader = Reader(queries)
        if name != LATEST:
            return reader.run(name)
        for run in reader.unfinished():
            names = {part.get("name") for part in run.config.get("benchmarks", [])}
            if benchmarks and names != set(benchmarks):
                continue
            if (suite and run.suite != Path(suite).stem) or given.get("model", run.model) != run.model:
                continue
            return run
    finally:
        queries.close()
    raise UsageError('there is no unfinished run like that to resume; "stackbench runs" lists all')


# -- flags


def _settings(flags: Mapping[str, Any]) -> Settings:
    """A run's settings; of a replay only what the command line says, for the rest is as the replayed run has it."""
    given = run_settings(flags)
    settings = load_settings(given).settings
    return replay_settings(settings, given) if settings.model.startswith("replay:") else settings


def labelled(plan: RunPlan, flags: Mapping[str, Any]) -> RunPlan:
    """The plan with the name and the tags that the command line gives. Raises UsageError for one that cannot be."""
    name = check_label(flags["run_name"], "--name") if flags["run_name"] is not None else ""
    return plan.model_copy(update={"name": name, "tags": check_labels(flags["run_tags"] or (), "--tag")})


def _names(listed: str | None) -> list[str]:
    names = [name.strip() for name in (listed or "").split(",") if name.strip()]
    if listed is not None and not names:
        raise UsageError("--sample-ids names no task")
    return names


def _options(pairs: Sequence[str] | None) -> dict[str, Any]:
    """`-T name=value`; a value that reads as JSON (a number, true) is one, else text."""
    found: dict[str, Any] = {}
    for pair in pairs or ():
        name, equals, text = pair.partition("=")
        if not equals or not name:
            raise UsageError(f'-T {pair}: write it as name=value; "stackbench list benchmarks" shows the options')
        try:
            found[name.strip()] = nesting.loads(text)
        except ValueError:
            found[name.strip()] = text
    return found
