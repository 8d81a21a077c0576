"""A shell with a terminal in a container: the command line of Docker's client that opens it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from stackbench.errors import SandboxError

if TYPE_CHECKING:
    from stackbench.sandbox.session import Session

__all__ = ["docker_shell", "terminal_command"]


async def terminal_command(session: Session) -> list[str]:
    """For the agent's user, in its workspace. Raises SandboxError, ToolError."""
    found = await session.run("id -u", timeout_s=10)
    container = session.container.container.id
    if container is None or not found.stdout.strip().isdigit():
        raise SandboxError("the container does not tell its user")
    return docker_shell(container, int(found.stdout), session.workdir, home=session.workdir)


def docker_shell(container: str, user: int, folder: str, *, home: str) -> list[str]:
    """For whoever has the docker command, at the Docker engine that this process uses."""
    host = os.environ.get("DOCKER_HOST")
    client = ["docker", *(["-H", host] if host else [])]
    return [*client, "exec", "-it", "-u", f"{user}:{user}", "-w", folder, "-e", f"HOME={home}", container, "sh"]
