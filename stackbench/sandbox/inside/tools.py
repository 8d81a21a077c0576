"""What a tenant's tools ask of process 1: commands, files, processes, the HTTP service."""

from __future__ import annotations

from . import process_list, users
from .commands import Commands
from .file_workers import FileWorkers
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
        self.operations = {
            "exec": self.commands.start,
            "stdin": self.commands.type,
            "signal": self.commands.send_signal,
            "file": self.file_workers.start,
            "processes": self.list_processes,
            "signal_user": self.signal_user,
            "http": self.service.start,
            "http_log": self.service.log,
        }

    def list_processes(self, frame: dict[str, Any]):
        commands = self.commands.by_pid
        ours = {pid for pid in self.loop.ours() if pid not in commands}
        self.loop.send({"op": "done", "id": frame["id"], "processes": process_list.listing(ours)})

    def signal_user(self, frame: dict[str, Any]):
        """Signals all that a user runs, whatever it is and however it was started."""
        try:
            signal_user(users.BY_NAME[frame["user"]], frame["signal"])
        except OSError as error:  # no process can be had
            self.loop.send({"op": "failed", "id": frame["id"], "error": error.strerror, "errno": error.errno})
            return
        self.loop.send({"op": "done", "id": frame["id"]})

    def reaped(self, pid: int, status: int, usage: Any):
        if not self.commands.reaped(pid, status, usage):
            self.file_workers.reaped(pid)
