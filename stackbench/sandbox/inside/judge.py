"""A process that runs a benchmark's tests against one sample after another, each in a process of its own.

It executes the benchmark's code only. Of samples it sees plain data (remote.py); expected values never leave it. Text
or data that hurts it hurts this process only: it is then replaced, and the sample that sent it has failed.

Asked over a socket with `REQUEST` (kind, size) and a body: `j` is a job, with the channel's descriptor, in the body or,
where it is long, in a file whose descriptor comes too; `p` tells the sample's pid in place of a size. A job is two
marshalled parts: the tests (number of the sample's sections, sections, checks, names of the sample's functions), then
the payload. Answers with 4 bytes of length and JSON: events, and what the tests left in `_result`.
"""

from __future__ import annotations

import gc
import json
import os
import random
import resource
import signal
import socket
from marshal import loads
from struct import Struct

from inside_loader import CLEAN_BUILTINS  # pyright: ignore[reportMissingModuleSource]

from . import users
from .errors import describe
from .foresight import Foresight, NotForeseeable
from .frames import with_length
from .procfs import be_expendable
from .remote import Channel, Gone, SampleFailed, stub
from .spawn import SOCKET_FD, confine, fork_with_socket

TYPE_CHECKING = False  # to import typing would cost each container its memory
if TYPE_CHECKING:
    from typing import Any, Callable

REQUEST = Struct(">cIq")  # kind, bytes of the tests (or the pid), bytes of the payload, -1 for none
INLINE = 1 << 15
KEPT = 2048
MEMORY = 6 << 30
ROOM = socket.CMSG_SPACE(8)
FRESH = random.getstate()


class Tests:
    """The tests of one task, and the calls that they are known to make."""

    def __init__(self, data: bytes):
        self.first, sections, checks, functions = loads(data)
        self.sections = [(apart, loads(code)) for apart, code in sections]
        self.checks = [loads(check) if type(check) is bytes else check for check in checks]
        self.functions = functions
        self.random = b"random" in data
        self.calls = None

    def foreseen(self, payload: str | None):
        if self.calls is None:
            foresight = Foresight()
            if not any(apart for apart, _ in self.sections):
                try:
                    self.run(foresight, payload, lambda step, index, error: None)
                except (Exception, NotForeseeable):
                    pass
            self.calls = foresight.calls
        return self.calls

    def run(self, channel: Any, payload: str | None, note: Callable[[str, int, BaseException | None], None]):
        """Executes the sections; then each check, whatever became of those before it. Returns the last namespace."""
        if self.random:
            random.setstate(FRESH)
        shared: dict[str, Any] = {"__builtins__": CLEAN_BUILTINS}
        for name in self.functions:
            shared[name] = stub(channel, name)
        last = shared
        for index, (apart, code) in enumerate(self.sections):
            last = {"__builtins__": CLEAN_BUILTINS, "_channel": channel} if apart else shared
            if payload is not None:
                last["_payload"] = payload
            try:
                exec(code, last)
            except (SampleFailed, Gone, NotForeseeable):
                raise
            except BaseException as error:
                note("section", index, error)
                return last
        for index, check in enumerate(self.checks):
            try:
                exec(check, shared)
            except (SampleFailed, Gone, NotForeseeable):
                raise
            except BaseException as error:
                note("check", index, error)
            else:
                note("check", index, None)
        return last


def judged(tests: Any, channel: Any, payload: str | None):
    """The events of one sample; the sample's own sections are counted first."""
    events = []

    def note(step: str, index: int, error: BaseException | None):
        event = {"step": step, "index": index + (tests.first if step == "section" else 0)}
        if error is None:
            event.update(error=None, kind=None, errno=None)
        else:
            number = getattr(error, "errno", None)
            number = number if type(number) is int else None
            event.update(error=describe(error), kind=type(error).__name__, errno=number)
        events.append(event)

    try:
        calls = tests.foreseen(payload)
        if calls:
            channel.foresee(calls)
        channel.wait_for_start()
        result = tests.run(channel, payload, note).get("_result")
        if not channel.gone and not any(event["step"] == "section" for event in events):
            events.append({"step": "end", "result": result if type(result) is str else None})
    except SampleFailed as failed:
        section, kind, message, errno = failed.args
        section = min(max(0, section), max(0, tests.first - 1))
        events.append({"step": "section", "index": section, "error": message, "kind": kind, "errno": errno})
    except Gone:
        pass
    if channel.gone and channel.failure:
        events.append({"step": "section", "index": 0, "error": channel.failure, "kind": "", "errno": None})
    return events


def start():
    """Forks a judge; returns its pid and the socket to speak to it."""
    return fork_with_socket(be_a_judge)


def be_a_judge():
    signal.set_wakeup_fd(-1)
    be_expendable(500)
    confine(users.JUDGE, ((resource.RLIMIT_AS, MEMORY), (resource.RLIMIT_NPROC, 1), (resource.RLIMIT_CORE, 0)))
    os.chdir("/")
    gc.freeze()
    serve(socket.socket(fileno=SOCKET_FD))


def serve(sock: socket.socket):
    known = {}
    while True:
        head, attached, _, _ = sock.recvmsg(REQUEST.size, ROOM)
        if not head:
            return
        kind, size, payload_size, fds = *REQUEST.unpack(head), descriptors(attached)
        if kind != b"j":  # the pid of a sample that has been judged by now
            continue
        whole = size + max(0, payload_size)
        body = read_whole(sock, whole) if len(fds) == 1 else read_file(fds[1], whole)
        data, payload = body[:size], body[size:].decode() if payload_size >= 0 else None
        tests = known.get(data)
        if tests is None:
            tests = known[data] = Tests(data)
            if len(known) > KEPT:
                del known[next(iter(known))]
        channel = Channel(fds[0], lambda: REQUEST.unpack(read_whole(sock, REQUEST.size))[1])
        events = judged(tests, channel, payload)
        sock.sendall(with_length(json.dumps(events).encode()))
        for fd in fds:
            os.close(fd)


def descriptors(attached: list[Any]):
    return [int.from_bytes(data[at : at + 4], "little") for _, _, data in attached for at in range(0, len(data), 4)]


def read_whole(sock: socket.socket, size: int):
    data = bytearray()
    while len(data) < size:
        more = sock.recv(size - len(data))
        if not more:
            os._exit(0)
        data += more
    return bytes(data)


def read_file(fd: int, size: int):
    pieces, at = [], 0
    while at < size:
        pieces.append(os.pread(fd, size - at, at))
        at += len(pieces[-1])
    return b"".join(pieces)
