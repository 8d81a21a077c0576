"""The operator's verbs on one agent: looking at it, deciding on its calls, steering it, working in its sandbox."""

from __future__ import annotations

import posixpath
import secrets
import signal
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, cast, get_args

from stackbench import nesting
from stackbench.control.answers import (
    AgentNow,
    FileListed,
    FileRead,
    ShellResult,
    TerminalAccess,
    TranscriptNow,
    TranscriptStep,
)
from stackbench.engine.seats import AgentSeat, Seats
from stackbench.errors import SandboxError, ToolError, UsageError, one_line
from stackbench.types import ApprovalPolicy, EventRecord

if TYPE_CHECKING:
    from stackbench.sandbox.session import Session

__all__ = ["CHANGES", "LOOKS", "change_agent", "look_at_agents"]

LOOKS = ("agents", "transcript", "files", "read")
CHANGES = ("approve", "reject", "edit", "message", "interrupt", "step", "abort", "policy", "shell", "terminal")
SHELL_S = 60.0
SHELL_SHOWN = 256 << 10
"""Bytes of a command's output that are answered, the last ones."""
FILE_SHOWN = 1 << 20
ENTRIES_SHOWN = 2000
STEPS_AT_ONCE = 500
Change = tuple[Any, Any, Callable[[], Awaitable[Any] | None]]


async def look_at_agents(verb: str, arguments: Mapping[str, Any], seats: Seats) -> Any:
    """What `agents`, `transcript`, `files` and `read` answer, as JSON values. Raises UsageError."""
    content = bool(arguments.get("content"))
    if verb == "agents":
        return [_describe(seat, seats, content=content).model_dump() for seat in seats]
    seat = seats.seat(str(arguments.get("target") or ""))
    if verb == "transcript":
        since = _number(verb, "since", arguments.get("since", 0))
        return _transcript(seat.attempt.events, since, content=content).model_dump()
    if not content:
        raise UsageError(f"{verb} answers with what models and tools wrote: ask for it with --content")
    path = str(arguments.get("path") or ".")
    try:
        return (await (_list if verb == "files" else _read)(_sandbox(seat), path)).model_dump()
    except ToolError as error:
        raise UsageError(f"{verb}: {one_line(error, 400)}") from error
    except SandboxError as error:
        raise UsageError(f"{verb}: the sandbox does not answer: {one_line(error, 400)}") from error


def change_agent(verb: str, arguments: Mapping[str, Any], seats: Seats) -> Change:
    """The old value, the new one, and what makes the change. Raises UsageError."""
    target = str(arguments.get("target") or "")
    if verb in ("approve", "reject", "edit"):
        return _decide(verb, arguments, seats)
    if verb == "policy":
        return _policy(str(arguments["policy"]), target, seats)
    seat = seats.seat(target)
    agent = seat.operator
    if verb == "message":
        text = str(arguments["text"])
        return None, text, lambda: agent.tell(text)
    if verb == "shell":
        command = str(arguments["command"])
        session = _sandbox(seat)
        folder = str(arguments.get("folder") or "") or None
        return None, command, lambda: _shell(seat, session, command, folder, content=bool(arguments.get("content")))
    if verb == "terminal":
        opened = _sandbox(seat)
        return "none", "opened", lambda: _terminal(seat, opened)
    if verb == "interrupt":
        if not agent.converses:
            raise UsageError(f"interrupt ends a turn of a chat; to end the agent at {seat.key.task_id}: abort")
        waits = agent.listens or agent.interrupted.is_set()
        return ("waiting" if waits else "at work"), "waiting", agent.interrupt
    if verb == "abort":
        return ("aborted" if agent.stopped.is_set() else "at work"), "aborted", agent.stop
    if verb == "step":
        return state_of(seat), "one step", agent.step
    if verb == "pause":
        return state_of(seat), "paused", agent.pause
    return state_of(seat), "running", agent.resume


def state_of(seat: AgentSeat) -> str:
    return "paused" if seat.operator.paused else "running"


def json_object(text: str) -> str:
    """The text, where it is a JSON object. Raises UsageError."""
    if nesting.object_of(text) is None:
        raise UsageError(f"edit takes the arguments as a JSON object, not {one_line(text, 80)}")
    return text


# -- looking


def _describe(seat: AgentSeat, seats: Seats, *, content: bool) -> AgentNow:
    turns = [event.payload for event in seat.attempt.events if event.kind == "model_call"]
    return AgentNow(
        benchmark=seat.key.benchmark,
        task_id=seat.key.task_id,
        attempt=seat.key.attempt,
        seed=seat.key.seed,
        state=state_of(seat),
        policy=seats.policy_of(seat.key),
        chat=seat.operator.converses,
        turns=len(turns),
        prompt_tokens=sum(turn.get("prompt_tokens") or 0 for turn in turns),
        completion_tokens=sum(turn.get("completion_tokens") or 0 for turn in turns),
        events=len(seat.attempt.events),
        calls=seats.pending(content=content, key=seat.key),  # pyright: ignore[reportArgumentType]
    )


