"""Records the final state after an agent's run: files, processes, HTTP requests, its answer."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from stackbench.agents.effects import of_agent, owned_by
from stackbench.benchmarks.tooluse.checks.task_outcome import Outcome
from stackbench.benchmarks.tooluse.checks.texts import relative
from stackbench.benchmarks.tooluse.checks.world_checks import process_problem
from stackbench.benchmarks.tooluse.scenario.check_fields import ProcessCheck
from stackbench.benchmarks.tooluse.scenario.scenario import Scenario
from stackbench.benchmarks.tooluse.scenario.staging import Start
from stackbench.errors import ToolError
from stackbench.sandbox.records import Entry, HttpRequest, ProcessInfo, Snapshot

if TYPE_CHECKING:
    from stackbench.agents import CallMade
    from stackbench.sandbox.session import Session

__all__ = ["Observation", "observe"]

SETTLE_POLL_S = 0.05
SETTLE_TRIES = 10
READ_LIMIT = 8 << 20


@dataclass(slots=True)
class Observation:
    """What the agent left behind."""

    session: Session
    start: Start
    after: Snapshot
    processes: Sequence[ProcessInfo]
    requests: Sequence[HttpRequest]
    answer: str
    calls: Sequence[CallMade]
    contents: dict[str, bytes] = field(default_factory=dict[str, bytes])
    """Of files read so far."""
    unseen: tuple[str, ...] = ()
    """Why not all of it could be looked at: the agent's own doing, so the task counts as failed."""

    @property
    def before(self) -> Snapshot:
        """The workspace as it was."""
        return self.start.files

    def strays(self, outcome: Outcome) -> list[ProcessInfo]:
        """Processes that run now, did not before, and belong neither to the outcome nor to the set-up's own.

        A shell that runs what belongs to the outcome, and what that runs, belong to it too.
        """
        before = {one.identity for one in self.start.processes}
        new = [one for one in self.processes if one.identity not in before]
        wanted = {one.identity for one in new if outcome.has_started(one)}
        owned = owned_by(before | wanted, self.processes)
        above = {identity for one in new if one.identity in wanted for identity in _ancestors(one, self.processes)}
        return [one for one in new if one.identity not in owned | above]

    def ended(self, outcome: Outcome) -> list[ProcessInfo]:
        """Processes of the set-up that run no more and should; those that these had started are their affair."""
        running = {one.identity for one in self.processes}
        return [
            one
            for one in self.start.processes
            if one.parent == 1 and one.identity not in running and not outcome.has_ended(one)
        ]

    def entry(self, path: str) -> Entry | None:
        return self.after.entries.get(relative(path))

    async def content(self, path: str) -> bytes:
        """Raises ToolError."""
        if path not in self.contents:
            where: dict[str, Any] = {"root": "/"} if path.startswith("/") else {}
            found = await self.session.read(path, size=READ_LIMIT, privileged=True, **where)
            if found.size > READ_LIMIT:
                raise ToolError(f"its {found.size} bytes are more than is looked at ({READ_LIMIT})")
            self.contents[path] = found.data
        return self.contents[path]

    async def text(self, path: str) -> str:
        """Raises ToolError, also for what is no text."""
        try:
            return (await self.content(path)).decode()
        except UnicodeDecodeError as error:
            raise ToolError("it is not UTF-8 text") from error


async def observe(
    scenario: Scenario, session: Session, start: Start, answer: str, calls: Sequence[CallMade]
) -> Observation:
    """Looks at the container as it is now, by root and from outside. A process that was told to end or to start, and
    one that still runs though it should not, gets a moment for it, and what is watched must be seen twice alike. Then
    every process of the agent's is stopped where it is, so that none of them sees a check, answers it or changes what
    it looks at (`session.thaw` lets them go on).

    Raises SandboxError.
    """
    seen = Observation(session, start, start.files, (), (), answer, calls)
    watched = [check for check in scenario.checks if isinstance(check, ProcessCheck)]
    outcome = Outcome(scenario)
    for _ in range(SETTLE_TRIES):
        before_that = {one.identity for one in seen.processes}
        seen.processes = of_agent(await session.processes())
        alike = not watched or before_that == {one.identity for one in seen.processes}
        if alike and not seen.strays(outcome) and not any(process_problem(check, seen) for check in watched):
            break
        await asyncio.sleep(SETTLE_POLL_S)
    await session.freeze()
    problems: list[str] = []
    try:
        seen.after = await session.snapshot()
    except ToolError as error:
        problems.append(f"the workspace cannot be looked through: {error}")
    log = await session.http_log()
    seen.requests = log.requests
    if not log.complete:
        problems.append(f"the log of the HTTP service is not complete: {log.total} requests came")
    seen.unseen = tuple(problems)
    return seen


def _ancestors(process: ProcessInfo, processes: Sequence[ProcessInfo]) -> list[tuple[int, int]]:
    by_pid = {one.pid: one for one in processes}
    found: list[tuple[int, int]] = []
    above = by_pid.get(process.parent)
    while above is not None and above.identity not in found:
        found.append(above.identity)
        above = by_pid.get(above.parent)
    return found
