"""`--batch` of a suite with stages: smoke, the run, report, verification; called again, it finishes what is left."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from stackbench.cli.console import notice, out, print_json
from stackbench.cli.driving import run_to_end
from stackbench.cli.run_end import exit_code, export_outcome, home_option
from stackbench.cli.scoreboard import outcome_document, scoreboard
from stackbench.config import Home, changeable_on_resume
from stackbench.engine import RunOutcome, RunPlan
from stackbench.engine.outcome import recorded_outcome
from stackbench.engine.run_order import utc_now
from stackbench.engine.suite import BatchStages
from stackbench.errors import StackbenchError, StoreError
from stackbench.store import Reader, RunInfo, open_queries
from stackbench.types import RunStatus

__all__ = ["Batch", "missed_gates_of", "run_batch", "state_path"]

VERIFIED_TASKS = 20
"""Of each benchmark, executed again."""


@dataclass(frozen=True, slots=True)
class Batch:
    """How far a batch is; kept in the home until it has ended."""

    began: str
    """When its first stage began, as `runs.created_at` has it."""
    smoke: str = ""
    """The run of the suite that comes first, once it went through."""


def run_batch(home: Home, plan: RunPlan, smoke: RunPlan | None, stages: BatchStages, flags: Mapping[str, Any]) -> int:
    """Carries out the stages of one model's batch; returns the exit code: of the run, else 1 where it is not verified.

    Raises:
        StackbenchError: a stage could not be begun.
    """
    path = state_path(home, plan)
    batch = _read(path)
    if batch is None:
        batch = Batch(f"{utc_now():%Y-%m-%d %H:%M:%S}")
        _write(path, batch)
    else:
        notice(f"batch of {plan.suite}: going on with what was begun at {batch.began}")
    run = _recorded(home, plan, batch)
    if smoke is not None and not batch.smoke and run is None:
        notice(f"stage 1 of 4: {smoke.suite}")
        outcome = run_to_end(home, smoke, flags)
        code = exit_code(outcome, flags)
        missed, own = [gate.name for gate in outcome.gates if not gate.passed], missed_gates_of(smoke, outcome)
        if code == 1 and not own:
            notice(
                f"stackbench: {smoke.suite} went through, but misses bounds that benchmarks have by themselves "
                f"({', '.join(missed)}): stackbench show {outcome.run_id}{home_option(flags)}"
            )
        elif code:
            if own:
                notice(f"stackbench: {smoke.suite} misses {', '.join(own)}")
            _show(home, outcome, flags, {})
            notice(f"stackbench: {smoke.suite} did not go through, so that {plan.suite} was not begun")
            return code
        batch = replace(batch, smoke=outcome.run_id)
        _write(path, batch)
    notice(f"stage 2 of 4: {plan.suite}")
    outcome = _run(home, plan, run, flags)
    code = exit_code(outcome, flags)
    if outcome.status is RunStatus.INTERRUPTED:
        _show(home, outcome, flags, {})
        return code
    more: dict[str, Any] = {"smoke": batch.smoke} if batch.smoke else {}
    if outcome.attempts:
        if stages.report:
            notice("stage 3 of 4: report")
            more["report"] = _report(home, outcome.run_id, flags)
        if stages.verify:
            notice("stage 4 of 4: verification")
            more["verification"] = _verify(home, outcome.run_id)
    _show(home, outcome, flags, more)
    if outcome.status is RunStatus.COMPLETED:
        path.unlink(missing_ok=True)
    failed = more.get("verification", {}).get("failed", [])
    for line in failed:
        notice(f"stackbench: verify: {line}")
    return code or int(bool(failed))


def missed_gates_of(plan: RunPlan, outcome: RunOutcome) -> list[str]:
    """The gates of a plan's own that its run does not keep. A benchmark's own bounds are not among them: they are of
    what its scores are worth, not of whether it can be run."""
    own = {gate.name for gate in plan.gates}
    return [gate.name for gate in outcome.gates if not gate.passed and gate.name in own]


# -- what there is already


def state_path(home: Home, plan: RunPlan) -> Path:
    """By what the run measures: how fast it goes may change from call to call."""
    document = plan.model_dump(mode="json")
    for name in changeable_on_resume():
        document["settings"].pop(name, None)
    for name in ("name", "tags"):
        document.pop(name, None)
    digest = hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()
    return home.path / "batches" / f"{plan.suite}-{digest[:16]}.json"


def _read(path: Path) -> Batch | None:
    try:
        return Batch(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def _write(path: Path, batch: Batch) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".fresh")
    fresh.write_text(json.dumps(asdict(batch)), encoding="utf-8")
    fresh.replace(path)


def _recorded(home: Home, plan: RunPlan, batch: Batch) -> RunInfo | None:
    """The newest run of this plan since the batch began."""
    try:
        queries = open_queries(home.database, home.socket)
    except StoreError:
        return None
    try:
        for run in Reader(queries).runs(1000):
            if run.suite == plan.suite and run.created_at >= batch.began and _is_of(home, plan, run):
                return run
    finally:
        queries.close()
    return None


def _is_of(home: Home, plan: RunPlan, run: RunInfo) -> bool:
    try:
        recorded = RunPlan.model_validate(run.config)
    except ValueError:
        return False
    return state_path(home, recorded) == state_path(home, plan)


def _run(home: Home, plan: RunPlan, run: RunInfo | None, flags: Mapping[str, Any]) -> RunOutcome:
    """The run's outcome: made, finished, or as it is recorded."""
    if run is None:
        return run_to_end(home, plan, flags)
    if run.status != RunStatus.COMPLETED:
        return run_to_end(home, plan, flags, resume=run.run_id)
    notice(f"run {run.run_id} is complete already")
    queries = open_queries(home.database, home.socket)
    try:
        return recorded_outcome(Reader(queries), run)
    finally:
        queries.close()


