"""What a tenant does in a leased container: run commands, read and write files, look at what changed, serve HTTP."""

from __future__ import annotations

import asyncio
import base64
import errno
import signal
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from stackbench.errors import SandboxError, ToolError
from stackbench.sandbox.container import Container
from stackbench.sandbox.process import Process
from stackbench.sandbox.records import (
    Completed,
    Entry,
    FileContent,
    HttpLog,
    HttpRoute,
    Match,
    Observed,
    ProcessInfo,
    Snapshot,
)
from stackbench.sandbox.session_frames import (
    CHECK_ENVIRONMENT,
    CHECKS,
    WORKSPACE,
    entry_of,
    observed_of,
    process_of,
    request_of,
    route_frame,
)

__all__ = ["Session"]

LARGEST_WRITE = 32 << 20
LONGEST_COMMAND = 1 << 20
"""Characters of a command with its environment: the kernel takes less (execve(2), E2BIG)."""
LONGEST_PATH = 1 << 16


class Session:
    """The tools of one tenant over one container.

    Paths are taken from the workspace and confined to it; `root="/"` is for set-up and checks. Operations run as the
    unprivileged agent unless `privileged`.

    Every method raises ToolError for what its caller may fix (no such file, say), SandboxError when the container
    died.
    """

    def __init__(self, container: Container, workdir: str = WORKSPACE) -> None:
        self.container = container
        self.workdir = workdir

    # -- commands

    async def start(
        self,
        command: str | Sequence[str],
        *,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        stdin: bool = False,
        pty: bool = False,
        merge: bool = False,
        timeout_s: float | None = None,
        output_mib: int = 16,
        memory_mib: int | None = None,
        processes: int | None = 256,
        program: str | None = None,
        alone: bool = False,
    ) -> Process:
        """Starts a command: a line for the shell, or a program with its arguments; returns once it runs.

        With `stdin` it can be typed to; with `pty` it has a terminal, on which both output streams are one. With
        `merge` standard error goes where standard output goes. The limits are per process, `processes` for all of the
        agent's. With `program` that is what runs, while the process bears the name and the arguments of the command.
        Where it is `alone`, nothing that the agent's user runs outlives it, background processes included.
        """
        frame: dict[str, Any] = {
            "op": "exec",
            "env": dict(env or {}),
            "cwd": cwd,
            "stdin": stdin,
            "pty": pty,
            "merge": merge,
            "timeout_s": timeout_s,
            "output_bytes": output_mib << 20,
            "processes": processes,
            "memory_bytes": None if memory_mib is None else memory_mib << 20,
            "program": program,
            "alone": alone,
        }
        frame |= {"command": command} if isinstance(command, str) else {"argv": list(command)}
        return await self._start(frame)

    async def _start(self, frame: dict[str, Any]) -> Process:
        command, env = frame.get("argv") or [frame.get("command") or frame["script"]], frame["env"]
        if sum(map(len, [*command, *env, *env.values()])) > LONGEST_COMMAND:
            raise ToolError(f"a command has at most {LONGEST_COMMAND} characters")
        number = self.container.next_id()
        made: list[Process] = []
        answer = asyncio.create_task(self._ask(frame, lambda event: made[0].on_event(event), number))
        process = Process(self.container, number, answer)
        made.append(process)
        try:
            await process.started()
        except asyncio.CancelledError:
            answer.cancel()
            raise
        return process

    async def run(
        self,
        command: str | Sequence[str],
        *,
        stdin: bytes | None = None,
        timeout_s: float | None = 60.0,
        **options: Any,
    ) -> Completed:
        """Runs a command to its end, with everything that it wrote; `options` as for `start`."""
        process = await self.start(command, stdin=stdin is not None, timeout_s=timeout_s, **options)
        return await _completed(process, stdin)

    async def check(self, command: str, *, timeout_s: float = 30.0, output_mib: int = 4) -> Completed:
        """Runs a command line that judges what the agent left, out of the agent's reach.

        It runs as a user of its own in a copy of the workspace, with a home and a folder for temporary files that
        nobody wrote before, the system's programs alone, and git without hooks and without a repository's own
        programs. No list of processes shows the command line. The copy and what still runs in it go afterwards.
        The workspace's path in the command line leads to the copy, and the output has it again.

        Raises ToolError also where the workspace cannot be copied: more than 256 MiB, folders too deep.
        """
        folder = f"{CHECKS}/{self.container.next_id()}"
        try:
            await self._file("duplicate", ".", to=folder, privileged=True)
            home = {"HOME": f"{folder}/home", "TMPDIR": f"{folder}/tmp"}
            process = await self._start(
                {
                    "op": "exec",
                    "user": "checker",
                    "script": f"exec 4<&-\n{command.replace(self.workdir, f'{folder}/workspace')}\n",
                    "env": CHECK_ENVIRONMENT | home,
                    "cwd": f"{folder}/workspace",
                    "timeout_s": timeout_s,
                    "output_bytes": output_mib << 20,
                    "processes": 128,
                }
            )
            done = await _completed(process, None)
        finally:
            await self._signal_user("checker", signal.SIGKILL)
            with suppress(ToolError):  # nothing was made, or it is too deep; it goes with the container
                await self.remove(folder, recursive=True, root=CHECKS, privileged=True)
        inside, outside = f"{folder}/workspace".encode(), self.workdir.encode()
        return replace(done, stdout=done.stdout.replace(inside, outside), stderr=done.stderr.replace(inside, outside))

    async def freeze(self) -> None:
        """Stops every process of the agent's where it is: all are still there, none does anything more."""
        await self._signal_user("agent", signal.SIGSTOP)

    async def thaw(self) -> None:
        """Lets the agent's processes go on."""
        await self._signal_user("agent", signal.SIGCONT)

    async def _signal_user(self, user: str, number: int) -> None:
        await self._ask({"op": "signal_user", "user": user, "signal": int(number)})

    async def processes(self, *, with_dying: bool = True) -> list[ProcessInfo]:
        """The processes in the container, those of the sandbox itself left out; `with_dying` false leaves out what has
        been killed and takes a moment to be gone, too."""
        answer = await self._ask({"op": "processes", "with_dying": with_dying})
        return [process_of(one) for one in answer["processes"]]

    # -- files

    async def read(self, path: str, *, offset: int = 0, size: int | None = None, **where: Any) -> FileContent:
        """A piece of a regular file, 32 MiB at most: `size` bytes from byte `offset`."""
        answer = await self._file("read", path, offset=offset, size=size, **where)
        return FileContent(base64.b64decode(answer["data"]), answer["size"])

    async def write(
        self, path: str, data: bytes, *, parents: bool = True, mode: int | None = None, **where: Any
    ) -> bool:
        """Writes a whole file, 32 MiB at most, in one step; returns whether it is new. A file keeps its mode."""
        if len(data) > LARGEST_WRITE:
            raise ToolError(f"{len(data)} bytes are more than a file may have here ({LARGEST_WRITE})")
        text = base64.b64encode(data).decode()
        return (await self._file("write", path, data=text, parents=parents, mode=mode, **where))["created"]

    async def status(self, path: str, *, follow: bool = True, **where: Any) -> Entry:
        """What is at a path."""
        return entry_of(path, await self._file("status", path, follow=follow, **where))

    async def list(self, path: str = ".", *, recursive: bool = False, limit: int = 10_000, **where: Any) -> list[Entry]:
        """A folder's entries, sorted, `limit` at most; with `recursive` those below as well (paths from the folder)."""
        answer = await self._file("list", path, recursive=recursive, limit=limit, **where)
        return [entry_of(entry["path"], entry) for entry in answer["entries"]]

    async def search(
        self, pattern: str, path: str = ".", *, glob: str = "", limit: int = 1000, **where: Any
    ) -> list[Match]:
        """Lines that match a regular expression (Python's), in text files whose path or name fits the glob."""
        answer = await self._file("search", path, pattern=pattern, glob=glob, limit=limit, **where)
        return [Match(**match) for match in answer["matches"]]

    async def make_directory(self, path: str, *, parents: bool = True, mode: int | None = None, **where: Any) -> bool:
        """Makes a folder; returns whether it is new."""
        return (await self._file("make_directory", path, parents=parents, mode=mode, **where))["created"]

    async def remove(self, path: str, *, recursive: bool = False, **where: Any) -> None:
        """Removes a file, a link (not its target) or a folder."""
        await self._file("remove", path, recursive=recursive, **where)

    async def move(self, path: str, to: str, *, overwrite: bool = True, parents: bool = False, **where: Any) -> None:
        """Renames a file or folder."""
        await self._file("move", path, to=to, overwrite=overwrite, parents=parents, **where)

    async def snapshot(self, path: str = ".", *, limit: int = 200_000, **where: Any) -> Snapshot:
        """Every entry below a folder, taken as root, so that nothing can be hidden from it.

        Raises:
            ToolError: also where there are more than `limit` entries.
        """
        answer = await self._file("snapshot", path, limit=limit, **{"privileged": True, **where})
        if answer["cut"]:
            raise ToolError(f"{path} holds more than {limit} entries, or folders that are nested too deep")
        entries = {path: entry_of(path, entry) for path, entry in answer["entries"].items()}
        return Snapshot(entries, answer["repositories"])

    async def observe(self, *, since: int = 0) -> Observed:
        """What is new in the workspace since this was last asked; requests from number `since` on; all processes.

        A process beside the agent keeps what it saw, so that a look costs about a millisecond.
        """
        return observed_of(await self._ask({"op": "observe", "since": since}))

    # -- the HTTP service

    async def start_http(self, routes: Sequence[HttpRoute], *, port: int = 0) -> int:
        """Starts the service of fixtures on the container's loopback; returns its port."""
        listed = [route_frame(route) for route in routes]
        return (await self._ask({"op": "http", "routes": listed, "port": port}))["port"]

    async def http_log(self) -> HttpLog:
        """What the service was asked, in order, and whether that is all of it."""
        answer = await self._ask({"op": "http_log"})
        requests = tuple(map(request_of, answer["requests"]))
        return HttpLog(requests, answer["total"], answer["complete"])

    # -- asking

    async def _file(self, operation: str, path: str, **fields: Any) -> dict[str, Any]:
        if len(path) > LONGEST_PATH:
            raise ToolError("a path is too long", errno=errno.ENAMETOOLONG)
        return await self._ask({"op": "file", "operation": operation, "path": path, **fields})

    async def _ask(
        self, frame: dict[str, Any], listener: Callable[[dict[str, Any]], None] | None = None, number: int | None = None
    ) -> dict[str, Any]:
        answer = await self.container.ask(frame, listener, number=number)
        if answer["op"] == "failed":
            path = answer.get("path")
            text = f"{path}: {answer['error']}" if path else str(answer["error"])
            raise ToolError(text, errno=answer.get("errno"))
        if answer["op"] != "done":
            raise SandboxError(f"the sandbox answered {answer['op']!r}")
        return answer


async def _completed(process: Process, stdin: bytes | None) -> Completed:
    """Waits for a command with all that it writes; cancelled, it is killed."""
    try:
        if stdin is not None:
            process.write(stdin, eof=True)
        pieces = [piece async for piece in process.output()]
        ended = await process.wait()
    except asyncio.CancelledError:
        process.kill()
        raise
    return replace(
        ended,
        stdout=b"".join(piece.data for piece in pieces if piece.stream == "stdout"),
        stderr=b"".join(piece.data for piece in pieces if piece.stream == "stderr"),
    )
