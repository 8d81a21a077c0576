"""One sample that runs: its pipes, its deadlines, what it reported and printed so far."""

import json
import os
import time

from .cleaning import kill_group
from .proc import ending_of, has_children, queue_wait_s
from .protocol import REPORTED

OUTPUT_KEPT = 16384
WATCHED_AFTER_S = 0.004
SLOW_AFTER_S = 0.2
CLOSED = -1
FOREVER = float("inf")
MOST_WAIT = 9  # so many times its limit may a sample have waited for a processor


class Running:
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
        self.nudges = 0
        self.ended = None  # (wait status, processor seconds, peak KiB)

    def due(self):
        """When something is next to be done about it."""
        return min(self.deadline, FOREVER if self.slow else self.slow_at, FOREVER if self.watched else self.watched_at)

    def read_verdict(self):
        """Takes in a piece of its report; False when no more can come."""
        try:
            data = os.read(self.verdict_fd, 1 << 16)
        except BlockingIOError:
            return True
        room = self.job.frame["max_result_bytes"] - len(self.verdict)
        self.verdict += data[:room]
        return bool(data) and room > 0

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
        """Takes what the pipes still hold. What a process left behind writes on is not waited for."""
        while self.verdict_fd != CLOSED:
            before = len(self.verdict)
            if not self.read_verdict() or len(self.verdict) == before:
                break
        while self.output_fd != CLOSED and self.output_bytes <= self.job.frame["output_bytes"]:
            before = self.output_bytes
            if not self.read_output() or self.output_bytes == before:
                break

    def overdue(self, now):
        """At its deadline: kills it, or puts the deadline off.

        Time spent waiting for a processor is the neighbours' doing and does not count against the sample, unless
        processes of its own are in its way.
        """
        allowed = self.job.frame["timeout_s"]
        waited = 0.0 if has_children(self.pid) else min(queue_wait_s(self.pid), MOST_WAIT * allowed)
        missing = allowed - (now - self.started - waited)
        if missing > 0.001 and self.reason is None:
            self.deadline = now + missing
            return
        self.reason = self.reason or "timed out"
        kill_group(self.pid)
        self.deadline = now + 1.0

    def events(self):
        """The report's JSON lines that carry the nonce; anything else on the channel was not written by us.

        The end counts only where the sample's first process came to it: a child may have gone on in its place.
        """
        events = []
        complete = os.WIFEXITED(self.ended[0]) and os.WEXITSTATUS(self.ended[0]) == REPORTED
        for line in bytes(self.verdict).split(b"\n"):
            if line.startswith(self.nonce):
                try:
                    event = json.loads(line[len(self.nonce) :])
                except ValueError:
                    continue
                if isinstance(event, dict) and "step" in event and (complete or event["step"] != "end"):
                    events.append(event)
        return events

    def output(self):
        head, tail = bytes(self.output_head), bytes(self.output_tail)
        cut = self.output_bytes - len(head) - len(tail)
        middle = b"\n... %d bytes cut ...\n" % cut if cut > 0 else b""
        return (head + middle + tail).decode("utf-8", "backslashreplace")

    def answer(self, events, wall_s):
        """The frame that reports its end."""
        status, cpu_s, peak_kib = self.ended
        return {
            "op": "done",
            "id": self.job.id,
            "status": self.reason or "ended",
            "wall_s": round(wall_s, 6),
            "cpu_s": round(cpu_s, 6),
            "max_rss_kib": peak_kib,
            "output": self.output(),
            "output_bytes": self.output_bytes,
            "events": events,
            **ending_of(status),
        }
