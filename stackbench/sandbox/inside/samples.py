"""Runs code samples: hands them to the compiler and the zygote, watches them, takes their verdicts, cleans up."""

import array
import collections
import json
import marshal
import os
import resource
import signal
import socket
import struct
import time

from . import compiler, users
from .cleaning import Cleaner, kill_group
from .frames import framed, write_all
from .spawn import start_zygote

RECORD = struct.Struct("=cqqddq")  # as in zygote
WORK = "/work"
OUTPUT_KEPT = 16384
WATCHED_AFTER_S = 0.004
SLOW_AFTER_S = 0.2
MAX_SLOW = 8
MOST_WAIT = 9
CLOSED = -1
ANSWERS_TOGETHER = 8
COMPILING_TOGETHER = 6
COMPILING_BYTES = 1 << 16
COMPILING_S = 2.0
COMPILED_KEPT = 4096


class Job:
    """One sample to run, as asked for."""

    __slots__ = ("alone", "checks", "frame", "id", "parts", "ready", "source")

    def __init__(self, frame):
        self.frame = frame
        self.id = frame["id"]
        self.alone = False
        self.parts = []
        self.checks = []
        self.source = None  # of the section that the compiler is to compile
        self.ready = False


class Running:
    """One sample's process and what is known of it so far."""

    def __init__(self, job, uid, folder, verdict_fd, output_fd, nonce):
        self.job = job
        self.pid = 0
        self.uid = uid
        self.folder = folder
        self.verdict_fd = verdict_fd
        self.output_fd = output_fd
        self.nonce = nonce
        self.started = time.monotonic()
        self.deadline = self.started + job.frame["timeout_s"]
        self.watched_at = self.started + WATCHED_AFTER_S
        self.slow_at = self.started + SLOW_AFTER_S
        self.watched = False
        self.slow = False
        self.verdict = bytearray()
        self.output_head = bytearray()
        self.output_tail = bytearray()
        self.output_bytes = 0
        self.reason = None
        self.had_company = False
        self.pinched = False
        self.ended = None


