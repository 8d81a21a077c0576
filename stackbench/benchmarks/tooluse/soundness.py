"""Proves a scenario sound: its solution solves it, doing nothing does not, every effect of the solution counts."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from stackbench.agents import AgentLimits, AgentResult, run_agent
from stackbench.agents.tools import Workspace
from stackbench.benchmarks.tooluse.checks import CheckResult, Observation, allowed_paths, evaluate, observe
from stackbench.benchmarks.tooluse.expansion import ToolTask, expand
from stackbench.benchmarks.tooluse.matching import score_calls
from stackbench.benchmarks.tooluse.playing import script_of
from stackbench.benchmarks.tooluse.scenario import (
    AnswerCheck,
    FileCheck,
    FolderCheck,
    OracleCall,
    Play,
    ProcessCheck,
    RequestCheck,
    Scenario,
)
from stackbench.benchmarks.tooluse.staging import stage
from stackbench.errors import SandboxError, ToolError
from stackbench.sandbox.records import HttpRequest, ProcessInfo, Snapshot, compare
from stackbench.types import Generation, Message, Sampling, ToolCall, ToolCallRecord, ToolSpec

if TYPE_CHECKING:
    from stackbench.sandbox.session import Session

__all__ = ["Finding", "check_set", "check_task"]

Lease = Callable[[], AbstractAsyncContextManager["Session"]]
SIMILAR = 0.9
MOST_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is wrong with a task."""

    task_id: str
    problem: str


class ReferenceModel:
    """Implements `Backend`: plays the script, counts nothing, logs nothing."""

    native_tools = True
    window: int | None = None

    async def generate(
        self,
        sampling: Sampling,
        *,
        messages: Sequence[Message] = (),
        reference: str = "",
        tools: Sequence[ToolSpec] = (),
        reference_calls: Sequence[ToolCall] = (),
        stream: bool = False,
        on_text: Callable[[str], None] | None = None,
    ) -> Generation:
        return Generation(reference, tool_calls=tuple(reference_calls))

    def log(self, kind: str, payload: Any) -> None:
        """Nobody reads it."""

    def log_call(self, call: ToolCallRecord) -> None:
        """Nobody reads it."""


# -- the set


def check_set(tasks: Sequence[ToolTask], seed: int) -> list[Finding]:
    """What can be said without running anything: expansion twice alike, no two tasks alike, no answer in a prompt."""
    found: list[Finding] = []
    again: dict[str, Scenario] = {}
    for source in {id(task.source): task.source for task in tasks if task.source is not None}.values():
        again |= {task.task_id: task.spec for task in expand(source, seed)}
    alike: dict[str, str] = {}
    words: list[tuple[ToolTask, set[str]]] = []
    for task in tasks:
        spec = task.spec
        if again.get(task.task_id) != spec:
            found.append(Finding(task.task_id, "its expansion is not the same twice"))
        mark = _mark(spec)
        if mark in alike:
            found.append(Finding(task.task_id, f"it is like {alike[mark]}: the same prompt and set-up but for numbers"))
        alike.setdefault(mark, task.task_id)
        leak = _leak(spec)
        if leak:
            found.append(Finding(task.task_id, f"its prompt holds the answer: {leak}"))
        if not any(other.template == task.template for other, _ in words):
            words.append((task, _shingles(spec.prompt)))
    for index, (one, mine) in enumerate(words):
        for other, theirs in words[:index]:
            share = len(mine & theirs) / max(1, len(mine | theirs))
            if share >= SIMILAR:
                found.append(Finding(one.task_id, f"its prompt is {share:.0%} that of {other.task_id}"))
    return found


def _mark(spec: Scenario) -> str:
    """sha256 of the prompt and the set-up, with white space and case evened out and every number the same."""
    prompt = re.sub(r"\d+", "0", " ".join(spec.prompt.lower().split()))
    setup = spec.setup.model_dump_json() + "".join(file.model_dump_json() for file in spec.distractors.values())
    return hashlib.sha256(f"{prompt}\0{setup}".encode()).hexdigest()


def _shingles(prompt: str) -> set[str]:
    words = re.findall(r"[a-z]+", prompt.lower())
    return {" ".join(words[index : index + 3]) for index in range(max(1, len(words) - 2))}


def _leak(spec: Scenario) -> str:
    from stackbench.benchmarks.tooluse.values import mentions, numbers_in

    for check in spec.checks:
        if isinstance(check, AnswerCheck):
            for wanted in [check.exact, *(check.all_of or ())]:
                if wanted is not None and mentions(spec.prompt, wanted):
                    return wanted
            if check.number is not None and check.number in numbers_in(spec.prompt, most=1000):
                return f"{check.number:g}"
    return ""


# -- one task


