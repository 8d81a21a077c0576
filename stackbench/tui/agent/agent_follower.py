"""Keeps what is known of the agents up to date: by events of the live run, and by what the engine answers."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from stackbench.control.answers import AgentNow, TranscriptNow, WhyNow
from stackbench.control.client import EngineClient
from stackbench.control.messages import Event, RunFinished
from stackbench.errors import EngineUnreachableError, StoreError, UsageError
from stackbench.store import Queries, Reader
from stackbench.tui.agent.agents_now import AgentsNow, target_of
from stackbench.tui.engine_link import EngineLink
from stackbench.types import AttemptKey

__all__ = ["follow_agents"]

LOOK_EVERY_S = 1.0
SETTLE_S = 0.1
"""After an event the engine is asked so soon; events that come meanwhile are answered by the same question."""
NOTHING = "no agent is at work: n begins a chat; a run of tool use has agents too"


async def follow_agents(link: EngineLink, now: AgentsNow) -> None:
    """Until cancelled; from one live run to the next."""
    while True:
        engine = await link.engine()
        live = next((run for run in engine.runs if run.state == "running"), None)
        if live is not None:
            now.attach(live.run_id)
            with suppress(EngineUnreachableError):
                await _watch(link, now, live.run_id)
        elif engine.state in ("stopped", "hung", "busy"):
            now.detach(f"the engine (process {engine.pid}) does not answer")
        elif engine.state == "dead":
            now.detach("the engine died; r on the list of runs resumes its run")
        else:
            now.detach(NOTHING)
        await asyncio.sleep(LOOK_EVERY_S)


async def _watch(link: EngineLink, now: AgentsNow, run_id: str) -> None:
    """To the end of the run, or of its engine. Raises EngineUnreachableError."""
    async with link.connection() as client:
        with suppress(UsageError):  # its model loads still
            now.adopt_waits(WhyNow.model_validate(await client.command("why")).attempts)
        tasks = {asyncio.create_task(_listen(client, now, run_id)), asyncio.create_task(_ask(link, client, now))}
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await _settle(link, now)


async def _listen(client: EngineClient, now: AgentsNow, run_id: str) -> None:
    """To the end of the run."""
    async for event in client.events(run_id=run_id, text=True):
        now.take(event)
        if isinstance(event, Event) and isinstance(event.what, RunFinished):
            return


async def _ask(link: EngineLink, client: EngineClient, now: AgentsNow) -> None:
    """Asks for agents and transcript when an event says that they changed, and once a second for the counts."""
    waited = LOOK_EVERY_S
    while True:
        if now.stale or waited >= LOOK_EVERY_S:
            now.stale, waited = False, 0.0
            await _refresh(client, now)
            await _settle(link, now)
        await asyncio.sleep(SETTLE_S)
        waited += SETTLE_S


async def _refresh(client: EngineClient, now: AgentsNow) -> None:
    try:
        found = [AgentNow.model_validate(one) for one in await client.command("agents", content=True)]
    except UsageError:  # its model loads still
        now.state = "the run begins"
        return
    if not found and not now.agents:
        now.state = "no agent is at work in this run yet"
    now.adopt(found)
    key, agent = now.chosen, now.agent
    while agent is not None and key is not None and agent.events > len(now.events):
        try:
            answer = await client.command("transcript", target=target_of(key), since=len(now.events), content=True)
        except UsageError:  # it has just ended
            return
        before = len(now.events)
        now.adopt_transcript(key, TranscriptNow.model_validate(answer))
        if key != now.chosen or len(now.events) == before:
            return


async def _settle(link: EngineLink, now: AgentsNow) -> None:
    """An agent in view that has ended: its transcript is read as it was recorded, to its end."""
    key, run_id = now.chosen, now.run_id
    if key is None or not now.ended or now.settled:
        return

    def read(queries: Queries) -> Sequence[tuple[str, Mapping[str, Any]]]:
        detail = Reader(queries).attempt(run_id, AttemptKey(*key))
        return () if detail is None else detail.events

    with suppress(StoreError, UsageError):  # looked at again
        events = await link.read(read)
        if events:
            now.adopt_recorded(key, events)
