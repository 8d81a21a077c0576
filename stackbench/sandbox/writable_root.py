"""A root file system that can be written and is bounded, on any Docker engine with overlay file systems.

The engine bounds no container's disk unless its own file system has project quotas. So the container's root stays
read-only for the engine, and an overlay is put over it whose upper layer is a tmpfs: its size and number of files are
bounded, what is in it counts as the container's memory, and it goes with the container. The mount is made by a helper
container of our own image, so that no program of the tenant's image ever has the right to mount.
"""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING

from stackbench.errors import SandboxError, one_line
from stackbench.sandbox.image import image_tag
from stackbench.sandbox.labels import owner_labels
from stackbench.sandbox.spec import SandboxSpec

if TYPE_CHECKING:
    from docker.models.containers import Container as DockerContainer

    import docker

__all__ = ["STAGE", "make_root_writable"]

STAGE = "/.stackbench-root"
"""Where the engine mounts the tmpfs of the upper layer, until the overlay has it."""
# To enter the container and mount; then those with which the kernel, in the mounter's name, writes to the upper layer.
CAPABILITIES = [
    *("SYS_ADMIN", "SYS_CHROOT", "SYS_PTRACE"),
    *("CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "MKNOD", "SETFCAP"),
]

# Docker's AppArmor profile forbids every mount, its seccomp profile pivot_root.
SECURITY = ["no-new-privileges", "apparmor=unconfined", "seccomp=unconfined"]


def make_root_writable(client: docker.DockerClient, container: DockerContainer, spec: SandboxSpec) -> None:
    """Makes the root of a started container writable, before its program is sent.

    Raises:
        SandboxError: the kernel refuses it, or the runtime shares no namespaces.
        docker.errors.DockerException: the engine refused, or does not answer.
    """
    from docker.errors import ContainerError
    from docker.types import LogConfig

    if spec.runtime not in ("", "runc"):
        raise SandboxError(f"a sandbox with a writable root needs the runtime runc, not {spec.runtime}")
    program = resources.files("stackbench.sandbox").joinpath("overlay_root.py").read_text(encoding="utf-8")
    try:
        client.containers.run(
            image_tag(),
            ["python3", "-I", "-B", "-c", program, STAGE, spec.workdir],
            entrypoint=[],
            labels=owner_labels() | dict(spec.labels),
            pid_mode=f"container:{container.id}",
            network_mode="none",
            network_disabled=True,
            read_only=True,
            cap_drop=["ALL"],
            cap_add=CAPABILITIES,
            security_opt=SECURITY,
            mem_limit="128m",
            memswap_limit="128m",
            log_config=LogConfig(type="json-file"),
            stderr=True,
            remove=True,
        )
    except ContainerError as error:
        said = error.stderr.decode(errors="replace") if isinstance(error.stderr, bytes) else str(error.stderr)
        raise SandboxError(f"the root of a sandbox cannot be made writable: {one_line(said, 200)}") from error
