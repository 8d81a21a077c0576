"""What a tenant's tools ask of process 1: commands, files, processes, the HTTP service."""

from __future__ import annotations

import signal

from . import process_list, users
from .commands import Commands
from .file_workers import FileWorkers
from .observer import Observer
from .service import Service
from .signalling import signal_user

TYPE_CHECKING = False  # to import typing would cost each container its memory
if TYPE_CHECKING:
    from typing import Any

    from .main import Loop


class Tools:
    def __init__(self, loop: Loop):
        self.loop = loop
        self.commands = Commands(loop)
        self.file_workers = FileWorkers(loop)
        self.service = Service(loop)
        self.observer = Observer(loop)
        self.operations = {
            "exec": self.commands.start,
            "stdin": self.commands.type,
            "signal": self.commands.send_signal,
            "file": self.file_workers.start,
            "observe": self.observe,
            "processes": self.list_processes,
            "signal_user": self.signal_user,
            "http": self.service.start,
            "http_log": self.service.log,
        }

    def list_processes(self, frame: dict[str, Any]):
        self.loop.send(
            {"op": "done", "id": frame["id"], "processes": self.processes(with_dying=frame.get("with_dying", True))}
        )

    def processes(self, *, with_dying: bool = True):
        commands = self.commands.by_pid
        ours = {pid for pid in self.loop.ours() if pid not in commands}
        return process_list.listing(ours, with_dying=with_dying)

    def observe(self, frame: dict[str, Any]):
        """What differs from the last look: in the workspace, and requests from number `since` on; all processes."""

        def answer(files: Any):
            requests = self.service.requests_since(frame.get("since", 0))
            processes = self.processes(with_dying=False)  # what a call killed has ended, however busy the machine
            self.loop.send({"op": "done", "id": frame["id"], "files": files, "processes": processes, **requests})

        self.observer.ask(frame["id"], answer)

    def signal_user(self, frame: dict[str, Any]):
        """Signals all that a user runs, whatever it is and however it was started."""
        user, number = users.BY_NAME[frame["user"]], frame["signal"]
        if number == signal.SIGSTOP:
            self.commands.frozen.add(user)
        elif number == signal.SIGCONT:
            self.commands.frozen.discard(user)
        signal_user(user, number)
        self.loop.send({"op": "done", "id": frame["id"]})

    def reaped(self, pid: int, status: int, usage: Any):
        if not self.commands.reaped(pid, status, usage):
            self.file_workers.reaped(pid)
            self.service.pids.discard(pid)
            self.observer.pids.discard(pid)