async def check_task(task: ToolTask, lease: Lease) -> list[Finding]:
    """Plays a task: doing nothing, the solution, the solution with each effect undone, and what only looks like one.

    Raises:
        SandboxError: no container can be had.
    """
    found: list[str] = []
    can_fail: set[str] = set()
    try:
        for play in task.spec.wrong:
            async with lease() as session:
                failed = await _failed_by(task.spec, session, play)
                can_fail |= failed
                if not failed:
                    found.append(f"a run that must fail completes it: {play.why}")
        async with lease() as session:
            found += await _solution(task, session, can_fail)
    except SandboxError as error:
        found.append(str(error))
    return [Finding(task.task_id, problem) for problem in found]


async def _failed_by(spec: Scenario, session: Session, play: Play) -> set[str]:
    """The checks that a scripted run fails."""
    await stage(spec, session)
    before = await session.snapshot()
    workspace = Workspace(session, environment=spec.setup.environment)
    try:
        result = await _run(spec, workspace, play.calls, play.answer)
        seen = await observe(spec, session, before, result.answer, result.calls)
        return {check.name for check in await evaluate(spec, seen) if not check.passed}
    finally:
        await workspace.close()


async def _run(spec: Scenario, workspace: Workspace, calls: Sequence[OracleCall], answer: str) -> AgentResult:
    return await run_agent(
        spec.prompt,
        backend=ReferenceModel(),
        workspace=workspace,
        tools=spec.tools,
        system="",
        sampling=Sampling(),
        limits=AgentLimits(steps=spec.limits.steps, seconds=spec.limits.seconds),
        script=script_of(calls, answer),
    )


async def _solution(task: ToolTask, session: Session, can_fail: set[str]) -> list[str]:
    spec = task.spec
    await stage(spec, session)
    before = await session.snapshot()
    old = await _contents(session, before)
    idle = await observe(spec, session, before, "", ())
    nothing = await evaluate(spec, idle)
    failed = {check.name for check in nothing if not check.passed}
    problems: list[str] = []
    if spec.idle != (not failed):
        problems.append("doing nothing completes it" if not failed else "idle, but doing nothing does not complete it")
    workspace = Workspace(session, environment=spec.setup.environment)
    started = time.perf_counter()
    try:
        result = await _run(spec, workspace, spec.oracle, spec.answer)
        seconds = time.perf_counter() - started
        seen = await observe(spec, session, before, result.answer, result.calls)
        checks = await evaluate(spec, seen)
        problems += _unsolved(spec, result, checks)
        if seconds > spec.limits.seconds / 2:
            problems.append(f"the solution takes {seconds:.0f} s, more than half of the limit")
        if not problems:
            trial = _Trial(spec, seen, old, idle.processes, can_fail | failed)
            await trial.run()
            problems += trial.problems
    finally:
        await workspace.close()
    return problems


def _unsolved(spec: Scenario, result: AgentResult, checks: Sequence[CheckResult]) -> list[str]:
    problems = [f"the solution fails: {check.name}: {check.why}" for check in checks if not check.passed]
    if result.ending != "answered":
        problems.append(f"the solution is ended by {result.ending}")
    problems += [f"a call of the solution is malformed: {call.text}" for call in result.calls if not call.valid]
    if problems:
        failed = [call for call in result.calls if call.failed]
        problems += [f"a call of it failed: {call.tool}: {' '.join(call.text.split())[-160:]}" for call in failed]
    score = score_calls(spec, result.calls, completed=not problems)
    if score.accuracy < 1:
        missed = [spec.expected[e].id or str(e) for e in range(len(score.plan)) if e not in score.pairs]
        extra = [f"{result.calls[c].tool} {result.calls[c].arguments[:60]}" for c in score.harmful]
        problems.append(f"tool call accuracy of the solution is {score.accuracy:.2f}: missed {missed}, beside {extra}")
    if score.parameters < 1:
        problems.append(f"parameter correctness of the solution is {score.parameters:.2f}")
    return problems


async def _contents(session: Session, snapshot: Snapshot) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for path, entry in snapshot.entries.items():
        if entry.kind == "file" and entry.size <= MOST_BYTES:
            found[path] = (await session.read(path, privileged=True)).data
    return found


@dataclass(slots=True)
class _Trial:
    """Undoes the effects of a solution one by one; each must make the task fail, and each check must fail once."""

    spec: Scenario
    seen: Observation
    old: dict[str, bytes]
    old_processes: Sequence[ProcessInfo]
    can_fail: set[str]
    problems: list[str] = field(default_factory=list[str])

    async def run(self) -> None:
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
        new = await _contents(session, after)
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
            if path in self.old and not any(_globbed(path, pattern) for pattern in self.spec.changes):
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
        await _as_agent(session.run, ["chmod", f"{entry.mode:o}", f"/workspace/{path}"])
    elif entry.kind == "link":
        await session.run(["ln", "-sfn", entry.target, f"/workspace/{path}"])
    elif path in contents:
        await _write(session, path, contents[path], entry.mode)


async def _as_agent(run: Callable[..., Awaitable[Any]], command: Sequence[str]) -> None:
    await run(list(command))


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


def _globbed(path: str, pattern: str) -> bool:
    import fnmatch

    return fnmatch.fnmatch(path, pattern)
