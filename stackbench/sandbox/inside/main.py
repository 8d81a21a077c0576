"""Process 1 of a sandbox container: takes frames in, gives them to who handles them, until the stream ends."""

from __future__ import annotations

import os
import select
import signal
import sys
import time

from . import users
from .frames import Inbox, send
from .sample_scheduler import SampleScheduler

TYPE_CHECKING = False  # to import typing would cost each container its memory
if TYPE_CHECKING:
    from typing import Any, Callable

MOST_REAPED = 64


class Loop:
    """Waits for descriptors and deadlines; frames go to the handler of their `op`."""

    def __init__(self):
        self.epoll = select.epoll()
        self.callbacks = {}
        self.timers = []  # (when, what)
        self.inbox = Inbox()
        self.closing = False
        self.send = send
        self.samples = SampleScheduler(self)
        self.tools = None
        self.operations = {
            "python": self.samples.submit,
            "prepare": self.samples.prepare,
            "cancel": self.cancel,
            "ping": lambda frame: send({"op": "done", "id": frame["id"]}),
        }

    def serve(self):
        os.set_blocking(0, False)
        self.watch(0, self.on_frames)
        self.watch_children()
        give_to_agent(users.WORKSPACE)
        send({"op": "ready", "python": sys.version.split()[0]})
        while not self.closing:
            self.samples.pump()
            due = self.time_to_next()
            for fd, _ in self.epoll.poll(-1 if due is None else max(0.0, due)):
                callback = self.callbacks.get(fd)
                if callback is not None:
                    callback()
            if due is not None:
                self.check_deadlines(time.monotonic())

    def watch(self, fd: int, callback: Callable[[], Any], events: int = select.EPOLLIN):
        self.callbacks[fd] = callback
        self.epoll.register(fd, events)

    def forget(self, fd: int):
        del self.callbacks[fd]
        self.epoll.unregister(fd)

    def later(self, seconds: float, what: Callable[[], Any]):
        self.timers.append((time.monotonic() + seconds, what))

    # -- deadlines

    def time_to_next(self):
        now = time.monotonic()
        due = self.samples.time_to_next(now)
        if self.tools is not None or self.timers:
            times = [due, *(when - now for when, _ in self.timers)]
            if self.tools is not None:
                times += [self.tools.commands.time_to_next(now), self.tools.file_workers.time_to_next(now)]
            times = [one for one in times if one is not None]
            due = min(times) if times else None
        return due

    def check_deadlines(self, now: float):
        self.samples.check_deadlines(now)
        if self.tools is not None:
            self.tools.commands.check_deadlines(now)
            self.tools.file_workers.check_deadlines(now)
        for timer in [timer for timer in self.timers if timer[0] <= now]:
            self.timers.remove(timer)
            timer[1]()

    # -- frames

    def on_frames(self):
        frames = self.inbox.read()
        if frames is None:
            self.closing = True
            return
        for frame in frames:
            operation = self.operations.get(frame["op"]) or self.more_operations().get(frame["op"])
            if operation is None:
                send({"op": "refused", "id": frame.get("id"), "error": "unknown operation {!r}".format(frame["op"])})
            else:
                operation(frame)

    def more_operations(self):
        """What only tools need is loaded when the first tool asks."""
        if self.tools is None:
            from .tools import Tools

            self.tools = Tools(self)
            self.operations.update(self.tools.operations)
        return self.operations

    def cancel(self, frame: dict[str, Any]):
        self.samples.cancel(frame["id"])
        if self.tools is not None:
            self.tools.commands.cancel(frame["id"])
            self.tools.file_workers.cancel(frame["id"])

    # -- children

    def watch_children(self):
        read, write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        signal.set_wakeup_fd(write, warn_on_full_buffer=False)
        self.watch(read, lambda: self.on_children(read))

    def on_children(self, fd: int):
        try:
            os.read(fd, 4096)
        except BlockingIOError:
            pass
        for _ in range(MOST_REAPED):
            try:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            self.samples.reaped(pid)
            if self.tools is not None:
                self.tools.reaped(pid, status, usage)
        self.later(0, lambda: self.on_children(fd))  # there may be more, but others wait as well

    def ours(self):
        """Processes of our own, which nobody kills as leftovers; those that die are ours until they are reaped."""
        samples = self.samples
        found = {os.getpid(), samples.zygote_pid, *samples.compile_queue.pids, *samples.judges.every}
        if self.tools is not None:
            tools = self.tools
            found |= {*tools.commands.by_pid, *tools.file_workers.by_pid, *tools.service.pids, *tools.observer.pids}
        return found


def give_to_agent(folder: str):
    """The agent owns its folder and what the image has in it."""
    os.chown(folder, users.AGENT, users.AGENT)
    for _, folders, files, fd in os.fwalk(folder):
        for name in folders + files:
            os.chown(name, users.AGENT, users.AGENT, dir_fd=fd, follow_symlinks=False)


def run():
    if os.getpid() != 1:
        raise SystemExit("runner: it kills and deletes, and so runs as process 1 of a container only")
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(0))  # `docker stop`, and an engine that shuts down
    Loop().serve()
