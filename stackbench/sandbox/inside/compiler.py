"""An unprivileged process that compiles the samples' text, warm and ahead of the forks that execute it.

Compiling in a fresh fork costs several times as much, in memory pages that must be copied. Text that hurts a compiler
hurts only this process: it is then replaced, and the sample compiles its text itself.

Asked over a socket with 4 bytes big-endian length and the text; answers in order with the same framing and, in front,
`c` (marshalled code), `e` (the kind of error, a NUL, its message) or `x` (let the sample try by itself).
"""

import marshal
import os
import resource
import signal
import socket
import warnings

from .errors import describe

LARGEST = 1 << 16
MEMORY = 1 << 29


def start(uid):
    """Forks the compiler; returns its pid and the socket to speak to it."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    pid = os.fork()
    if pid == 0:
        try:
            fd = os.dup(theirs.fileno())
            os.dup2(fd, 3)
            os.closerange(4, 4096)
            nothing = os.open("/dev/null", os.O_RDWR)
            for number in (0, 1, 2):
                os.dup2(nothing, number)
            os.setsid()
            os.setgroups([])
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for limit, value in (
                (resource.RLIMIT_AS, MEMORY),
                (resource.RLIMIT_NPROC, 1),
                (resource.RLIMIT_NOFILE, 16),
                (resource.RLIMIT_FSIZE, 0),
                (resource.RLIMIT_CORE, 0),
            ):
                resource.setrlimit(limit, (value, value))
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
            serve(socket.socket(fileno=3))
        finally:
            os._exit(0)
    theirs.close()
    return pid, ours


def serve(sock):
    warnings.simplefilter("ignore")
    pending = b""
    while True:
        while len(pending) < 4 or len(pending) < 4 + int.from_bytes(pending[:4], "big"):
            more = sock.recv(1 << 17)
            if not more:
                return
            pending += more
        size = int.from_bytes(pending[:4], "big")
        answer = compiled(pending[4 : 4 + size])
        pending = pending[4 + size :]
        sock.sendall(len(answer).to_bytes(4, "big") + answer)


def compiled(data):
    try:
        return b"c" + marshal.dumps(compile(data.decode("utf-8", "surrogatepass"), "<sample>", "exec", 0, True))
    except (SyntaxError, ValueError) as error:
        return b"e" + ("%s\0%s" % (type(error).__name__, describe(error))).encode()
    except BaseException:
        return b"x"
