"""Verifies a run, or the bundle that was published of it: every number, by paths that the publisher did not take."""

from __future__ import annotations

import secrets
import tempfile
from pathlib import Path

from stackbench.config import Home
from stackbench.engine import RunPlan
from stackbench.errors import UsageError
from stackbench.report.bundle import BundleProblem, unpack_bundle
from stackbench.store import LocalQueries, Reader, open_database, open_queries
from stackbench.store.chain_audit import ChainAudit, audit_chain
from stackbench.store.run_tables import load_tables, write_tables
from stackbench.verification.figures import recompute
from stackbench.verification.provenance import check_provenance
from stackbench.verification.reexecution import execute_again
from stackbench.verification.verdicts import Check, Verification

__all__ = ["verify"]

MOST_TASKS = 20
"""Tasks of a benchmark that are executed again, unless the verifier says otherwise."""


async def verify(
    home: Home,
    name: str,
    *,
    seed: int | None = None,
    most_tasks: int = MOST_TASKS,
    head: str = "",
) -> Verification:
    """Verifies a run by its name, or a bundle by its path.

    Args:
        seed: draws the sample of verdicts; unset, a random one that nobody could know before. It is told, so that a
            verification can be repeated.
        most_tasks: of each benchmark, to execute again; 0: none.
        head: the chain's last hash as somebody noted it when the run ended; empty: it is not known.

    Raises:
        UsageError: there is no such run or bundle, or it holds no run.
    """
    drawn = secrets.randbits(32) if seed is None else seed
    with tempfile.TemporaryDirectory(prefix="stackbench-verify-") as folder:
        scratch = Home(Path(folder) / "home", home.data_extra)
        scratch.path.mkdir(mode=0o700)
        checks = _fetch(home, name, scratch, Path(folder))
        queries = LocalQueries(open_database(scratch.database, read_only=True))
        try:
            reader = Reader(queries)
            run = reader.runs(1)
            if not run:
                raise UsageError(f"{name} holds no run")
            run_id = run[0].run_id
            audit = audit_chain(queries, run_id)
            checks += _chain_checks(audit, head, run[0].status)
            plan = _plan(run[0].run_id, run[0].config)
            figures, more = recompute(queries, run_id, plan)
            checks += more
            checks += check_provenance(run[0], reader.planned(run_id), home)
        finally:
            queries.close()
        again, more = (
            await execute_again(scratch, run_id, plan, most_tasks, drawn) if most_tasks else ([], [_skipped()])
        )
        return Verification(run_id, run[0].model, name, audit.head, drawn, [*checks, *more], figures, again)


def _fetch(home: Home, name: str, scratch: Home, folder: Path) -> list[Check]:
    """Puts the run's rows into the scratch home; for a bundle, checks its files against its manifest."""
    tables = folder / "tables"
    checks: list[Check] = []
    if Path(name).exists():
        tables, problems = unpack_bundle(Path(name), folder)
        checks = [_bundle_check(one) for one in problems] or [
            Check("bundle", "files", "ok", "as its manifest lists them")
        ]
    else:
        queries = open_queries(home.database, home.socket)
        try:
            run_id = Reader(queries).run(name).run_id
            write_tables(queries, run_id, tables)
        finally:
            queries.close()
    load_tables(tables, scratch.database)
    return checks


def _bundle_check(problem: BundleProblem) -> Check:
    return Check("bundle", problem.path, "failed", problem.what)


def _chain_checks(audit: ChainAudit, head: str, status: str) -> list[Check]:
    checks = [Check("chain", "attempts", "failed", problem) for problem in audit.problems]
    if not checks:
        checks.append(Check("chain", "attempts", "ok", f"{audit.entries} entries, the last {audit.head[:16]}"))
    if audit.entries and not audit.sealed:
        outcome = "failed" if status == "completed" else "unchecked"
        checks.append(Check("chain", "end", outcome, f"the run ({status}) does not end with an entry of its end"))
    if head and head.lower() != audit.head:
        why = f"the chain ends with {audit.head[:16] or 'nothing'}, it was noted to end with {head[:16]}"
        checks.append(Check("chain", "noted hash", "failed", why))
    elif head:
        checks.append(Check("chain", "noted hash", "ok", head[:16]))
    return checks


def _plan(run_id: str, config: object) -> RunPlan:
    try:
        return RunPlan.model_validate(config)
    except ValueError as error:
        raise UsageError(
            f"run {run_id} was made by another version of stackbench, which can read its settings; verify it there"
        ) from error


def _skipped() -> Check:
    return Check("verdicts", "executed again", "unchecked", "none was asked for (--tasks 0)")
