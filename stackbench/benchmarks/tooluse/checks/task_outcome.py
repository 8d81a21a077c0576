"""What belongs to a task's outcome: the changes of files, requests and processes that its checks name or it allows."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Iterable

from stackbench.agents.effects import Effects
from stackbench.benchmarks.tooluse.checks.texts import relative
from stackbench.benchmarks.tooluse.checks.world_checks import request_fits
from stackbench.benchmarks.tooluse.scenario.check_fields import FileCheck, FolderCheck, ProcessCheck, RequestCheck
from stackbench.benchmarks.tooluse.scenario.patterns import LongTextError, found, fully_matches
from stackbench.benchmarks.tooluse.scenario.scenario import Scenario
from stackbench.sandbox.records import HttpRequest, ProcessInfo

__all__ = ["LOOKING", "Outcome"]

LOOKING = ("GET", "HEAD", "OPTIONS")
TRACES = [
    "**/__pycache__/*", "**/__pycache__", "__pycache__/*", "__pycache__", ".cache", ".cache/*", ".*_history",
    ".lesshst", ".viminfo", ".wget-hsts", ".gitconfig", ".config", ".config/*", ".local", ".local/*",
]  # fmt: skip
"""Files that programs create in a home folder as a side effect; they do not fail a task."""


class Outcome:
    """Tells of each change whether a scenario has it as an outcome."""

    def __init__(self, scenario: Scenario) -> None:
        self._changes = [*scenario.changes, *TRACES]
        self._meanwhile = scenario.meanwhile
        self._requests = scenario.requests
        self._processes = scenario.processes
        self._checked = [check for check in scenario.checks if isinstance(check, RequestCheck) and check.times != 0]
        self._watched = [check for check in scenario.checks if isinstance(check, ProcessCheck)]
        self.paths = _named(scenario)
        """The paths that checks name."""
        folders = [check.folder for check in scenario.checks if isinstance(check, FolderCheck) and not check.exists]
        self._gone = tuple(f"{relative(folder)}/" for folder in folders)
        self._parents = {*self.paths, *scenario.changes}

    def has_path(self, path: str, *, made: bool) -> bool:
        """Whether a path may change; `made`: it is new, and may then be a folder above an outcome."""
        if path in self.paths or any(fnmatch.fnmatch(path, pattern) for pattern in self._changes):
            return True
        if made and any(one.startswith(f"{path}/") for one in self._parents):
            return True
        return path.startswith(self._gone) if self._gone else False

    def has_request(self, request: HttpRequest) -> bool:
        """Whether a request is one that checks name, or one that changed nothing."""
        if request.method in LOOKING or not 200 <= request.status < 400:
            return True
        try:
            named = any(
                check.names(request.method, request.path)
                and check.status in (None, request.status)
                and request_fits(check, request)
                for check in self._checked
            )
            return named or any(
                fully_matches(pattern, f"{request.method} {request.path}") for pattern in self._requests
            )
        except LongTextError:  # doubt counts against a request
            return False

    def has_started(self, process: ProcessInfo) -> bool:
        """Whether a process may be new."""
        return self._has_process(process, lambda check: check.alive and check.count != 0)

    def has_ended(self, process: ProcessInfo) -> bool:
        """Whether a process may have ended."""
        return self._has_process(process, lambda check: not check.alive or check.count is not None)

    def _has_process(self, process: ProcessInfo, kind: Callable[[ProcessCheck], bool]) -> bool:
        command = " ".join(process.command)
        patterns = [*self._processes, *(check.process for check in self._watched if kind(check))]
        try:
            return any(found(pattern, command) for pattern in patterns)
        except LongTextError:
            return False

    def beyond(self, effects: Effects, strays: Iterable[tuple[int, int]]) -> list[str]:
        """The effects of a call that are no outcome, in words; of the processes it started those in `strays` count."""
        made = effects.files.added
        paths = [
            path
            for path in sorted(effects.paths)
            if not self.has_path(path, made=path in made)
            and not any(fnmatch.fnmatch(path, pattern) for pattern in self._meanwhile)
        ]
        requests = [one for one in effects.requests if not self.has_request(one)]
        strays = set(strays)
        return [
            *paths,
            *(f"{one.method} {one.path}" for one in requests),
            *(f"started {' '.join(one.command)[:80]}" for one in effects.started if one.identity in strays),
            *(f"ended {' '.join(one.command)[:80]}" for one in effects.ended if not self.has_ended(one)),
        ]


def _named(scenario: Scenario) -> set[str]:
    named: set[str] = set()
    for check in scenario.checks:
        if isinstance(check, FileCheck) and not check.same:
            named.add(relative(check.file))
        elif isinstance(check, FolderCheck):
            named.add(relative(check.folder))
    return named
