"""The HTTP service of fixtures on the container's loopback: a process of a user of its own.

The agent can ask it, but can neither read its routes or its log nor end it: the log goes up a pipe to process 1.
"""

import base64
import json
import os
import signal
import socket
import time

from . import users
from .frames import framed, take_apart

MOST_LOGGED = 10000
BODY_LOGGED = 1 << 20


class Service:
    """Starts the service, gathers what it was asked."""

    def __init__(self, loop):
        self.loop = loop
        self.pid = 0
        self.fd = None
        self.data = bytearray()
        self.requests = []

    def start(self, frame):
        if self.pid:
            self.loop.send({"op": "failed", "id": frame["id"], "error": "the service runs already", "errno": None})
            return
        listener = socket.socket()
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(("127.0.0.1", frame.get("port", 0)))
            listener.listen(128)
        except OSError as error:
            listener.close()
            self.loop.send({"op": "failed", "id": frame["id"], "error": error.strerror, "errno": error.errno})
            return
        read, write = os.pipe()
        pid = os.fork()
        if pid == 0:
            be_the_service(listener, write, frame["routes"])
        os.close(write)
        port = listener.getsockname()[1]
        listener.close()
        os.set_blocking(read, False)
        self.pid, self.fd = pid, read
        self.loop.watch(read, self.on_log)
        self.loop.send({"op": "done", "id": frame["id"], "port": port})

    def log(self, frame):
        """What was asked so far. A request is logged before it is answered, so whoever saw the answer finds it here."""
        if self.fd is not None:
            self.on_log()
        self.loop.send({"op": "done", "id": frame["id"], "requests": self.requests})

    def on_log(self):
        while True:
            try:
                data = os.read(self.fd, 1 << 16)
            except BlockingIOError:
                break
            if not data:
                self.loop.forget(self.fd)
                os.close(self.fd)
                self.fd = None
                break
            self.data += data
        entries = take_apart(self.data)
        self.requests += [json.loads(entry) for entry in entries[: MOST_LOGGED - len(self.requests)]]


def be_the_service(listener, log_fd, routes):
    """Serves until it is killed; never returns."""
    try:
        os.setsid()
        fd = os.dup(listener.fileno())
        log = os.dup(log_fd)
        for number, one in enumerate((fd, log), 3):
            os.dup2(one, number + 20)
        os.closerange(3, 23)
        os.closerange(25, 4096)
        users.become(users.SERVICE)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        serve(socket.socket(fileno=23), 24, routes)
    finally:
        os._exit(1)


def serve(listener, log_fd, routes):
    import threading
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

    from .fixtures import Fixtures

    fixtures, logging = Fixtures(routes), threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        server_version = "fixture"
        sys_version = ""

        def answer(self):
            length = self.headers.get("Content-Length", "0")
            body = self.rfile.read(min(int(length), 64 << 20)) if length.isdigit() else b""
            path, _, query = self.path.partition("?")
            entry = {
                "method": self.command,
                "path": path,
                "query": query,
                "headers": dict(self.headers.items()),
                "body": base64.b64encode(body[:BODY_LOGGED]).decode(),
            }
            lowered = {name.lower(): value for name, value in self.headers.items()}
            answer = fixtures.answer(self.command, path, query, lowered, time.monotonic())
            entry["status"] = answer.status
            with logging:  # entries of requests at once must not mingle
                os.write(log_fd, framed(entry))
            if answer.delay_s:
                time.sleep(answer.delay_s)
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            if answer.status not in (204, 304):
                self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            if self.command == "HEAD" or answer.status in (204, 304):
                return
            self.wfile.write(answer.body if answer.keep is None else answer.body[: answer.keep])
            if answer.keep is not None:
                self.close_connection = True

        do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = answer  # noqa: N815

        def log_message(self, *details):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler, bind_and_activate=False)
    server.socket.close()
    server.socket = listener
    server.server_address = listener.getsockname()
    server.daemon_threads = True
    server.serve_forever(poll_interval=60)
