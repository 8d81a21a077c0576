"""`exec` and `process`: foreground and background commands."""

from __future__ import annotations

import posixpath
import signal
import time
from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from stackbench.agents.tools.background import Job
from stackbench.agents.tools.base import Parameters, ToolOutcome, ToolRefusedError, Workspace
from stackbench.agents.tools.keys import encode_keys
from stackbench.agents.tools.text import cut_middle
from stackbench.nesting import is_object

__all__ = ["Exec", "ProcessTool"]

TAIL_CHARACTERS = 2000
LOG_LINES = 200
SETTLE_S = 0.2
"""After typing, a command is given so long to answer before its new output is told."""
END_S = 5.0


class ExecParameters(Parameters):
    command: str = Field(description="Command line for the shell.")
    workdir: str | None = Field(default=None, description="Folder to run it in [the workspace].")
    env: dict[str, str] | None = Field(default=None, description="Variables to set.")
    yield_ms: int = Field(
        default=10_000, ge=0, le=600_000, alias="yieldMs", description="Go on in the background after so long."
    )
    background: bool = Field(default=False, description="Go on in the background at once.")
    timeout_seconds: float = Field(
        default=1800, ge=0, le=86_400, alias="timeoutSeconds", description="Seconds until it is ended; 0: never."
    )
    pty: bool = Field(default=False, description="Give it a terminal.")
    title: str | None = Field(default=None, description="A few words on what it is for.")

    @model_validator(mode="before")
    @classmethod
    def _names(cls, value: Any) -> Any:
        if is_object(value) and "timeout" in value:
            raise ValueError("there is no timeout: it is called timeoutSeconds (yieldMs goes on in the background)")
        return value


class Exec:
    """Implements `Tool`."""

    name: ClassVar[str] = "exec"
    description: ClassVar[str] = (
        "Run a shell command. It answers with output and exit code; one that takes longer than yieldMs goes on in "
        "the background under a sessionId, for the process tool."
    )
    parameters: ClassVar[type[Parameters]] = ExecParameters
    read_only: ClassVar[bool] = False

    async def call(self, asked: ExecParameters, workspace: Workspace) -> ToolOutcome:
        if not asked.command.strip():
            raise ToolRefusedError("command is empty")
        process = await workspace.session.start(
            asked.command,
            cwd=_folder(asked.workdir, workspace),
            env={**workspace.environment, **(asked.env or {})},
            stdin=True,
            pty=asked.pty,
            merge=not asked.pty,
            timeout_s=asked.timeout_seconds or None,
        )
        job = workspace.jobs.adopt(asked.command, process, pty=asked.pty)
        if not workspace.background:
            await job.wait(None)
        elif not asked.background:
            await job.wait(asked.yield_ms / 1000)
        if job.ended is None:
            workspace.jobs.show(job)
            job.polled = job.written
            tail = job.text()[-TAIL_CHARACTERS:]
            text = f"running in the background, sessionId {job.session_id}"
            return ToolOutcome(f"{text}\n{tail}" if tail else text, details=_details(job))
        return ToolOutcome(_result(job), failed=job.ended.exit_code != 0, details=_details(job))


def _folder(workdir: str | None, workspace: Workspace) -> str | None:
    """An absolute folder; one outside the workspace is refused where paths are confined to it."""
    if workdir is None:
        return None
    own = workspace.session.workdir
    path = posixpath.normpath(posixpath.join(own, workdir))
    if workspace.root is None and path != own and not path.startswith(f"{own}/"):
        raise ToolRefusedError(f"{workdir} leads out of the workspace")
    return path


class ProcessParameters(Parameters):
    action: Literal["list", "poll", "log", "write", "send-keys", "submit", "paste", "kill", "clear", "remove"]
    session_id: str | None = Field(default=None, alias="sessionId", description="Which command; all but list need it.")
    timeout: int = Field(
        default=0, ge=0, le=30_000, description="For poll: milliseconds to wait for output or the end."
    )
    data: str | None = Field(default=None, description="Text for write.")
    eof: bool = Field(default=False, description="With write: end the input after it.")
    keys: list[str] | None = Field(default=None, description="For send-keys: Enter, Tab, C-c, Up, or plain text.")
    hex: list[str] | None = Field(default=None, description="For send-keys: bytes as two hexadecimal digits each.")
    literal: str | None = Field(default=None, description="For send-keys: text to type as it is.")
    text: str | None = Field(default=None, description="For paste, and for submit before its Enter.")
    bracketed: bool = Field(default=True, description="For paste: tell a terminal that this is no typing.")
    offset: int | None = Field(default=None, ge=0, description="For log: first line, counted from 0 [the last lines].")
    limit: int | None = Field(default=None, ge=1, description="For log: most lines [200].")


