"""Which sandbox containers there are, and the removal of those that killed runs left behind."""

# docker has partial types.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass

from stackbench.errors import SandboxError
from stackbench.sandbox.docker import connect
from stackbench.sandbox.labels import LABEL, owner_alive

__all__ = ["Leftover", "list_containers", "remove_leftovers"]


@dataclass(frozen=True, slots=True)
class Leftover:
    """A sandbox container as the engine lists it."""

    container_id: str
    status: str
    image: str
    run_id: str
    owner: str
    owner_alive: bool


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
                owner_alive=owner_alive(labels),
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
