"""What happens in the process of one code sample: it gives up its rights, executes the sample, and answers calls.

The tests are not here: they run in the judge (judge.py), which sends calls of the sample's functions over descriptor 3
and gets answers as plain data. Nothing that this process says is believed but the answers themselves.

A request is 4 bytes of length, then marshalled: how many answers are to be sent at once, each by itself, and a list of
marshalled (restore, operation, target, arguments, keywords). Each call is answered with 4 bytes of length, a letter and
JSON: `v` (value), `e` (exception: kind, message, errno). A
sample that raises while it is executed says `s` (section, kind, message, errno).
"""

from __future__ import annotations

import builtins
import os
import signal
import sys
from _signal import SIG_DFL, SIGCHLD  # pyright: ignore[reportMissingImports]

# Without the wrapper, which costs a fork 50 pages.
from _signal import signal as set_handler  # pyright: ignore[reportMissingImports]
from _socket import SHUT_WR, socketpair  # `socket` would cost each fork 100 pages
from json.encoder import encode_basestring_ascii as quoted
from marshal import dumps, loads
from os import (
    PRIO_PROCESS,
    _exit,
    chdir,
    close,
    closerange,
    dup2,
    pread,
    pwrite,
    read,
    setpriority,
    setresgid,
    setresuid,
    setsid,
    write,
)
from os import open as open_file
from resource import setrlimit
from time import perf_counter_ns as clock

from .answers import restored, text_of
from .errors import describe
from .protocol import BEGAN, CHANNEL_FD, NOT_BEGUN, REPORTED

TYPE_CHECKING = False  # to import typing would cost each container its memory
if TYPE_CHECKING:
    from typing import Any

PIECE = 1 << 16
FIRST_PIECE = 1 << 13  # of a request: most are smaller, and memory beyond the heap's end costs page faults
NICE = 5
TOGETHER_NS = 100_000
TOGETHER_BYTES = 1 << 15


def make_streams():
    """Makes the streams that samples use. They sit on the bare descriptors, which each sample points elsewhere."""
    sys.stdin = open(0, encoding="utf-8", errors="replace", closefd=False)
    sys.stdout = open(1, "w", encoding="utf-8", errors="backslashreplace", closefd=False)
    sys.stderr = open(2, "w", encoding="utf-8", errors="backslashreplace", closefd=False)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.path[:] = [entry for entry in sys.path if entry]


def become(job_fd: int, channel_fd: int, output_fd: int):
    """Becomes the unprivileged process that runs one sample; never returns.

    What the job's file says at the end of `enter_jail` was written before the sample's code ran, and the file is out of
    its reach: that a sample could not be prepared is believed only from there.
    """
    code = 70
    try:
        uid, folder, limits, sections = loads(read_all(job_fd))
        try:
            enter_jail(uid, folder, limits, channel_fd, output_fd, job_fd)
        except BaseException as error:
            pwrite(job_fd, NOT_BEGUN + describe(error).encode(), 0)
            return
        run(sections)
        code = REPORTED
    finally:
        _exit(code)


def enter_jail(uid: int, folder: str, limits: Any, channel_fd: int, output_fd: int, job_fd: int):
    setsid()
    set_handler(SIGCHLD, SIG_DFL)
    dup2(output_fd, 1)
    dup2(output_fd, 2)
    dup2(channel_fd, CHANNEL_FD, False)
    expendable = open_file("/proc/self/oom_score_adj", 1)
    write(expendable, b"1000")
    close(expendable)
    setpriority(PRIO_PROCESS, 0, NICE)
    for limit in limits:
        setrlimit(*limit)
    setresgid(uid, uid, uid)
    setresuid(uid, uid, uid)
    chdir(folder)
    pwrite(job_fd, BEGAN, 0)
    closerange(CHANNEL_FD + 1, 4096)


