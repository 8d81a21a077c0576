"""Starts and stops llama.cpp's OpenAI-compatible server for one GGUF file, in a process of its own."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path

from stackbench import nesting
from stackbench.errors import ModelNotAvailableError, one_line
from stackbench.models.openmp import limit_spinning

__all__ = ["LlamaServer", "ServerSettings"]

CHILD = Path(__file__).with_name("llama_child.py")
END_WITHIN_S = 5.0
LONGEST_LINE = 64 << 10
SIGNS = ("error", "failed", "unable", "assert")
"""Of a line in the log that tells what went wrong."""


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """How a GGUF file is served."""

    path: str
    name: str
    """What the server calls the model."""
    slots: int
    """Requests that it decodes together."""
    window: int
    """Tokens of prompt and answer together, of each slot."""
    threads: int
    cache_mib: int
    """Memory for prompts that were read before, beside the slots."""
    chat_template: str = ""
    """A Jinja template in place of the file's own; empty: the file's own."""
    key: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)
    """What requests must bear, so that other users of this machine cannot ask."""


class LlamaServer:
    """The server's process; it listens on this machine only, on a port that is free."""

    def __init__(self, settings: ServerSettings, log: Path, gpus: str | None = None) -> None:
        self.url = ""
        self.version = ""
        self.settings = settings
        self.log = log
        self._gpus = gpus
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Loads the model. Raises ModelNotAvailableError: it cannot be loaded; nothing is left of the process."""
        limit_spinning()  # inherited by the process
        environment = os.environ | ({} if self._gpus is None else {"CUDA_VISIBLE_DEVICES": self._gpus})
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            # -P: this folder's modules are not the child's; a session of its own: Ctrl-C is not for it.
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-P", str(CHILD),
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=log,
                env=environment, start_new_session=True, limit=LONGEST_LINE,
            )  # fmt: skip
        try:
            answered = await self._ask_to_load()
        except BaseException:
            await self.stop()
            raise
        self.url, self.version = str(answered["url"]), str(answered.get("version", ""))

    async def stop(self) -> None:
        """Ends the process and whatever it is answering; the port is free afterwards."""
        process = self._process
        if process is None:
            return
        if process.stdin is not None:
            process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), END_WITHIN_S)
        except TimeoutError:
            process.kill()
            await process.wait()

    async def wait_ended(self, within_s: float) -> bool:
        """Whether the process has ended, or ends within that time."""
        if self._process is None:
            return True
        try:
            await asyncio.wait_for(self._process.wait(), within_s)
        except TimeoutError:
            return False
        return True

    def why_ended(self) -> str:
        """How the process ended, with what it wrote last."""
        code = self._process.returncode if self._process is not None else None
        how = "was killed, perhaps for want of memory" if code == -9 else f"ended with code {code}"
        said = self._last_words()
        return f"{how}{f': {said}' if said else ''}"

    async def _ask_to_load(self) -> dict[str, object]:
        process = self._process
        assert process is not None and process.stdin is not None and process.stdout is not None
        try:
            process.stdin.write(json.dumps(asdict(self.settings)).encode() + b"\n")
            line = await process.stdout.readline()
        except (ConnectionError, ValueError):
            line = b""
        answered = nesting.object_of(line.decode(errors="replace")) or {}
        if "url" in answered:
            return answered
        if not answered:
            await process.wait()
            raise ModelNotAvailableError(
                f"llama.cpp {self.why_ended()}, while it loaded {self.settings.path}; its log: {self.log}"
            )
        why = self._last_words() or str(answered.get("error"))
        raise ModelNotAvailableError(
            f"llama.cpp cannot load {self.settings.path}: {one_line(why, 200)}; its log: {self.log}"
        )

    def _last_words(self) -> str:
        """The last error in its log; empty where there is none."""
        try:
            lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-40:]
        except OSError:
            return ""
        wrong = [line for line in lines if any(word in line.lower() for word in SIGNS)]
        return one_line(wrong[0], 200) if wrong else ""
