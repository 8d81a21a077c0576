"""The HTTP service of fixtures on the container's loopback: a process of a user of its own.

The agent can ask it, but can neither read its routes or its log nor end it: the log goes up a pipe to process 1.
"""

from __future__ import annotations

import base64
import json
import os
import resource
import signal
import socket
import time

from . import users
from .frames import framed, take_apart, write_all

TYPE_CHECKING = False  # to import typing would cost each container its memory
if TYPE_CHECKING:
    from typing import Any, Iterable

    from .main import Loop

LOOKING = ("GET", "HEAD", "OPTIONS")
MOST_LOOKING = (10000, 8 << 20)  # requests, and bytes of their entries
MOST_OTHER = (10000, 24 << 20)
BODY_LOGGED = 1 << 20
HEADERS_LOGGED = 32 << 10
LONGEST_BODY = 8 << 20
LONGEST_ADDRESS = 8 << 10
AT_ONCE = 48
IDLE_S = 30
MEMORY = 1 << 30
PIECES = 64


class Log:
    """What was asked, as far as there is room; requests that may change something have room of their own.

    All are counted. A log that did not take everything is not complete, and says so.
    """

    def __init__(self):
        self.requests = []
        self.total = 0
        self.complete = True
        self.left: dict[bool, list[int]] = {True: list(MOST_LOOKING), False: list(MOST_OTHER)}

    def take(self, body: bytes):
        self.total += 1
        entry = json.loads(body)
        left = self.left[entry["method"] in LOOKING]
        if left[0] <= 0 or left[1] < len(body):
            self.complete = False
            return
        left[0] -= 1
        left[1] -= len(body)
        self.requests.append(entry)


class Service:
    """Starts the service, gathers what it was asked."""

    def __init__(self, loop: Loop):
        self.loop = loop
        self.pid = 0
        self.pids = set()  # its process, until it is reaped
        self.fd: Any = None
        self.data = bytearray()
        self.kept = Log()

    def start(self, frame: dict[str, Any]):
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
        self.pids.add(pid)
        self.loop.watch(read, self.on_log)
        self.loop.send({"op": "done", "id": frame["id"], "port": port})

    def log(self, frame: dict[str, Any]):
        """What was asked so far. A request is logged before it is answered, so whoever saw the answer finds it here."""
        self.loop.send({"op": "done", "id": frame["id"], **self.requests_since(0)})

    def requests_since(self, first: int):
        """The requests that are kept, from one of them on."""
        while self.fd is not None and self.on_log():
            pass
        kept = self.kept
        return {"requests": kept.requests[first:], "total": kept.total, "complete": kept.complete}

    def on_log(self):
        """Takes in what is there, but not for ever where more keeps coming; whether there may be more."""
        more = True
        for _ in range(PIECES):
            try:
                data = os.read(self.fd, 1 << 16)
            except BlockingIOError:
                more = False
                break
            if not data:
                self.loop.forget(self.fd)
                os.close(self.fd)
                self.fd, more = None, False
                break
            self.data += data
        for entry in take_apart(self.data):
            self.kept.take(entry)
        return more


def be_the_service(listener: socket.socket, log_fd: int, routes: list[dict[str, Any]]):
    """Serves until it is killed; never returns."""
    try:
        os.setsid()
        fd = os.dup(listener.fileno())
        log = os.dup(log_fd)
        for number, one in enumerate((fd, log), 3):
            os.dup2(one, number + 20)
        os.closerange(3, 23)
        os.closerange(25, 4096)
        nothing = os.open("/dev/null", os.O_RDWR)
        for number in (0, 1, 2):  # process 1 speaks to the host on these
            os.dup2(nothing, number)
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        resource.setrlimit(resource.RLIMIT_NPROC, (AT_ONCE + 16, AT_ONCE + 16))
        users.become(users.SERVICE)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        serve(socket.socket(fileno=23), 24, routes)
    finally:
        os._exit(1)


def serve(listener: socket.socket, log_fd: int, routes: list[dict[str, Any]]):
    import threading
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

    from .fixtures import Answer, Fixtures

    threading.stack_size(512 << 10)
    fixtures, logging, room = Fixtures(routes), threading.Lock(), threading.BoundedSemaphore(AT_ONCE)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        server_version = "fixture"
        sys_version = ""
        timeout = IDLE_S
        disable_nagle_algorithm = True  # head and body are two packets: the second would wait for an acknowledgement

        def answer(self):
            length = self.headers.get("Content-Length", "0")
            length = int(length) if length.isascii() and length.isdigit() and len(length) < 16 else 0
            body = self.rfile.read(min(length, LONGEST_BODY))
            path, _, query = self.path.partition("?")
            entry: dict[str, Any] = {
                "method": self.command,
                "path": path[:LONGEST_ADDRESS],
                "query": query[:LONGEST_ADDRESS],
                "headers": some_of(self.headers.items()),
                "body": base64.b64encode(body[:BODY_LOGGED]).decode(),
            }
            if length > LONGEST_BODY:
                answer, self.close_connection = Answer(413, body=b"the body is too long\n"), True
            elif len(self.path) > LONGEST_ADDRESS:
                answer = Answer(414, body=b"the address is too long\n")
            else:
                lowered = {name.lower(): value for name, value in self.headers.items()}
                answer = fixtures.answer(self.command, path, query, lowered, time.monotonic(), body)
            entry["status"] = answer.status
            with logging:  # entries of requests at once must not mingle
                write_all(log_fd, framed(entry))
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

        def __getattr__(self, name: str):
            """Every method is answered and logged, those that nobody knows as well."""
            if name.startswith("do_"):
                return self.answer
            raise AttributeError(name)

        def log_message(self, format: str, *args: Any):
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def process_request(self, request: Any, client_address: Any):
            room.acquire()  # who keeps all connections busy waits for them himself
            try:
                super().process_request(request, client_address)
            except BaseException:
                room.release()
                raise

        def process_request_thread(self, request: Any, client_address: Any):
            try:
                super().process_request_thread(request, client_address)
            finally:
                room.release()

        def handle_error(self, request: Any, client_address: Any):
            pass

    server = Server(("127.0.0.1", 0), Handler, bind_and_activate=False)
    server.socket.close()
    server.socket = listener
    server.server_address = listener.getsockname()
    server.serve_forever(poll_interval=60)


def some_of(headers: Iterable[tuple[str, str]]):
    """Headers by name, as many as there is room for."""
    found, left = {}, HEADERS_LOGGED
    for name, value in headers:
        left -= len(name) + len(value)
        if left < 0:
            break
        found[name] = value
    return found
