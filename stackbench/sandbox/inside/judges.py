"""The judges of a container as process 1 sees them: idle ones, and what each is asked and answers."""

from __future__ import annotations

import array
import json
import os
import socket

from . import judge
from .cleaning import kill_group
from .frames import take_apart, write_all
from .procfs import queue_wait_s, resident_bytes

CHUNK = 1 << 16
MOST_HELD = 512 << 20  # an idle judge that holds more is ended: its memory is the neighbours'


class Judge:
    """A judge's process; its `pid` is 0 once it has been reaped, as the number may then be another's."""

    def __init__(self):
        self.pid, self.socket = judge.start()
        self.socket.setblocking(False)
        self.inbox = bytearray()
        self.waited_before = 0.0

    def ask(self, tests: bytes, payload: str | None, channel_fd: int):
        """Has it run tests against the sample at the other end of a channel."""
        body = tests if payload is None else tests + payload.encode()
        head = judge.REQUEST.pack(b"j", len(tests), -1 if payload is None else len(body) - len(tests))
        if len(body) <= judge.INLINE:
            self.send(head + body, channel_fd)
            return
        body_fd = os.memfd_create("tests")
        write_all(body_fd, body)
        self.send(head, channel_fd, body_fd)
        os.close(body_fd)

    def tell_pid(self, pid: int):
        self.send(judge.REQUEST.pack(b"p", pid, -1))

    def send(self, data: bytes, *fds: int):
        """A judge that is asked something is idle, and what it is sent fits into its socket."""
        attached = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        try:
            self.socket.sendmsg([data], attached)
        except OSError:  # it has died; its answer will not come either
            pass

    def answer(self):
        """Its answer (a list of events), None while there is none, False when it has died."""
        while True:
            try:
                data = self.socket.recv(CHUNK)
            except BlockingIOError:
                return None
            except OSError:
                data = b""
            if not data:
                return False
            self.inbox += data
            try:
                for body in take_apart(self.inbox):
                    return json.loads(body)
            except ValueError:
                return False

    def is_watched(self):
        """From now on it counts how long it waits for a processor."""
        self.waited_before = queue_wait_s(self.pid)

    def is_large(self):
        return resident_bytes(self.pid) > MOST_HELD

    def waited_s(self):
        """Seconds that it was ready to run but had no processor, since it is watched."""
        return queue_wait_s(self.pid) - self.waited_before

    def end(self):
        self.socket.close()
        kill_group(self.pid)


class Judges:
    def __init__(self):
        self.every = {}  # by pid, until they are reaped: one that was killed is ours until then
        self.idle = []

    def take(self):
        """An idle judge, or a new one. Raises OSError."""
        if self.idle:
            return self.idle.pop()
        made = Judge()
        self.every[made.pid] = made
        return made

    def give_back(self, one: Judge):
        self.idle.append(one)

    def drop(self, one: Judge):
        """Ends one that has died or that one sample's answers keep busy."""
        one.end()

    def reaped(self, pid: int):
        one = self.every.pop(pid, None)
        if one is not None:
            one.pid = 0
