"""Checkpoints of a long attempt: an agent between two turns, with what it changed in its container."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from stackbench.agents.session import AgentSession
from stackbench.errors import SandboxError, ToolError
from stackbench.sandbox.container_changes import ChangeTracker, ContainerChanges

__all__ = ["Chat", "Checkpoint", "CheckpointStore", "Checkpoints"]

Chat = Sequence[dict[str, Any]]
"""Messages as LangChain writes them as JSON."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """An agent between two turns: all calls of the last one have their results, and no command of its runs."""

    chat: Chat
    """Without the system message."""
    session: Mapping[str, Any]
    """As `AgentSession.saved` gives it."""
    used_s: float
    """Of the agent's time limit."""
    commands: int
    """Background commands that there were."""
    changes: ContainerChanges


class CheckpointStore(Protocol):
    """Keeps the last checkpoint of one attempt together with the attempt's log so far."""

    async def find(self, basis: str) -> Checkpoint | None:
        """The checkpoint that was kept on the same basis, if there is one that can be read."""
        ...

    def take_up(self) -> None:
        """Takes the log up again that was kept with the checkpoint that was found."""
        ...

    async def keep(self, basis: str, checkpoint: Checkpoint) -> None:
        """Puts it in place of the one before. Raises OSError."""
        ...

    def drop(self) -> None:
        """Forgets the checkpoint."""
        ...


class Checkpoints:
    """The checkpoints of one agent in its container.

    Args:
        basis: names what a checkpoint belongs to (task, image, tools): on another basis it is not taken up.
        every: turns from one checkpoint to the next.
    """

    def __init__(self, store: CheckpointStore, basis: str, every: int) -> None:
        self.resumed_at: int | None = None
        """Turns that the model had had when the attempt was taken up again."""
        self.used_s = 0.0
        """Of the agent's time limit, before it was taken up again."""
        self._store = store
        self._basis = basis
        self._every = every
        self._tracker: ChangeTracker | None = None
        self._last = 0
        self._began_s = 0.0
        self._skipped = ""

    async def begin(self, session: AgentSession) -> Chat:
        """Notes how the container is before the agent's work, and takes a checkpoint up where there is one.

        Returns the chat to go on with; empty where the agent begins anew. Raises SandboxError: also where a
        checkpoint's changes could be made in part only.
        """
        log, sandbox, clock = session.backend.log, session.workspace.session, session.backend.clock
        self._began_s = clock.active_s
        try:
            self._tracker = await ChangeTracker.begin(sandbox)
        except ToolError as error:
            log("checkpoint_skipped", {"step": 0, "reason": str(error)})
            return ()
        found = await self._store.find(self._basis)
        if found is None:
            return ()
        try:
            await self._tracker.put(found.changes)
        except ToolError as error:  # this container has a part of them: the attempt begins anew in another
            self._store.drop()
            raise SandboxError(f"the attempt's checkpoint cannot be taken up: {error}") from error
        self._store.take_up()
        session.take_up(found.session)
        session.workspace.jobs.numbered = found.commands
        self.resumed_at = self._last = session.step
        self.used_s, self._began_s = found.used_s, clock.active_s
        log("agent_resumed", {"step": session.step, "used_s": round(found.used_s, 3)})
        return found.chat

    async def before_turn(self, session: AgentSession, chat: Callable[[], Chat]) -> None:
        """Keeps a checkpoint where enough turns have passed since the last. Raises SandboxError."""
        if self._tracker is None or session.step - self._last < self._every:
            return
        with session.backend.clock.waiting():
            alive = await session.workspace.session.processes(with_dying=False)
            running = [one for one in alive if one.user == "agent"]
            if running:  # once it has ended there is one at the next turn
                reason = f"a command still runs: {' '.join(running[0].command)[:100]}"
            else:
                reason = await self._keep(self._tracker, session, chat())
                self._last = session.step
        if reason and reason != self._skipped:
            session.backend.log("checkpoint_skipped", {"step": session.step, "reason": reason})
        self._skipped = reason

    async def _keep(self, tracker: ChangeTracker, session: AgentSession, chat: Chat) -> str:
        """Why there is no checkpoint; empty where there is one."""
        workspace = session.workspace
        try:
            changes = await tracker.take()
            used_s = self.used_s + session.backend.clock.active_s - self._began_s
            made = Checkpoint(chat, session.saved(), used_s, workspace.jobs.numbered, changes)
            await self._store.keep(self._basis, made)
        except (ToolError, OSError) as error:
            return str(error)
        return ""
