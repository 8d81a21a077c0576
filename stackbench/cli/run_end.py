"""What is done and said when a run has ended: its exports, its exit code, and how it can be gone on with."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping
from typing import Any, NoReturn

from stackbench.cli.console import notice
from stackbench.cli.gate_lines import gate_lines
from stackbench.cli.stop_signals import INTERRUPTED
from stackbench.config import Home
from stackbench.engine import RunOutcome
from stackbench.types import RunStatus

__all__ = ["exit_code", "export_outcome", "home_option", "leave_interrupted", "resume_hint"]


def exit_code(outcome: RunOutcome, flags: Mapping[str, Any]) -> int:
    """The code of the contract, with the line that belongs to it."""
    if outcome.status is RunStatus.INTERRUPTED:
        notice("stackbench: interrupted" if not outcome.recorded else resume_hint(outcome.run_id, flags))
        return INTERRUPTED
    if outcome.status is RunStatus.FAILED:
        errors = sum(result.errors for result in outcome.results)
        problem = outcome.problem or (
            f"{errors} of {outcome.attempts} attempts ended in errors ({outcome.error_rate:.1%}), "
            f"the last: {outcome.last_error}"
        )
        notice(f"stackbench: error: {problem}; {resume_hint(outcome.run_id, flags)}")
        return 3
    missed = [gate for gate in outcome.gates if not gate.passed]
    if flags.get("as_json"):  # the scoreboard has them otherwise; a log of CI has standard error alone
        for line in gate_lines(missed, outcome.results):
            notice(f"stackbench: {line.plain}")
    return 1 if missed else 0


def export_outcome(home: Home, outcome: RunOutcome, flags: Mapping[str, Any]) -> None:
    """The run's files, where `--output` asks for them."""
    if flags["output"] is not None and outcome.attempts:
        from stackbench.cli.history import export_run

        export_run(home, outcome.run_id, flags["output"])


def leave_interrupted() -> NoReturn:
    """Ends this process at once: threads of libraries may be deep in work that nobody waits for any more."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(INTERRUPTED)


def resume_hint(run_id: str, flags: Mapping[str, Any]) -> str:
    return f"to go on: stackbench eval --resume {run_id}{home_option(flags)}"


def home_option(flags: Mapping[str, Any]) -> str:
    """`--home`, where the command was given it."""
    return f" --home {shlex.quote(str(flags['home']))}" if flags["home"] else ""
