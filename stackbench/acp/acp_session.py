"""One session of a client: an agent at work in the home's engine, followed by its events and steered by the verbs."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, Protocol

from acp.exceptions import RequestError
from acp.helpers import SessionUpdate
from acp.schema import AllowedOutcome, PermissionOption, RequestPermissionResponse, StopReason, ToolCallUpdate

from stackbench.acp import updates
from stackbench.acp.turn_text import Piece, TurnText
from stackbench.control.answers import PendingCall, TranscriptNow, TranscriptStep
from stackbench.control.messages import (
    AttemptFinished,
    AttemptRef,
    AttemptText,
    AttemptWaiting,
    CallDecided,
    CallWaiting,
    CommandOutput,
    EventKind,
    Missed,
    Notice,
    OperatorAction,
    RunFinished,
    RunQueued,
    ToolCallEnded,
    ToolCallStarted,
)
from stackbench.errors import EngineUnreachableError, StackbenchError, UsageError
from stackbench.tui.agent.agents_now import AgentKey, target_of
from stackbench.tui.engine_link import EngineLink
from stackbench.types import ApprovalPolicy

__all__ = ["AcpClient", "AcpSession"]

LISTENS = "a message of the operator"
"""What the agent of a chat waits for between two turns, as the engine's events tell it."""
ENDED = -32000
OUTPUT_KEPT = 20_000


class AcpClient(Protocol):
    """What is asked of an editor."""

    async def session_update(self, session_id: str, update: SessionUpdate) -> None: ...

    async def request_permission(
        self, session_id: str, tool_call: ToolCallUpdate, options: list[PermissionOption]
    ) -> RequestPermissionResponse: ...