def _transcript(events: Sequence[EventRecord], since: int, *, content: bool) -> TranscriptNow:
    """Events from the one with this number on; those of one attempt count from 0."""
    chosen = events[since : since + STEPS_AT_ONCE]
    steps = [
        TranscriptStep(
            kind=event.kind, ts=event.ts.isoformat(), payload=dict(event.payload) if content else _metadata(event)
        )
        for event in chosen
    ]
    return TranscriptNow(since=since, next=since + len(steps), total=len(events), steps=tuple(steps))


def _metadata(event: EventRecord) -> dict[str, Any]:
    """An event's numbers and truths; its texts are of models and tools."""
    return {
        name: value for name, value in event.payload.items() if value is None or isinstance(value, bool | int | float)
    }


async def _list(session: Session, path: str) -> FileListed:
    entries = await session.list(path, limit=ENTRIES_SHOWN)
    return FileListed(
        path=path,
        entries=tuple(
            {"name": one.path, "kind": one.kind, "size": one.size, "mode": one.mode, "target": one.target}
            for one in entries
        ),  # pyright: ignore[reportArgumentType]
        cut=len(entries) >= ENTRIES_SHOWN,
    )


async def _read(session: Session, path: str) -> FileRead:
    found = await session.read(path, size=FILE_SHOWN)
    return FileRead(
        path=path, size=found.size, text=found.data.decode(errors="backslashreplace"), cut=found.size > len(found.data)
    )


# -- changing


def _decide(verb: str, arguments: Mapping[str, Any], seats: Seats) -> Change:
    from stackbench.agents import Decision

    waiting = seats.waiting_call(str(arguments.get("call") or ""))
    if verb == "approve":
        decision = Decision("approve")
    elif verb == "reject":
        decision = Decision("reject", reason=str(arguments.get("reason") or ""))
    else:
        decision = Decision("edit", arguments=json_object(str(arguments["arguments"])))
    return "waiting", verb, lambda: waiting.decide(decision)


def _policy(policy: str, target: str, seats: Seats) -> Change:
    known: tuple[str, ...] = get_args(ApprovalPolicy)
    if policy not in known:
        raise UsageError(f'policy is one of {", ".join(known)}, not "{one_line(policy, 60)}"')
    chosen = cast(ApprovalPolicy, policy)
    if not target:
        return seats.policy, chosen, lambda: seats.set_policy(chosen)
    seat = seats.seat(target)

    def change() -> None:
        seat.policy = chosen

    return seats.policy_of(seat.key), chosen, change


async def _shell(
    seat: AgentSeat, session: Session, command: str, folder: str | None, *, content: bool
) -> dict[str, Any]:
    """A command line in the agent's sandbox, as the agent's user; the transcript tells of it. Raises UsageError."""
    mark = secrets.token_hex(8)
    line = f"{command}\n__stackbench_code=$?\nprintf '\\n{mark}%s\\n' \"$PWD\"\nexit $__stackbench_code"
    try:
        done = await session.run(line, cwd=posixpath.join(session.workdir, folder or ""), merge=True, timeout_s=SHELL_S)
    except ToolError as error:
        raise UsageError(f"shell: {one_line(error, 400)}") from error
    except SandboxError as error:
        raise UsageError(f"shell: the sandbox does not answer: {one_line(error, 400)}") from error
    output, found, where = done.stdout.decode(errors="replace").rpartition(f"\n{mark}")
    text = output if found else where
    after = where.strip("\n") if found else folder or ""
    ended: Literal["exited", "killed", "timed out"] = "exited"
    if done.reason != "ended":
        ended = "timed out"
    elif done.signal is not None:
        ended = "killed"
    result = ShellResult(
        exit_code=done.exit_code,
        ended=ended,
        signal=signal.Signals(done.signal).name if done.signal is not None else "",
        seconds=round(done.wall_s, 3),
        output=text[-SHELL_SHOWN:],
        cut=len(text) > SHELL_SHOWN,
        folder=after,
    )
    seat.attempt.log(
        "operator",
        {"action": "shell", "command": command, "exit_code": done.exit_code, "output": result.output[-2000:]},
    )
    return result.model_dump(exclude=None if content else {"output", "folder"})


async def _terminal(seat: AgentSeat, session: Session) -> dict[str, Any]:
    """The transcript tells that a terminal was opened, not what is done in it. Raises UsageError."""
    from stackbench.sandbox.terminal import terminal_command

    try:
        command = await terminal_command(session)
    except (ToolError, SandboxError) as error:
        raise UsageError(f"terminal: the sandbox does not answer: {one_line(error, 400)}") from error
    seat.attempt.log("operator", {"action": "terminal"})
    return TerminalAccess(command=tuple(command)).model_dump()


def _sandbox(seat: AgentSeat) -> Session:
    if seat.attempt.session is None:
        raise UsageError(f"the agent at {seat.key.task_id} has no sandbox now")
    return seat.attempt.session


def _number(verb: str, name: str, value: Any) -> int:
    try:
        number = int(value)
    except (TypeError, ValueError, OverflowError):
        number = -1
    if number < 0:
        raise UsageError(f"{verb}: {name} is a whole number from 0, not {one_line(str(value), 60)}")
    return number
