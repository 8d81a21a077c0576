"""A run in the test's own process, with what it says."""

from __future__ import annotations

import asyncio
from typing import Any, Self

from stackbench.config import Home
from stackbench.control.messages import Command, EventKind
from stackbench.engine import EngineService, RunPlan, SubmittedRun
from stackbench.types import RunStatus

__all__ = ["WatchedRun"]


class WatchedRun:
    """Begins with the block; what is left of it ends with the block."""

    def __init__(self, home: Home, plan: RunPlan) -> None:
        self.home = home
        self.plan = plan
        self.events: list[EventKind] = []

    async def __aenter__(self) -> Self:
        self.service = EngineService(self.home, listener=lambda _, event: self.events.append(event))
        await self.service.__aenter__()
        self.run: SubmittedRun = self.service.submit(self.plan)
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.service.__aexit__(*error)

    async def until(self, count: int, kind: type, text: str = "") -> None:
        """Waits for so many events of a kind."""
        async with asyncio.timeout(60):
            while sum(isinstance(e, kind) and text in getattr(e, "text", "") for e in self.events) < count:
                await asyncio.sleep(0.01)

    async def ask(self, verb: str) -> Any:
        return await self.service.command(Command(id=1, verb=verb))

    async def end(self) -> str:
        """Its id, once it is completed."""
        outcome = await self.run.outcome()
        assert outcome.status is RunStatus.COMPLETED
        return outcome.run_id
