"""Carries out what was said, through the home's engine: the command line's and the voice screen's operator."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from stackbench.control.verbs import VERBS, change_line
from stackbench.errors import EngineUnreachableError, UsageError
from stackbench.tui.engine_link import EngineLink, Submission
from stackbench.voice.intents import Intent

__all__ = ["SpokenOperator"]

KEPT_TURNS = 100
RECORD = "record_voice"


class SpokenOperator:
    """Implements `Operator`. `go` goes to a place of the screens and says what came of it.

    Turns said while no run is live are recorded with the next one.
    """

    def __init__(self, link: EngineLink, go: Callable[[Intent], str]) -> None:
        self._link = link
        self._go = go
        self._unrecorded: list[dict[str, Any]] = []

    @property
    def unrecorded(self) -> int:
        """Turns that no run was live for."""
        return len(self._unrecorded)

    async def carry_out(self, intent: Intent) -> str:
        if intent.action == "place":
            return self._go(intent)
        if intent.action == "start":
            return await self._start(intent)
        if intent.action == "prompt":
            await self._link.command("message", text=intent.text)
            return "said to the agent"
        return await self._verb(intent)

    async def record(self, payload: dict[str, Any]) -> None:
        self._unrecorded = [*self._unrecorded, payload][-KEPT_TURNS:]
        await self.record_kept()

    async def record_kept(self) -> None:
        """Records what was said before, where a run is live by now."""
        try:
            while self._unrecorded:
                await self._link.command(RECORD, turn=self._unrecorded[0])
                del self._unrecorded[0]
        except (UsageError, EngineUnreachableError):
            return  # no run is live; they are recorded with the next

    async def _start(self, intent: Intent) -> str:
        run = await asyncio.to_thread(_planned, intent)
        run_id = await self._link.submit(run)
        return f"started run {run_id}: {intent.describe().removeprefix('start ')}"

    async def _verb(self, intent: Intent) -> str:
        answer = await self._link.command(intent.name, **intent.arguments)
        if VERBS[intent.name].changes:
            if not answer["changed"]:
                return f"{intent.name}: nothing to change, it is {answer['new']} already"
            return (
                f"{change_line(intent.name, intent.arguments, answer['old'], answer['new'])} (run {answer['run_id']})"
            )
        return _summary(intent.name, answer)


def _planned(intent: Intent) -> Submission:
    """The run that is meant, with the settings in force. Raises UsageError, ConfigError."""
    from stackbench.config import load_settings
    from stackbench.engine import new_run_id, plan_benchmarks, plan_suite

    limit = intent.arguments.get("limit")
    settings = load_settings({} if limit is None else {"limit": int(limit)}).settings
    if intent.name == "suite":
        plan = plan_suite(str(intent.arguments["suite"]), settings)
    else:
        plan = plan_benchmarks([str(intent.arguments["benchmark"])], settings)
    return Submission(new_run_id(), plan.model_dump(mode="json"))


def _summary(verb: str, answer: Any) -> str:
    """What a verb that only looks answered, in one line."""
    if verb == "runs":
        listed = ", ".join(f"{run['run_id']} ({run['state']}, {', '.join(run['benchmarks'])})" for run in answer)
        return listed or "no run is live or queued"
    if verb == "status":
        parts = ", ".join(
            f"{row['benchmark']} {row['before'] + row['done']} of {row['total']}, {row['passed']} passed"
            for row in answer["benchmarks"]
        )
        return f"run {answer['run_id']}: {answer['phase']}; {parts}"
    if verb == "agents":
        listed = ", ".join(f"{agent['task_id']} ({agent['state']})" for agent in answer)
        return f"{len(answer)} agents at work: {listed}" if answer else "no agent is at work"
    waits: dict[str, int] = {}
    for attempt in answer["attempts"]:
        reason = str(attempt["waits_for"] or "nothing")
        waits[reason] = waits.get(reason, 0) + 1
    listed = ", ".join(f"{count} for {reason}" for reason, count in waits.items())
    return f"run {answer['run_id'] or 'none'}: {answer['phase']}; attempts wait: {listed or 'none is under way'}"
