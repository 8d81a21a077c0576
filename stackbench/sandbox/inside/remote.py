"""A judge's end of the channel to a sample: calls go out, plain data of exact standard types comes back.

The formats are those of sample_process.py and answers.py. What comes is the sample's word: whatever it holds, the
objects made of it here are of the types listed in plain.py, and nothing of the sample is executed.
"""

from __future__ import annotations

import json
import os
import select
import time
from marshal import dumps

from .frames import with_length
from .plain import made

TYPE_CHECKING = False  # to import typing would cost each container its memory
if TYPE_CHECKING:
    from typing import Any, Callable

AT_ONCE = 8  # so many answers of a request travel each by itself, so that an early wrong one ends the sample early
LARGEST = 1 << 29  # bytes of one answer
SAID_KEPT = 600
PIECE = 1 << 16  # to read at once; for more than 128 KiB, malloc maps memory and unmaps it each time
PROCESS_CLOCK = 2  # CPUCLOCK_SCHED (Linux include/linux/posix-timers.h)
BUILTIN_EXCEPTIONS = {
    name: kind
    for name, kind in __builtins__.items()
    if isinstance(kind, type) and issubclass(kind, BaseException) and not name.endswith("Group")
}


class Gone(BaseException):
    """The sample does not answer any more, or answers what nobody can read."""


class SampleFailed(BaseException):
    """The sample raised while it was executed: [section, kind, message, errno]."""


class TooSlow(Exception):
    pass


class Handle:
    """An object that stayed with the sample: the tests may pass it back, call it, get and set its attributes.

    It equals itself alone.
    """

    __slots__ = ("_channel", "_number")

    def __init__(self, channel: Any, number: int):
        object.__setattr__(self, "_channel", channel)
        object.__setattr__(self, "_number", number)

    def __call__(self, *args: Any, **keywords: Any):
        return self._channel.ask("call kept", self._number, args, keywords)

    def __getattr__(self, name: str):
        if name[:2] == "__":
            raise AttributeError(name)
        return self._channel.ask("get", self._number, (name,), {})

    def __setattr__(self, name: str, value: Any):
        self._channel.ask("set", self._number, (name, value), {})


def stub(channel: Any, name: str):
    """A function that has the sample's one called."""
    return lambda *args, **keywords: channel.ask("call", name, args, keywords)


