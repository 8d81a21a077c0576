"""The process that forks one process per code sample, and nothing else: it stays small, so that a fork stays cheap.

A signal that comes between Python's last look for one and the call that waits is seen only when that call returns. So a
byte without descriptors asks it to reap again: process 1 sends one when a sample seems to have ended and no record says
so.

It is asked over a socket by one byte with three descriptors: the job's file, the sample's end of the channel to its
judge, and the write end of the output pipe. The sample itself reads the job, so that nothing of one job is in memory
that the next inherits.
Answers are records of `RECORD`: `s` (started: pid), `f` (fork failed: errno) and `e` (ended: pid, wait status, user and
system seconds, peak KiB). A sample can make children of the zygote's (CLONE_PARENT): of these nothing is said.
"""

from __future__ import annotations

import gc
from _signal import SIGCHLD  # pyright: ignore[reportMissingImports]
from _signal import signal as set_handler  # pyright: ignore[reportMissingImports]
from _socket import CMSG_SPACE, SocketType
from os import WNOHANG, close, dup2, fork, setgroups, setsid, wait4
from os import open as open_file
from struct import Struct

from . import preload as preload  # imported for the samples
from . import sample_process
from .protocol import RECORD

TYPE_CHECKING = False  # to import typing would cost each container its memory
if TYPE_CHECKING:
    from typing import Any

FDS = Struct("3i")
SOCKET_FD = 3


def serve():
    """Serves the socket on descriptor 3 until it closes."""
    sock = SocketType(fileno=SOCKET_FD)
    nothing = open_file("/dev/null", 2)
    for fd in (0, 1, 2):
        dup2(nothing, fd)
    close(nothing)
    setsid()
    setgroups([])
    sample_process.make_streams()
    sample_process.warm_up()
    pack, send, recvmsg = RECORD.pack, sock.send, sock.recvmsg
    ours, early = set(), {}  # pids of samples; children that ended before `fork` returned in the parent, or strangers
    room = CMSG_SPACE(FDS.size)

    def on_child(number: int, frame: Any):
        while True:
            try:
                pid, status, usage = wait4(-1, WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            record = pack(b"e", pid, status, usage.ru_utime, usage.ru_stime, usage.ru_maxrss)
            if pid in ours:
                ours.discard(pid)
                send(record)
            else:
                early[pid] = record

    set_handler(SIGCHLD, on_child)
    gc.collect()
    gc.freeze()
    send(pack(b"r", 0, 0, 0.0, 0.0, 0))
    while True:
        data, attached, _, _ = recvmsg(1, room)
        if not data:
            return
        if not attached:  # asked to reap again: by now `on_child` has run
            continue
        job, channel, output = FDS.unpack(attached[0][2])
        early.clear()
        try:
            pid = fork()
        except OSError as error:
            send(pack(b"f", error.errno, 0, 0.0, 0.0, 0))
        else:
            if pid == 0:
                sample_process.become(job, channel, output)
            send(pack(b"s", pid, 0, 0.0, 0.0, 0))
            ours.add(pid)
            record = early.pop(pid, None)
            if record is not None:
                ours.discard(pid)
                send(record)
        close(job)
        close(channel)
        close(output)
