"""The one tree of errors; every message names the thing, the cause and the fix."""

from __future__ import annotations

from enum import StrEnum

__all__ = [
    "AttemptError",
    "ConfigError",
    "DataCorruptError",
    "DataError",
    "DataNotAvailableError",
    "DockerNotAvailableError",
    "EndpointError",
    "EngineUnreachableError",
    "ErrorKind",
    "GenerationError",
    "HomeLockedError",
    "ImageError",
    "InterruptedRunError",
    "ModelError",
    "ModelLostError",
    "ModelNotAvailableError",
    "ModelUnreachableError",
    "NoRunsError",
    "OutageError",
    "RunFailedError",
    "SandboxError",
    "SharedHomeError",
    "StackbenchError",
    "StoreError",
    "StoreLockedError",
    "ToolError",
    "UsageError",
    "one_line",
]


def one_line(error: object, most: int = 300) -> str:
    """What an error of a library says, on one line of at most so many characters; its type where it says nothing."""
    return " ".join(str(error).split())[:most] or type(error).__name__


class ErrorKind(StrEnum):
    """Why an attempt could not be made or scored."""

    ENDPOINT = "endpoint"
    """The model's server failed again and again, or does not answer."""
    DOCKER = "docker"
    """The Docker engine does not answer."""
    CONTAINER = "container"
    """A sandbox container was lost, or none could be made."""
    MEMORY = "memory"
    """A container was lost for want of memory, by the counter of its cgroup; or this process lacked it."""
    DISK = "disk"
    """A disk is full."""
    PROCESSOR = "processor"
    """The sample waited for a processor of this machine until its time was over."""
    IMAGE_PULL = "image_pull"
    """An image is not there and cannot be pulled."""
    IMAGE_BUILD = "image_build"
    """An image cannot be built."""
    REQUEST = "request"
    """The model gives no answer to this request: the prompt is longer than its window, say."""
    ATTEMPT = "attempt"
    """The benchmark could not make the attempt."""
    FAULT = "fault"
    """A fault in the code of benchmark or harness."""

    @property
    def of_infrastructure(self) -> bool:
        """Whether it says nothing of model and benchmark, so that another try may end otherwise."""
        return self in _OF_INFRASTRUCTURE


_OF_INFRASTRUCTURE = frozenset(
    {
        ErrorKind.ENDPOINT,
        ErrorKind.DOCKER,
        ErrorKind.CONTAINER,
        ErrorKind.MEMORY,
        ErrorKind.DISK,
        ErrorKind.PROCESSOR,
        ErrorKind.IMAGE_PULL,
    }
)


class StackbenchError(Exception):
    """Base of every error a user may see; printed as one line, `exit_code` becomes the process's exit code."""

    exit_code = 3


class UsageError(StackbenchError):
    """The command line asks for something that does not exist or does not fit together. Nothing ran."""

    exit_code = 2


class ConfigError(UsageError):
    """A configuration or suite file is malformed. Nothing ran."""


class DataError(StackbenchError):
    """A dataset cannot be used."""

    exit_code = 2


class DataNotAvailableError(DataError):
    """No source of a dataset could be reached; a suite goes on without the benchmark."""

    why = ""
    """The cause alone, of one file."""


class DataCorruptError(DataError):
    """A dataset file does not have the content the manifest promises."""


class ModelError(StackbenchError):
    """A model cannot be used."""


class ModelNotAvailableError(ModelError):
    """The model's weights or endpoint cannot be had."""

    exit_code = 2


class ModelLostError(ModelError):
    """The model was there and is gone for good. Attempts under way have no result; the run can be resumed."""


class AttemptError(StackbenchError):
    """One attempt could not be made or scored, through no merit or fault of the model's answer."""

    kind = ErrorKind.ATTEMPT


class GenerationError(AttemptError, ModelError):
    """The model gave no generation for one request (endpoint down after retries, prompt over the window, ...)."""

    kind = ErrorKind.REQUEST


class EndpointError(GenerationError):
    """The model's server failed at one request, in each of its tries."""

    kind = ErrorKind.ENDPOINT


class ModelUnreachableError(GenerationError):
    """The model's endpoint does not answer anybody for now; the attempt is to be made again when it does."""

    kind = ErrorKind.ENDPOINT


class OutageError(StackbenchError):
    """Something that the run depends on stayed away for longer than the run waits. It can be resumed."""


class SandboxError(AttemptError):
    """The sandbox broke (not the code that ran in it)."""

    kind = ErrorKind.CONTAINER

    def __init__(self, message: str, *, kind: ErrorKind | None = None) -> None:
        super().__init__(message)
        if kind is not None:
            self.kind = kind


class ImageError(SandboxError):
    """An image cannot be built; with the kind `IMAGE_PULL`: it is not there, and cannot be pulled."""

    kind = ErrorKind.IMAGE_BUILD


class ToolError(StackbenchError):
    """A tool's operation in a sandbox failed for a reason that its caller may fix (no such file, say)."""

    def __init__(self, message: str, *, errno: int | None = None) -> None:
        super().__init__(message)
        self.errno = errno
        """The system's number of the error, as Linux has it, where there is one."""


class DockerNotAvailableError(SandboxError):
    """No Docker engine answers; the message holds the command that fixes it."""

    exit_code = 2
    kind = ErrorKind.DOCKER


class StoreError(StackbenchError):
    """The database cannot be read or written."""


class NoRunsError(StoreError):
    """A home in which nothing has been run yet: there is nothing to read."""

    exit_code = 2


class StoreLockedError(StoreError):
    """Another process holds the database and does not answer queries."""


class HomeLockedError(StackbenchError):
    """Another live process is the home's engine; `pid` names it where the lock tells."""

    exit_code = 2

    def __init__(self, home: object, pid: int | None, *, stopped: bool = False) -> None:
        who = "another process" if pid is None else f"process {pid}"
        state = ", which is stopped (SIGSTOP): continue it with kill -CONT" if stopped else ""
        super().__init__(
            f'{who} is the engine of {home}{state}; wait for it, follow it with "stackbench attach", '
            "or give this run a folder of its own with --home"
        )
        self.pid = pid


class SharedHomeError(StackbenchError):
    """An engine on another machine uses the home: both see the folder, the database's lock does not reach across."""

    exit_code = 2

    def __init__(self, home: object, pid: int, host: str) -> None:
        super().__init__(
            f"process {pid} on {host} is the engine of {home}, and a home belongs to one machine: DuckDB's lock does "
            "not hold over network file systems, and two writers would destroy the database; give this machine a home "
            "of its own with --home"
        )


class EngineUnreachableError(StackbenchError):
    """No engine answers at a home's socket, or it ended while it was asked."""

    exit_code = 2


class RunFailedError(StackbenchError):
    """The run ended, but too many of its attempts were errors."""


class InterruptedRunError(StackbenchError):
    """The operator stopped the run; it can be resumed."""

    exit_code = 130