class ProcessTool:
    """Implements `Tool`."""

    name: ClassVar[str] = "process"
    description: ClassVar[str] = (
        "Look after background commands: list, poll (new output and status), log (lines of all output), write, "
        "send-keys, submit (text and Enter), paste, kill, clear (forget those that ended), remove."
    )
    parameters: ClassVar[type[Parameters]] = ProcessParameters
    read_only: ClassVar[bool] = False

    async def call(self, asked: ProcessParameters, workspace: Workspace) -> ToolOutcome:
        jobs = workspace.jobs
        if asked.action == "list":
            lines = [f"{job.session_id}  {job.status}  {_age(job)}  {job.command[:120]}" for job in jobs.all()]
            return ToolOutcome("\n".join(lines) or "no background commands", details={"count": len(lines)})
        if asked.action == "clear":
            ended = [job for job in jobs.all() if job.ended is not None]
            for job in ended:
                jobs.forget(job.session_id)
            return ToolOutcome(f"forgot {len(ended)} commands that had ended")
        job = _find(asked, workspace)
        if asked.action == "poll":
            await job.wait_for_news(asked.timeout / 1000)
            return _poll(job)
        if asked.action == "log":
            return _log(job, asked)
        if asked.action == "kill":
            return await _kill(job)
        if asked.action == "remove":
            if job.ended is None:
                await _kill(job)
            jobs.forget(job.session_id)
            return ToolOutcome(f"removed {job.session_id}", details=_details(job))
        return await _type(job, asked)


def _find(asked: ProcessParameters, workspace: Workspace) -> Job:
    if not asked.session_id:
        raise ToolRefusedError(f"{asked.action} needs a sessionId; list shows them")
    job = workspace.jobs.find(asked.session_id)
    if job is None:
        known = ", ".join(one.session_id for one in workspace.jobs.all()) or "none"
        raise ToolRefusedError(f"there is no command {asked.session_id}; there are: {known}")
    return job


def _poll(job: Job) -> ToolOutcome:
    new = job.text(job.polled)
    lost = max(0, job.lost - job.polled)
    job.polled = job.written
    head = f"[{lost} bytes came and went before they were read]\n" if lost else ""
    text = f"{head}{cut_middle(new)}".rstrip("\n")
    return ToolOutcome(f"{text}\n[{job.status}]" if text else f"[{job.status}, no new output]", details=_details(job))


def _log(job: Job, asked: ProcessParameters) -> ToolOutcome:
    lines = job.text().split("\n")
    if lines and not lines[-1]:
        lines.pop()
    most = asked.limit or LOG_LINES
    first = max(0, len(lines) - most) if asked.offset is None else asked.offset
    shown = lines[first : first + most]
    if not shown and asked.offset:
        raise ToolRefusedError(f"there is no line {first}; the output has {len(lines)}")
    where = f"lines {first}-{first + len(shown) - 1} of {len(lines)}" if shown else "no output"
    return ToolOutcome(f"{cut_middle(chr(10).join(shown))}\n[{where}; {job.status}]", details=_details(job))


async def _kill(job: Job) -> ToolOutcome:
    if job.ended is not None:
        return ToolOutcome(f"{job.session_id} had {job.status} already", details=_details(job))
    job.process.send_signal(signal.SIGTERM)
    await job.wait(END_S)
    if job.ended is None:
        job.process.kill()
        await job.wait(END_S)
    return ToolOutcome(f"{job.session_id} {job.status}", details=_details(job))


async def _type(job: Job, asked: ProcessParameters) -> ToolOutcome:
    if job.ended is not None:
        raise ToolRefusedError(f"{job.session_id} takes no input any more: it has {job.status}")
    if asked.action == "write":
        if asked.data is None and not asked.eof:
            raise ToolRefusedError("write needs data, or eof")
        job.process.write((asked.data or "").encode(), eof=asked.eof)
    elif asked.action == "send-keys":
        job.process.write(_typed(asked))
    elif asked.action == "paste":
        if asked.text is None:
            raise ToolRefusedError("paste needs text")
        # A terminal is told that this is no typing (bracketed paste), so that an editor does not indent it anew.
        data = f"\x1b[200~{asked.text}\x1b[201~" if job.pty and asked.bracketed else asked.text
        job.process.write(data.encode())
    else:
        job.process.write((asked.text or "").encode() + (b"\r" if job.pty else b"\n"))
    await job.wait(SETTLE_S)
    return _poll(job)


def _typed(asked: ProcessParameters) -> bytes:
    """The keys, bytes and text to type, in this order. Raises ToolRefusedError."""
    try:
        raw = bytes(int(one, 16) for one in asked.hex or ())
    except ValueError as error:
        raise ToolRefusedError("hex is a list of bytes, each two hexadecimal digits") from error
    typed = (encode_keys(asked.keys) if asked.keys else b"") + raw + (asked.literal or "").encode()
    if not typed:
        raise ToolRefusedError("send-keys needs keys, hex or literal")
    return typed


def _result(job: Job) -> str:
    ended = job.ended
    assert ended is not None
    text = cut_middle(job.text()).rstrip("\n")
    if job.lost:
        text = f"[the first {job.lost} bytes are no longer kept]\n{text}"
    if ended.reason == "ended" and ended.exit_code == 0:
        return text or "(no output)"
    return f"{text}\n[{job.status}]" if text else f"[{job.status}]"


def _details(job: Job) -> dict[str, Any]:
    return {
        "status": "running" if job.ended is None else "ended",
        "session_id": job.session_id,
        "exit_code": job.ended.exit_code if job.ended else None,
        "reason": job.ended.reason if job.ended else None,
    }


def _age(job: Job) -> str:
    return f"{time.monotonic() - job.started:.0f} s"
