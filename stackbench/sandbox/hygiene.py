"""Labels that say whose a container is, and the removal of what killed runs left behind."""

from __future__ import annotations

import socket
from contextlib import closing
from dataclasses import dataclass

import psutil

from stackbench.errors import SandboxError
from stackbench.sandbox.container import LABEL
from stackbench.sandbox.docker import connect

__all__ = ["Leftover", "list_containers", "owner_labels", "remove_leftovers"]


@dataclass(frozen=True, slots=True)
class Leftover:
    """A sandbox container as the engine lists it."""

    container_id: str
    status: str
    image: str
    run_id: str
    owner: str
    owner_alive: bool


def owner_labels(run_id: str = "") -> dict[str, str]:
    """Labels naming the process that owns a container; a process id alone could be reused, so its start time counts."""
    process = psutil.Process()
    return {
        "stackbench.host": socket.gethostname(),
        "stackbench.pid": str(process.pid),
        "stackbench.started": f"{process.create_time():.2f}",
        "stackbench.run": run_id,
    }


def list_containers() -> list[Leftover]:
    """All sandbox containers of stackbench, whoever owns them.

    Raises:
        DockerNotAvailableError: no Docker engine answers.
    """
    found: list[Leftover] = []
    with closing(connect()) as client:
        listed = client.containers.list(all=True, filters={"label": f"{LABEL}=sandbox"}, ignore_removed=True)
    for container in listed:
        labels = container.labels
        found.append(
            Leftover(
                container_id=container.id or "",
                status=container.status,
                image=str(container.attrs.get("Config", {}).get("Image", "")),
                run_id=labels.get("stackbench.run", ""),
                owner=f"{labels.get('stackbench.host', '?')}:{labels.get('stackbench.pid', '?')}",
                owner_alive=_owner_alive(labels),
            )
        )
    return found


def remove_leftovers(*, everything: bool = False) -> int:
    """Removes containers whose owner is dead (or all of them); returns how many.

    Raises:
        DockerNotAvailableError: no Docker engine answers.
    """
    from docker.errors import APIError, NotFound

    removed = 0
    with closing(connect()) as client:
        for leftover in list_containers():
            if leftover.owner_alive and not everything:
                continue
            try:
                client.containers.get(leftover.container_id).remove(force=True)
                removed += 1
            except NotFound:
                continue
            except APIError as error:
                if error.status_code != 409:  # already being removed
                    raise SandboxError(f"container {leftover.container_id[:12]} cannot be removed: {error}") from error
    return removed


def _owner_alive(labels: dict[str, str]) -> bool:
    if labels.get("stackbench.host") != socket.gethostname():
        return True  # another machine's run on a shared engine: not ours to judge
    try:
        process = psutil.Process(int(labels["stackbench.pid"]))
        return abs(process.create_time() - float(labels["stackbench.started"])) < 1.0
    except (KeyError, ValueError, psutil.NoSuchProcess):
        return False
