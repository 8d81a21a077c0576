"""A judge's end of the channel to a sample: calls go out, plain data of exact standard types comes back.

The formats are those of sample.py and answers.py. What comes is the sample's word: whatever it holds, the objects made
of it here are of the types listed in `MAKERS`, and nothing of the sample is executed.
"""

import binascii
import json
import os
import select
import time
from collections import Counter, OrderedDict, defaultdict, deque
from marshal import dumps

from .frames import with_length

AT_ONCE = 8  # so many answers of a request travel each by itself, so that an early wrong one ends the sample early
LARGEST = 1 << 29  # bytes of one answer
MOST_FORESEEN = 1 << 15
SAID_KEPT = 600
PROCESS_CLOCK = 2  # CPUCLOCK_SCHED (Linux include/linux/posix-timers.h)


class Gone(BaseException):
    """The sample does not answer any more, or answers what nobody can read."""


class SampleFailed(BaseException):
    """The sample raised while it was executed: [section, kind, message, errno]."""


class TooSlow(Exception):
    pass


class NotForeseeable(BaseException):
    pass


class Handle:
    """An object that stayed with the sample: the tests may pass it back, call it, get and set its attributes.

    It equals itself alone.
    """

    __slots__ = ("_channel", "_number")

    def __init__(self, channel, number):
        object.__setattr__(self, "_channel", channel)
        object.__setattr__(self, "_number", number)

    def __call__(self, *args, **keywords):
        return self._channel.ask("call kept", self._number, args, keywords)

    def __getattr__(self, name):
        if name[:2] == "__":
            raise AttributeError(name)
        return self._channel.ask("get", self._number, (name,), {})

    def __setattr__(self, name, value):
        self._channel.ask("set", self._number, (name, value), {})


def stub(channel, name):
    """A function that has the sample's one called."""
    return lambda *args, **keywords: channel.ask("call", name, args, keywords)


class Foresight:
    """Takes the place of a channel to learn which calls tests will make, before any sample is there to answer them.

    Only calls that do not depend on an answer are foreseen.
    """

    def __init__(self):
        self.calls = []

    def ask(self, operation, target, args, keywords):
        try:
            self.calls.append(dumps((False, operation, target, args, keywords), 2))
        except ValueError:
            raise NotForeseeable from None
        if len(self.calls) >= MOST_FORESEEN:
            raise NotForeseeable
        return ANYTHING


class Anything:
    """The answer that lets tests go on."""

    def __getattr__(self, name):
        raise NotForeseeable

    def yes(self, *others):
        return True

    def zero(self, *others):
        return 0.0

    def itself(self, *others):
        return self

    def nothing(self):
        return iter(())

    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = __bool__ = __contains__ = yes
    __float__ = zero
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = __mod__ = itself
    __floordiv__ = __pow__ = __neg__ = __abs__ = __round__ = __getitem__ = itself
    __iter__ = nothing

    def __hash__(self):
        return 0

    def __len__(self):
        return 0

    def __setattr__(self, name, value):
        raise NotForeseeable


ANYTHING = Anything()


class Channel:
    """Calls foreseen, marshalled and in the order in which the tests will make them, are sent ahead together.

    `tell_pid()` waits for the pid of the sample's process.
    """

    def __init__(self, fd, tell_pid):
        self.fd = fd
        self.tell_pid = tell_pid
        self.clock_id = 0
        self.inbox = bytearray()
        self.at = 0
        self.foreseen = []
        self.next = 0
        self.gone = False
        self.failure = None
        self.decode = json.JSONDecoder(object_hook=self.made).scan_once

    # -- calls

    def foresee(self, calls, at_once=AT_ONCE):
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

    def ask(self, operation, target, args, keywords):
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
        if body[:1] == b"v":
            return self.value_of(body)
        self.raise_said(self.value_of(body))

    def call_with_each(self, name, inputs):
        """Sends calls of a function ahead, one with each tuple of arguments; `timed_answer` gives one answer each."""
        self.foresee([dumps((False, "call", name, tuple(given), {}), 2) for given in inputs], len(inputs))

    def cpu_s(self):
        """Processor seconds that the sample's process has used; infinite when it has gone."""
        self.clock_id = self.clock_id or (~self.tell_pid() << 3) | PROCESS_CLOCK
        try:
            return time.clock_gettime(self.clock_id)
        except OSError:
            return float("inf")

    def timed_answer(self, limit_s):
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
        if body[:1] == b"v":
            return self.value_of(body)
        self.raise_said(self.value_of(body))

    def raise_said(self, said):
        kind, message, errno = said_by(said)
        raise exception(kind, message, errno)

    # -- frames

    def send(self, data):
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
            self.lose("the answer is larger than %d MiB" % (LARGEST >> 20))
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

    def fill(self, size):
        while len(self.inbox) - self.at < size:
            self.take()

    def take(self):
        try:
            data = os.read(self.fd, 1 << 20)
        except OSError:
            data = b""
        if not data:
            self.lose("")
        self.inbox += data

    def value_of(self, body):
        try:
            value, end = self.decode(body[1:].decode("ascii"), 0)
            if end != len(body) - 1:
                raise ValueError
        except MemoryError:
            self.lose("the answer takes too much memory")
        except Exception:
            self.lose("the sample said what nobody can read")
        return value

    def lose(self, why):
        self.gone = True
        self.failure = self.failure or why
        raise Gone

    def made(self, found):
        """The object that a JSON object stands for. Raises any Exception for one that stands for nothing."""
        if len(found) == 2:
            keys, values = found.values()
            tag = next(iter(found))
            if list(found)[1] != "v" or type(keys) is not list or type(values) is not list or len(keys) != len(values):
                raise ValueError
            return DICTS[tag](zip(keys, values))
        ((tag, value),) = found.items()
        if tag == "h":
            return Handle(self, int(value))
        return MAKERS[tag](value)