class Channel:
    """Calls foreseen, marshalled and in the order in which the tests will make them, are sent ahead together.

    `tell_pid()` waits for the pid of the sample's process.
    """

    def __init__(self, fd: int, tell_pid: Callable[[], int]):
        self.fd = fd
        self.tell_pid = tell_pid
        self.clock_id = 0
        self.inbox = bytearray()
        self.at = 0
        self.foreseen = []
        self.next = 0
        self.gone = False
        self.failure = None
        self.decode = json.JSONDecoder(object_hook=lambda found: made(found, self.handle)).scan_once  # pyright: ignore[reportAttributeAccessIssue]

    # -- calls

    def foresee(self, calls: list[bytes], at_once: int = AT_ONCE):
        self.foreseen, self.next = calls, 0
        self.send(dumps((at_once, calls)))

    def wait_for_start(self):
        """Returns when the sample has been executed. Raises SampleFailed, Gone."""
        if self.next < len(self.foreseen):
            self.fill(5)
            if self.inbox[self.at + 4] == 115:  # s
                self.receive()
        else:
            self.ask("start", None, (), {})

    def ask(self, operation: str, target: Any, args: Any, keywords: Any):
        """Has the sample carry out a call and returns the answer; raises the exception that it says it raised."""
        call = None
        try:
            call = dumps((False, operation, target, args, keywords), 2)
        except ValueError:
            call = dumps((True, operation, target, disguised(args), disguised(keywords)), 2)
        if self.next < len(self.foreseen) and self.foreseen[self.next] == call:
            self.next += 1
            return self.answer()
        while self.next < len(self.foreseen):  # it is something else that is asked
            self.next += 1
            self.receive()
        self.send(dumps((1, [call])))
        return self.answer()

    def answer(self):
        body = self.receive()
        if body[:1] != b"v":
            raise exception(*said_by(self.value_of(body)))
        return self.value_of(body)

    def call_with_each(self, name: str, inputs: list[Any]):
        """Sends calls of a function ahead, one with each tuple of arguments; `timed_answer` gives one answer each."""
        self.foresee([dumps((False, "call", name, tuple(given), {}), 2) for given in inputs], len(inputs))

    def cpu_s(self):
        """Processor seconds that the sample's process has used; infinite when it has gone."""
        self.clock_id = self.clock_id or (~self.tell_pid() << 3) | PROCESS_CLOCK
        try:
            return time.clock_gettime(self.clock_id)
        except OSError:
            return float("inf")

    def timed_answer(self, limit_s: float):
        """The next foreseen answer; raises TooSlow when the sample's process has used more processor time than that."""
        self.next += 1
        waited = select.poll()
        waited.register(self.fd, select.POLLIN)
        began = self.cpu_s()
        left = limit_s
        while len(self.inbox) - self.at < 5:
            if waited.poll(left * 1000 + 1):
                self.take()
            else:
                used = self.cpu_s() - began
                if used >= limit_s:
                    raise TooSlow("time limit")
                left = limit_s - used
        body = self.receive()
        if left < limit_s and self.cpu_s() - began > limit_s:
            raise TooSlow("time limit")
        if body[:1] != b"v":
            raise exception(*said_by(self.value_of(body)))
        return self.value_of(body)

    # -- frames

    def send(self, data: bytes):
        data = with_length(data)
        try:
            while data:
                data = data[os.write(self.fd, data) :]
        except OSError:
            pass  # what it said before it went may still be there to read

    def receive(self):
        """The next frame's body. Raises SampleFailed for one that says so, Gone."""
        self.fill(4)
        size = int.from_bytes(self.inbox[self.at : self.at + 4], "big")
        if size > LARGEST:
            self.lose(f"the answer is larger than {LARGEST >> 20} MiB")
        self.fill(4 + size)
        body = bytes(self.inbox[self.at + 4 : self.at + 4 + size])
        self.at += 4 + size
        if self.at == len(self.inbox):
            self.inbox, self.at = bytearray(), 0
        if body[:1] == b"s":
            said = self.value_of(body)
            section = said.pop(0) if type(said) is list and len(said) == 4 else None
            if type(section) is not int:
                self.lose("the sample said what nobody can read")
            raise SampleFailed(section, *said_by(said))
        return body

    def fill(self, size: int):
        while len(self.inbox) - self.at < size:
            self.take()

    def take(self):
        try:
            data = os.read(self.fd, PIECE)
        except OSError:
            data = b""
        if not data:
            self.lose("")
        self.inbox += data

    def value_of(self, body: bytes):
        try:
            value, end = self.decode(body[1:].decode("ascii"), 0)
            if end != len(body) - 1:
                raise ValueError
        except MemoryError:
            self.lose("the answer takes too much memory")
        except Exception:
            self.lose("the sample said what nobody can read")
        return value

    def lose(self, why: str):
        self.gone = True
        self.failure = self.failure or why
        raise Gone

    def handle(self, number: int):
        return Handle(self, number)


def said_by(said: Any):
    """Kind, message and errno of an exception, whatever was sent."""
    kind, message, errno = said if type(said) is list and len(said) == 3 else ("Exception", "", None)
    if type(kind) is not str or type(message) is not str:
        kind, message = "Exception", ""
    number = errno if type(errno) is int and 0 <= errno < 4096 else None
    return sayable(kind[:100]).replace("\0", ""), sayable(message[:SAID_KEPT]), number


def sayable(text: str):
    """The text without surrogates, which no database takes."""
    return text.encode("utf-8", "backslashreplace").decode()


def exception(kind: str, message: str, errno: int | None):
    """An exception of the built-in kind of that name, or of one made up, that says the message.

    One that ends an iteration is none of these: `map` and `zip` in a test would take it for the end of their own.
    """
    base = BUILTIN_EXCEPTIONS.get(kind, Exception)
    if issubclass(base, (StopIteration, StopAsyncIteration)):
        base = RuntimeError
    made = type(kind, (base,), {"__str__": lambda self: message})
    error = made.__new__(made)
    if errno is not None:
        error.errno = errno
    return error


def disguised(value: Any):
    """An argument in which handles and types are marked as answers.restored reads them."""
    kind = type(value)
    if kind is Handle:
        return (..., "h", value._number)
    if isinstance(value, type):
        return (..., "T", value.__name__)
    if isinstance(value, (list, tuple, set, frozenset)):
        kinds: tuple[Any, ...] = (list, tuple, set, frozenset)
        base = next(base for base in kinds if isinstance(value, base))
        return base([disguised(item) for item in value])
    if isinstance(value, dict):
        return {disguised(key): disguised(item) for key, item in value.items()}
    return value
