"""How a sandbox container is made: what it may do, what it may use, and its attached stream."""

from __future__ import annotations

import os
import secrets
import socket
import threading
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from importlib import import_module
from typing import TYPE_CHECKING, Any

from stackbench.config import SandboxSettings
from stackbench.errors import SandboxError
from stackbench.sandbox.bundle import BOOTSTRAP, bundle, frame_bytes
from stackbench.sandbox.docker import connect
from stackbench.sandbox.labels import owner_labels

if TYPE_CHECKING:
    import docker
    from docker.models.containers import Container as DockerContainer

__all__ = ["ContainerSpec", "HeadStart", "Launched", "container_spec", "launch", "remove"]

# SETUID/SETGID: become the sample's user. CHOWN, DAC_OVERRIDE, FOWNER: give out and clear work folders. KILL: end it.
CAPABILITIES = ["SETUID", "SETGID", "CHOWN", "DAC_OVERRIDE", "FOWNER", "KILL"]
# Shared memory, semaphores and queues that outlive their makers (System V, POSIX queues) do not exist at all.
NO_SYSTEM_V = {
    "kernel.shmmni": "0",
    "kernel.sem": "0 0 0 0",
    "kernel.msgmni": "0",
    "fs.mqueue.queues_max": "0",
}
FIRST_UID = 1_000_000
UIDS_PER_CONTAINER = 2_000
# The kernel counts a user's processes over all containers, so each container draws users of its own.
UID_BLOCKS = 500_000
TOLD_WITHIN_S = 10.0
UNAWAITED = 0
"""The number of a frame whose answer nobody waits for."""


@dataclass(frozen=True, slots=True)
class ContainerSpec:
    """What one container is made of, and what it may use, all its samples together."""

    image: str
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    runtime: str = ""
    """The OCI runtime (`runsc` for gVisor); empty: the engine's own default."""
    memory_mib: int = 4096
    cpus: float = 0.0
    """Processors; 0 means all of the machine's."""
    processes: int = 1024
    disk_mib: int = 512
    files: int = 65536
    """Files, directories and links in each of the writable places."""


def container_spec(settings: SandboxSettings, image: str, run_id: str = "") -> ContainerSpec:
    """What a run's containers are made of."""
    return ContainerSpec(
        image,
        labels={"stackbench.run": run_id} if run_id else {},
        runtime=settings.sandbox_runtime or "",
        memory_mib=settings.sandbox_memory_mib,
    )


@dataclass(frozen=True, slots=True)
class Launched:
    """A container that runs `BOOTSTRAP`, and its attached stream."""

    container: DockerContainer
    stream: socket.socket
    told: bool = False
    """Whether its program has been sent; otherwise it waits for that."""


def launch(client: docker.DockerClient, spec: ContainerSpec) -> Launched:
    """Creates, attaches to and starts a container. Blocks for some tenths of a second.

    Raises:
        docker.errors.DockerException: the engine refused, or does not answer.
    """
    container = _create(client, spec)
    try:
        return Launched(container, _attach_and_start(container))
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


class HeadStart:
    """Launches containers for samples in a thread of its own while the program still loads, and has them get ready.

    Unclaimed ones are removed.
    """

    def __init__(self, spec: ContainerSpec, count: int) -> None:
        import_module("docker")  # before the rest of the program loads: beside it, this takes three times as long
        self.spec = spec
        self._futures: list[Future[Launched]] = [Future() for _ in range(count)]
        self._left = list(self._futures)
        self._client: docker.DockerClient | None = None
        self.found: Future[bool] = Future()
        """Whether the engine answers and has the image; otherwise every launch has failed."""
        self._threads = [threading.Thread(target=self._run, daemon=True, name="head-start")]
        self._threads[0].start()

    def take(self) -> Future[Launched] | None:
        """The next launch, perhaps still under way; None when all are taken."""
        return self._left.pop(0) if self._left else None

    def close(self) -> None:
        """Lets go of the engine and of what nobody took."""
        while (future := self.take()) is not None:
            future.add_done_callback(_discard)
        if self._client is not None:
            self._client.close()

    def _run(self) -> None:
        try:
            client = self._client = connect()
            client.images.get(self.spec.image)
        except BaseException as error:  # whoever takes a launch is told, and then goes the usual way
            self.found.set_result(False)
            for future in self._futures:
                future.set_exception(error)
            return
        self.found.set_result(True)
        for future in self._futures[1:]:
            thread = threading.Thread(target=self._launch, args=(client, future), daemon=True, name="head-start")
            try:
                thread.start()
            except RuntimeError as error:  # no more threads: whoever waits for this one goes the usual way
                future.set_exception(error)
        self._launch(client, self._futures[0])

    def _launch(self, client: docker.DockerClient, future: Future[Launched]) -> None:
        try:
            future.set_result(_tell(launch(client, self.spec)))
        except BaseException as error:
            future.set_exception(error)


def _tell(launched: Launched) -> Launched:
    """Sends the program, and that samples will come; whoever takes the container waits for the answers."""
    stream = launched.stream
    stream.settimeout(TOLD_WITHIN_S)
    try:
        stream.sendall(bundle() + frame_bytes({"op": "prepare", "id": UNAWAITED}))
    except OSError:
        stream.close()
        raise
    stream.setblocking(False)
    return replace(launched, told=True)


def _discard(future: Future[Launched]) -> None:
    if future.exception() is None:
        future.result().stream.close()  # at which it ends; the engine removes it then


def _create(client: docker.DockerClient, spec: ContainerSpec) -> DockerContainer:
    from docker.types import LogConfig

    cpus = spec.cpus or float(os.cpu_count() or 1)
    # Files count as memory: what a tenant can fill must leave enough for the programs.
    disk_mib = min(spec.disk_mib, max(spec.memory_mib // 5, 1))
    room = f"rw,nosuid,nodev,size={disk_mib}m,nr_inodes={spec.files}"
    first_uid = FIRST_UID + secrets.randbelow(UID_BLOCKS) * UIDS_PER_CONTAINER
    options: dict[str, Any] = {"runtime": spec.runtime} if spec.runtime else {"sysctls": NO_SYSTEM_V}
    return client.containers.create(
        spec.image,
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
        },
        entrypoint=[],
        user="0:0",
        working_dir="/",
        hostname="sandbox",
        # A namespace with a loopback alone either way; disabled, the engine need not start a helper for it, which is
        # half of what starting a container costs.
        network_mode="none",
        network_disabled=True,
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
        tmpfs={
            "/work": f"{room},mode=711",
            "/workspace": f"{room},mode=755,exec",
            "/tmp": f"{room},mode=1777",
            "/check": f"{room},mode=711,exec",
            "/var/tmp": "rw,nosuid,nodev,mode=1777,size=16m,nr_inodes=4096",
        },
        auto_remove=True,
        stdin_open=True,
        log_config=LogConfig(type="none"),
        **options,
    )


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
