"""The program inside every sandbox container: forks one process per code sample and reports its verdict.

Standard library only, no imports from the package: its source is sent down the container's attached stream and
executed by whatever Python (3.8 or newer) the image holds. It runs as root with few capabilities; samples run as
unprivileged users, each with its own uid, session, limits and folder. Frames on the stream, both ways: a 4-byte
big-endian length, then one JSON object in UTF-8.
"""

import os

# Modules that many samples import are imported here once, so that a fork already has them; heavier ones that few import
# (dataclasses, decimal, hashlib) would cost every fork more than they save. The fork hooks of threading and
# random are left out: they touch 160 memory pages per fork (half of its cost), mend nothing in a parent with a single
# thread, and without them every sample starts from the same state of `random`.
_register_at_fork = os.register_at_fork
os.register_at_fork = lambda **hooks: None
import abc
import base64
import bisect
import cmath
import collections
import collections.abc
import contextlib
import copy
import datetime
import enum
import errno
import functools
import gc
import heapq
import io
import itertools
import json
import math
import operator
import pickle
import random
import re
import resource
import select
import shutil
import signal
import stat
import string
import struct
import sys
import threading
import time
import types
import typing

os.register_at_fork = _register_at_fork

MAX_FRAME = 64 << 20
OUTPUT_KEPT = 16384
SLOW_AFTER_S = 0.2
MAX_SLOW = 8
MOST_WAIT = 9
CLOSED = -1
ANSWERS_TOGETHER = 4
UIDS_PER_RUNNER = 2000
SCRATCH = ("/tmp", "/dev/shm", "/var/tmp")
COMPILED_KEPT = 4096


class Running:
    """One sample's process and what is known of it so far."""

    def __init__(self, job, pid, uid, folder, verdict_fd, output_fd, nonce):
        self.job = job
        self.pid = pid
        self.uid = uid
        self.folder = folder
        self.verdict_fd = verdict_fd
        self.output_fd = output_fd
        self.pidfd = os.pidfd_open(pid)
        self.nonce = nonce
        self.started = time.monotonic()
        self.deadline = self.started + job["timeout_s"]
        self.slow_at = self.started + SLOW_AFTER_S
        self.slow = False
        self.verdict = bytearray()
        self.output_head = bytearray()
        self.output_tail = bytearray()
        self.output_bytes = 0
        self.reason = None
        self.had_company = False