# -- the stages after the run


def _report(home: Home, run_id: str, flags: Mapping[str, Any]) -> dict[str, Any]:
    from stackbench.cli.report import collected
    from stackbench.report.write_report import ReportWriter

    folder = (flags["output"] or home.run(run_id)) / "report"
    try:
        writer = ReportWriter(collected(home.path, [run_id]), folder, ())
        files = [str(path) for path in writer.write()]
    except StackbenchError as error:  # the run stands, whatever becomes of its report
        notice(f"stackbench: the report was not written: {error}")
        return {"folder": str(folder), "files": [], "error": str(error)}
    for line in writer.left_out:
        notice(f"left out: {line}")
    return {"folder": str(folder), "files": files, "left_out": list(writer.left_out)}


def _verify(home: Home, run_id: str) -> dict[str, Any]:
    from stackbench.cli.verify import verification_document
    from stackbench.verification.verify import verify

    try:
        found = asyncio.run(verify(home, run_id, seed=None, most_tasks=VERIFIED_TASKS, head=""))
    except StackbenchError as error:
        return {"passed": False, "failed": [str(error)]}
    document = verification_document(found)
    path = home.run(run_id) / "verification.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=1, default=str), encoding="utf-8")
    return {"passed": found.passed, "failed": list(found.failed), "file": str(path)}


def _show(home: Home, outcome: RunOutcome, flags: Mapping[str, Any], more: Mapping[str, Any]) -> None:
    export_outcome(home, outcome, flags)
    if flags["as_json"]:
        print_json({**outcome_document(outcome), **more})
        return
    if not outcome.results and not outcome.skipped:
        return
    lines = [f"database {home.database}", f"next: stackbench show {outcome.run_id}{home_option(flags)}"]
    if "report" in more:
        lines.insert(0, f"report {more['report']['folder']}: {len(more['report']['files'])} files")
    if "verification" in more:
        found = more["verification"]
        said = "nothing is other than recorded" if found["passed"] else f"{len(found['failed'])} things are otherwise"
        lines.insert(0, f"verified: {said}")
    out().print(scoreboard(outcome, lines), crop=False)
