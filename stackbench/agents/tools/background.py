"""Background commands: output buffers, input and termination."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from stackbench.sandbox.records import Completed

if TYPE_CHECKING:
    from stackbench.sandbox.process import Process

__all__ = ["Job", "Jobs"]

KEPT_BYTES = 1 << 20


@dataclass(slots=True)
class Job:
    """One command of an agent's."""

    session_id: str
    command: str
    process: Process
    pty: bool
    started: float = field(default_factory=time.monotonic)
    output: bytearray = field(default_factory=bytearray)
    lost: int = 0
    """Bytes of the beginning that are no longer kept."""
    polled: int = 0
    """Bytes, of all that was written, that `poll` has told."""
    ended: Completed | None = None
    reader: asyncio.Task[None] | None = None
    news: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when something was written."""

    async def wait(self, seconds: float | None) -> None:
        """Waits until it has ended, so long at most (None: as long as it takes)."""
        assert self.reader is not None
        await asyncio.wait({self.reader}, timeout=seconds)

    async def wait_for_news(self, seconds: float) -> None:
        """Waits until it has ended or written what was not polled yet, so long at most."""
        assert self.reader is not None
        if not seconds or self.written > self.polled:
            return
        self.news.clear()
        news = asyncio.create_task(self.news.wait())
        await asyncio.wait({self.reader, news}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        news.cancel()

    @property
    def written(self) -> int:
        """Bytes written so far."""
        return self.lost + len(self.output)

    def text(self, since: int = 0) -> str:
        """What was written from that byte on, as far as it is kept."""
        return bytes(self.output[max(0, since - self.lost) :]).decode(errors="replace")

    @property
    def status(self) -> str:
        if self.ended is None:
            return "running"
        if self.ended.reason != "ended":
            return self.ended.reason
        if self.ended.signal is not None:
            return f"killed by signal {self.ended.signal}"
        return f"exited with code {self.ended.exit_code}"


class Jobs:
    """An agent's commands, by session id. Only its own are seen."""

    def __init__(self) -> None:
        self.on_output: Callable[[str, bytes], None] | None = None
        """Is told what the commands write, by session id, as it comes."""
        self.numbered = 0
        """How many session ids were given."""
        self._jobs: dict[str, Job] = {}

    def adopt(self, command: str, process: Process, *, pty: bool) -> Job:
        """Reads a command's output from now on; it becomes visible with `show`."""
        self.numbered += 1
        job = Job(f"s{self.numbered}", command, process, pty)
        job.reader = asyncio.create_task(self._read(job))
        return job

    def show(self, job: Job) -> None:
        """Makes it one of the background commands."""
        self._jobs[job.session_id] = job

    def find(self, session_id: str) -> Job | None:
        return self._jobs.get(session_id)

    def all(self) -> list[Job]:
        return list(self._jobs.values())

    def forget(self, session_id: str) -> None:
        self._jobs.pop(session_id, None)

    async def close(self) -> None:
        """Ends what still runs and waits for it."""
        for job in self._jobs.values():
            if job.ended is None:
                job.process.kill()
        readers = [job.reader for job in self._jobs.values() if job.reader is not None]
        await asyncio.gather(*readers, return_exceptions=True)

    async def _read(self, job: Job) -> None:
        async for piece in job.process.output():
            job.output += piece.data
            job.news.set()
            if self.on_output is not None:
                self.on_output(job.session_id, piece.data)
            if len(job.output) > KEPT_BYTES:
                gone = len(job.output) - KEPT_BYTES
                del job.output[:gone]
                job.lost += gone
        job.ended = await job.process.wait()
