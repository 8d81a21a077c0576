"""Mutation tests of a scenario: undoing any one effect of the solution must fail a check; each check must fail once."""

from __future__ import annotations

import errno
import fnmatch
import json
import re
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from stackbench.benchmarks.tooluse.checks.evaluation import BESIDE, evaluate, failed_names
from stackbench.benchmarks.tooluse.checks.observation import Observation
from stackbench.benchmarks.tooluse.checks.task_outcome import LOOKING, Outcome
from stackbench.benchmarks.tooluse.scenario.check_fields import (
    AnswerCheck,
    FileCheck,
    FolderCheck,
    ProcessCheck,
    RequestCheck,
)
from stackbench.benchmarks.tooluse.scenario.scenario import Scenario
from stackbench.benchmarks.tooluse.validation.false_answers import false_answers
from stackbench.errors import ToolError
from stackbench.nesting import is_object
from stackbench.sandbox.records import HttpRequest, ProcessInfo, Snapshot, compare

if TYPE_CHECKING:
    from stackbench.sandbox.session import Session

__all__ = ["Trial", "read_contents"]

MOST_BYTES = 4 << 20
STRAY = b"stray\n"


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
        await self._outcomes()
        await self._requests()
        await self._stray_requests()
        await self._processes()
        await self._stray_processes()
        await self._stray_branches()
        await self._answers()
        every = {check.name for check in await evaluate(self.spec, self.seen)}
        silent = every - self.can_fail - BESIDE
        self.problems += [f"no mutation makes this check fail: {name}" for name in sorted(silent)]

    async def _must_fail(self, what: str, seen: Observation) -> None:
        seen.contents = {}
        failed = failed_names(await evaluate(self.spec, seen))
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
        named = Outcome(self.spec).paths
        groups: dict[str, list[str]] = {}
        for path in [*changes.added, *changes.removed, *changes.changed]:
            repository = re.match(r"(.*?)\.git(/|$)", path)
            if repository is not None:
                groups.setdefault(f"{repository[1]}.git", []).append(path)
            elif path in named:
                groups.setdefault(path, []).append(path)
        return groups

    async def _tampering(self) -> None:
        await self._must_fail_with_file("stray-file.tmp", STRAY, "a stray file beside it")
        files = [check for check in self.spec.checks if isinstance(check, FileCheck)]
        protected = [check.file for check in files if check.same]
        untouched = sorted(set(self.old) - Outcome(self.spec).paths - set(protected))
        kept = [path for path in untouched if ".git/" not in path and path in self.seen.after.entries]
        for path in [*protected, *kept[:1]]:
            if path in self.old and not any(fnmatch.fnmatch(path, pattern) for pattern in self.spec.changes):
                await self._must_fail_with_file(path, self.old[path] + b"#", f"{path} damaged")
        for check in self.spec.checks:
            if isinstance(check, FolderCheck) and check.exists and check.entries is not None:
                stray = f"{check.folder}/stray-entry.tmp"
                await self._must_fail_with_file(stray, STRAY, f"a stray entry in {check.folder}")
        for check in files:
            if not check.exists and check.file not in self.seen.before.entries:
                await self._must_fail_with_file(check.file, STRAY, f"{check.file} there")
        for check in files:
            there = check.exists and check.file in self.seen.after.entries
            if there and f"file {check.file}" not in self.can_fail:
                other_mode = 0o044 if check.mode is not None else 0
                await self._must_fail_with_file(check.file, b"", f"{check.file} empty", other_mode=other_mode)
                await self._must_fail_with_file(check.file, None, f"{check.file} gone")

    async def _outcomes(self) -> None:
        """An outcome that everybody may write, one of which only the mode was asked and that is empty now, a cell or a
        member more than was asked for."""
        for check in self.spec.checks:
            if not isinstance(check, FileCheck) or not check.exists or check.link is not None or check.same:
                continue
            entry = self.seen.after.entries.get(check.file)
            if entry is None or entry.kind != "file":
                continue
            now = (await self.seen.session.read(check.file, privileged=True)).data
            if not check.any_mode:
                turned = entry.mode ^ 0o777
                await self._must_fail_with_file(check.file, now, f"{check.file} of mode 777", other_mode=turned)
            if check.mode is not None and now:
                await self._must_fail_with_file(check.file, b"", f"{check.file} empty, its mode right")
            if not check.more and (surplus := _with_surplus(check, now)) is not None:
                await self._must_fail_with_file(check.file, surplus, f"more in {check.file} than was asked for")

    async def _must_fail_with_file(self, path: str, data: bytes | None, what: str, *, other_mode: int = 0) -> None:
        """With other content at a path, or nothing, for a while; `other_mode` holds bits of its mode to turn over."""
        session, entry = self.seen.session, self.seen.after.entries.get(path)
        if entry is not None and entry.kind != "file":
            return
        now = None if entry is None else (await session.read(path, privileged=True)).data
        mode = None if entry is None else entry.mode
        await _put(session, path, data, None if mode is None else mode ^ other_mode)
        try:
            await self._must_fail(what, await self._look_again())
        finally:
            await _put(session, path, now, mode)

    # -- requests, processes, the answer

    async def _requests(self) -> None:
        made = self.seen.requests
        for index, one in enumerate(made):
            if one.method in LOOKING or not 200 <= one.status < 300:
                continue
            fewer = [other for place, other in enumerate(made) if place != index]
            await self._must_fail(f"no {one.method} {one.path}", replace(self.seen, requests=fewer))
        for check in self.spec.checks:
            if isinstance(check, RequestCheck) and check.times == 0:
                methods, _, path = check.request.partition(" ")
                more = [*made, HttpRequest(methods.split("|")[0], path, "", {}, b"", check.status or 200)]
                await self._must_fail(f"{check.request} made", replace(self.seen, requests=more))

    async def _stray_requests(self) -> None:
        """A request beside the solution's, to every route that changes something, and to one that nobody named."""
        if not self.spec.setup.http:
            return
        for name, status in sorted({**self.spec.setup.changing_requests, "POST /stray": 200}.items()):
            method, _, path = name.partition(" ")
            stray = HttpRequest(method, re.sub(r"\{\w+\}", "stray", path), "", {}, b'{"stray": true}', status)
            await self._must_fail(f"a stray {name}", replace(self.seen, requests=[*self.seen.requests, stray]))

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

    async def _stray_processes(self) -> None:
        """A bystander that was ended, and a process that was left behind."""
        outcome = Outcome(self.spec)
        now = self.seen.processes
        for one in self.old_processes:
            if one.parent == 1 and not outcome.has_ended(one):
                without = [other for other in now if other.identity != one.identity]
                await self._must_fail(f"the process {one.command[0]} ended", replace(self.seen, processes=without))
        stray = ProcessInfo(2**22, 1, "S", "agent", ("stray", "86400"), 0.0, 0, 1)
        await self._must_fail("a stray process beside it", replace(self.seen, processes=[*now, stray]))

    async def _stray_branches(self) -> None:
        after = self.seen.after
        for path, state in after.repositories.items():
            more = {**after.repositories, path: {**state, "refs/heads/stray": "0" * 40}}
            changed = replace(self.seen, after=replace(after, repositories=more))
            await self._must_fail(f"a stray branch in {path}", changed)

    def _watched(self, process: ProcessInfo) -> bool:
        command = " ".join(process.command)
        return any(isinstance(check, ProcessCheck) and re.search(check.process, command) for check in self.spec.checks)

    async def _answers(self) -> None:
        if any(isinstance(check, AnswerCheck) for check in self.spec.checks):
            for answer in ("", "All done, see above."):
                await self._must_fail(f'the answer "{answer}"', replace(self.seen, answer=answer))
            for answer in false_answers(self.spec, self.seen.answer):
                await self._must_fail(f'the answer "{answer[:120]}"', replace(self.seen, answer=answer))


def _with_surplus(check: FileCheck, data: bytes) -> bytes | None:
    """A document with a member more, a table with a cell more in each row; None where there is no such thing."""
    try:
        text = data.decode()
        if check.csv:
            head, *rows = text.rstrip("\n").split("\n")
            return "\n".join([head, *(f"{row.rstrip()},surplus" for row in rows), ""]).encode()
        document = json.loads(text) if check.json_values is not None else None
    except ValueError:
        return None
    return json.dumps({**document, "surplus": 1}).encode() if is_object(document) else None


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
            if error.errno != errno.ENOENT:
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


async def _put(session: Session, path: str, data: bytes | None, mode: int | None) -> None:
    """A file with this content, or none, whatever its permissions."""
    if data is None:
        await session.remove(path, privileged=True)
    else:
        await session.write(path, data, mode=mode, privileged=True)
