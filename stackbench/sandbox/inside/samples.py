"""Runs code samples: hands them to the zygote, watches them, takes their verdicts, cleans up after them."""

import array
import collections
import marshal
import os
import resource
import signal
import socket
import time

from . import users
from .cleaning import Cleaner, kill_group
from .compiling import Compiling
from .frames import framed, write_all
from .proc import is_zombie
from .protocol import RECORD
from .running import CLOSED, Running
from .spawn import start_zygote

WORK = "/work"
MAX_SLOW = 8
ANSWERS_TOGETHER = 8
NUDGED_EVERY_S = 0.05
MOST_NUDGES = 20  # a first thread that has left looks like an ended process, with others that go on


class Samples:
    """One quick sample at a time, beside those that turned out slow, so that a loop holds up nobody."""

    def __init__(self, loop):
        self.loop = loop
        self.cleaner = Cleaner(users.FIRST)
        self.compiling = Compiling(loop, self.refuse_text)
        self.next_uid = 0
        self.zygote_pid = 0
        self.zygote = None
        self.zygote_ready = False
        self.zygote_inbox = b""
        self.unprepared = []  # frames to answer when the zygote is ready
        self.waiting = collections.deque()
        self.starting = collections.deque()  # asked of the zygote, pid not known yet
        self.running = {}  # pid -> Running
        self.slow = 0
        self.outbox = []  # answers on their way: each write wakes the engine's relays, so quick ones travel together

    # -- what the loop asks

    def open(self):
        self.compiling.open()
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
        try:
            self.waiting.append(self.compiling.job(frame))
        except (SyntaxError, ValueError) as error:
            message = "the test code does not compile: %s" % error
            self.loop.send({"op": "refused", "id": frame["id"], "error": message})

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
        self.compiling.pump()
        while self.waiting and len(self.running) + len(self.starting) - self.slow < 1 and self.slow < MAX_SLOW:
            job = self.waiting[0]
            if not job.ready or (self.running or self.starting) and (job.alone or self.someone_is_alone()):
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
        times = [run.due() for run in self.running.values()] + [run.due() for run in self.starting]
        due = self.compiling.due()
        if due is not None:
            times.append(due)
        return min(times) - now if times else None

    def check_deadlines(self, now):
        self.compiling.check_deadline(now)
        for run in [*self.starting, *self.running.values()]:
            if not run.watched and now >= run.watched_at:
                self.watch(run)
            if not run.slow and now >= run.slow_at:
                run.slow = True
                self.slow += 1
            if now >= run.deadline and run.pid:
                if run.nudges < MOST_NUDGES and is_zombie(run.pid):
                    run.nudges += 1
                    run.deadline = now + NUDGED_EVERY_S
                    self.zygote.send(b"n")
                else:
                    run.overdue(now)

    # -- starting

    def refuse_text(self, job, kind, message):
        """A sample whose text is no program has failed; it need not run for that."""
        if job in self.waiting:
            self.waiting.remove(job)
            event = {"step": "section", "index": 0, "error": message, "kind": kind, "errno": None}
            answer = {"op": "done", "id": job.id, "status": "ended", "exit_code": 0, "events": [event]}
            self.outbox.append(framed(answer))

    def someone_is_alone(self):
        return any(run.job.alone for run in self.running.values()) or any(run.job.alone for run in self.starting)

    def start(self, job):
        uid = self.free_uid()
        folder = "%s/%d" % (WORK, uid)
        frame = job.frame
        nonce = os.urandom(16).hex().encode()
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
        try:
            os.mkdir(folder, 0o700)
            os.chown(folder, uid, uid)
            job_fd = os.memfd_create("job")
            verdict_read, verdict_write = os.pipe()
            output_read, output_write = os.pipe()
        except OSError as error:
            self.loop.send({"op": "refused", "id": job.id, "error": "cannot start a sample: %s" % error})
            return
        write_all(
            job_fd,
            marshal.dumps((uid, folder, limits, nonce, job.parts, job.checks, frame["payload"], frame["guarded"])),
        )
        fds = array.array("i", (job_fd, verdict_write, output_write))
        self.zygote.sendmsg([b"s"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)])
        os.close(job_fd)
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

    def free_uid(self):
        """The next user id of the circle that no running sample has."""
        taken = {run.uid for run in [*self.starting, *self.running.values()]}
        while True:
            uid = users.FIRST + self.next_uid
            self.next_uid = (self.next_uid + 1) % users.SAMPLES
            if uid not in taken:
                return uid

    def on_zygote(self):
        data = self.zygote_inbox + self.zygote.recv(1 << 16)
        if not data:
            raise SystemExit("runner: the process that starts samples has died")
        whole = len(data) - len(data) % RECORD.size
        for at in range(0, whole, RECORD.size):
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
                # The sample may end before the zygote has said that it started.
                run = self.running.get(pid) or self.starting[0]
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

    # -- watching and ending

    def watch(self, run):
        """Reads along with a sample that did not end at once: its pipes may fill."""
        run.watched = True
        self.loop.watch(run.verdict_fd, lambda: run.read_verdict() or self.report_is_over(run))
        self.loop.watch(run.output_fd, lambda: run.read_output() or self.unwatch(run, "output_fd"))

    def report_is_over(self, run):
        """Nobody can write the report any more, so the sample has ended, or else it has closed the pipe."""
        self.unwatch(run, "verdict_fd")
        if run.ended is None:
            self.zygote.send(b"n")

    def unwatch(self, run, name):
        """Closes a pipe; the run forgets the number, which the next sample may be given."""
        fd = getattr(run, name)
        if fd != CLOSED:
            setattr(run, name, CLOSED)
            if run.watched:
                self.loop.forget(fd)
            os.close(fd)

    def finish(self, run):
        """The sample's first process has ended: take its verdict, remove all it left behind, report."""
        wall_s = time.monotonic() - run.started
        run.drain()
        self.unwatch(run, "verdict_fd")
        self.unwatch(run, "output_fd")
        del self.running[run.pid]
        self.slow -= run.slow
        alive = users.LASTING.union(other.uid for other in [*self.starting, *self.running.values()])
        self.cleaner.kill_strays(self.loop.ours(), alive)
        events = run.events()
        again = run.had_company and not run.job.alone and self.is_neighbours_doing(run, events)
        self.cleaner.clean(run.folder, alive)
        if again:
            run.job.alone = True
            self.waiting.appendleft(run.job)
        else:
            self.outbox.append(framed(run.answer(events, wall_s)))

    def is_neighbours_doing(self, run, events):
        """Whether a failure may come of what neighbours held; what counts is then how the sample does by itself."""
        short = self.cleaner.is_disk_short()
        if short:
            for other in self.running.values():
                other.pinched = True
        status = run.ended[0]
        killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
        passed = any(event["step"] == "end" for event in events)
        return run.reason is None and (killed or not passed and (short or run.pinched))
