"""Reads a vLLM server's log: how far the loading is, and why it failed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Diagnosis", "LogReader", "diagnose"]

TAIL_BYTES = 256 << 10
LONGEST = 300
LONGEST_LINE = 16 << 10

# What vLLM, PyTorch and the kernel say when the memory of GPU or machine does not do.
MEMORY = re.compile(
    r"out of memory|OutOfMemoryError|No available memory for the cache blocks"
    r"|larger than the (?:available KV cache memory|maximum number of tokens that can be stored in KV cache)"
    r"|is less than desired GPU memory utilization|can't allocate memory|MemoryError",
    re.IGNORECASE,
)
FRACTION = re.compile(r"is less than desired GPU memory utilization", re.IGNORECASE)
FITTING_LENGTH = re.compile(r"estimated maximum model length is (\d+)")
PORT = re.compile(r"address already in use", re.IGNORECASE)
RAISED = re.compile(r"(?:^|\s)((?:[A-Za-z_]\w*\.)*[A-Z]\w*(?:Error|Exception|Exit)\b: .+)$")
USAGE = re.compile(r"(vllm.*: error: .+|docker: .+)$")
# A record of vLLM's log: who, level, date, place.
PREFIX = re.compile(r"^(?:\([^)]*\) ?)?(?:(?:DEBUG|INFO|WARNING|ERROR|CRITICAL) \d\d-\d\d [\d:]+ (?:\[[^\]]*\] ?)?)?")
STAGES: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"Resolved architecture: (\w+)"), "architecture {0}"),
    (re.compile(r"Starting to load model"), "loading weights"),
    (re.compile(r"checkpoint shards:\s+(\d+)% Completed"), "loading weights, {0}%"),
    (re.compile(r"Model loading took ([\d.]+ Gi?B)"), "weights loaded, {0}"),
    (re.compile(r"torch\.compile took|torch\.compile and initial profiling|Compiling a graph"), "compiling"),
    (re.compile(r"KV cache size: ([\d,]+) tokens"), "room for {0} tokens in the key/value cache"),
    (re.compile(r"Capturing CUDA graphs|Graph capturing"), "capturing CUDA graphs"),
    (re.compile(r"warming up|Warming up"), "warming up"),
)


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Why a server ended."""

    text: str
    """The error itself, in one line."""
    memory: bool = False
    """Memory was short."""
    fitting_length: int | None = None
    """The longest context that would fit, where the log tells."""
    fraction: bool = False
    """A smaller share of the memory was free than the server was to take."""
    port: bool = False
    """Somebody else had taken the port."""


class LogReader:
    """Follows a log that grows, from where it ends now."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._start = self._at = path.stat().st_size if path.exists() else 0
        self._left = ""

    def new_stages(self) -> list[str]:
        """What has been reached since the last call, in the reader's words; nothing while the log cannot be read."""
        try:
            with self.path.open("rb") as file:
                end = file.seek(0, 2)
                file.seek(max(self._at, end - TAIL_BYTES))
                data = file.read(TAIL_BYTES)
                self._at = file.tell()
        except OSError:
            return []
        *lines, self._left = re.split(r"[\r\n]+", self._left + data.decode(errors="replace"))
        found: list[str] = []
        for line in lines:
            for pattern, text in STAGES:
                match = pattern.search(line)
                if match:
                    found.append(text.format(*match.groups()))
                    break
        self._left = self._left[-LONGEST_LINE:]
        return found

    def text(self) -> str:
        """All that was written since this reader was made, at most its last 256 KiB."""
        try:
            with self.path.open("rb") as file:
                size = file.seek(0, 2)
                file.seek(max(self._start, size - TAIL_BYTES))
                return file.read(TAIL_BYTES).decode(errors="replace")
        except OSError as error:
            return f"OSError: its log cannot be read: {error.strerror}"


def diagnose(log: str, code: int | None) -> Diagnosis:
    """Why a server ended, from its log and exit code (137: killed by the kernel, mostly for memory)."""
    lines = [PREFIX.sub("", line).strip() for line in re.split(r"[\r\n]+", log)]
    lines = [line for line in lines if line and not line.startswith("# ")]  # the command stands above, so marked
    raised = [match.group(1) for line in lines if (match := USAGE.search(line) or RAISED.search(line))]
    # The first error that is about memory or the port is the cause; those after it tell that a process is gone.
    special = next((line for line in raised if MEMORY.search(line) or PORT.search(line)), None)
    special = special or next((line for line in lines if MEMORY.search(line)), None)
    last = lines[-1] if lines else "it wrote nothing"
    engine = [line for line in raised if "Engine core" not in line and "See root cause" not in line]
    text = special or (engine[0] if engine else raised[0] if raised else last)
    length = FITTING_LENGTH.search(log)
    killed = code in (137, -9)
    return Diagnosis(
        text=" ".join(text.split())[:LONGEST]
        if special or not killed
        else "killed, as the kernel does when memory ends",
        memory=bool(special and MEMORY.search(special)) or killed,
        fitting_length=int(length.group(1)) if length else None,
        fraction=bool(FRACTION.search(log)),
        port=bool(PORT.search(log)),
    )
