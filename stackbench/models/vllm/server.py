"""One vLLM server process: start under the guard, readiness, health, metrics, stop."""

from __future__ import annotations

import asyncio
import itertools
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from stackbench.errors import ModelNotAvailableError
from stackbench.models.vllm import guard
from stackbench.models.vllm.command import Command
from stackbench.models.vllm.log import Diagnosis, LogReader, diagnose
from stackbench.models.vllm.metrics import read_metrics
from stackbench.redaction import Redaction
from stackbench.types import ServerLoad

if TYPE_CHECKING:
    import aiohttp

__all__ = ["LoadingFailed", "VllmServer"]

GRACE_S = 5.0
"""From SIGTERM to SIGKILL."""
POLL_S = 0.25
ANSWERS_WITHIN_S = 5.0
SECRET_NAMES = re.compile(r"(?:^|_)(?:API_?KEY|TOKEN|SECRET|PASSWORD)$", re.IGNORECASE)
SHORTEST_SECRET = 8


class LoadingFailed(ModelNotAvailableError):
    """The server ended, or did not answer in time, while it loaded."""

    def __init__(self, diagnosis: Diagnosis, log: Path) -> None:
        super().__init__(f"the vLLM server did not start: {diagnosis.text}; its log: {log}")
        self.diagnosis = diagnosis


class VllmServer:
    """Its processes end with this one: see `stackbench.models.vllm.guard`."""

    def __init__(self, command: Command, log: Path) -> None:
        self.url = command.host_url
        self.log = log
        self._command = command
        self._process: asyncio.subprocess.Process | None = None
        self._session: aiohttp.ClientSession | None = None
        self._reader: LogReader | None = None
        self._redaction = Redaction(_secrets(command))

    async def start(self) -> None:
        """Starts it, without waiting for what it loads. Raises ModelNotAvailableError when it cannot be started."""
        import aiohttp

        self.log.parent.mkdir(parents=True, exist_ok=True)
        command = self._command
        if command.scratch is not None:
            command.scratch.mkdir(mode=0o700, exist_ok=True)
        arguments = [sys.executable, "-I", "-S", guard.__file__, str(GRACE_S), *command.cleanup, "--"]
        with self.log.open("ab") as output:
            self._reader = LogReader(self.log)
            output.write(f"# {self._redaction.message(' '.join(command.arguments))}\n".encode())
            output.flush()
            try:
                self._process = await asyncio.create_subprocess_exec(
                    *arguments, *command.arguments,
                    stdin=asyncio.subprocess.PIPE, stdout=output, stderr=output,
                    env=command.environment, start_new_session=True,
                )  # fmt: skip
            except OSError as error:
                raise ModelNotAvailableError(f"{command.arguments[0]} cannot be started: {error.strerror}") from error
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=ANSWERS_WITHIN_S))

    async def wait_ready(self, say: Callable[[str], None], timeout_s: float) -> None:
        """Waits for its first answer, telling what it loads.

        Raises:
            LoadingFailed: it ended, or did not answer in time.
        """
        reader = self._reader
        assert reader is not None, "start() was not called"
        deadline = asyncio.get_running_loop().time() + timeout_s
        announced = ""
        while True:
            healthy = await self.healthy()
            for stage in await asyncio.to_thread(reader.new_stages):
                if stage != announced:
                    say(f"vLLM: {stage}")
                    announced = stage
            if healthy:
                return
            if self.ended:
                text = await self._logged(reader)
                raise LoadingFailed(diagnose(text, self._code), self.log)
            if asyncio.get_running_loop().time() > deadline:
                await self.stop()
                where = f"; it got as far as: {announced}" if announced else ""
                raise LoadingFailed(Diagnosis(f"no answer within {timeout_s:g} s{where}"), self.log)
            await asyncio.sleep(POLL_S)

    @property
    def ended(self) -> bool:
        """Whether its processes have ended."""
        return self._process is not None and self._process.returncode is not None

    async def why_ended(self) -> str:
        """The last error in its log, for one that ended in mid-run."""
        text = await self._logged(self._reader) if self._reader else ""
        return f"ended (exit code {self._code}): {diagnose(text, self._code).text}"

    async def healthy(self) -> bool:
        """Whether it answers, and its engine is alive."""
        import aiohttp

        if self._session is None or self.ended:
            return False
        try:
            async with self._session.get(f"{self.url}/health") as response:
                return response.status == 200
        except (aiohttp.ClientError, TimeoutError, OSError):
            return False

    async def load(self) -> ServerLoad | None:
        """What its metrics say now; None when it does not answer."""
        import aiohttp

        if self._session is None or self._process is None or self.ended:
            return None
        try:
            async with self._session.get(f"{self.url}/metrics") as response:
                text = await response.text()
            return read_metrics(text, _tree_memory(self._process.pid))
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
            return None

    async def version(self) -> str:
        """vLLM's version, empty where it is not told."""
        import aiohttp

        assert self._session is not None, "start() was not called"
        try:
            async with self._session.get(f"{self.url}/version") as response:
                return str((await response.json()).get("version", ""))
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError, AttributeError):
            return ""

    async def stop(self) -> None:
        """Ends it with everything it started, and waits for that."""
        if self._session is not None:
            await self._session.close()
            self._session = None
        process = self._process
        if process is None:
            return
        assert process.stdin is not None
        process.stdin.close()
        await process.wait()

    async def _logged(self, reader: LogReader) -> str:
        """What it wrote, without the secrets that it was given."""
        return self._redaction.message(await asyncio.to_thread(reader.text))

    @property
    def _code(self) -> int | None:
        return self._process.returncode if self._process else None


def _secrets(command: Command) -> Iterator[str]:
    """Keys and tokens among what the server is given."""
    for name, value in command.environment.items():
        if SECRET_NAMES.search(name) and len(value) >= SHORTEST_SECRET:
            yield value
    for flag, value in itertools.pairwise(command.arguments):
        if flag == "--api-key":
            yield value
    for argument in command.arguments:
        if argument.startswith("--api-key="):
            yield argument.partition("=")[2]


def _tree_memory(guard_pid: int) -> int:
    import psutil

    total = 0
    try:
        processes = psutil.Process(guard_pid).children(recursive=True)
    except psutil.Error:
        return 0
    for process in processes:
        try:
            total += process.memory_info().rss
        except psutil.Error:
            continue
    return total
