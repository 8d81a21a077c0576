"""Undoes the effects of a solution one by one: each must make its task fail, and each check must fail at least once."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from stackbench.benchmarks.tooluse.check_fields import AnswerCheck, FileCheck, FolderCheck, ProcessCheck, RequestCheck
from stackbench.benchmarks.tooluse.checks import allowed_paths, evaluate
from stackbench.benchmarks.tooluse.observation import Observation
from stackbench.benchmarks.tooluse.scenario import Scenario
from stackbench.errors import ToolError
from stackbench.sandbox.records import HttpRequest, ProcessInfo, Snapshot, compare

if TYPE_CHECKING:
    from stackbench.sandbox.session import Session

__all__ = ["Trial", "read_contents"]

MOST_BYTES = 4 << 20


@dataclass(slots=True)
class Trial:
    """Undoes the effects of a solution one by one; each must make the task fail, and each check must fail once."""

    spec: Scenario
    seen: Observation
    old: dict[str, bytes]
    old_processes: Sequence[ProcessInfo]
    can_fail: set[str]
    problems: list[str] = field(default_factory=list[str])

    async def run(self) -> None:
        """Tries everything; `problems` then holds what was found."""
        await self._files()
        await self._tampering()
        await self._requests()
        await self._processes()
        await self._answers()
        every = {check.name for check in await evaluate(self.spec, self.seen)}
        silent = every - self.can_fail - {"nothing forbidden", "nothing else changed"}
        self.problems += [f"no mutation makes this check fail: {name}" for name in sorted(silent)]

    async def _must_fail(self, what: str, seen: Observation) -> None:
        seen.contents = {}
        failed = {check.name for check in await evaluate(self.spec, seen) if not check.passed}
        self.can_fail |= failed
        if not failed:
            self.problems.append(f"it is still completed with {what}")

    async def _look_again(self) -> Observation:
        seen = self.seen
        return replace(seen, after=await seen.session.snapshot(), contents={})

    # -- what the solution did to files

    async def _files(self) -> None:
        session, before, after = self.seen.session, self.seen.before, self.seen.after
        new = await read_contents(session, after)
        for name, paths in self._effects().items():
            try:
                async with _undone(session, paths, before, after, self.old, new):
                    await self._must_fail(f"{name} as it was", await self._look_again())
            except ToolError as error:
                self.problems.append(f"{name} cannot be undone: {error}")

    def _effects(self) -> dict[str, list[str]]:
        """Changed paths in groups that belong together: a repository's own files are one effect."""
        before, after = self.seen.before, self.seen.after
        changes = compare(before, after)
        named = allowed_paths(self.spec)
        groups: dict[str, list[str]] = {}
        for path in [*changes.added, *changes.removed, *changes.changed]:
            repository = re.match(r"(.*?)\.git(/|$)", path)
            if repository is not None:
                groups.setdefault(f"{repository[1]}.git", []).append(path)
            elif path in named:
                groups.setdefault(path, []).append(path)
        return groups

    async def _tampering(self) -> None:
        session = self.seen.session
        async with _extra(session, "stray-file.tmp"):
            await self._must_fail("a stray file beside it", await self._look_again())
        protected = [check.file for check in self.spec.checks if isinstance(check, FileCheck) and check.same]
        untouched = sorted(set(self.old) - allowed_paths(self.spec) - set(protected))
        kept = [path for path in untouched if ".git/" not in path and path in self.seen.after.entries]
        for path in [*protected, *kept[:1]]:
            if path in self.old and not any(fnmatch.fnmatch(path, pattern) for pattern in self.spec.changes):
                async with _damaged(session, path, self.old[path], self.seen.after):
                    await self._must_fail(f"{path} damaged", await self._look_again())
        for check in self.spec.checks:
            if isinstance(check, FolderCheck) and check.exists and check.entries is not None:
                async with _extra(session, f"{check.folder}/stray-entry.tmp"):
                    await self._must_fail(f"a stray entry in {check.folder}", await self._look_again())
            elif isinstance(check, FileCheck) and not check.exists and check.file not in self.seen.before.entries:
                async with _extra(session, check.file):
                    await self._must_fail(f"{check.file} there", await self._look_again())

        for check in self.spec.checks:
            if isinstance(check, FileCheck) and check.exists and f"file {check.file}" not in self.can_fail:
                entry = self.seen.after.entries.get(check.file)
                if entry is not None and entry.kind == "file":
                    data = (await session.read(check.file, privileged=True)).data
                    mode = entry.mode if check.mode is None else entry.mode ^ 0o044
                    await session.write(check.file, b"", mode=mode, privileged=True)
                    await self._must_fail(f"{check.file} empty, with another mode", await self._look_again())
                    await session.remove(check.file, privileged=True)
                    await self._must_fail(f"{check.file} gone", await self._look_again())
                    await session.write(check.file, data, mode=entry.mode, privileged=True)

    # -- requests, processes, the answer

    async def _requests(self) -> None:
        made = self.seen.requests
        for index, one in enumerate(made):
            if one.method in ("GET", "HEAD", "OPTIONS") or not 200 <= one.status < 300:
                continue
            fewer = [other for place, other in enumerate(made) if place != index]
            await self._must_fail(f"no {one.method} {one.path}", replace(self.seen, requests=fewer))
        for check in self.spec.checks:
            if isinstance(check, RequestCheck) and check.times == 0:
                method, _, path = check.request.partition(" ")
                more = [*made, HttpRequest(method, path, "", {}, b"", check.status or 200)]
                await self._must_fail(f"{check.request} made", replace(self.seen, requests=more))

    async def _processes(self) -> None:
        now = self.seen.processes
        gone = [one for one in self.old_processes if one.pid not in {other.pid for other in now}]
        for one in gone:
            if self._watched(one):
                back = replace(self.seen, processes=[*now, one])
                await self._must_fail(f"the process {one.command[0]} alive again", back)
        for one in now:
            if self._watched(one):
                without = [other for other in now if other.command != one.command]
                await self._must_fail(f"the process {one.command[0]} gone", replace(self.seen, processes=without))

    def _watched(self, process: ProcessInfo) -> bool:
        command = " ".join(process.command)
        return any(isinstance(check, ProcessCheck) and re.search(check.process, command) for check in self.spec.checks)

    async def _answers(self) -> None:
        if any(isinstance(check, AnswerCheck) for check in self.spec.checks):
            for answer in ("", "All done, see above."):
                await self._must_fail(f'the answer "{answer}"', replace(self.seen, answer=answer))


