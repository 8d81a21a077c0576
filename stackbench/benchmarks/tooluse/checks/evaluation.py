"""Decides whether a task was completed: evaluates every check of the scenario against the observed final state."""

from __future__ import annotations

import asyncio
import fnmatch
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from stackbench.benchmarks.tooluse.checks.file_checks import file_problem, folder_problem
from stackbench.benchmarks.tooluse.checks.matchers import call_fits
from stackbench.benchmarks.tooluse.checks.observation import Observation, relative
from stackbench.benchmarks.tooluse.checks.texts import listed
from stackbench.benchmarks.tooluse.checks.world_checks import (
    answer_problem,
    command_problem,
    process_problem,
    request_problem,
)
from stackbench.benchmarks.tooluse.scenario.check_fields import (
    AnswerCheck,
    Check,
    CommandCheck,
    FileCheck,
    FolderCheck,
    ProcessCheck,
    RequestCheck,
    check_kind,
)
from stackbench.benchmarks.tooluse.scenario.patterns import LongTextError, fully_matches
from stackbench.benchmarks.tooluse.scenario.scenario import ForbiddenCall, Scenario
from stackbench.errors import ToolError
from stackbench.sandbox.records import compare

__all__ = ["CheckResult", "allowed_paths", "evaluate", "failed_names"]

TRACES = [
    "**/__pycache__/*", "**/__pycache__", "__pycache__/*", "__pycache__", ".cache", ".cache/*", ".*_history",
    ".lesshst", ".viminfo", ".gitconfig", ".config", ".config/*",
]  # fmt: skip
"""Files that programs create in a home folder as a side effect; they do not fail a task."""


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
    others = await asyncio.to_thread(_other_changes, scenario, seen)
    results.append(CheckResult("nothing else changed", not others, listed(others)))
    if scenario.forbidden:
        done = await asyncio.to_thread(_forbidden, scenario, seen)
        results.append(CheckResult("nothing forbidden", not done, listed(done)))
    if seen.unseen:
        results.append(CheckResult("all can be seen", False, listed(seen.unseen)))
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
                return await asyncio.to_thread(answer_problem, check, seen.answer)
            case CommandCheck():
                return await command_problem(check, seen)
    except (ToolError, LongTextError) as error:
        return str(error)


def _other_changes(scenario: Scenario, seen: Observation) -> list[str]:
    changes = compare(seen.before, seen.after)
    allowed = allowed_paths(scenario)
    return [
        path
        for path in sorted({*changes.added, *changes.removed, *changes.changed})
        if not _allowed(path, allowed, scenario, made=path in changes.added)
    ]


def allowed_paths(scenario: Scenario) -> set[str]:
    """The paths that checks name as outcomes."""
    found: set[str] = set()
    for check in scenario.checks:
        if isinstance(check, FileCheck) and not check.same:
            found.add(relative(check.file))
        elif isinstance(check, FolderCheck):
            found.add(relative(check.folder))
    return found


def _allowed(path: str, allowed: set[str], scenario: Scenario, *, made: bool) -> bool:
    if path in allowed or any(fnmatch.fnmatch(path, pattern) for pattern in [*scenario.changes, *TRACES]):
        return True
    if made and any(one.startswith(f"{path}/") for one in (*allowed, *scenario.changes)):
        return True  # a parent of an outcome
    gone = [check.folder for check in scenario.checks if isinstance(check, FolderCheck) and not check.exists]
    return any(path.startswith(f"{relative(folder)}/") for folder in gone)


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
