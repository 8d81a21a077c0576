"""Starts the processes that help process 1, each with a socket to it on descriptor 3."""

from __future__ import annotations

import os
import resource
import signal
import socket
import sys

from inside_loader import BOOTSTRAP, program  # pyright: ignore[reportMissingModuleSource]

from . import users

TYPE_CHECKING = False  # to import typing would cost each container its memory
if TYPE_CHECKING:
    from typing import Any, Callable, Iterable

SOCKET_FD = 3
ZYGOTE_MODULES = ("__init__", "preload", "protocol", "errors", "answers", "sample_process", "zygote")


def fork_with_socket(child: Callable[[], Any]):
    """Forks a process that calls `child` and ends; returns its pid and the socket to speak to it."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    pid = os.fork()
    if pid == 0:
        try:
            os.dup2(os.dup(theirs.fileno()), SOCKET_FD)
            os.closerange(SOCKET_FD + 1, 4096)
            child()
        finally:
            os._exit(1)
    theirs.close()
    return pid, ours


def confine(user: int, limits: Iterable[tuple[int, int]]):
    """Leaves a forked helper no standard streams and no rights: a session of its own, limits, and that user."""
    nothing = os.open("/dev/null", os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(nothing, number)
    os.setsid()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for limit, value in limits:
        resource.setrlimit(limit, (value, value))
    users.become(user)


def start_zygote():
    """Starts the zygote in a fresh interpreter: one that inherits none of our memory forks in half the time."""
    command = [sys.executable, "-s", "-B", "-c", BOOTSTRAP % SOCKET_FD]
    pid, ours = fork_with_socket(lambda: os.execv(sys.executable, command))
    ours.sendall(program(ZYGOTE_MODULES, "from inside.zygote import serve\ndisappear()\nserve()"))
    return pid, ours