async def read_contents(session: Session, snapshot: Snapshot) -> dict[str, bytes]:
    """What every file of a snapshot holds, very large ones aside."""
    found: dict[str, bytes] = {}
    for path, entry in snapshot.entries.items():
        if entry.kind == "file" and entry.size <= MOST_BYTES:
            found[path] = (await session.read(path, privileged=True)).data
    return found


@asynccontextmanager
async def _undone(
    session: Session,
    paths: Iterable[str],
    before: Snapshot,
    after: Snapshot,
    old: dict[str, bytes],
    new: dict[str, bytes],
) -> AsyncIterator[None]:
    """These paths as they were before, for a while."""
    for path in sorted(paths, key=len, reverse=True):
        await _set(session, path, before, old)
    try:
        yield
    finally:
        for path in sorted(paths, key=len):
            await _set(session, path, after, new)


async def _set(session: Session, path: str, snapshot: Snapshot, contents: dict[str, bytes]) -> None:
    """A path as a snapshot has it."""
    entry = snapshot.entries.get(path)
    if entry is None:
        try:
            await session.remove(path, recursive=True, privileged=True)
        except ToolError as error:
            if error.errno != 2:
                raise
    elif entry.kind == "directory":
        await session.make_directory(path, privileged=True)
        await session.run(["chmod", f"{entry.mode:o}", f"/workspace/{path}"])
    elif entry.kind == "link":
        await session.run(["ln", "-sfn", entry.target, f"/workspace/{path}"])
    elif path in contents:
        await _write(session, path, contents[path], entry.mode)


async def _write(session: Session, path: str, data: bytes, mode: int) -> None:
    try:
        await session.write(path, data, mode=mode)
    except ToolError:
        await session.write(path, data, mode=mode, privileged=True)


@asynccontextmanager
async def _extra(session: Session, path: str) -> AsyncIterator[None]:
    """A file more, for a while."""
    await session.write(path, b"stray\n", privileged=True)
    try:
        yield
    finally:
        await session.remove(path, privileged=True)


@asynccontextmanager
async def _damaged(session: Session, path: str, data: bytes, after: Snapshot) -> AsyncIterator[None]:
    """A file with a byte more, for a while."""
    mode = after.entries[path].mode
    await session.write(path, data + b"#", mode=mode, privileged=True)
    try:
        yield
    finally:
        await session.write(path, data, mode=mode, privileged=True)