def said_by(said):
    """Kind, message and errno of an exception, whatever was sent."""
    kind, message, errno = said if type(said) is list and len(said) == 3 else ("Exception", "", None)
    if type(kind) is not str or type(message) is not str:
        kind, message = "Exception", ""
    return kind[:100].replace("\0", ""), message[:SAID_KEPT], errno if type(errno) is int else None


def exception(kind, message, errno):
    """An exception of the built-in kind of that name, or of one made up, that says the message."""
    base = BUILTIN_EXCEPTIONS.get(kind, Exception)
    made = type(kind, (base,), {"__str__": lambda self: message})
    error = made.__new__(made)
    if errno is not None:
        error.errno = errno
    return error


def disguised(value):
    """An argument in which handles and types are marked as answers.restored reads them."""
    kind = type(value)
    if kind is Handle:
        return (..., "h", value._number)
    if isinstance(value, type):
        return (..., "T", value.__name__)
    if isinstance(value, (list, tuple, set, frozenset)):
        base = next(base for base in (list, tuple, set, frozenset) if isinstance(value, base))
        return base([disguised(item) for item in value])
    if isinstance(value, dict):
        return {disguised(key): disguised(item) for key, item in value.items()}
    return value


def listed(value):
    if type(value) is not list:
        raise ValueError
    return value


def text(value):
    if type(value) is not str:
        raise ValueError
    return value


def rows(value):
    kind, length, table, coded = value
    cells = map(listed(table).__getitem__, binascii.a2b_base64(text(coded)))
    made = zip(*[cells] * length)
    return list(map(list, made)) if kind == "list" else list(made)


def of_library(value):
    name, args = value
    if name == "Decimal":
        from decimal import Decimal

        return Decimal(text(args[0]))
    if name == "Fraction":
        from fractions import Fraction

        return Fraction(int(args[0]), int(args[1]))
    import datetime

    return {
        "date": datetime.date,
        "time": datetime.time,
        "datetime": datetime.datetime,
        "timedelta": datetime.timedelta,
    }[name](*listed(args))


BUILTIN_EXCEPTIONS = {
    name: kind
    for name, kind in __builtins__.items()
    if isinstance(kind, type) and issubclass(kind, BaseException) and not name.endswith("Group")
}
BUILTIN_TYPES = {kind.__name__: kind for kind in __builtins__.values() if isinstance(kind, type)}
MAKERS = {
    "t": lambda value: tuple(listed(value)),
    "s": lambda value: set(listed(value)),
    "f": lambda value: frozenset(listed(value)),
    "i": lambda value: int(text(value), 16),
    "c": lambda value: complex(float(value[0]), float(value[1])),
    "b": lambda value: text(value).encode("latin-1"),
    "B": lambda value: bytearray(text(value).encode("latin-1")),
    "r": lambda value: range(*listed(value)),
    "q": lambda value: deque(listed(value)),
    "I": lambda value: iter(listed(value)),
    "K": lambda value: dict.fromkeys(listed(value)).keys(),
    "V": lambda value: dict(enumerate(listed(value))).values(),
    "M": lambda value: dict(listed(value)).items(),
    "T": lambda value: BUILTIN_TYPES[value],
    "x": of_library,
    "R": rows,
}


def counter(pairs):
    made = Counter()
    for key, value in pairs:
        dict.__setitem__(made, key, value)
    return made


DICTS = {"d": dict, "C": counter, "O": OrderedDict, "D": lambda pairs: defaultdict(None, pairs)}
