"""Runs file operations each in a process of its own: as the agent or as root, within a time and a memory limit."""

from __future__ import annotations

import errno
import json
import os
import resource
import signal
import time

from . import files, users
from .cleaning import kill_group
from .frames import write_all
from .procfs import be_expendable

TYPE_CHECKING = False  # to import typing would cost each container its memory
if TYPE_CHECKING:
    from typing import Any

    from .main import Loop

MEMORY = 1 << 30
TIMEOUT_S = 30.0
MOST_ANSWER = 60 << 20  # what fits a frame


class FileWorker:
    def __init__(self, number: int, pid: int, fd: Any, deadline: float):
        self.id = number
        self.pid = pid
        self.fd = fd
        self.deadline = deadline
        self.answer = bytearray()
        self.problem = ""


class FileWorkers:
    """All operations under way; the answer of each is the JSON that its process writes."""

    def __init__(self, loop: Loop):
        self.loop = loop
        self.by_pid = {}

    def start(self, frame: dict[str, Any]):
        read, write = os.pipe()
        try:
            pid = os.fork()
        except OSError as error:  # no process can be had: the caller gets the error, the others go on
            os.close(read)
            os.close(write)
            self.loop.send({"op": "failed", "id": frame["id"], "error": error.strerror, "errno": error.errno})
            return
        if pid == 0:
            do(frame, write)
        os.close(write)
        os.set_blocking(read, False)
        worker = FileWorker(frame["id"], pid, read, time.monotonic() + frame.get("timeout_s", TIMEOUT_S))
        self.by_pid[pid] = worker
        self.loop.watch(read, lambda: self.on_answer(worker))

    def on_answer(self, worker: FileWorker):
        while True:
            try:
                data = os.read(worker.fd, 1 << 18)
            except BlockingIOError:
                return
            if not data:
                break
            if len(worker.answer) + len(data) > MOST_ANSWER:
                worker.problem = f"the answer is larger than {MOST_ANSWER >> 20} MiB"
                worker.answer.clear()
                kill_group(worker.pid)
                break
            worker.answer += data
        self.loop.forget(worker.fd)
        os.close(worker.fd)
        worker.fd = None
        try:
            answer = json.loads(bytes(worker.answer))
        except ValueError:
            problem = worker.problem or f"the operation took more than {MEMORY >> 20} MiB of memory"
            answer = {"op": "failed", "error": problem, "errno": None}
        self.loop.send({**answer, "id": worker.id})

    def cancel(self, number: int):
        for worker in self.by_pid.values():
            if worker.id == number:
                worker.problem = "cancelled"
                kill_group(worker.pid)

    def time_to_next(self, now: float):
        times = [worker.deadline for worker in self.by_pid.values()]
        return min(times) - now if times else None

    def check_deadlines(self, now: float):
        for worker in self.by_pid.values():
            if now >= worker.deadline:
                worker.problem = worker.problem or "the operation took too long"
                worker.deadline = now + 1.0
                kill_group(worker.pid)

    def reaped(self, pid: int):
        return self.by_pid.pop(pid, None) is not None


def do(frame: dict[str, Any], fd: int):
    """Carries out one operation and writes its answer; never returns."""
    try:
        os.setsid()
        os.dup2(fd, 3)
        os.closerange(4, 4096)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        be_expendable(1000)
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        os.umask(0o022)
        if not frame.get("privileged"):
            users.become(users.AGENT)
        try:
            answer = {"op": "done", **files.OPERATIONS[frame["operation"]]({"root": users.WORKSPACE, **frame})}
        except OSError as error:
            if error.errno == errno.EMFILE:
                error = OSError(errno.ENAMETOOLONG, "folders are nested too deep there")
            path = error.filename if isinstance(error.filename, str) else frame.get("path", "")
            answer = {"op": "failed", "error": error.strerror or str(error), "errno": error.errno, "path": path}
        except MemoryError:
            raise
        except Exception as error:
            answer = {"op": "failed", "error": f"the request is not valid: {error!r}", "errno": None}
        write_all(3, json.dumps(answer).encode())
    finally:
        os._exit(0)