def read_all(fd: int):
    """What a file holds; at once where it is small, as jobs are."""
    data = pread(fd, PIECE, 0)
    if len(data) < PIECE:
        return data
    pieces, at = [data], len(data)
    while data:
        data = pread(fd, 1 << 24, at)
        pieces.append(data)
        at += len(data)
    return b"".join(pieces)


def run(sections: list[Any]):
    """Executes the sections in one namespace, then answers calls until the judge hangs up."""
    namespace = {"__builtins__": builtins}
    index = 0
    try:
        for code in sections:
            exec(loads(code) if code.__class__ is bytes else compile(code, "<sample>", "exec", 0, True), namespace)
            index += 1
    except BaseException as error:
        flush()
        said = error_text(error)
        report(framed(b"s[%d,%s" % (index, said[1:])))
        return
    try:
        serve(namespace)
    except OSError:  # the judge has hung up
        pass
    flush()


def serve(namespace: dict[str, Any]):
    kept = []
    while True:
        request = receive()
        if request is None:
            return
        pending, count, sent = b"", 0, clock()
        at_once, calls = loads(request)
        for call in calls:
            try:
                answer = b"v" + text_of(answer_of(call, namespace, kept), kept)
            except BaseException as error:
                answer = b"e" + error_text(error)
            count += 1
            pending += framed(answer)
            if count <= at_once or len(pending) > TOGETHER_BYTES or clock() - sent > TOGETHER_NS:
                report(pending)
                pending, sent = b"", clock()
        report(pending)


def answer_of(call: bytes, namespace: dict[str, Any], kept: list[Any]):
    restore, operation, target, args, keywords = loads(call)
    if restore:
        args, keywords = restored(args, kept), restored(keywords, kept)
    if operation == "call":
        if target not in namespace:
            raise NameError(f"name '{target}' is not defined")
        return namespace[target](*args, **keywords)
    if operation == "call kept":
        return kept[target](*args, **keywords)
    if operation == "get":
        return getattr(kept[target], *args)
    if operation == "set":
        setattr(kept[target], *args)
    return None


def error_text(error: BaseException):
    return b"[%s,%s,%s]" % (
        quoted(type(error).__name__).encode(),
        quoted(describe(error)).encode(),
        errno_of(error).encode(),
    )


def receive():
    """The next request; None when the judge has hung up."""
    data = read(CHANNEL_FD, FIRST_PIECE)
    if not data:
        return None
    size = int.from_bytes(data[:4], "big") + 4
    if len(data) < size:
        pieces, have = [data], len(data)
        while have < size:
            data = read(CHANNEL_FD, min(size - have, 1 << 20))
            if not data:
                return None
            pieces.append(data)
            have += len(data)
        data = b"".join(pieces)
    return data[4:]


def framed(data: bytes):
    return len(data).to_bytes(4, "big") + data


def report(data: bytes):
    while data:
        data = data[write(CHANNEL_FD, data) :]


def flush():
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except BaseException:
        pass


def errno_of(error: BaseException):
    """The error's number, where the system gave it one; 'null' otherwise. An object may pretend anything."""
    number = error.errno if isinstance(error, OSError) else None
    return f"{number}" if type(number) is int else "null"


def warm_up():
    """Runs what samples will run, so that the interpreter has specialised the code that every fork then shares.

    A fork pays for each memory page that it writes first, and specialising writes into the code.
    """
    channel = os.dup(CHANNEL_FD)
    right = dumps(compile("from typing import List\ndef f(x): return [x]\n", "<sample>", "exec"))
    wrong = "def f(x): return x\nraise ValueError(f(1))"
    calls = [dumps((False, "call", "f", (value,), {})) for value in (1, "x", [2], (3.0,), None)]
    request = framed(dumps((len(calls), calls)))
    for turn in range(40):
        judge, sample = socketpair()
        judge.sendall(request)
        judge.shutdown(SHUT_WR)
        os.dup2(sample.fileno(), CHANNEL_FD)
        run([wrong if turn % 4 == 3 else right])
        judge.close()
        sample.close()
    os.dup2(channel, CHANNEL_FD, inheritable=False)
    os.close(channel)