class Runner:
    """The event loop: frames in, forks, verdicts out."""

    def __init__(self, first_uid, work):
        self.first_uid = first_uid
        self.work = work
        self.next_uid = 0
        self.epoll = select.epoll()
        self.inbox = bytearray()
        self.waiting = collections.deque()
        self.running = {}  # pid -> Running
        self.by_fd = {}  # fd -> (Running, what)
        self.compiled = collections.OrderedDict()
        self.slow = 0
        self.outbox = []  # answers on their way: each write wakes the engine's relays, so quick ones travel together
        self.children_file = "/proc/self/task/%d/children" % os.getpid()

    def serve(self):
        os.set_blocking(0, False)
        self.epoll.register(0, select.EPOLLIN)
        send({"op": "ready", "pid": os.getpid(), "python": sys.version.split()[0]})
        while True:
            self.start_waiting()
            if len(self.running) == self.slow or len(self.outbox) >= ANSWERS_TOGETHER:
                self.send_answers()
            for fd, _ in self.epoll.poll(self.time_to_next_deadline()):
                if fd == 0:
                    if not self.read_frames():
                        return
                elif fd in self.by_fd:
                    self.on_sample_event(fd)
            self.check_deadlines()

    def send_answers(self):
        if self.outbox:
            write_all(b"".join(self.outbox))
            self.outbox.clear()

    # -- frames in

    def read_frames(self):
        """Takes in what the host sent; False at the end of the stream (the host is gone)."""
        while True:
            try:
                data = os.read(0, 1 << 18)
            except BlockingIOError:
                return True
            if not data:
                return False
            self.inbox += data
            while len(self.inbox) >= 4:
                size = int.from_bytes(self.inbox[:4], "big")
                if size > MAX_FRAME:
                    raise SystemExit("runner: frame of %d bytes is over the limit" % size)
                if len(self.inbox) < 4 + size:
                    break
                frame = json.loads(bytes(self.inbox[4 : 4 + size]))
                del self.inbox[: 4 + size]
                self.on_frame(frame)
            if len(data) < 1 << 18:
                return True

    def on_frame(self, frame):
        op = frame["op"]
        if op == "python":
            self.waiting.append(frame)
        elif op == "cancel":
            self.cancel(frame["id"])
        elif op == "ping":
            send({"op": "pong", "id": frame["id"], "running": len(self.running), "waiting": len(self.waiting)})
        else:
            send({"op": "refused", "id": frame.get("id"), "error": "unknown op %r" % op})

    def cancel(self, job_id):
        for job in list(self.waiting):
            if job["id"] == job_id:
                self.waiting.remove(job)
                send({"op": "done", "id": job_id, "status": "cancelled"})
                return
        for run in list(self.running.values()):
            if run.job["id"] == job_id:
                run.reason = "cancelled"
                kill_group(run.pid)

    # -- starting samples

    def start_waiting(self):
        """Starts samples: one quick one at a time, beside those that turned out slow, so that a loop blocks nobody."""
        while self.waiting and len(self.running) - self.slow < 1 and self.slow < MAX_SLOW:
            if self.running and (
                self.waiting[0].get("alone") or any(r.job.get("alone") for r in self.running.values())
            ):
                return
            self.start(self.waiting.popleft())

    def start(self, job):
        uid = self.first_uid + self.next_uid
        self.next_uid = (self.next_uid + 1) % UIDS_PER_RUNNER
        folder = "%s/%d" % (self.work, uid)
        try:
            tests = [self.compile_trusted(section["code"]) for section in job["sections"] if section["trusted"]]
        except (SyntaxError, ValueError) as error:
            send({"op": "refused", "id": job["id"], "error": "the test code does not compile: %s" % error})
            return
        nonce = os.urandom(16).hex().encode()
        try:
            os.mkdir(folder, 0o700)
            os.chown(folder, uid, uid)
            verdict_read, verdict_write = os.pipe2(os.O_CLOEXEC)
            output_read, output_write = os.pipe2(os.O_CLOEXEC)
            pid = os.fork()
        except OSError as error:
            send({"op": "refused", "id": job["id"], "error": "cannot start a sample: %s" % error})
            return
        if pid == 0:
            be_the_sample(job, tests, uid, folder, verdict_write, output_write, nonce)
        os.close(verdict_write)
        os.close(output_write)
        run = Running(job, pid, uid, folder, verdict_read, output_read, nonce)
        for other in self.running.values():
            other.had_company = run.had_company = True
        self.running[pid] = run
        for fd, what in ((run.pidfd, "exit"), (verdict_read, "verdict"), (output_read, "output")):
            os.set_blocking(fd, False)
            self.by_fd[fd] = (run, what)
            self.epoll.register(fd, select.EPOLLIN)

    def compile_trusted(self, code):
        found = self.compiled.get(code)
        if found is None:
            found = compile(code, "<test>", "exec", dont_inherit=True)
            self.compiled[code] = found
            if len(self.compiled) > COMPILED_KEPT:
                self.compiled.popitem(last=False)
        return found

    # -- what samples do

    def on_sample_event(self, fd):
        run, what = self.by_fd[fd]
        if what == "exit":
            self.finish(run)
        elif what == "verdict":
            if not read_into(fd, run.verdict, run.job["max_result_bytes"]):
                self.forget_fd(fd)
        elif not self.read_output(run):
            self.forget_fd(fd)

    def read_output(self, run):
        """Takes in a sample's output, keeping its head and tail; False when nobody can write any more."""
        try:
            data = os.read(run.output_fd, 1 << 16)
        except BlockingIOError:
            return True
        if not data:
            return False
        run.output_bytes += len(data)
        room = OUTPUT_KEPT - len(run.output_head)
        run.output_head += data[:room]
        if len(data) > room:
            run.output_tail = (run.output_tail + data[room:])[-OUTPUT_KEPT:]
        if run.output_bytes > run.job["output_bytes"] and run.reason is None:
            run.reason = "output limit"
            kill_group(run.pid)
        return True

    def forget_fd(self, fd):
        """Closes a descriptor; its run no longer knows the number, which the next sample may be given."""
        if fd not in self.by_fd:
            return
        run, what = self.by_fd.pop(fd)
        if what == "verdict":
            run.verdict_fd = CLOSED
        elif what == "output":
            run.output_fd = CLOSED
        self.epoll.unregister(fd)
        os.close(fd)

    def time_to_next_deadline(self):
        if not self.running:
            return -1
        now = time.monotonic()
        nearest = min(min(run.deadline, now + 60 if run.slow else run.slow_at) for run in self.running.values())
        return max(0.0, nearest - now)

    def check_deadlines(self):
        now = time.monotonic()
        for run in list(self.running.values()):
            if not run.slow and now >= run.slow_at:
                run.slow = True
                self.slow += 1
            if now < run.deadline:
                continue
            # Time spent waiting for a processor is the neighbours' doing and does not count against the sample, unless
            # processes of its own are in its way.
            waited = 0.0 if has_children(run.pid) else min(queue_wait_s(run.pid), MOST_WAIT * run.job["timeout_s"])
            missing = run.job["timeout_s"] - (now - run.started - waited)
            if missing > 0.001:
                run.deadline = now + missing
            elif run.reason is None:
                run.reason = "timed out"
                kill_group(run.pid)
                run.deadline = now + 1.0
            else:
                kill_group(run.pid)
                run.deadline = now + 1.0

    def finish(self, run):
        """The sample's first process has ended: take its verdict, remove all it left behind, report."""
        wall_s = time.monotonic() - run.started
        while read_available(run.verdict_fd, run.verdict, run.job["max_result_bytes"], self.by_fd):
            pass
        while run.output_fd in self.by_fd and run.output_bytes <= run.job["output_bytes"]:
            before = run.output_bytes
            if not self.read_output(run) or run.output_bytes == before:
                break
        _, status, usage = os.wait4(run.pid, 0)
        del self.running[run.pid]
        self.slow -= run.slow
        for fd in (run.pidfd, run.verdict_fd, run.output_fd):
            self.forget_fd(fd)
        self.reap_strays()
        self.clean(run)
        if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL and run.reason is None and run.had_company:
            # The kernel took it for memory that neighbours held too: what counts is how it does by itself.
            run.job["alone"] = True
            self.waiting.appendleft(run.job)
            return
        answer = {
            "op": "done",
            "id": run.job["id"],
            "status": run.reason or "ended",
            "wall_s": round(wall_s, 6),
            "cpu_s": round(usage.ru_utime + usage.ru_stime, 6),
            "max_rss_kib": usage.ru_maxrss,
            "output": decode_output(run),
            "output_bytes": run.output_bytes,
        }
        if os.WIFSIGNALED(status):
            answer["signal"] = os.WTERMSIG(status)
        else:
            answer["exit_code"] = os.WEXITSTATUS(status)
        answer["events"] = authentic_lines(run.verdict, run.nonce)
        self.outbox.append(framed(answer))

    def reap_strays(self):
        """Kills processes that finished samples left behind; they were given to us (process 1) as their parent."""
        while True:
            with open(self.children_file) as file:
                strays = [int(pid) for pid in file.read().split()]
            strays = [pid for pid in strays if pid not in self.running]
            if not strays:
                return
            for pid in strays:
                uid = owner_of("/proc/%d" % pid)
                if uid is not None and uid >= self.first_uid:
                    kill_user(uid)
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(pid, 0)

    def clean(self, run):
        try:
            os.rmdir(run.folder)
        except OSError:
            shutil.rmtree(run.folder, ignore_errors=True)
        alive = {other.uid for other in self.running.values()}
        for folder in SCRATCH:
            try:
                names = os.listdir(folder)
            except OSError:
                continue
            for name in names:
                path = folder + "/" + name
                owner = owner_of(path)
                if owner is None or owner < self.first_uid or owner in alive:
                    continue
                with contextlib.suppress(OSError):
                    os.unlink(path)
                    continue
                shutil.rmtree(path, ignore_errors=True)


