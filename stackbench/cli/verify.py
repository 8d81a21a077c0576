"""`verify`: a run, or the bundle that was published of it, verified by a second person."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

from stackbench.cli.console import fits, make_table, notice, out, print_json, print_table, shown
from stackbench.config import Home
from stackbench.verification.verdicts import Figure, Outcome, Verification
from stackbench.verification.verify import verify as work

__all__ = ["verification_document", "verify"]

COLUMNS = ("what", "of", "found", "detail")
STYLES: dict[Outcome, str] = {"ok": "green", "failed": "red", "differs": "yellow", "unchecked": "dim"}


def verify(home: Path | None, name: str, tasks: int, seed: int | None, head: str, *, as_json: bool) -> int:
    """Prints what was found; the exit code: 1 where something is not as published.

    Raises:
        UsageError: there is no such run or bundle.
    """
    found = asyncio.run(work(Home.find(home, to_write=False), name, seed=seed, most_tasks=tasks, head=head))
    if as_json:
        print_json(verification_document(found))
    else:
        _print(found)
    for line in found.failed:
        notice(f"stackbench: verify: {line}")
    return 0 if found.passed else 1


def _print(found: Verification) -> None:
    out().print(shown(f"run {found.run_id}  {found.model}", "bold"))
    out().print(shown(f"chain {found.head or 'none'}"))
    table = make_table(COLUMNS, [(one.area, one.name, one.outcome, one.detail) for one in found.checks])
    if fits(table):
        out().print(table)
    else:
        for one in found.checks:
            out().print(shown(f"{one.outcome:<9}  {one.area}: {one.name}", STYLES[one.outcome]))
            if one.detail:
                out().print(shown(f"           {one.detail}"))
    if found.figures:
        print_table(
            ["benchmark", "metric", "published", "NumPy", "SQL", ""],
            [_figure_row(one) for one in found.figures],
            right=["published", "NumPy", "SQL"],
            or_list=True,
        )
    if found.reexecuted:
        print_table(
            ["benchmark", "outcome", "executed again", "other verdict"],
            _strata(found),
            right=["executed again", "other verdict"],
            or_list=True,
        )
        out().print(shown(f"the sample was drawn with --seed {found.seed}", "dim"))
    if found.passed:
        out().print(shown("verified: nothing is other than published", "green"))
    else:
        out().print(shown(f"NOT verified: {len(found.failed)} things are other than published", "red"))
    out().print("\nverified by ____________________   date ____________   signature ____________________")


def _figure_row(figure: Figure) -> tuple[str, ...]:
    name = f"{figure.metric}/{figure.category}" if figure.category else figure.metric
    numbers = ("" if value is None else f"{value:.6g}" for value in (figure.published, figure.numpy, figure.sql))
    return (figure.benchmark, name, *numbers, figure.problem or "ok")


def _strata(found: Verification) -> list[tuple[str, ...]]:
    """Counts of what was executed again, by benchmark and outcome."""
    counts = Counter((one.benchmark, one.stratum) for one in found.reexecuted)
    other = Counter((one.benchmark, one.stratum) for one in found.reexecuted if one.problem)
    return [(*key, str(count), str(other[key])) for key, count in sorted(counts.items())]


def verification_document(found: Verification) -> dict[str, Any]:
    """For JSON."""
    return {
        "run_id": found.run_id,
        "model": found.model,
        "source": found.source,
        "passed": found.passed,
        "chain": found.head or None,
        "seed": found.seed,
        "failed": found.failed,
        "checks": [asdict(one) for one in found.checks],
        "figures": [asdict(one) for one in found.figures],
        "reexecuted": [asdict(one) for one in found.reexecuted],
    }
