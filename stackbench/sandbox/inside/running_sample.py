"""One sample that runs: its pipes, its judge, its deadlines, what it printed so far."""

from __future__ import annotations

import os
import time

from .cleaning import kill_group
from .group_memory import is_memory_short
from .procfs import ending_of, queue_wait_s
from .protocol import BEGAN, NOT_BEGUN, REPORTED

TYPE_CHECKING = False  # to import typing would cost each container its memory
if TYPE_CHECKING:
    from typing import Any

    from .compile_queue import Job
    from .judges import Judge

OUTPUT_KEPT = 16384
WATCHED_AFTER_S = 0.004
SLOW_AFTER_S = 0.2
TO_LEAVE_S = 0.1  # after the tests have ended
TO_JUDGE_S = 2.0  # after the sample has ended
CLOSED = -1
FOREVER = float("inf")
MOST_WAIT_S = 3600.0  # a sample that waits for a processor so long is given up; it has not failed
ERROR_KEPT = 600


class RunningSample:
    """`verdict` is the list of events that the judge sent; None before, and where the judge was lost."""

    def __init__(self, job: Job, uid: int, folder: str, judge: Judge, job_fd: int, output_fd: int):
        self.job = job
        self.pid = 0
        self.uid = uid
        self.folder = folder
        self.judge = judge
        self.job_fd = job_fd
        self.output_fd = output_fd
        self.asked = self.started = time.monotonic()
        self.allowed_s = job.frame["timeout_s"]
        self.deadline = self.started + self.allowed_s
        self.watched_at = self.started + WATCHED_AFTER_S
        self.slow_at = self.started + SLOW_AFTER_S
        self.watched = False
        self.slow = False
        self.waited_s = 0.0
        self.output_head = bytearray()
        self.output_tail = bytearray()
        self.output_bytes = 0
        self.reason = None
        self.verdict: list[dict[str, Any]] | None = None
        self.is_judged = False
        self.lost_judge = False  # the judge died: the container had no memory for it
        self.left_behind = False  # the judge was done, the sample did not leave
        self.ran_beside_others = False
        self.lacked_disk = False
        self.oom_kills = 0  # of the whole container, when the sample was found to be slow
        self.lacked_memory = False
        self.reap_requests = 0
        self.ended: Any = None  # (wait status, processor seconds, peak KiB)
        self.wall_s = 0.0

    def begins(self, pid: int):
        """It has a process: from now its time counts."""
        self.pid = pid
        self.started = time.monotonic()
        self.deadline = self.started + self.allowed_s

    def due(self):
        """When something is next to be done about it."""
        return min(self.deadline, FOREVER if self.slow else self.slow_at, FOREVER if self.watched else self.watched_at)

    def read_output(self):
        """Takes in a piece of its output, keeping head and tail; False when no more can come."""
        try:
            data = os.read(self.output_fd, 1 << 16)
        except BlockingIOError:
            return True
        if not data:
            return False
        self.output_bytes += len(data)
        room = OUTPUT_KEPT - len(self.output_head)
        self.output_head += data[:room]
        if len(data) > room:
            self.output_tail = (self.output_tail + data[room:])[-OUTPUT_KEPT:]
        if self.output_bytes > self.job.frame["output_bytes"] and self.reason is None:
            self.reason = "output limit"
            kill_group(self.pid)
        return True

    def drain(self):
        """Takes what the pipe still holds. What a process left behind writes on is not waited for."""
        while self.output_fd != CLOSED and self.output_bytes <= self.job.frame["output_bytes"]:
            before = self.output_bytes
            if not self.read_output() or self.output_bytes == before:
                break

    def judged(self, verdict: list[dict[str, Any]] | None):
        """The judge has answered (None: it was lost). A sample that does not leave by itself now is made to."""
        self.verdict = verdict
        self.is_judged = True
        self.deadline = min(self.deadline, time.monotonic() + TO_LEAVE_S)

    def overdue(self, now: float, is_alone: bool):
        """At its deadline: kills it, or puts the deadline off.

        Time spent waiting for a processor, its own or its judge's, is the neighbours' doing and does not count against
        the sample, unless (not `is_alone`) processes or threads of its own are in its way.
        """
        if self.is_judged and self.reason is None:
            self.left_behind = True
            kill_group(self.pid)
            self.deadline = now + 1.0
            return
        if self.reason is None and is_alone:
            waited = queue_wait_s(self.pid) + self.judge.waited_s()
            self.waited_s = max(self.waited_s, min(waited, now - self.started))
            missing = self.allowed_s - (now - self.started - self.waited_s)
            if missing > 0.001:
                if self.waited_s < MOST_WAIT_S:
                    self.deadline = now + missing
                    return
                self.reason = "starved"
        self.lacked_memory = is_memory_short()
        self.reason = self.reason or "timed out"
        kill_group(self.pid)
        self.deadline = now + 1.0

    def events(self):
        """What the judge found.

        The end counts only where the sample's first process answered to the end: a child may have gone on in its place.
        """
        status = self.ended[0]
        complete = self.left_behind or (os.WIFEXITED(status) and os.WEXITSTATUS(status) == REPORTED)
        return [event for event in self.verdict or () if complete or event["step"] != "end"]

    def not_begun(self):
        """Why the sample's code was not reached; None where it was."""
        said = os.pread(self.job_fd, ERROR_KEPT, 0)
        if said[:1] == BEGAN:
            return None
        if said[:1] == NOT_BEGUN:
            return said[1:].partition(b"\0")[0].decode("utf-8", "replace")
        return "its process ended first"

    def output(self):
        head, tail = bytes(self.output_head), bytes(self.output_tail)
        cut = self.output_bytes - len(head) - len(tail)
        middle = b"\n... %d bytes cut ...\n" % cut if cut > 0 else b""
        return (head + middle + tail).decode("utf-8", "backslashreplace")

    def answer(self, events: list[dict[str, Any]]):
        """The frame that reports its end."""
        status, cpu_s, peak_kib = self.ended
        return {
            "op": "done",
            "id": self.job.id,
            "status": self.reason or "ended",
            "wall_s": round(self.wall_s, 6),
            "waited_s": round(self.waited_s, 6),
            "cpu_s": round(cpu_s, 6),
            "max_rss_kib": peak_kib,
            "output": self.output(),
            "output_bytes": self.output_bytes,
            "events": events,
            **ending_of(status),
        }
