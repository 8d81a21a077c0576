"""Process 1 of a sandbox container: takes frames in, gives them to who handles them, until the stream ends."""

import os
import select
import signal
import sys
import time

from .frames import Inbox, send
from .samples import Samples


class Loop:
    """Waits for descriptors and deadlines; frames go to the handler of their `op`."""

    def __init__(self):
        self.epoll = select.epoll()
        self.callbacks = {}
        self.inbox = Inbox()
        self.closing = False
        first_uid = int(os.environ["STACKBENCH_FIRST_UID"])
        uids = int(os.environ["STACKBENCH_UIDS"]) - 1
        self.samples = Samples(self, first_uid, uids, "/work")
        self.operations = {
            "python": self.samples.submit,
            "cancel": lambda frame: self.samples.cancel(frame["id"]),
            "prepare": self.samples.prepare,
            "ping": lambda frame: send({"op": "done", "id": frame["id"]}),
        }
        self.send = send

    def serve(self):
        os.set_blocking(0, False)
        self.watch(0, self.on_frames)
        send({"op": "ready", "python": sys.version.split()[0]})
        while not self.closing:
            self.samples.pump()
            now = time.monotonic()
            due = self.samples.time_to_next(now)
            for fd, _ in self.epoll.poll(-1 if due is None else max(0.0, due)):
                callback = self.callbacks.get(fd)
                if callback is not None:
                    callback()
            if due is not None:
                self.samples.check_deadlines(time.monotonic())

    def watch(self, fd, callback):
        self.callbacks[fd] = callback
        self.epoll.register(fd, select.EPOLLIN)

    def forget(self, fd):
        del self.callbacks[fd]
        self.epoll.unregister(fd)

    def on_frames(self):
        frames = self.inbox.read()
        if frames is None:
            self.closing = True
            return
        for frame in frames:
            operation = self.operations.get(frame["op"])
            if operation is None:
                send({"op": "refused", "id": frame.get("id"), "error": "unknown operation %r" % frame["op"]})
            else:
                operation(frame)


def run():
    if os.getpid() != 1:
        raise SystemExit("runner: it kills and deletes, and so runs as process 1 of a container only")
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Loop().serve()