class Samples:
    """One quick sample at a time, beside those that turned out slow, so that a loop holds up nobody."""

    def __init__(self, loop):
        self.loop = loop
        self.cleaner = Cleaner(users.FIRST)
        self.next_uid = 0
        self.uncompiled = collections.deque()
        self.compiling = collections.deque()
        self.compiling_bytes = 0
        self.compiling_since = 0.0
        self.compiler_pid = 0
        self.compiler = None
        self.compiler_inbox = b""
        self.zygote_pid = 0
        self.zygote = None
        self.zygote_ready = False
        self.unprepared = []  # frames to answer when the zygote is ready
        self.zygote_inbox = b""
        self.waiting = collections.deque()
        self.starting = collections.deque()  # asked of the zygote, pid not known yet
        self.running = {}  # pid -> Running
        self.trusted = collections.OrderedDict()
        self.slow = 0
        self.outbox = []  # answers on their way: each write wakes the engine's relays, so quick ones travel together

    # -- what the loop asks

    def open(self):
        """Starts the zygote and the compiler."""
        self.compiler_pid, self.compiler = compiler.start(users.COMPILER)
        self.loop.watch(self.compiler.fileno(), self.on_compiled)
        self.zygote_pid, self.zygote = start_zygote()
        self.loop.watch(self.zygote.fileno(), self.on_zygote)

    def prepare(self, frame):
        """Starts what samples need ahead of the first one."""
        if self.zygote is None:
            self.open()
        if self.zygote_ready:
            self.loop.send({"op": "done", "id": frame["id"]})
        else:
            self.unprepared.append(frame)

    def submit(self, frame):
        if self.zygote is None:
            self.open()
        job = Job(frame)
        try:
            for section in frame["sections"]:
                code = self.compile_trusted(section["code"]) if section["trusted"] else section["code"]
                job.parts.append([section["trusted"], section["apart"], code])
            job.checks = [self.compile_check(check) for check in frame["checks"]]
        except (SyntaxError, ValueError) as error:
            self.loop.send({"op": "refused", "id": job.id, "error": "the test code does not compile: %s" % error})
            return
        self.waiting.append(job)
        first = job.parts[0] if job.parts else None
        if first is not None and not first[0] and len(first[2]) <= compiler.LARGEST:
            job.source = first[2].encode("utf-8", "surrogatepass")
            self.uncompiled.append(job)
        else:
            job.ready = True

    def cancel(self, job_id):
        for job in self.waiting:
            if job.id == job_id:
                self.waiting.remove(job)
                self.loop.send({"op": "done", "id": job_id, "status": "cancelled"})
                return
        for run in [*self.starting, *self.running.values()]:
            if run.job.id == job_id and run.reason is None:
                run.reason = "cancelled"
                kill_group(run.pid)

    def pump(self):
        """Starts what can be started and sends answers that need not wait for company."""
        self.compile_waiting()
        while self.waiting and len(self.running) + len(self.starting) - self.slow < 1 and self.slow < MAX_SLOW:
            job = self.waiting[0]
            if not job.ready:
                break
            if (self.running or self.starting) and (job.alone or self.someone_is_alone()):
                break
            self.waiting.popleft()
            self.start(job)
        if self.outbox and (
            len(self.outbox) >= ANSWERS_TOGETHER or len(self.running) + len(self.starting) == self.slow
        ):
            write_all(1, b"".join(self.outbox))
            self.outbox.clear()

    def time_to_next(self, now):
        """Seconds until something is due; None when nothing is."""
        times = [
            min(
                run.deadline, run.slow_at if not run.slow else now + 60, run.watched_at if not run.watched else now + 60
            )
            for run in [*self.starting, *self.running.values()]
        ]
        if self.compiling:
            times.append(self.compiling_since + COMPILING_S)
        return min(times) - now if times else None

    # -- compiling

    def compile_trusted(self, code):
        found = self.trusted.get(code)
        if found is None:
            found = self.trusted[code] = marshal.dumps(compile(code, "<test>", "exec", dont_inherit=True))
            if len(self.trusted) > COMPILED_KEPT:
                self.trusted.popitem(last=False)
        return found

    def compile_check(self, code):
        """A check that does not compile fails as a check, in the sample: it came with the task, and others count on."""
        try:
            return self.compile_trusted(code)
        except (SyntaxError, ValueError):
            return code

    def compile_waiting(self):
        while self.uncompiled and len(self.compiling) < COMPILING_TOGETHER:
            job = self.uncompiled[0]
            if self.compiling and self.compiling_bytes + len(job.source) > COMPILING_BYTES:
                return
            self.uncompiled.popleft()
            if not self.compiling:
                self.compiling_since = time.monotonic()
            self.compiling.append(job)
            self.compiling_bytes += len(job.source)
            try:
                self.compiler.sendall(len(job.source).to_bytes(4, "big") + job.source)
            except OSError:
                self.replace_compiler()
                return

    def on_compiled(self):
        try:
            data = self.compiler.recv(1 << 18, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.replace_compiler()
            return
        data = self.compiler_inbox + data
        while len(data) >= 4:
            size = int.from_bytes(data[:4], "big")
            if len(data) < 4 + size:
                break
            self.compiled(self.compiling.popleft(), data[4 : 4 + size])
            data = data[4 + size :]
        self.compiler_inbox = data
        self.compiling_since = time.monotonic()

    def compiled(self, job, answer):
        self.compiling_bytes -= len(job.source)
        job.ready = True
        status = answer[:1]
        if status == b"c":
            job.parts[0][2] = answer[1:]
        elif status == b"e" and job in self.waiting:
            kind, message = marshal.loads(answer[1:])
            self.waiting.remove(job)
            event = {"step": "section", "index": 0, "error": str(message), "kind": str(kind), "errno": None}
            self.outbox.append(
                framed({"op": "done", "id": job.id, "status": "ended", "exit_code": 0, "events": [event]})
            )

    def replace_compiler(self):
        """Another compiler for one that died or that one text keeps busy; the text's own sample is to compile it."""
        self.loop.forget(self.compiler.fileno())
        self.compiler.close()
        kill_group(self.compiler_pid)
        self.compiler_inbox = b""
        if self.compiling:
            culprit = self.compiling.popleft()
            culprit.ready = True
        self.uncompiled.extendleft(reversed(self.compiling))
        self.compiling.clear()
        self.compiling_bytes = 0
        self.compiler_pid, self.compiler = compiler.start(users.COMPILER)
        self.loop.watch(self.compiler.fileno(), self.on_compiled)

    # -- starting

    def someone_is_alone(self):
        return any(run.job.alone for run in self.running.values()) or any(run.job.alone for run in self.starting)

    def start(self, job):
        uid = users.FIRST + self.next_uid
        self.next_uid = (self.next_uid + 1) % users.SAMPLES
        folder = "%s/%d" % (WORK, uid)
        frame = job.frame
        nonce = os.urandom(16).hex().encode()
        try:
            os.mkdir(folder, 0o700)
            os.chown(folder, uid, uid)
            verdict_read, verdict_write = os.pipe()
            output_read, output_write = os.pipe()
        except OSError as error:
            self.loop.send({"op": "refused", "id": job.id, "error": "cannot start a sample: %s" % error})
            return
        limits = [
            (limit, (value, value))
            for limit, value in (
                (resource.RLIMIT_CPU, int(frame["timeout_s"]) + 2),
                (resource.RLIMIT_AS, frame["memory_bytes"]),
                (resource.RLIMIT_FSIZE, frame["file_bytes"]),
                (resource.RLIMIT_NPROC, frame["processes"]),
                (resource.RLIMIT_NOFILE, frame["open_files"]),
                (resource.RLIMIT_CORE, 0),
            )
        ]
        data = marshal.dumps((uid, folder, limits, nonce, job.parts, job.checks, frame["payload"], frame["guarded"]))
        data = len(data).to_bytes(4, "big") + data
        fds = array.array("i", (verdict_write, output_write))
        sent = self.zygote.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)])
        if sent < len(data):
            self.zygote.sendall(memoryview(data)[sent:])
        os.close(verdict_write)
        os.close(output_write)
        os.set_blocking(verdict_read, False)
        os.set_blocking(output_read, False)
        run = Running(job, uid, folder, verdict_read, output_read, nonce)
        if self.running or self.starting:
            run.had_company = True
            for other in [*self.starting, *self.running.values()]:
                other.had_company = True
        self.starting.append(run)

    def on_zygote(self):
        data = self.zygote_inbox + self.zygote.recv(1 << 16)
        if not data:
            raise SystemExit("runner: the process that starts samples has died")
        size = RECORD.size
        whole = len(data) - len(data) % size
        for at in range(0, whole, size):
            kind, pid, status, user_s, system_s, peak_kib = RECORD.unpack_from(data, at)
            if kind == b"s":
                run = self.starting.popleft()
                run.pid = pid
                self.running[pid] = run
                if run.ended is not None:
                    self.finish(run)
                elif run.reason is not None:
                    kill_group(pid)
            elif kind == b"e":
                # The child may end before the zygote has said that it started.
                run = self.running.get(pid) or (self.starting[0] if self.starting else None)
                if run is None:
                    continue
                run.ended = (status, user_s + system_s, peak_kib)
                if run.pid:
                    self.finish(run)
            elif kind == b"f":
                self.not_started(self.starting.popleft(), pid)
            else:
                self.zygote_ready = True
                for frame in self.unprepared:
                    self.loop.send({"op": "done", "id": frame["id"]})
                self.unprepared.clear()
        self.zygote_inbox = data[whole:]

    def not_started(self, run, number):
        for fd in (run.verdict_fd, run.output_fd):
            os.close(fd)
        os.rmdir(run.folder)
        problem = os.strerror(number)
        self.loop.send({"op": "refused", "id": run.job.id, "error": "cannot start a sample: %s" % problem})

    # -- watching

    def check_deadlines(self, now):
        if self.compiling and now - self.compiling_since > COMPILING_S:
            self.replace_compiler()
        for run in [*self.starting, *self.running.values()]:
            if not run.watched and now >= run.watched_at:
                self.watch(run)
            if not run.slow and now >= run.slow_at:
                run.slow = True
                self.slow += 1
            if now >= run.deadline and run.pid:
                self.overdue(run, now)

    def watch(self, run):
        """Reads along with a sample that did not end at once: its pipes may fill."""
        run.watched = True
        self.loop.watch(run.verdict_fd, lambda: self.read_verdict(run) or self.unwatch(run, "verdict_fd"))
        self.loop.watch(run.output_fd, lambda: self.read_output(run) or self.unwatch(run, "output_fd"))

    def unwatch(self, run, name):
        """Closes a pipe; the run forgets the number, which the next sample may be given."""
        fd = getattr(run, name)
        if fd != CLOSED:
            setattr(run, name, CLOSED)
            if run.watched:
                self.loop.forget(fd)
            os.close(fd)

    def overdue(self, run, now):
        # Time spent waiting for a processor is the neighbours' doing and does not count against the sample, unless
        # processes of its own are in its way.
        allowed = run.job.frame["timeout_s"]
        waited = 0.0 if has_children(run.pid) else min(queue_wait_s(run.pid), MOST_WAIT * allowed)
        missing = allowed - (now - run.started - waited)
        if missing > 0.001 and run.reason is None:
            run.deadline = now + missing
            return
        run.reason = run.reason or "timed out"
        kill_group(run.pid)
        run.deadline = now + 1.0

    def read_verdict(self, run):
        """Takes in a piece of a sample's report; False when no more can come."""
        try:
            data = os.read(run.verdict_fd, 1 << 16)
        except BlockingIOError:
            return True
        room = run.job.frame["max_result_bytes"] - len(run.verdict)
        run.verdict += data[:room]
        return bool(data) and room > 0

    def read_output(self, run):
        """Takes in a piece of a sample's output, keeping its head and tail; False when no more can come."""
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
        if run.output_bytes > run.job.frame["output_bytes"] and run.reason is None:
            run.reason = "output limit"
            kill_group(run.pid)
        return True

    # -- ending

    def finish(self, run):
        """The sample's first process has ended: take its verdict, remove all it left behind, report."""
        wall_s = time.monotonic() - run.started
        self.drain(run)
        self.unwatch(run, "verdict_fd")
        self.unwatch(run, "output_fd")
        del self.running[run.pid]
        self.slow -= run.slow
        alive = self.alive()
        self.cleaner.kill_strays(self.loop.ours(), alive)
        events = authentic_lines(run.verdict, run.nonce)
        passed = any(event["step"] == "end" for event in events)
        if run.had_company and not run.job.alone and self.is_neighbours_doing(run, passed):
            self.cleaner.clean(run.folder, alive)
            run.job.alone = True
            self.waiting.appendleft(run.job)
            return
        self.cleaner.clean(run.folder, alive)
        status, cpu_s, peak_kib = run.ended
        answer = {
            "op": "done",
            "id": run.job.id,
            "status": run.reason or "ended",
            "wall_s": round(wall_s, 6),
            "cpu_s": round(cpu_s, 6),
            "max_rss_kib": peak_kib,
            "output": decode_output(run),
            "output_bytes": run.output_bytes,
            "events": events,
        }
        if os.WIFSIGNALED(status):
            answer["signal"] = os.WTERMSIG(status)
        else:
            answer["exit_code"] = os.WEXITSTATUS(status)
        self.outbox.append(framed(answer))

    def drain(self, run):
        """Takes what the pipes still hold. What a process left behind writes on is not waited for."""
        while run.verdict_fd != CLOSED:
            before = len(run.verdict)
            if not self.read_verdict(run) or len(run.verdict) == before:
                break
        while run.output_fd != CLOSED and run.output_bytes <= run.job.frame["output_bytes"]:
            before = run.output_bytes
            if not self.read_output(run) or run.output_bytes == before:
                break

    def is_neighbours_doing(self, run, passed):
        """Whether a failure may come of what neighbours held; what counts is then how the sample does by itself."""
        short = self.cleaner.is_disk_short()
        if short:
            for other in self.running.values():
                other.pinched = True
        status = run.ended[0]
        killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
        return run.reason is None and (killed or not passed and (short or run.pinched))

    def alive(self):
        return users.LASTING.union(other.uid for other in [*self.starting, *self.running.values()])


def authentic_lines(data, nonce):
    """The verdict's JSON lines that carry the nonce; anything else on the channel was not written by us."""
    events = []
    for line in bytes(data).split(b"\n"):
        if line.startswith(nonce):
            try:
                event = json.loads(line[len(nonce) :])
            except ValueError:
                continue
            if isinstance(event, dict) and "step" in event:
                events.append(event)
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
