"""What happens in the process of one code sample: it gives up its rights, runs the sections and checks, and reports.

The report goes through descriptor 3 as lines that start with the sample's nonce; the rest of a line is JSON.
"""

import builtins
import os
import signal
import sys
from _signal import SIG_DFL, SIGCHLD
from _signal import signal as set_handler  # without the wrapper, which costs a fork 50 pages
from json.encoder import encode_basestring_ascii as quoted
from marshal import dumps, loads
from os import _exit, chdir, close, closerange, dup2, pread, setresgid, setresuid, setsid, write
from os import open as open_file
from resource import setrlimit
from time import perf_counter_ns as clock

from inside_loader import CLEAN_BUILTINS

from .answers import guarded_namespace, plain
from .errors import describe
from .protocol import REPORTED

PIECE = 1 << 16


def make_streams():
    """Makes the streams that samples use. They sit on the bare descriptors, which each sample points elsewhere."""
    sys.stdin = open(0, encoding="utf-8", errors="replace", closefd=False)
    sys.stdout = open(1, "w", encoding="utf-8", errors="backslashreplace", closefd=False)
    sys.stderr = open(2, "w", encoding="utf-8", errors="backslashreplace", closefd=False)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.path[:] = [entry for entry in sys.path if entry]


def become(job_fd, verdict_fd, output_fd):
    """Becomes the unprivileged process that runs one sample; never returns."""
    code = 70
    try:
        uid, folder, limits, nonce, sections, checks, payload, guarded = loads(read_all(job_fd))
        try:
            enter_jail(uid, folder, limits, verdict_fd, output_fd)
        except BaseException as error:
            write(verdict_fd, b'%s{"step":"setup","error":%s}\n' % (nonce, quoted(describe(error)).encode()))
            return
        run(nonce, sections, checks, payload, guarded)
        code = REPORTED
    finally:
        _exit(code)


def enter_jail(uid, folder, limits, verdict_fd, output_fd):
    setsid()
    set_handler(SIGCHLD, SIG_DFL)
    dup2(output_fd, 1)
    dup2(output_fd, 2)
    dup2(verdict_fd, 3, False)
    closerange(4, 4096)
    expendable = open_file("/proc/self/oom_score_adj", 1)
    write(expendable, b"1000")
    close(expendable)
    for limit in limits:
        setrlimit(*limit)
    setresgid(uid, uid, uid)
    setresuid(uid, uid, uid)
    chdir(folder)


def read_all(fd):
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


def run(nonce, sections, checks, payload, guarded):
    """Executes the sections in one namespace, then each check; reports one line per step.

    `sections` are (trusted, apart, code); code is marshalled, or text to compile. The benchmark's own sections see the
    built-in functions as they were before the sample ran, and the functions named in `guarded` only through
    `answers.guard`.
    """
    namespace = {"__builtins__": builtins}
    trusted_namespace = None
    last = namespace
    index = 0
    began = clock()
    try:
        for trusted, apart, code in sections:
            code = loads(code) if code.__class__ is bytes else compile(code, "<sample>", "exec", 0, True)
            if not trusted:
                last = namespace
            elif apart:
                last = {"__builtins__": CLEAN_BUILTINS, "_sample": namespace, "_plain": plain}
            else:
                if trusted_namespace is None:
                    trusted_namespace = guarded_namespace(namespace, CLEAN_BUILTINS, guarded)
                last = trusted_namespace
            if trusted and payload is not None:
                last["_payload"] = payload
            exec(code, last)
            index += 1
    except BaseException as error:
        flush()
        report_error(nonce, b"section", index, error)
        return
    if checks:
        flush()
        run_checks(nonce, checks, trusted_namespace or guarded_namespace(namespace, CLEAN_BUILTINS, guarded))
    result = last.get("_result")
    flush()
    result = quoted(result).encode() if result.__class__ is str else b"null"
    report(b'%s{"step":"end","us":%d,"result":%s}\n' % (nonce, (clock() - began) // 1000, result))


def run_checks(nonce, checks, namespace):
    for index, check in enumerate(checks):
        try:
            exec(loads(check) if check.__class__ is bytes else check, namespace)
        except BaseException as error:
            report_error(nonce, b"check", index, error)
        else:
            report(b'%s{"step":"check","index":%d,"error":null,"kind":null}\n' % (nonce, index))


def report_error(nonce, step, index, error):
    report(
        b'%s{"step":"%s","index":%d,"error":%s,"kind":%s,"errno":%s}\n'
        % (
            nonce,
            step,
            index,
            quoted(describe(error)).encode(),
            quoted(type(error).__name__).encode(),
            errno_of(error).encode(),
        )
    )


def report(data):
    while data:
        data = data[write(3, data) :]


def flush():
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except BaseException:
        pass


def errno_of(error):
    """The error's number, where the system gave it one; 'null' otherwise. An object may pretend anything."""
    number = error.errno if isinstance(error, OSError) else None
    return "%d" % number if type(number) is int else "null"


def warm_up():
    """Runs what samples will run, so that the interpreter has specialised the code that every fork then shares.

    A fork pays for each memory page that it writes first, and specialising writes into the code.
    """
    null = os.open("/dev/null", os.O_WRONLY)
    channel = os.dup(3)
    os.dup2(null, 3)
    tests = dumps(compile("def check(f): assert f(1) == [1]\ncheck(f)", "<test>", "exec"))
    right = dumps(compile("from typing import List\ndef f(x): return [x]\n", "<sample>", "exec"))
    wrong = "def f(x): return x\n"
    for turn in range(40):
        code = wrong if turn % 4 == 3 else right
        run(b"0" * 32, [(False, False, code), (True, False, tests)], [], None, ["f"] if turn % 2 else [])
    os.dup2(channel, 3, inheritable=False)
    os.close(channel)
    os.close(null)
