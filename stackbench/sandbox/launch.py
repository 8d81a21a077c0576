"""How a sandbox container is made: what it may do, what it may use, and its attached stream."""

# docker has partial types.
# pyright: reportUnknownMemberType=false
from __future__ import annotations

import os
import secrets
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from stackbench.errors import SandboxError
from stackbench.sandbox.bundle import BOOTSTRAP
from stackbench.sandbox.labels import owner_labels
from stackbench.sandbox.spec import SandboxSpec
from stackbench.sandbox.writable_root import STAGE, make_root_writable

if TYPE_CHECKING:
    from docker.models.containers import Container as DockerContainer

    import docker

__all__ = ["FIRST_UID", "Launched", "launch", "remove"]

# SETUID/SETGID: become the sample's user. CHOWN, DAC_OVERRIDE, FOWNER: give out and clear work folders. KILL: end it.
CAPABILITIES = ["SETUID", "SETGID", "CHOWN", "DAC_OVERRIDE", "FOWNER", "KILL"]
# Shared memory, semaphores and queues that outlive their makers (System V, POSIX queues) do not exist at all.
NO_SYSTEM_V = {
    "kernel.shmmni": "0",
    "kernel.sem": "0 0 0 0",
    "kernel.msgmni": "0",
    "fs.mqueue.queues_max": "0",
}
# A namespace with a loopback alone either way; disabled, the engine need not start a helper for it, which is half of
# what starting a container costs.
NO_NETWORK = {"network_mode": "none", "network_disabled": True}
FIRST_UID = 1_000_000
UIDS_PER_CONTAINER = 2_000
# The kernel counts a user's processes over all containers, so each container draws users of its own.
UID_BLOCKS = 500_000


@dataclass(frozen=True, slots=True)
class Launched:
    """A container that runs `BOOTSTRAP`, and its attached stream."""

    container: DockerContainer
    stream: socket.socket
    program_sent: bool = False
    """Whether its program has been sent; otherwise it waits for that."""


def launch(client: docker.DockerClient, spec: SandboxSpec) -> Launched:
    """Creates, attaches to and starts a container. Blocks for some tenths of a second.

    Raises:
        docker.errors.DockerException: the engine refused, or does not answer.
        SandboxError: its root cannot be made writable.
    """
    container = _create(client, spec)
    try:
        stream = _attach_and_start(container)
        try:
            if spec.writable:
                make_root_writable(client, container, spec)
        except BaseException:
            stream.close()
            raise
        return Launched(container, stream)
    except BaseException:
        remove(container)
        raise


def remove(container: DockerContainer) -> None:
    """Removes a container with whatever runs in it.

    Raises:
        SandboxError: the engine could not.
    """
    from docker.errors import APIError, DockerException, NotFound

    try:
        container.remove(force=True)
    except NotFound:
        return
    except APIError as error:
        if error.status_code != 409:  # already being removed
            raise SandboxError(f"a sandbox container could not be removed: {error}") from error
    except (DockerException, OSError) as error:
        raise SandboxError(f"a sandbox container could not be removed: {error}") from error


def _create(client: docker.DockerClient, spec: SandboxSpec) -> DockerContainer:
    from docker.types import LogConfig

    cpus = spec.cpus or float(os.cpu_count() or 1)
    network: dict[str, Any] = {"network_mode": "bridge"} if spec.network else NO_NETWORK
    first_uid = FIRST_UID + secrets.randbelow(UID_BLOCKS) * UIDS_PER_CONTAINER
    options: dict[str, Any] = {"runtime": spec.runtime} if spec.runtime else {"sysctls": NO_SYSTEM_V}
    return client.containers.create(
        spec.image or "",
        ["python3", "-s", "-B", "-c", BOOTSTRAP % 0],
        labels=owner_labels() | dict(spec.labels),
        environment={
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "LANG": "C.UTF-8",
            "PYTHONHASHSEED": "0",
            "LD_BIND_NOW": "1",  # symbols are looked up once, not in every fork
            "HOME": ".",  # each sample's own folder, without a call per sample
            "TMPDIR": ".",
            "STACKBENCH_FIRST_UID": str(first_uid),
            "STACKBENCH_UIDS": str(UIDS_PER_CONTAINER),
            "STACKBENCH_WORKDIR": spec.workdir,
        },
        entrypoint=[],
        user="0:0",
        working_dir="/",
        hostname="sandbox",
        read_only=True,
        cap_drop=["ALL"],
        cap_add=CAPABILITIES,
        security_opt=["no-new-privileges"],
        ipc_mode="private",
        shm_size="64m",
        pids_limit=spec.processes,
        mem_limit=f"{spec.memory_mib}m",
        memswap_limit=f"{spec.memory_mib}m",
        nano_cpus=int(cpus * 1e9),
        tmpfs=_writable_places(spec),
        auto_remove=True,
        stdin_open=True,
        log_config=LogConfig(type="none"),
        **network,
        **options,
    )


def _writable_places(spec: SandboxSpec) -> dict[str, str]:
    """Mount options of the file systems that can be written. Files count as memory: what a tenant can fill of them
    leaves enough for the programs."""
    disk_mib = min(spec.disk_mib, max(spec.memory_mib // 5, 1))
    bounds = f"rw,nosuid,nodev,size={disk_mib}m,nr_inodes={spec.files}"
    own = {STAGE: f"{bounds},mode=755,exec"} if spec.writable else {spec.workdir: f"{bounds},mode=755,exec"}
    return {
        **own,
        "/work": f"{bounds},mode=711",
        "/tmp": f"{bounds},mode=1777",
        "/check": f"{bounds},mode=711,exec",
        "/var/tmp": "rw,nosuid,nodev,mode=1777,size=16m,nr_inodes=4096",
    }


def _attach_and_start(container: DockerContainer) -> socket.socket:
    stream = container.attach_socket(params={"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1})
    container.start()
    sock: Any = getattr(stream, "_sock", stream)
    # A descriptor of our own: the stream object closes its one.
    ours = socket.socket(fileno=os.dup(sock.fileno()))
    stream.close()
    sock.close()
    ours.setblocking(False)
    return ours
