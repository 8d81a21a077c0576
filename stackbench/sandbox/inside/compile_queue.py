"""Has the text of samples compiled ahead of time by the compiler, and keeps the benchmarks' own code compiled."""

from __future__ import annotations

import collections
import marshal
import socket
import time

from . import compile_worker
from .cleaning import kill_group
from .frames import take_apart, with_length

TYPE_CHECKING = False  # to import typing would cost each container its memory
if TYPE_CHECKING:
    from typing import Any, Callable

    from .main import Loop

TOGETHER = 6
TOGETHER_BYTES = 1 << 16
PATIENCE_S = 2.0
KEPT = 4096


class Job:
    """A sample to run, as asked for; `ready` when its text needs no more work."""

    __slots__ = ("alone", "frame", "id", "ready", "sections", "source", "tests", "timed")

    def __init__(self, frame: dict[str, Any]):
        self.frame = frame
        self.id = frame["id"]
        self.alone = False
        self.sections = []  # the sample's: marshalled code, or text
        self.tests = b""  # what a judge is to run
        self.timed = False  # whether the judge wants to know how much processor time the sample uses
        self.source = b""  # the text that the compiler is to compile
        self.ready = True


class CompileQueue:
    """`on_refusal(job, kind, message)` is called for a text that is no program."""

    def __init__(self, loop: Loop, on_refusal: Callable[[Job, str, str], None]):
        self.loop = loop
        self.on_refusal = on_refusal
        self.waiting = collections.deque()
        self.asked = collections.deque()
        self.asked_bytes = 0
        self.asked_at = 0.0
        self.pid = 0
        self.pids = set()  # of all compilers that are not reaped yet
        self.socket: Any = None  # made by `open`
        self.inbox = bytearray()
        self.trusted = collections.OrderedDict()

    def open(self):
        self.pid, self.socket = compile_worker.start()
        self.pids.add(self.pid)
        self.loop.watch(self.socket.fileno(), self.on_answers)

    def job(self, frame: dict[str, Any]):
        """The job of a frame, its text on its way to the compiler. Raises SyntaxError for bad code of a benchmark."""
        job = Job(frame)
        tests = []
        for section in frame["sections"]:
            if section["trusted"]:
                tests.append((section["apart"], self.compile_trusted(section["code"])))
                job.timed = job.timed or section["apart"]
            elif tests:
                raise ValueError("a section of the sample comes after one of the benchmark's")
            else:
                job.sections.append(section["code"])
        checks = [self.compile_check(check) for check in frame["checks"]]
        job.tests = marshal.dumps((len(job.sections), tests, checks, frame["functions"]))
        first = job.sections[0] if job.sections else None
        if first is not None and len(first) <= compile_worker.LARGEST:
            job.source = first.encode("utf-8", "surrogatepass")
            if len(job.source) > compile_worker.LARGEST:
                return job  # it would not fit into the socket, and to wait for room is to wait for each other
            job.ready = False
            self.waiting.append(job)
        return job

    def pump(self):
        """Sends as much as the socket takes without waiting."""
        while self.waiting and len(self.asked) < TOGETHER:
            job = self.waiting[0]
            if self.asked and self.asked_bytes + len(job.source) > TOGETHER_BYTES:
                return
            self.waiting.popleft()
            if not self.asked:
                self.asked_at = time.monotonic()
            self.asked.append(job)
            self.asked_bytes += len(job.source)
            try:
                self.socket.sendall(with_length(job.source))
            except OSError:
                self.replace()
                return

    def due(self):
        return self.asked_at + PATIENCE_S if self.asked else None

    def check_deadline(self, now: float):
        if self.asked and now - self.asked_at > PATIENCE_S:
            self.replace()

    def on_answers(self):
        try:
            data = self.socket.recv(1 << 16, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.replace()
            return
        self.inbox += data
        try:
            answers = take_apart(self.inbox)
        except ValueError:
            answers = None
        if answers is None or len(answers) > len(self.asked):  # no compiler of ours writes that
            self.replace()
            return
        for answer in answers:
            self.compiled(self.asked.popleft(), answer)
        self.asked_at = time.monotonic()

    def compiled(self, job: Job, answer: bytes):
        self.asked_bytes -= len(job.source)
        job.ready = True
        if answer[:1] == b"c":
            job.sections[0] = answer[1:]
        elif answer[:1] == b"e":
            kind, _, message = answer[1:].decode("utf-8", "replace").partition("\0")
            self.on_refusal(job, kind, message)

    def replace(self):
        """Another compiler for one that died or that one text keeps busy; that text's own sample is to compile it."""
        self.loop.forget(self.socket.fileno())
        self.socket.close()
        kill_group(self.pid if self.pid in self.pids else 0)
        self.inbox = bytearray()
        if self.asked:
            self.asked.popleft().ready = True
        self.waiting.extendleft(reversed(self.asked))
        self.asked.clear()
        self.asked_bytes = 0
        self.open()

    def compile_trusted(self, code: str):
        found = self.trusted.get(code)
        if found is None:
            found = self.trusted[code] = marshal.dumps(compile(code, "<test>", "exec", dont_inherit=True))
            if len(self.trusted) > KEPT:
                self.trusted.popitem(last=False)
        return found

    def compile_check(self, code: str):
        """A check that does not compile fails as a check, in the sample: it came with the task, and others count on."""
        try:
            return self.compile_trusted(code)
        except (SyntaxError, ValueError):
            return code
