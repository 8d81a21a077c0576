"""`rerun`: the recorded configuration again, and what came out otherwise."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from stackbench.cli.console import out, print_json, print_table, shown
from stackbench.cli.differences import difference_lines
from stackbench.cli.driving import run_here
from stackbench.cli.history import opened
from stackbench.cli.run_end import exit_code
from stackbench.config import HIDDEN, Home
from stackbench.engine import RunOutcome, RunPlan, check_model_name, read_plan_samples
from stackbench.engine.setup_differences import setup_differences
from stackbench.errors import UsageError
from stackbench.report.repetition import RepeatedAttempt, Repetition, compare_repetition
from stackbench.store import Reader, RunInfo
from stackbench.types import AttemptStatus, AttemptSummary, RunStatus

__all__ = ["rerun"]


def rerun(home: Path | None, name: str, model: str | None, most: int, *, as_json: bool, quiet: bool) -> int:
    """Runs a recorded plan again and lists `most` differences (0: all); returns 1 where a greedy verdict differs.

    Raises:
        UsageError: there is no such run, another version made it, or its samples or headers are gone.
    """
    place = Home.find(home)
    with opened(place) as queries:
        run = Reader(queries).run(name)
    plan = _plan(run, model)
    samples = read_plan_samples(plan, place)
    if samples is None:
        check_model_name(plan.settings)
    flags: dict[str, Any] = {"as_json": as_json, "output": None, "home": home, "resume": None}
    outcome = asyncio.run(run_here(place, plan, flags, samples, quiet=quiet))
    code = exit_code(outcome, flags)
    if code == 3 or outcome.status is RunStatus.INTERRUPTED:
        return code
    with opened(place) as queries:
        reader = Reader(queries)
        again = reader.run(outcome.run_id)
        settings = setup_differences((run, again), [reader.planned(one.run_id) for one in (run, again)])
        found = compare_repetition(reader, run.run_id, outcome.run_id, [part.name for part in plan.benchmarks])
    greedy = {part.name for part in plan.benchmarks if plan.samples_file is not None or plan.temperature(part) == 0}
    if as_json:
        print_json(_document(run, outcome, found, greedy) | {"settings": {k: list(v) for k, v in settings.items()}})
    else:
        if settings:
            out().print("settings that differ")
            for line in difference_lines(settings, out().width):
                out().print(line)
        _print(run, outcome, found, most)
    return 1 if any(one.key.benchmark in greedy for one in found.other_verdicts) else 0


def _plan(run: RunInfo, model: str | None) -> RunPlan:
    try:
        plan = RunPlan.model_validate(run.config)
    except ValueError as error:
        raise UsageError(
            f"run {run.run_id} was made by another version of stackbench and cannot be run again"
        ) from error
    hidden = [header.partition(":")[0] for header in plan.settings.headers if header.endswith(f":{HIDDEN}")]
    if hidden:
        raise UsageError(
            f"run {run.run_id} sent headers whose values are not recorded ({', '.join(hidden)}); run it with eval"
        )
    settings = plan.settings.model_copy(update={"model": model or plan.settings.model})
    return plan.model_copy(update={"settings": settings, "name": "", "tags": (), "gates": ()})


def _print(run: RunInfo, outcome: RunOutcome, found: Repetition, most: int) -> None:
    verdicts = found.attempts - len(found.other_verdicts)
    said = f"of {found.attempts} attempts {found.same_answers} have the same answer and {verdicts} the same verdict"
    style = "yellow" if found.differing else "green"
    out().print(shown(f"run {outcome.run_id} repeats {run.run_id}: {said}", style))
    listed = sorted(found.differing, key=lambda one: one.same_verdict)[: most or None]
    if listed:
        print_table(
            ["task", "attempt", "seed", "first", "second", "answer"], [_row(one) for one in listed], or_list=True
        )
    if len(listed) < len(found.differing):
        out().print(f"... {len(found.differing) - len(listed)} more; --tasks 0 shows all")


def _row(one: RepeatedAttempt) -> tuple[str, ...]:
    key = one.key
    answer = "same" if one.same_answer else "differs"
    return (
        f"{key.benchmark} {key.task_id}",
        str(key.attempt),
        str(key.seed),
        _word(one.first),
        _word(one.second),
        answer,
    )


def _word(attempt: AttemptSummary | None) -> str:
    if attempt is None:
        return "not made"
    if attempt.status is AttemptStatus.ERROR:
        return "error"
    word = "passed" if attempt.passed else "failed"
    return word if attempt.score in (0.0, 1.0) else f"{word}, score {attempt.score:g}"


def _document(run: RunInfo, outcome: RunOutcome, found: Repetition, greedy: set[str]) -> dict[str, Any]:
    return {
        "run_id": outcome.run_id,
        "repeats": run.run_id,
        "status": outcome.status,
        "greedy": sorted(greedy),
        "attempts": found.attempts,
        "same_answers": found.same_answers,
        "same_verdicts": found.attempts - len(found.other_verdicts),
        "differing": [
            {
                "benchmark": one.key.benchmark,
                "task_id": one.key.task_id,
                "attempt": one.key.attempt,
                "seed": one.key.seed,
                "first": _word(one.first),
                "second": _word(one.second),
                "same_answer": one.same_answer,
            }
            for one in found.differing
        ],
    }
