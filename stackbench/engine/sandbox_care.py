"""The sandbox image and the containers that are there, outside of any run."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from stackbench.config import SandboxSettings
from stackbench.errors import UsageError
from stackbench.sandbox.hygiene import Leftover, list_containers, remove_leftovers
from stackbench.sandbox.image import build_image, ensure_image, find_image, image_tag
from stackbench.sandbox.launch import FIRST_UID
from stackbench.sandbox.pool import SandboxPool
from stackbench.sandbox.sandboxes import Sandboxes
from stackbench.sandbox.spec import sample_spec
from stackbench.sandbox.terminal import docker_shell

__all__ = [
    "SandboxStatus",
    "build_sandbox_image",
    "clean_sandboxes",
    "make_sandboxes",
    "open_sandbox_shell",
    "sandbox_status",
]


@dataclass(frozen=True, slots=True)
class SandboxStatus:
    """Image and containers."""

    image: str | None
    """None while it is not made."""
    wanted_image: str
    containers: Sequence[Leftover]


def make_sandboxes(settings: SandboxSettings, owner: str, say: Callable[[str], None]) -> Sandboxes:
    """Containers to lease, made when they are first asked for; whoever has them closes them."""
    return Sandboxes(settings, owner, say)


def build_sandbox_image(say: Callable[[str], None], base: str | None, *, again: bool) -> str:
    """Makes the image, with `again` also where it is there; returns its tag. Raises SandboxError."""
    return build_image(say, base, again=again)


def sandbox_status() -> SandboxStatus:
    """Raises DockerNotAvailableError."""
    containers = list_containers()
    return SandboxStatus(find_image(), image_tag(), containers)


def clean_sandboxes(*, everything: bool) -> int:
    """Removes containers that killed runs left, with `everything` also those of live runs; returns their number."""
    return remove_leftovers(everything=everything)


def open_sandbox_shell(settings: SandboxSettings, say: Callable[[str], None]) -> int:
    """An interactive shell, as a sample's user, in a container like those of a run; returns the shell's exit code.

    Raises:
        UsageError: Docker's client is not installed.
        DockerNotAvailableError, SandboxError: no container can be had.
    """
    if shutil.which("docker") is None:
        raise UsageError("sandbox shell needs the docker command; install Docker's client")
    image = settings.sandbox_image or ensure_image(say)

    async def use() -> int:
        pool = SandboxPool(sample_spec(settings, image, "shell"), size=1)
        try:
            async with pool.lease() as session:
                command = docker_shell(session.container.container.id or "", FIRST_UID, "/tmp", home="/tmp")
                return (await asyncio.to_thread(subprocess.run, command, check=False)).returncode
        finally:
            await pool.close()

    return asyncio.run(use())
