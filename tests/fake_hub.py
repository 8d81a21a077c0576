"""A model hub at the machine's edge: one repository at one commit, whose files may break off or be damaged."""

from __future__ import annotations

import hashlib
from collections import Counter

from aiohttp import web

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class FakeHub:
    """Speaks what huggingface_hub asks: a repository's files with their hashes, and the files."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.asked: list[str] = []
        """Revisions."""
        self.sent: Counter[str] = Counter()
        """Bytes by file."""
        self.break_off: dict[str, int] = {}
        """Files whose next answer ends after so many bytes."""
        self.damaged: set[str] = set()
        self.announced: dict[str, int] = {}
        """Sizes that it tells, where they are not the true ones."""
        self.leads_to: dict[str, str] = {}
        """Where it sends those who ask for a file."""
        self.endless: set[str] = set()
        """Files that are sent without an end, and without a length."""
        self.url = ""
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        app = web.Application()
        app.router.add_get("/api/models/{owner}/{name}/revision/{revision}", self._info)
        app.router.add_get("/api/models/{owner}/{name}", self._info)
        app.router.add_route("*", "/{owner}/{name}/resolve/{revision}/{file:.*}", self._file)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _info(self, request: web.Request) -> web.Response:
        revision = request.match_info.get("revision", "")
        self.asked.append(revision)
        siblings = [
            {
                "rfilename": name,
                "size": self.announced.get(name, len(content)),
                "blobId": hashlib.sha1(content).hexdigest(),
                "lfs": {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 130}
                if name.endswith(".safetensors")
                else None,
            }
            for name, content in self.files.items()
        ]
        name = f"{request.match_info['owner']}/{request.match_info['name']}"
        commit = revision if len(revision) == 40 else COMMIT
        return web.json_response({"_id": "1", "id": name, "modelId": name, "sha": commit, "siblings": siblings})

    async def _without_end(self, request: web.Request, name: str) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            while True:
                await response.write(b"x" * 65536)
                self.sent[name] += 65536
        except ConnectionError:
            return response

    async def _file(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["file"]
        if name not in self.files:
            return web.Response(status=404, headers={"X-Error-Code": "EntryNotFound"})
        if name in self.leads_to:
            moved = {"Location": self.leads_to[name], "X-Repo-Commit": request.match_info["revision"]}
            return web.Response(status=302, headers={**moved, "X-Linked-Etag": '"0"', "X-Linked-Size": "9"})
        if name in self.endless and request.method == "GET":
            return await self._without_end(request, name)
        content = self.files[name]
        headers = {
            "ETag": f'"{hashlib.sha256(content).hexdigest()}"',
            "X-Repo-Commit": request.match_info["revision"],
            "Accept-Ranges": "bytes",
        }
        start = int(request.headers.get("Range", "bytes=0-").removeprefix("bytes=").split("-")[0])
        part = content[start:]
        if name in self.damaged:
            part = b"\0" * len(part)
        headers["Content-Length"] = str(len(part))
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        response = web.StreamResponse(status=206 if start else 200, headers=headers)
        await response.prepare(request)
        if request.method == "HEAD":
            return response
        cut = self.break_off.pop(name, None)
        part = part if cut is None else part[:cut]
        self.sent[name] += len(part)
        await response.write(part)
        if cut is not None and request.transport is not None:
            request.transport.abort()
        return response
