"""The effects of an agent's calls: what each changed, read, asked and started, as the sandbox saw it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from stackbench.sandbox.records import FileChanges, HttpRequest, ProcessInfo

if TYPE_CHECKING:
    from stackbench.sandbox.session import Session

__all__ = ["Effects", "Watch", "of_agent", "owned_by"]

MOST_LOGGED = 20


@dataclass(frozen=True, slots=True)
class Effects:
    """What happened from the last look until a call had ended."""

    files: FileChanges = field(default_factory=FileChanges)
    requests: tuple[HttpRequest, ...] = ()
    """What the HTTP service was asked."""
    started: tuple[ProcessInfo, ...] = ()
    """Processes that were new and still ran; those that the set-up's own processes started are theirs."""
    ended: tuple[ProcessInfo, ...] = ()
    """Processes of the set-up that ran no more."""

    @property
    def paths(self) -> frozenset[str]:
        """Every path that was added, removed or changed."""
        return self.files.added | self.files.removed | self.files.changed

    def logged(self) -> Mapping[str, Any]:
        """A short account for the log; empty where nothing was done."""
        asked = [f"{one.method} {one.path} {one.status}" for one in self.requests]
        found = {
            "files": sorted(self.paths)[:MOST_LOGGED],
            "requests": asked[:MOST_LOGGED],
            "started": [" ".join(one.command)[:200] for one in self.started[:MOST_LOGGED]],
            "ended": [" ".join(one.command)[:200] for one in self.ended[:MOST_LOGGED]],
        }
        return {name: value for name, value in found.items() if value}


class Watch:
    """Looks at one container again and again and tells what is new."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._requests = 0
        self._of_setup: dict[tuple[int, int], ProcessInfo] = {}
        self._known: set[tuple[int, int]] = set()

    async def begin(self) -> None:
        """Takes the present state as that of the set-up. Raises SandboxError."""
        seen = await self._session.observe()
        self._requests = len(seen.requests)
        processes = of_agent(seen.processes)
        self._of_setup = {one.identity: one for one in processes if one.parent == 1}
        self._known = {one.identity for one in processes}

    async def look(self) -> Effects | None:
        """What is new; None where the workspace could not be looked through. Raises SandboxError."""
        seen = await self._session.observe(since=self._requests)
        self._requests += len(seen.requests)
        running = {one.identity: one for one in of_agent(seen.processes)}
        started = [one for identity, one in running.items() if identity not in self._known]
        ended = [one for identity, one in self._of_setup.items() if identity not in running]
        self._known |= running.keys()
        owned = owned_by(self._of_setup, running.values())
        for one in ended:
            del self._of_setup[one.identity]
        if seen.files is None:
            return None
        return Effects(
            seen.files, seen.requests, tuple(one for one in started if one.identity not in owned), tuple(ended)
        )


def of_agent(processes: Iterable[ProcessInfo]) -> list[ProcessInfo]:
    """The agent's processes and those of the set-up, which run as the same user."""
    return [one for one in processes if one.user == "agent" and one.state != "Z"]


def owned_by(owners: Collection[tuple[int, int]], processes: Iterable[ProcessInfo]) -> set[tuple[int, int]]:
    """The processes that some owners started, directly or not, and these themselves."""
    by_pid = {one.pid: one for one in processes}
    found: set[tuple[int, int]] = set()
    for process in by_pid.values():
        above: ProcessInfo | None = process
        for _ in range(len(by_pid)):
            if above is None or above.identity in owners:
                break
            above = by_pid.get(above.parent)
        if above is not None and above.identity in owners:
            found.add(process.identity)
    return found
