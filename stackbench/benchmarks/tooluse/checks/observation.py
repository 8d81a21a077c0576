"""Records the final state after an agent's run: files, processes, HTTP requests, its answer."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from stackbench.benchmarks.tooluse.checks.world_checks import process_problem
from stackbench.benchmarks.tooluse.scenario.check_fields import ProcessCheck
from stackbench.benchmarks.tooluse.scenario.scenario import Scenario
from stackbench.errors import ToolError
from stackbench.sandbox.records import Entry, HttpRequest, ProcessInfo, Snapshot

if TYPE_CHECKING:
    from stackbench.agents import CallMade
    from stackbench.sandbox.session import Session

__all__ = ["Observation", "observe", "relative"]

SETTLE_POLL_S = 0.05
SETTLE_TRIES = 10
READ_LIMIT = 8 << 20


@dataclass(slots=True)
class Observation:
    """What the agent left behind."""

    session: Session
    before: Snapshot
    after: Snapshot
    processes: Sequence[ProcessInfo]
    requests: Sequence[HttpRequest]
    answer: str
    calls: Sequence[CallMade]
    contents: dict[str, bytes] = field(default_factory=dict[str, bytes])
    """Of files read so far."""
    unseen: tuple[str, ...] = ()
    """Why not all of it could be looked at: the agent's own doing, so the task counts as failed."""

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
    scenario: Scenario, session: Session, before: Snapshot, answer: str, calls: Sequence[CallMade]
) -> Observation:
    """Looks at the container as it is now, by root and from outside. A process that was told to end or to start gets a
    moment to do it, and what is watched must be seen twice alike. Then every process of the agent's is stopped where
    it is, so that none of them sees a check, answers it or changes what it looks at (`session.thaw` lets them go on).

    Raises SandboxError.
    """
    seen = Observation(session, before, before, (), (), answer, calls)
    watched = [check for check in scenario.checks if isinstance(check, ProcessCheck)]
    for _ in range(SETTLE_TRIES):
        before_that = {one.pid for one in seen.processes}
        seen.processes = [one for one in await session.processes() if one.user == "agent" and one.state != "Z"]
        alike = before_that == {one.pid for one in seen.processes}
        if not watched or (alike and not any(process_problem(check, seen) for check in watched)):
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


def relative(path: str) -> str:
    """A path as snapshots have it: from the workspace, without its name."""
    return "" if path in (".", "/workspace") else path.removeprefix("/workspace/").removeprefix("./")
