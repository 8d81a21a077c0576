"""Runs code samples: hands them to the zygote and to judges, watches them, cleans up after them."""

from __future__ import annotations

import array
import collections
import marshal
import os
import resource
import signal
import socket
import time
from _socket import socketpair  # without the wrapper, which asks the kernel twice what a socket is

from . import users
from .cleaning import Cleaner, kill_group
from .compile_queue import CompileQueue
from .frames import framed, write_all
from .group_memory import oom_kills
from .judges import Judges
from .procfs import is_zombie
from .protocol import RECORD
from .running_sample import CLOSED, TO_JUDGE_S, RunningSample
from .signalling import act_on_user
from .spawn import start_zygote

TYPE_CHECKING = False  # to import typing would cost each container its memory
if TYPE_CHECKING:
    from typing import Any

    from .compile_queue import Job
    from .main import Loop
    from .running_sample import RunningSample

WORK = "/work"
MAX_SLOW = 8
ANSWERS_TOGETHER = 8
REAP_REQUEST_EVERY_S = 0.05
MOST_REAP_REQUESTS = 20  # a first thread that has left looks like an ended process, with others that go on


class SampleScheduler:
    """One quick sample at a time, beside those that turned out slow, so that a loop holds up nobody."""

    def __init__(self, loop: Loop):
        self.loop = loop
        self.cleaner = Cleaner(users.FIRST)
        self.compile_queue = CompileQueue(loop, self.refuse_text)
        self.next_uid = 0
        self.zygote_pid = 0
        self.zygote: Any = None  # its socket, made by `open`
        self.zygote_ready = False
        self.zygote_inbox = b""
        self.unprepared = []  # frames to answer when the zygote is ready
        self.waiting = collections.deque()
        self.starting = collections.deque()  # asked of the zygote, pid not known yet
        self.running = {}  # pid -> RunningSample
        self.ending = []  # ended, not judged yet
        self.judges = Judges()
        self.slow = 0
        self.outbox = []  # answers on their way: each write wakes the engine's relays, so quick ones travel together

    # -- what the loop asks

    def open(self):
        self.compile_queue.open()
        self.judges.give_back(self.judges.take())
        self.zygote_pid, self.zygote = start_zygote()
        self.loop.watch(self.zygote.fileno(), self.on_zygote)

    def prepare(self, frame: dict[str, Any]):
        """Starts what samples need ahead of the first one."""
        if self.zygote is None:
            self.open()
        if self.zygote_ready:
            self.loop.send({"op": "done", "id": frame["id"]})
        else:
            self.unprepared.append(frame)

    def submit(self, frame: dict[str, Any]):
        if self.zygote is None:
            self.open()
        try:
            self.waiting.append(self.compile_queue.job(frame))
        except (SyntaxError, ValueError) as error:
            message = f"the test code does not compile: {error}"
            self.loop.send({"op": "refused", "id": frame["id"], "error": message})

    def cancel(self, job_id: int):
        for job in self.waiting:
            if job.id == job_id:
                self.waiting.remove(job)
                self.loop.send({"op": "done", "id": job_id, "status": "cancelled"})
                return
        for run in self.every():
            if run.job.id == job_id and run.reason is None:
                run.reason = "cancelled"
                if run.ended is None:
                    kill_group(run.pid)

    def pump(self):
        """Starts what can be started and sends answers that need not wait for company."""
        self.compile_queue.pump()
        while self.waiting and self.count() - self.slow < 1 and self.slow < MAX_SLOW:
            job = self.waiting[0]
            if not job.ready or (self.count() and (job.alone or self.someone_is_alone())):
                break
            self.waiting.popleft()
            self.start(job)
        if self.outbox and (len(self.outbox) >= ANSWERS_TOGETHER or self.count() == self.slow):
            write_all(1, b"".join(self.outbox))
            self.outbox.clear()

    def time_to_next(self, now: float):
        """Seconds until something is due; None when nothing is."""
        times = [run.due() for run in self.every()]
        due = self.compile_queue.due()
        if due is not None:
            times.append(due)
        return min(times) - now if times else None

    def check_deadlines(self, now: float):
        self.compile_queue.check_deadline(now)
        for run in self.every():
            if not run.watched and now >= run.watched_at:
                self.watch(run)
            if not run.slow and now >= run.slow_at:
                run.slow = True
                self.slow += 1
                run.oom_kills = oom_kills()
                if run.pid and self.cleaner.has_company(run.uid, run.pid):
                    give_way(run.uid)
            if now >= run.deadline and run.pid:
                if run.ended is not None:
                    self.lose_judge(run)
                elif run.reap_requests < MOST_REAP_REQUESTS and is_zombie(run.pid):
                    run.reap_requests += 1
                    run.deadline = now + REAP_REQUEST_EVERY_S
                    self.zygote.send(b"n")
                else:
                    run.overdue(now, not self.cleaner.has_company(run.uid, run.pid))

    def every(self):
        return [*self.starting, *self.running.values(), *self.ending]

    def count(self):
        return len(self.starting) + len(self.running) + len(self.ending)

    # -- starting

    def refuse_text(self, job: Job, kind: str, message: str):
        """A sample whose text is no program has failed; it need not run for that."""
        if job in self.waiting:
            self.waiting.remove(job)
            event = {"step": "section", "index": 0, "error": message, "kind": kind, "errno": None}
            answer = {"op": "done", "id": job.id, "status": "ended", "exit_code": 0, "events": [event]}
            self.outbox.append(framed(answer))

    def someone_is_alone(self):
        return any(run.job.alone for run in self.every())

    def start(self, job: Job):
        uid = self.free_uid()
        folder = f"{WORK}/{uid}"
        frame = job.frame
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
        opened = []
        try:
            judge = self.judges.take()
            os.mkdir(folder, 0o700)
            os.chown(folder, uid, uid)
            opened.append(os.memfd_create("job"))
            opened += os.pipe()
            ours, theirs = socketpair()
        except OSError as error:
            for fd in opened:
                os.close(fd)
            self.cannot_start(job, str(error))
            return
        job_fd, output_read, output_write = opened
        write_all(job_fd, marshal.dumps((uid, folder, limits, job.sections)))
        judge.ask(job.tests, frame["payload"], ours.fileno())
        fds = array.array("i", (job_fd, theirs.fileno(), output_write))
        self.zygote.sendmsg([b"s"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)])
        ours.close()
        theirs.close()
        os.close(output_write)
        os.set_blocking(output_read, False)
        run = RunningSample(job, uid, folder, judge, job_fd, output_read)
        if self.count():
            run.ran_beside_others = True
            for other in self.every():
                other.ran_beside_others = True
        self.starting.append(run)

    def cannot_start(self, job: Job, why: str):
        """What neighbours hold may be what is missing: it is tried again when they are gone."""
        if self.count():
            job.alone = True
            self.waiting.appendleft(job)
        else:
            self.loop.send({"op": "refused", "id": job.id, "error": f"cannot start a sample: {why}"})

    def free_uid(self):
        """The next user id of the circle that no running sample has, and no process that could not be ended."""
        taken = {run.uid for run in self.every()} | self.cleaner.undead
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
                run.begins(pid)
                self.running[pid] = run
                if run.job.timed:
                    run.judge.tell_pid(pid)
                if run.reason is not None:
                    kill_group(pid)
            elif kind == b"e":
                run = self.running.pop(pid, None)
                if run is not None:
                    run.ended = (status, user_s + system_s, peak_kib)
                    self.finish(run)
            elif kind == b"f":
                self.not_started(self.starting.popleft(), pid)
            else:
                self.zygote_ready = True
                for frame in self.unprepared:
                    self.loop.send({"op": "done", "id": frame["id"]})
                self.unprepared.clear()
        self.zygote_inbox = data[whole:]

    def reaped(self, pid: int):
        """A process of ours, or a stray, is gone: the number of processes that is quiet is another."""
        self.cleaner.quiet = b""
        self.judges.reaped(pid)
        self.compile_queue.pids.discard(pid)

    def not_started(self, run: RunningSample, number: int):
        if run.job.timed:
            run.judge.tell_pid(0)
        self.judges.drop(run.judge)
        self.let_go(run)
        os.rmdir(run.folder)
        self.cannot_start(run.job, os.strerror(number))

    # -- watching and ending

    def watch(self, run: RunningSample):
        """Reads along with a sample that did not end at once: its pipe may fill, its judge may be done."""
        run.watched = True
        if run.output_fd != CLOSED:
            self.loop.watch(run.output_fd, lambda: run.read_output() or self.unwatch(run))
        if not run.is_judged:
            run.judge.is_watched()
            self.loop.watch(run.judge.socket.fileno(), lambda: self.on_judge(run))

    def unwatch(self, run: RunningSample):
        """Closes the pipe; the run forgets the number, which the next sample may be given."""
        fd = run.output_fd
        if fd != CLOSED:
            run.output_fd = CLOSED
            if run.watched:
                self.loop.forget(fd)
            os.close(fd)

    def on_judge(self, run: RunningSample):
        """Takes the judge's answer, if it is there."""
        answer = run.judge.answer()
        if answer is None:
            return
        if run.watched:
            self.loop.forget(run.judge.socket.fileno())
        run.lost_judge = answer is False
        if run.lost_judge or (run.watched and run.judge.is_large()):
            self.judges.drop(run.judge)
        else:
            self.judges.give_back(run.judge)
        run.judged(answer or None)
        if run.ended is None:
            self.zygote.send(b"n")
        else:
            self.ending.remove(run)
            self.conclude(run)

    def lose_judge(self, run: RunningSample):
        """The sample has ended, and its judge works on what it was given: an answer made to keep it busy."""
        self.loop.forget(run.judge.socket.fileno())
        self.judges.drop(run.judge)
        run.judged(None)
        run.reason = run.reason or "timed out"
        self.ending.remove(run)
        self.conclude(run)

    def finish(self, run: RunningSample):
        """The sample's first process has ended: ends what it left running, so that nobody answers in its place."""
        run.wall_s = time.monotonic() - run.asked
        run.drain()
        self.unwatch(run)
        self.cleaner.kill_leftovers(self.loop.ours, self.alive, bool(self.running or self.starting))
        self.ending.append(run)
        if run.is_judged:
            self.ending.remove(run)
            self.conclude(run)
            return
        self.on_judge(run)
        if not run.is_judged:
            if not run.watched:
                self.watch(run)
            run.deadline = time.monotonic() + TO_JUDGE_S

    def alive(self):
        return users.LASTING.union(run.uid for run in [*self.starting, *self.running.values()])

    def conclude(self, run: RunningSample):
        """It has ended and is judged: removes its files, reports."""
        self.slow -= run.slow
        events = run.events()
        again = run.ran_beside_others and not run.job.alone and self.is_neighbours_doing(run, events)
        why = None if events else run.not_begun()
        self.let_go(run)
        self.cleaner.clean(run.folder, self.alive)
        if again:
            run.job.alone = True
            self.waiting.appendleft(run.job)
        elif why is not None and run.reason is None:
            self.cannot_start(run.job, why)
        else:
            self.outbox.append(framed(run.answer(events)))

    def let_go(self, run: RunningSample):
        self.unwatch(run)
        os.close(run.job_fd)

    def is_neighbours_doing(self, run: RunningSample, events: list[dict[str, Any]]):
        """Whether a failure may come of what neighbours held; what counts is then how the sample does by itself.

        Where the container has no memory left, the kernel lets a process wait at each page for as long as it takes to
        find one that it may kill: that is no time of the sample.
        """
        short = self.cleaner.is_disk_short()
        if short:
            for other in self.running.values():
                other.lacked_disk = True
        if run.left_behind and run.verdict:
            return False
        if run.reason == "timed out":
            return run.lacked_memory or (run.slow and oom_kills() > run.oom_kills)
        status = run.ended[0]
        killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
        passed = any(event["step"] == "end" for event in events)
        if killed and any(event.get("error") is not None for event in run.verdict or ()):
            return False  # it had failed before; who kills himself for that gets no second try
        return run.reason is None and (killed or run.lost_judge or (not passed and (short or run.lacked_disk)))


def give_way(uid: int):
    """A sample's processes, being several, go behind everybody else's."""
    act_on_user(uid, lambda: os.setpriority(os.PRIO_USER, uid, 19))
