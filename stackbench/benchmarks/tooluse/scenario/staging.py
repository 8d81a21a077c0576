"""Sets up a task's environment in a clean container: files, commands, the HTTP service, processes."""

from __future__ import annotations

import asyncio
import base64
import errno
import shlex
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from stackbench.agents import Watch
from stackbench.agents.effects import of_agent
from stackbench.agents.tools import User, Workspace
from stackbench.benchmarks.tooluse.scenario.patterns import DOTALL, IGNORECASE, LongTextError, found
from stackbench.benchmarks.tooluse.scenario.scenario import Reply, Scenario
from stackbench.benchmarks.tooluse.scenario.setup_fields import Route, SetupFile, SetupProcess, Store
from stackbench.errors import SandboxError, ToolError
from stackbench.sandbox.records import HttpAnswer, HttpPages, HttpRate, HttpRoute, HttpStore, ProcessInfo, Snapshot

if TYPE_CHECKING:
    from stackbench.sandbox.session import Session

__all__ = ["HTTP_PORT", "Start", "World", "stage", "staged", "start_of"]

HTTP_PORT = 8080
COMMAND_S = 60.0
READY_POLL_S = 0.02
READY_TRIES = 500
GIT_IDENTITY = {
    "GIT_AUTHOR_NAME": "Setup",
    "GIT_AUTHOR_EMAIL": "setup@example.com",
    "GIT_COMMITTER_NAME": "Setup",
    "GIT_COMMITTER_EMAIL": "setup@example.com",
    "GIT_AUTHOR_DATE": "2026-01-05T09:00:00Z",
    "GIT_COMMITTER_DATE": "2026-01-05T09:00:00Z",
}
FOREVER = "86400"
NOTHING_TO_ADD = "I have nothing to add to what I wrote."


@dataclass(frozen=True, slots=True)
class Start:
    """What there is before the agent comes."""

    files: Snapshot
    processes: Sequence[ProcessInfo]


@dataclass(frozen=True, slots=True)
class World:
    """What an agent is let into."""

    start: Start
    workspace: Workspace
    watch: Watch


@asynccontextmanager
async def staged(scenario: Scenario, session: Session) -> AsyncGenerator[World]:
    """The scenario's world in a clean container; what the agent left running is ended with it.

    Raises:
        SandboxError: as `stage`.
    """
    await stage(scenario, session)
    watch = Watch(session)
    user = scripted_user(scenario.user)
    workspace = Workspace(session, environment=scenario.setup.environment, watch=watch, user=user)
    try:
        start = await start_of(session)
        await watch.begin()
        yield World(start, workspace, watch)
    finally:
        await workspace.close()


def scripted_user(replies: Sequence[Reply]) -> User | None:
    """Who answers as the scenario says: the first fitting reply not given yet, else the last fitting one."""
    if not replies:
        return None
    given: set[int] = set()

    def answer(question: str) -> str:
        fitting = [place for place, one in enumerate(replies) if _asks_for(one, question)]
        place = next((one for one in fitting if one not in given), fitting[-1] if fitting else None)
        if place is None:
            return NOTHING_TO_ADD
        given.add(place)
        return replies[place].says

    return answer


def _asks_for(reply: Reply, question: str) -> bool:
    try:
        return found(reply.asked, question, IGNORECASE | DOTALL)
    except LongTextError:
        return False


async def start_of(session: Session) -> Start:
    """The present state as that before the agent. Raises SandboxError."""
    return Start(await session.snapshot(), of_agent(await session.processes()))


