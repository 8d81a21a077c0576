"""What a tenant does in a leased container: run commands, read and write files, look at what changed, serve HTTP."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from stackbench.errors import SandboxError, ToolError
from stackbench.sandbox.container import Container
from stackbench.sandbox.process import Process
from stackbench.sandbox.records import (
    Completed,
    Entry,
    FileContent,
    HttpAnswer,
    HttpRequest,
    HttpRoute,
    Match,
    ProcessInfo,
    Snapshot,
)

__all__ = ["Session"]


class Session:
    """The tools of one tenant over one container.

    Paths are taken from the workspace and confined to it; `root="/"` is for set-up and checks. Operations run as the
    unprivileged agent unless `privileged`.

    Every method raises ToolError for what its caller may mend (no such file, say), SandboxError when the container
    died.
    """

    def __init__(self, container: Container) -> None:
        self.container = container

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
    ) -> Process:
        """Starts a command: a line for the shell, or a program with its arguments; returns once it runs.

        With `stdin` it can be typed to; with `pty` it has a terminal, on which both output streams are one. With
        `merge` standard error goes where standard output goes. The limits are per process, `processes` for all of the
        agent's.
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
        }
        frame |= {"command": command} if isinstance(command, str) else {"argv": list(command)}
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

    async def processes(self) -> list[ProcessInfo]:
        """The processes in the container, those of the sandbox itself left out."""
        answer = await self._ask({"op": "processes"})
        return [_process(one) for one in answer["processes"]]

    # -- files

    async def read(self, path: str, *, offset: int = 0, size: int | None = None, **where: Any) -> FileContent:
        """A piece of a regular file, 32 MiB at most: `size` bytes from byte `offset`."""
        answer = await self._file("read", path, offset=offset, size=size, **where)
        return FileContent(base64.b64decode(answer["data"]), answer["size"])

    async def write(
        self, path: str, data: bytes, *, parents: bool = True, mode: int | None = None, **where: Any
    ) -> bool:
        """Writes a whole file, 32 MiB at most, in one step; returns whether it is new. A file keeps its mode."""
        text = base64.b64encode(data).decode()
        return (await self._file("write", path, data=text, parents=parents, mode=mode, **where))["created"]

    async def status(self, path: str, *, follow: bool = True, **where: Any) -> Entry:
        """What is at a path."""
        return _entry(path, await self._file("status", path, follow=follow, **where))

    async def list(self, path: str = ".", *, recursive: bool = False, limit: int = 10_000, **where: Any) -> list[Entry]:
        """A folder's entries, sorted, `limit` at most; with `recursive` those below as well (paths from the folder)."""
        answer = await self._file("list", path, recursive=recursive, limit=limit, **where)
        return [_entry(entry["path"], entry) for entry in answer["entries"]]

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
            raise ToolError(f"a snapshot of {path} holds more than {limit} entries")
        return Snapshot({path: _entry(path, entry) for path, entry in answer["entries"].items()})

    # -- the HTTP service

    async def start_http(self, routes: Sequence[HttpRoute], *, port: int = 0) -> int:
        """Starts the service of fixtures on the container's loopback; returns its port."""
        listed = [_route(route) for route in routes]
        return (await self._ask({"op": "http", "routes": listed, "port": port}))["port"]

    async def http_log(self) -> list[HttpRequest]:
        """What the service was asked, in order."""
        answer = await self._ask({"op": "http_log"})
        return [
            HttpRequest(
                method=one["method"],
                path=one["path"],
                query=one["query"],
                headers=one["headers"],
                body=base64.b64decode(one["body"]),
                status=one["status"],
            )
            for one in answer["requests"]
        ]

    # -- asking

    async def _file(self, operation: str, path: str, **fields: Any) -> dict[str, Any]:
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


def _entry(path: str, found: Mapping[str, Any]) -> Entry:
    return Entry(
        path=path,
        kind=found["kind"],
        size=found["size"],
        mode=found["mode"],
        mtime_ns=found["mtime_ns"],
        links=found["links"],
        target=found.get("target", ""),
        sha256=found.get("sha256"),
    )


def _route(route: HttpRoute) -> dict[str, Any]:
    return {
        "path": route.path,
        "method": route.method,
        **_answer(HttpAnswer(route.status, route.headers, route.body, route.delay_s)),
        "faults": [_answer(fault) for fault in route.faults],
        "auth": route.auth,
        "rate": None if route.rate is None else asdict(route.rate),
        "pages": None if route.pages is None else asdict(route.pages),
        "etag": route.etag,
    }


def _answer(answer: HttpAnswer) -> dict[str, Any]:
    return {
        "status": answer.status,
        "headers": dict(answer.headers),
        "body": base64.b64encode(answer.body).decode(),
        "delay_s": answer.delay_s,
        "keep": answer.keep,
        "times": answer.times,
    }


def _process(found: Mapping[str, Any]) -> ProcessInfo:
    return ProcessInfo(
        pid=found["pid"],
        parent=found["parent"],
        state=found["state"],
        user=found["user"],
        command=tuple(found["command"]),
        cpu_s=found["cpu_s"],
        memory_bytes=found["memory_bytes"],
    )