class AcpSession:
    """`follow` runs beside the requests, to the end of the agent. A chat of the session's own ends with `close`."""

    def __init__(
        self, session_id: str, run_id: str, link: EngineLink, client: AcpClient, agent: AgentKey | None = None
    ) -> None:
        self.session_id = session_id
        self.run_id = run_id
        self._link = link
        self._client = client
        self._own = agent is None
        """Whether the agent is a chat that was begun for this session."""
        self._key = agent
        self._at_work = asyncio.Event()
        self._ended = asyncio.Event()
        self._why = ""
        """Why the agent has ended."""
        self._turn: asyncio.Future[StopReason] | None = None
        """Of the prompt under way."""
        self._told = False
        """Whether the engine has the message of that prompt."""
        self._cancelled = False
        self._held = False
        """Whether an agent at a task was held by `cancel`."""
        self._events_read = 0
        """Of the agent's transcript."""
        self._step: int = 0
        self._text = TurnText()
        self._calls: dict[str, str] = {}
        """Calls under way, by id: what they have written."""
        self._asking: dict[str, asyncio.Task[None]] = {}
        """Calls that the client is asked about, by the number that the verbs name them by."""
        self._shown: set[str] = set()
        """Ids of calls that the client knows."""

    # -- what the client asks

    async def prompt(self, text: str) -> StopReason:
        """Says something to the agent, and waits until it has answered. Raises RequestError."""
        if self._turn is not None and not self._turn.done():
            raise RequestError(-32600, "a prompt of this session is under way; cancel it first")
        self._cancelled = self._told = False
        turn = self._turn = asyncio.get_running_loop().create_future()
        await self._either(self._at_work.wait(), self._ended.wait(), asyncio.shield(turn))
        if self._ended.is_set() and not turn.done():
            raise RequestError(ENDED, self._why)
        try:
            if not turn.done():
                await self._verb("message", text=text)
                if self._held:
                    self._held = False
                    await self._verb("resume")
            return await turn
        except StackbenchError as error:
            raise RequestError(ENDED, str(error)) from error

    async def cancel(self) -> None:
        """Ends the turn of a chat; an agent at a task is held, until the next prompt."""
        self._cancelled = True
        for task in list(self._asking.values()):
            task.cancel()
        turn = self._turn
        if turn is None or turn.done():
            return
        if not self._at_work.is_set():
            turn.set_result("cancelled")
            return
        with suppress(StackbenchError):
            if self._own:
                await self._verb("interrupt")
                return
            await self._verb("pause")
            self._held = True
        if not turn.done():
            turn.set_result("cancelled")

    async def set_policy(self, policy: ApprovalPolicy) -> None:
        """Which calls of the agent wait. Raises RequestError."""
        await self._either(self._at_work.wait(), self._ended.wait())
        try:
            await self._verb("policy", policy=policy)
        except StackbenchError as error:
            raise RequestError(ENDED, str(error)) from error

    async def close(self) -> None:
        """A chat of the session's own ends, and its attempt keeps it; another agent goes on."""
        if not self._own or self._ended.is_set():
            return
        with suppress(StackbenchError):
            if self._at_work.is_set():
                await self._verb("abort")
            else:
                await self._link.command("stop", run=self.run_id)

    # -- what the engine tells

    async def follow(self, waiting: tuple[PendingCall, ...] = ()) -> None:
        """To the end of the agent, of its run or of the engine. `waiting`: calls that waited before this began."""
        why = "the engine ended"
        try:
            async with self._link.connection() as connection:
                if not self._own:
                    self._events_read = await self._length()
                    self._at_work.set()
                    for call in waiting:
                        await self._call_waits(call.call, call.call, call.tool, call.arguments)
                since = 1 if self._own else None
                async for event in connection.events(since=since, run_id=self.run_id, text=True):
                    if isinstance(event, Missed):
                        self._text.missed = True
                    elif ended := await self._take(event.what):
                        why = ended
                        break
        except StackbenchError as error:
            why = str(error)
        finally:
            self._end(why)

    def _end(self, why: str) -> None:
        self._why = why
        self._ended.set()
        for task in self._asking.values():
            task.cancel()
        if self._turn is not None and not self._turn.done():
            if self._cancelled:
                self._turn.set_result("cancelled")
            elif self._told and not self._own:  # an agent at a task has ended as it was to
                self._turn.set_result("end_turn")
            else:
                self._turn.set_exception(RequestError(ENDED, why))

    async def _take(self, what: EventKind) -> str:
        """Tells the client of an event; why the agent has ended, where it has."""
        if isinstance(what, RunFinished):
            return what.error or f"the run has ended: {what.status}"
        if isinstance(what, RunQueued):
            await self._say(Piece(thought=f"waits behind {what.position + 1} other run(s)\n"))
        elif isinstance(what, Notice):
            if not self._at_work.is_set():  # the model loads, say
                await self._say(Piece(thought=f"{what.text}\n"))
        elif isinstance(what, OperatorAction):
            await self._take_action(what)
        elif (ref := getattr(what, "attempt", None)) is not None and self._is_mine(ref):
            return await self._take_doing(what)
        return ""

    async def _take_action(self, what: OperatorAction) -> None:
        if what.verb != "message" or not self._at_work.is_set():
            return
        if what.who == self._link.who:
            self._told = True
        elif what.arguments.get("target") in (None, self._target):
            await self._tell(updates.user_piece(str(what.arguments.get("text", ""))))

    async def _take_doing(self, what: EventKind) -> str:
        if isinstance(what, AttemptText):
            if what.step != self._step:
                self._step, self._text = what.step, TurnText()
            await self._say(self._text.add(what.text, thought=what.thought))
        elif isinstance(what, ToolCallStarted):
            await self._call_begins(what.call_id, what.tool, what.arguments)
        elif isinstance(what, CommandOutput):
            await self._output(what.text)
        elif isinstance(what, ToolCallEnded):
            await self._call_ends(what)
        elif isinstance(what, CallWaiting):
            await self._catch_up()
            await self._call_waits(what.call, what.call_id, what.tool, what.arguments)
        elif isinstance(what, CallDecided):
            if (task := self._asking.pop(what.call, None)) is not None:
                task.cancel()
        elif isinstance(what, AttemptWaiting):
            if what.detail == LISTENS:
                await self._listens()
        elif isinstance(what, AttemptFinished):
            passed = {True: "passed", False: "failed", None: "ended in an error"}[what.passed]
            return f"the agent has ended: {what.reason or passed}"
        return ""

    async def _listens(self) -> None:
        """The agent waits for what the operator says next."""
        await self._catch_up()
        self._at_work.set()
        if self._turn is not None and not self._turn.done() and self._told:
            self._turn.set_result("cancelled" if self._cancelled else "end_turn")

    async def _catch_up(self) -> None:
        """Reads what the transcript has beyond what was told: thoughts, and texts that did not come in pieces."""
        while True:
            try:
                answer = await self._verb("transcript", since=self._events_read, content=True)
            except (UsageError, EngineUnreachableError):
                return  # it has just ended
            part = TranscriptNow.model_validate(answer)
            self._events_read = part.next
            for step in part.steps:
                await self._recorded(step)
            if part.next >= part.total:
                return

    async def _recorded(self, step: TranscriptStep) -> None:
        if step.kind != "model_call":
            return
        payload = step.payload
        await self._say(self._text.finish(str(payload.get("thought") or ""), str(payload.get("text") or "")))
        self._text = TurnText()

    # -- calls

    async def _call_begins(self, call_id: str, tool: str, arguments: str) -> None:
        await self._catch_up()
        self._calls[call_id] = ""
        if call_id in self._shown:
            await self._tell(updates.call_changes(call_id, "in_progress"))
        else:
            self._shown.add(call_id)
            await self._tell(updates.call_begins(call_id, tool, arguments, "in_progress"))

    async def _output(self, text: str) -> None:
        """What a command writes belongs to the call that began last."""
        if self._calls:
            call_id = next(reversed(self._calls))
            self._calls[call_id] = (self._calls[call_id] + text)[-OUTPUT_KEPT:]
            await self._tell(updates.call_changes(call_id, "in_progress", self._calls[call_id]))

    async def _call_ends(self, what: ToolCallEnded) -> None:
        self._calls.pop(what.call_id, None)
        if what.call_id not in self._shown:  # it was not let pass, or began before we came
            await self._tell(updates.call_begins(what.call_id, what.tool, "{}", "pending"))
        await self._tell(updates.call_changes(what.call_id, "failed" if what.failed else "completed", what.output))
        self._shown.discard(what.call_id)

    async def _call_waits(self, number: str, call_id: str, tool: str, arguments: str) -> None:
        self._shown.add(call_id)
        await self._tell(updates.call_begins(call_id, tool, arguments, "pending"))
        asked = updates.call_to_approve(call_id, tool, arguments)
        self._asking[number] = asyncio.create_task(self._ask(number, asked))

    async def _ask(self, number: str, asked: ToolCallUpdate) -> None:
        """Puts a call before the user; what an editor cannot ask about is refused."""
        options = [
            PermissionOption(option_id=option, name=name, kind=kind) for option, name, kind in updates.PERMISSIONS
        ]
        try:
            outcome = (await self._client.request_permission(self.session_id, asked, options)).outcome
            chosen = outcome.option_id if isinstance(outcome, AllowedOutcome) else ""
            reason = "the user refused it" if chosen else "the user ended this turn"
        except (RequestError, ConnectionError) as error:
            chosen, reason = "", f"the editor could not ask the user ({error})"
        with suppress(UsageError, EngineUnreachableError):  # somebody else has decided, or the agent has ended
            if chosen == updates.ALLOW_ALL:
                await self._verb("policy", policy="never")
            if chosen in (updates.ALLOW, updates.ALLOW_ALL):
                await self._link.command("approve", call=number)
            else:
                await self._link.command("reject", call=number, reason=reason)

    # -- telling and asking

    async def _say(self, piece: Piece) -> None:
        if piece.thought:
            await self._tell(updates.thought_piece(piece.thought))
        if piece.answer:
            await self._tell(updates.answer_piece(piece.answer))

    async def _tell(self, update: SessionUpdate) -> None:
        await self._client.session_update(self.session_id, update)

    async def _length(self) -> int:
        """Events of the agent's transcript so far."""
        return TranscriptNow.model_validate(await self._verb("transcript", since=1 << 40)).total

    async def _verb(self, verb: str, **arguments: Any) -> Any:
        return await self._link.command(verb, target=self._target, **arguments)

    @property
    def _target(self) -> str:
        return target_of(self._key) if self._key is not None else ""

    def _is_mine(self, ref: AttemptRef) -> bool:
        key = (ref.benchmark, ref.task_id, ref.attempt, ref.seed)
        if self._key is None:
            self._key = key
        return key == self._key

    @staticmethod
    async def _either(*waits: Coroutine[Any, Any, Any] | asyncio.Future[Any]) -> None:
        """Until one of these is done."""
        tasks = [asyncio.ensure_future(one) for one in waits]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