async def stage(scenario: Scenario, session: Session) -> None:
    """Makes the world that the agent finds.

    Raises:
        SandboxError: it could not be made, through a fault of the scenario or of the container.
    """
    setup = scenario.setup
    try:
        await _files({**setup.files, **scenario.distractors}, session)
        for command in setup.commands:
            done = await session.run(command, env={**GIT_IDENTITY, **setup.environment}, timeout_s=COMMAND_S)
            if done.exit_code != 0:
                said = (done.stderr or done.stdout).decode(errors="replace").strip()[-300:]
                raise SandboxError(f"{scenario.id}: the set-up command failed: {command[:80]}: {said}")
        if setup.http:
            await session.start_http([_route(name, route) for name, route in setup.http.items()], port=HTTP_PORT)
        for process in setup.processes:
            argv, program = _command(process)
            started = await session.start(argv, env=setup.environment, program=program)
            for path, text in process.pid_files.items():
                await session.write(path, text.replace("PID", str(started.pid)).encode())
            if process.ready is not None:
                await _wait_for(process.ready, session)
    except ToolError as error:
        raise SandboxError(f"{scenario.id}: the set-up failed: {error}") from error


async def _files(files: Mapping[str, SetupFile], session: Session) -> None:
    later: list[str] = []
    for path, file in files.items():
        if file.directory:
            await session.make_directory(path)
            if file.mode:
                later.append(f"chmod {file.mode} {shlex.quote(path)}")
        elif file.link is not None:
            folder = path.rpartition("/")[0]
            made = f"mkdir -p {shlex.quote(folder)} && " if folder else ""
            later.append(f"{made}ln -s {shlex.quote(file.link)} {shlex.quote(path)}")
        else:
            mode = int(file.mode, 8) if file.mode else None
            await session.write(path, _content(file), mode=mode, privileged=file.owner == "root")
        if file.mtime:
            later.append(f"touch -h -d {shlex.quote(file.mtime)} {shlex.quote(path)}")
    if later:
        # Deepest first, so that a folder without write permission is shut after what it holds is there.
        later.sort(key=lambda line: (line.startswith("chmod"), -line.count("/")))
        done = await session.run("set -e\n" + "\n".join(later), timeout_s=COMMAND_S)
        if done.exit_code != 0:
            raise ToolError(done.stderr.decode(errors="replace").strip())


def _content(file: SetupFile) -> bytes:
    if file.base64 is not None:
        return base64.b64decode(file.base64)
    text = file.content or ""
    if file.crlf:
        text = text.replace("\n", "\r\n")
    return (("\ufeff" if file.bom else "") + text).encode()


async def _wait_for(path: str, session: Session) -> None:
    for _ in range(READY_TRIES):
        try:
            if (await session.status(path)).size:
                return
        except ToolError as error:
            if error.errno != errno.ENOENT:
                raise
        await asyncio.sleep(READY_POLL_S)
    raise ToolError(f"{path} did not appear")


def _command(process: SetupProcess) -> tuple[list[str], str]:
    """The command under its own name, so that it can be told apart in a list of processes; and the program it is."""
    if process.command is None:
        return [process.name, FOREVER], "/bin/sleep"
    return [process.name, "-c", process.command], "/bin/sh"


def _route(name: str, route: Route) -> HttpRoute:
    method, _, path = name.partition(" ")
    body, kind = _body(route)
    headers = {**({"Content-Type": kind} if kind else {}), **route.headers}
    return HttpRoute(
        path=path,
        method=method,
        status=route.status,
        headers=headers,
        body=body,
        delay_s=route.delay_s,
        faults=[
            HttpAnswer(fault.status, fault.headers, fault.body.encode(), fault.delay_s, fault.keep, fault.times)
            for fault in route.faults
        ],
        auth=route.auth,
        rate=HttpRate(route.rate.requests, route.rate.per_s) if route.rate else None,
        pages=HttpPages(route.pages.items, route.pages.size, route.pages.style) if route.pages else None,
        etag=route.etag,
        store=None if route.store is None else _store(route.store, etag=route.etag),
    )


def _store(store: Store, *, etag: bool) -> HttpStore:
    return HttpStore(
        store.items, store.document, store.key, store.methods, store.schema_of, etag, store.ids, store.adds
    )


def _body(route: Route) -> tuple[bytes, str]:
    import json

    if route.html is not None:
        return route.html.encode(), "text/html; charset=utf-8"
    if route.body is not None:
        return route.body.encode(), "text/plain; charset=utf-8"
    if route.json_body is not None:
        text: Any = json.dumps(route.json_body, ensure_ascii=False)
        return text.encode(), "application/json"
    return b"", ""
