"""Decides whether a task was completed: evaluates every check of the scenario against the observed final state."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from stackbench.benchmarks.tooluse.checks.file_checks import file_problem, folder_problem
from stackbench.benchmarks.tooluse.checks.matchers import call_fits
from stackbench.benchmarks.tooluse.checks.observation import Observation
from stackbench.benchmarks.tooluse.checks.task_outcome import Outcome
from stackbench.benchmarks.tooluse.checks.texts import listed
from stackbench.benchmarks.tooluse.checks.world_checks import (
    answer_problem,
    asked_problem,
    command_problem,
    looked_problem,
    named_problem,
    process_problem,
    request_problem,
)
from stackbench.benchmarks.tooluse.scenario.check_fields import (
    AnswerCheck,
    AskedCheck,
    Check,
    CommandCheck,
    FileCheck,
    FolderCheck,
    LookedCheck,
    ProcessCheck,
    RequestCheck,
    check_kind,
)
from stackbench.benchmarks.tooluse.scenario.patterns import LongTextError, fully_matches
from stackbench.benchmarks.tooluse.scenario.scenario import ForbiddenCall, Scenario
from stackbench.errors import ToolError
from stackbench.sandbox.records import compare_state

__all__ = ["BESIDE", "CheckResult", "evaluate", "failed_names"]

OTHER_FILES, OTHER_REQUESTS, OTHER_PROCESSES = (
    "nothing else changed", "nothing else requested", "no other process started or ended",
)  # fmt: skip
FORBIDDEN = "nothing forbidden"
BESIDE = {OTHER_FILES, OTHER_REQUESTS, OTHER_PROCESSES, FORBIDDEN}
"""The checks that every task has beside its own."""


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What became of one check."""

    name: str
    passed: bool
    why: str = ""
    """What was found instead."""


async def evaluate(scenario: Scenario, seen: Observation) -> list[CheckResult]:
    """Every check of the scenario, then that nothing else has changed and nothing forbidden happened.

    Raises:
        SandboxError: the container died.
    """
    results: list[CheckResult] = []
    times: Counter[str] = Counter()
    problems: dict[int, str] = {}
    # What runs a program comes last: it is the agent's program, perhaps.
    for check in sorted(scenario.checks, key=lambda check: isinstance(check, CommandCheck)):
        problems[id(check)] = await _problem(check, seen)
    for check in scenario.checks:
        name, why = _name(check), problems[id(check)]
        times[name] += 1
        results.append(CheckResult(name if times[name] == 1 else f"{name} ({times[name]})", not why, why))
    results += await asyncio.to_thread(_nothing_else, scenario, seen)
    if scenario.forbidden:
        done = await asyncio.to_thread(_forbidden, scenario, seen)
        results.append(CheckResult(FORBIDDEN, not done, listed(done)))
    if seen.unseen:
        results.append(CheckResult("all can be seen", False, listed(seen.unseen)))
    return results


def _nothing_else(scenario: Scenario, seen: Observation) -> list[CheckResult]:
    """That the world beside the outcome is as it was: files and repositories, the HTTP service, processes."""
    outcome = Outcome(scenario)
    paths = _other_changes(outcome, seen)
    results = [CheckResult(OTHER_FILES, not paths, listed(paths))]
    if scenario.setup.http:
        requests = [f"{one.method} {one.path}" for one in seen.requests if not outcome.has_request(one)]
        results.append(CheckResult(OTHER_REQUESTS, not requests, listed(requests)))
    processes = [
        *(f"started {' '.join(one.command)[:80]}" for one in seen.strays(outcome)),
        *(f"ended {' '.join(one.command)[:80]}" for one in seen.ended(outcome)),
    ]
    results.append(CheckResult(OTHER_PROCESSES, not processes, listed(processes)))
    return results


def failed_names(results: Iterable[CheckResult]) -> set[str]:
    """Of the checks that do not hold."""
    return {result.name for result in results if not result.passed}


def _name(check: Check) -> str:
    kind = check_kind(check)
    return "answer" if kind == "answer" else f"{kind} {getattr(check, str(kind))}"


async def _problem(check: Check, seen: Observation) -> str:
    """The reason why it fails; empty where it passes."""
    try:
        match check:
            case FileCheck():
                return await file_problem(check, seen)
            case FolderCheck():
                return folder_problem(check, seen)
            case ProcessCheck():
                return process_problem(check, seen)
            case RequestCheck():
                return await asyncio.to_thread(request_problem, check, seen)
            case AnswerCheck():
                return await asyncio.to_thread(answer_problem, check, seen.answer) or await named_problem(check, seen)
            case LookedCheck():
                return looked_problem(check, seen)
            case AskedCheck():
                return await asyncio.to_thread(asked_problem, check, seen)
            case CommandCheck():
                return await command_problem(check, seen)
    except (ToolError, LongTextError) as error:
        return str(error)


def _other_changes(outcome: Outcome, seen: Observation) -> list[str]:
    changes = compare_state(seen.before, seen.after)
    return [
        path
        for path in sorted({*changes.added, *changes.removed, *changes.changed})
        if not outcome.has_path(path, made=path in changes.added)
    ]


def _forbidden(scenario: Scenario, seen: Observation) -> list[str]:
    found: list[str] = []
    for rule in scenario.forbidden:
        if isinstance(rule, ForbiddenCall):
            found += [f"a call of {call.tool}" for call in seen.calls if call_fits(rule, call)]
        else:
            method, _, pattern = rule.request.partition(" ")
            found += [
                f"{one.method} {one.path}"
                for one in seen.requests
                if method in ("*", one.method) and _spoils(pattern, one.path)
            ]
    return found


def _spoils(pattern: str, path: str) -> bool:
    """Doubt counts against a request: one that no pattern can be tried on was made so."""
    try:
        return fully_matches(pattern, path)
    except LongTextError:
        return True
