"""An unprivileged process that compiles the samples' text, warm and ahead of the forks that execute it.

Compiling in a fresh fork costs several times as much, in memory pages that must be copied. Text that hurts a compiler
hurts only this process: it is then replaced, and the sample compiles its text itself.

Asked over a socket with 4 bytes big-endian length and the text; answers in order with the same framing and, in front,
`c` (marshalled code), `e` (the kind of error, a NUL, its message) or `x` (let the sample try by itself).
"""

from __future__ import annotations

import marshal
import resource
import socket
import warnings

from . import users
from .errors import describe
from .frames import take_apart, with_length
from .spawn import SOCKET_FD, confine, fork_with_socket

LARGEST = 1 << 16
MEMORY = 1 << 29


def start():
    """Forks the compiler; returns its pid and the socket to speak to it."""
    return fork_with_socket(be_the_compiler)


def be_the_compiler():
    limits = (
        (resource.RLIMIT_AS, MEMORY),
        (resource.RLIMIT_NPROC, 1),
        (resource.RLIMIT_NOFILE, 16),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    )
    confine(users.COMPILER, limits)
    serve(socket.socket(fileno=SOCKET_FD))


def serve(sock: socket.socket):
    warnings.simplefilter("ignore")
    pending = bytearray()
    while True:
        more = sock.recv(1 << 16)
        if not more:
            return
        pending += more
        for text in take_apart(pending):
            sock.sendall(with_length(compiled(text)))


def compiled(data: bytes):
    try:
        return b"c" + marshal.dumps(compile(data.decode("utf-8", "surrogatepass"), "<sample>", "exec", 0, True))
    except (SyntaxError, ValueError) as error:
        return b"e" + (f"{type(error).__name__}\0{describe(error)}").encode()
    except BaseException:
        return b"x"