# -- inside the sample's process


def be_the_sample(job, tests, uid, folder, verdict_fd, output_fd, nonce):
    """Becomes the unprivileged process that runs one sample; never returns."""
    code = 70
    try:
        try:
            enter_jail(job, uid, folder, verdict_fd, output_fd)
        except BaseException as error:
            os.write(verdict_fd, nonce + json.dumps({"step": "setup", "error": describe(error)}).encode() + b"\n")
            return
        run_sections(job, tests, nonce)
        code = 0
    finally:
        os._exit(code)


def enter_jail(job, uid, folder, verdict_fd, output_fd):
    os.setsid()
    nothing = os.open("/dev/null", os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(output_fd, 1)
    os.dup2(output_fd, 2)
    os.dup2(verdict_fd, 3, inheritable=False)
    os.closerange(4, 4096)
    expendable = os.open("/proc/self/oom_score_adj", os.O_WRONLY)
    os.write(expendable, b"1000")
    os.close(expendable)
    for limit, value in (
        (resource.RLIMIT_CPU, int(job["timeout_s"]) + 2),
        (resource.RLIMIT_AS, job["memory_bytes"]),
        (resource.RLIMIT_FSIZE, job["file_bytes"]),
        (resource.RLIMIT_NPROC, job["processes"]),
        (resource.RLIMIT_NOFILE, job["open_files"]),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(limit, (value, value))
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    os.umask(0o077)
    os.chdir(folder)


def run_sections(job, tests, nonce):
    """Executes the sections in one namespace, then each check; reports one line per step through descriptor 3."""
    write, dumps, line_end = os.write, json.dumps, b"\n"

    def report(**event):
        data = nonce + dumps(event).encode() + line_end
        while data:
            data = data[write(3, data) :]

    tests = iter(tests)
    namespace = {}
    last = namespace
    began = time.perf_counter()
    for index, section in enumerate(job["sections"]):
        try:
            last = {"_sample": namespace} if section["apart"] else namespace
            if section["trusted"]:
                if job["payload"] is not None:
                    last["_payload"] = job["payload"]
                code = next(tests)
            else:
                code = compile(section["code"], "<sample>", "exec", dont_inherit=True)
            exec(code, last)
        except BaseException as error:
            flush()
            report(step="section", index=index, error=describe(error), kind=type(error).__name__)
            return
    flush()
    for index, check in enumerate(job["checks"]):
        try:
            exec(check, namespace)
        except BaseException as error:
            report(step="check", index=index, error=describe(error), kind=type(error).__name__)
        else:
            report(step="check", index=index, error=None, kind=None)
    result = last.get("_result")
    flush()
    report(
        step="end",
        seconds=time.perf_counter() - began,
        result=result if type(result) is str else None,
    )


def flush():
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(BaseException):
            stream.flush()


def describe(error):
    try:
        text = str(error)
    except BaseException:
        text = "(its message cannot be shown)"
    return text[:600].encode("utf-8", "backslashreplace").decode()


# -- small tools


def read_into(fd, buffer, limit):
    """Appends what is there, up to a limit; False at the end of the stream or past the limit."""
    try:
        data = os.read(fd, 1 << 16)
    except BlockingIOError:
        return True
    buffer += data[: max(0, limit - len(buffer))]
    return bool(data)


def read_available(fd, buffer, limit, open_fds):
    if fd not in open_fds:
        return False
    before = len(buffer)
    return read_into(fd, buffer, limit) and len(buffer) > before


def authentic_lines(data, nonce):
    """The verdict's JSON lines that carry the nonce; anything else on the channel was not written by us."""
    events = []
    for line in bytes(data).split(b"\n"):
        if line.startswith(nonce):
            try:
                events.append(json.loads(line[len(nonce) :]))
            except ValueError:
                continue
    return events


def decode_output(run):
    head, tail = bytes(run.output_head), bytes(run.output_tail)
    cut = run.output_bytes - len(head) - len(tail)
    middle = b"\n... %d bytes cut ...\n" % cut if cut > 0 else b""
    return (head + middle + tail).decode("utf-8", "backslashreplace")


def queue_wait_s(pid):
    """Seconds that a process was ready to run but had no processor (Linux Documentation/scheduler/sched-stats)."""
    try:
        with open("/proc/%d/schedstat" % pid) as file:
            return int(file.read().split()[1]) / 1e9
    except (OSError, IndexError, ValueError):
        return 0.0


def has_children(pid):
    try:
        with open("/proc/%d/task/%d/children" % (pid, pid)) as file:
            return bool(file.read(1))
    except OSError:
        return False


def owner_of(path):
    try:
        return os.lstat(path).st_uid
    except OSError:
        return None


def kill_group(pid):
    for target in (os.killpg, os.kill):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            target(pid, signal.SIGKILL)


def kill_user(uid):
    """Kills every process of a user at once: a process of that user signals all it may, itself excepted."""
    pid = os.fork()
    if pid == 0:
        try:
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
            os.kill(-1, signal.SIGKILL)
        finally:
            os._exit(0)
    os.waitpid(pid, 0)


def send(message):
    write_all(framed(message))


def framed(message):
    data = json.dumps(message).encode()
    return len(data).to_bytes(4, "big") + data


def write_all(data):
    while data:
        data = data[os.write(1, data) :]


def warm_up():
    """Runs what samples will run, so that the interpreter has specialised the code that every fork then shares.

    A fork pays for each memory page that it writes first, and specialising writes into the code.
    """
    null = os.open("/dev/null", os.O_WRONLY)
    verdict = os.dup(3) if os.path.exists("/proc/self/fd/3") else None
    os.dup2(null, 3)
    job = {
        "sections": [{"code": "def f(x):\n    return [x]\n", "trusted": False, "apart": False}],
        "payload": None,
        "checks": [],
    }
    for turn in range(40):
        run_sections(job, [], b"")
        job["sections"][0]["code"] = "raise ValueError(1)" if turn % 2 else "x = 1"
    os.close(null)
    if verdict is None:
        os.close(3)
    else:
        os.dup2(verdict, 3)
        os.close(verdict)


def share_page_tables():
    """Writes one byte of each mapped file back to where it is: a mapping that was written gets its page table copied in
    a fork, where the others are faulted in again page by page (Linux mm/memory.c, vma_needs_copy)."""
    try:
        with open("/proc/self/maps") as maps, open("/proc/self/mem", "r+b", buffering=0) as memory:
            for line in maps.read().splitlines():
                fields = line.split()
                if len(fields) < 6 or not fields[5].startswith("/") or "r" not in fields[1] or "s" in fields[1]:
                    continue
                start = int(fields[0].split("-")[0], 16)
                memory.seek(start)
                byte = memory.read(1)
                memory.seek(start)
                memory.write(byte)
    except OSError:
        return


def main():
    if os.getpid() != 1:
        raise SystemExit("runner: it kills and deletes, and so runs as process 1 of a container only")
    # Made here, used by the samples: the runner itself speaks through the bare descriptors.
    sys.stdin = open(0, encoding="utf-8", errors="replace", closefd=False)
    sys.stdout = open(1, "w", encoding="utf-8", errors="backslashreplace", closefd=False)
    sys.stderr = open(2, "w", encoding="utf-8", errors="backslashreplace", closefd=False)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.path[:] = [entry for entry in sys.path if entry]
    warm_up()
    share_page_tables()
    gc.collect()
    gc.freeze()
    Runner(int(os.environ.get("STACKBENCH_FIRST_UID", "20000")), os.environ.get("STACKBENCH_WORK", "/work")).serve()


main()
