"""The connection to the Docker engine, and what is said when there is none."""

# docker has partial types.
# pyright: reportUnknownMemberType=false
from __future__ import annotations

import os
import shutil
import socket
import time
from contextlib import closing
from typing import TYPE_CHECKING

from stackbench.errors import DockerNotAvailableError

if TYPE_CHECKING:
    import docker

__all__ = ["connect", "engine_answers", "ran_out_of_memory", "runtimes"]


TIMEOUT_S = 120
LOOKED_BACK_S = 86_400.0


def connect() -> docker.DockerClient:
    """A client of a Docker engine that answers; the caller closes it.

    Raises:
        DockerNotAvailableError: none answers; the message says which command fixes it.
    """
    from docker.errors import DockerException

    import docker

    try:
        _knock()
        client = docker.from_env(timeout=TIMEOUT_S)
        try:
            client.ping()
        except BaseException:
            client.close()
            raise
    except (DockerException, OSError) as error:
        raise DockerNotAvailableError(_advice(error)) from error
    return client


def engine_answers() -> bool:
    """Whether a Docker engine answers."""
    try:
        connect().close()
    except DockerNotAvailableError:
        return False
    return True


def runtimes() -> frozenset[str]:
    """The names of the OCI runtimes that the engine can start containers with. Raises DockerNotAvailableError."""
    with closing(connect()) as client:
        return frozenset(client.info().get("Runtimes", {}))


def ran_out_of_memory(container_id: str) -> bool:
    """Whether the kernel killed a process of a container for want of memory, also where the container is gone by now.

    The engine tells an event of kind `oom` each time that `oom_kill` in the `memory.events` of its cgroup has grown; it
    keeps the last few hundred events. False where it does not answer.
    """
    from docker.errors import DockerException

    now = time.time()
    wanted = {"event": "oom", "container": container_id}
    try:
        with closing(connect()) as client:
            found = client.events(since=int(now - LOOKED_BACK_S), until=int(now) + 1, filters=wanted)
            return next(iter(found), None) is not None
    except (DockerException, DockerNotAvailableError, OSError):
        return False


def _knock() -> None:
    """Raises OSError where nothing listens at a Unix address: the SDK leaves its own socket open when it fails to."""
    kind, _, path = _address().partition("://")
    if kind == "unix":
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(TIMEOUT_S)
            sock.connect(path)


def _address() -> str:
    return os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock"


def _advice(error: Exception) -> str:
    address = _address()
    text = str(error)
    if "Permission denied" in text:
        return (
            f"no permission to use the Docker engine at {address}; add yourself to its group "
            "(sudo usermod -aG docker $USER, then log in again) or run as root"
        )
    if shutil.which("dockerd") is None and "DOCKER_HOST" not in os.environ:
        return "Docker is not installed; run ./scripts/ensure-docker (Debian, as root) or install Docker Engine"
    if "DOCKER_HOST" in os.environ:
        return f"no Docker engine answers at {address}, which DOCKER_HOST names; correct it, or unset it"
    return f"no Docker engine answers at {address}; start it: ./scripts/ensure-docker, or sudo systemctl start docker"
