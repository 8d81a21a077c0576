"""Attacks by code samples. Each must end as a failed attempt with its reason, leave the container as it was, and have
had no effect that is seen from outside."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from stackbench.sandbox import CodeJob, CodeResult, Section
from stackbench.sandbox.container import Container
from stackbench.sandbox.scorer import Scorer
from stackbench.sandbox.session import Session

pytestmark = pytest.mark.docker

TESTS = "def check(f):\n    assert f(1) == 2, 'wrong answer'\ncheck(answer)"
RIGHT = "def answer(x):\n    return x + 1\n"
WRONG = "def answer(x):\n    return 0\n"
GO = "/tmp/go"
"""Samples that wait see it when they are to go on; it is root's, so that nobody can make or remove it."""
SHARED = ("/tmp", "/var/tmp", "/dev/shm", "/dev/mqueue", "/work")


@dataclass(frozen=True)
class Target:
    """The container under attack, and what is looked at from outside."""

    scorer: Scorer

    @property
    def container(self) -> Container:
        return self.scorer.containers[0]

    async def attack(self, code: str, *, tests: str = TESTS, timeout_s: float = 10.0, **limits: int) -> CodeResult:
        sections = (Section(code), Section(tests, trusted=True))
        return await self.scorer.run(CodeJob(sections, functions=("answer",), timeout_s=timeout_s, **limits))

    async def files(self) -> dict[str, list[str]]:
        session = Session(self.container)
        found = {path: await session.list(path, root="/", privileged=True) for path in SHARED}
        return {path: [entry.path for entry in entries] for path, entries in found.items()}

    async def until_written(self, name: str, *, folder: str = "/work", size: int = 0, times: int = 1) -> None:
        """Waits until so many files of that name, with that many bytes, are below a folder (that of samples)."""
        async with asyncio.timeout(30):
            while True:
                entries = await Session(self.container).list(folder, root="/", privileged=True, recursive=True)
                if sum(entry.path.split("/")[-1] == name and entry.size >= size for entry in entries) >= times:
                    return
                await asyncio.sleep(0.02)

    @asynccontextmanager
    async def waiting(self, code: str, *, times: int = 1, timeout_s: float = 60.0) -> AsyncGenerator[list[CodeResult]]:
        """Samples that run `code`, write a file `ready`, and go on when the block ends; then their results."""
        hold = f"open('ready', 'w').close()\nimport os, time\nwhile not os.path.exists('{GO}'): time.sleep(0.01)\n"
        samples = [asyncio.create_task(self.attack(code.format(HOLD=hold), timeout_s=timeout_s)) for _ in range(times)]
        results: list[CodeResult] = []
        session = Session(self.container)
        try:
            await self.until_written("ready", times=times)
            yield results
        finally:
            await session.write(GO, b"", root="/", privileged=True, mode=0o644)
            results += await asyncio.gather(*samples)
            await session.remove(GO, root="/", privileged=True)

    async def processes(self) -> list[tuple[str, ...]]:
        return [process.command for process in await Session(self.container).processes()]


@pytest.fixture
async def target(sandbox: Scorer) -> AsyncIterator[Target]:
    """The shared container; afterwards it is the same one, empty, and scores right from wrong."""
    target = Target(sandbox)
    before = target.container
    yield target
    assert (await target.attack(RIGHT)).reason == "passed"
    assert (await target.attack(WRONG)).reason == "failed: wrong answer"
    assert target.container is before
    assert before.alive
    assert await target.processes() == []
    assert await target.files() == {path: [] for path in SHARED}


# -- using everything up

EXHAUSTION = {
    "fork bomb": ("import os\nwhile True:\n    os.fork()", r"failed: too many processes \(limit 64\)|timed out"),
    "fork bomb that swallows errors": (
        "import os\nwhile True:\n    try: os.fork()\n    except OSError: pass",
        "timed out",
    ),
    "thread bomb": (
        "import threading, time\nwhile True: threading.Thread(target=time.sleep, args=(60,)).start()",
        r"failed: too many processes \(limit 64\)",
    ),
    "processes of many programs": (
        "import subprocess\nkeep = []\nwhile True: keep.append(subprocess.Popen(['sleep', '60']))",
        r"failed: too many processes \(limit 64\)",
    ),
    "memory bomb": ("x = []\nwhile True: x.append(bytearray(1 << 24))", r"failed: out of memory \(limit 2048 MiB\)"),
    "memory bomb in one piece": ("x = b'x' * (1 << 40)", "failed: out of memory"),
    "memory bomb of many processes": (
        "import os, time\nfor i in range(12):\n    if os.fork() == 0:\n        x = bytearray(1 << 29)\n"
        "        for i in range(0, len(x), 4096): x[i] = 1\n        time.sleep(60)\ntime.sleep(60)",
        "failed: killed by signal 9|timed out",
    ),
    "recursion in C": (
        "x = []\nfor i in range(10 ** 6): x = [x]\nrepr(x)",
        "failed: RecursionError|failed: killed by signal 11",
    ),
    "open files": (
        "keep = []\nwhile True: keep.append(open('/dev/null'))",
        r"failed: too many open files \(limit 256\)",
    ),
    "one large file": (
        "with open('f', 'wb') as f:\n    while True: f.write(bytes(1 << 20))",
        r"failed: file too large \(limit 64 MiB\)",
    ),
    "a large sparse file": ("open('f', 'wb').truncate(1 << 40)", "failed: file too large"),
    "disk fill in its folder": (
        "for i in range(1000): open(f'f{i}', 'wb').write(bytes(32 << 20))",
        "failed: disk full",
    ),
    "disk fill in /tmp": (
        "for i in range(1000): open(f'/tmp/f{i}', 'wb').write(bytes(32 << 20))",
        "failed: disk full",
    ),
    "shared memory fill": (
        "for i in range(1000): open(f'/dev/shm/f{i}', 'wb').write(bytes(32 << 20))",
        "failed: disk full",
    ),
    "inode fill": ("for i in range(10 ** 6): open(f'f{i}', 'w').close()", "failed: disk full"),
    "deep folders": (
        "import os\nfor i in range(5000):\n    os.mkdir('d'); os.chdir('d')\nassert False, 'deep'",
        "failed: deep|failed: disk full|timed out",
    ),
    "1 GB of output": ("import os\nfor i in range(1024): os.write(1, b'x' * (1 << 20))", "failed: output limit"),
    "endless output": ("while True: print('x' * 10000)", "failed: output limit"),
    "endless output to stderr": ("import sys\nwhile True: sys.stderr.write('x' * 10000)", "failed: output limit"),
    "endless loop": ("while True: pass", "timed out"),
    "sleep": ("import time\ntime.sleep(1000)", "timed out"),
    "a regular expression that backtracks": ("import re\nre.match('(a+)+$', 'a' * 60 + 'b')", "timed out"),
    "a number too large": ("x = 9 ** 9 ** 9", "timed out|failed: out of memory"),
    "ignoring SIGTERM and all the rest": (
        "import signal\nfor n in range(1, 65):\n    try: signal.signal(n, signal.SIG_IGN)\n"
        "    except (OSError, ValueError): pass\nwhile True: pass",
        "timed out",
    ),
    "blocking every signal": (
        "import signal\nsignal.pthread_sigmask(signal.SIG_BLOCK, range(1, 64))\nwhile True: pass",
        "timed out",
    ),
    "stopping itself": ("import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)", "timed out"),
    "a first thread that leaves the others behind": (
        "import ctypes, threading, time\nthreading.Thread(target=time.sleep, args=(60,)).start()\n"
        "ctypes.CDLL(None).pthread_exit(None)",
        "timed out",
    ),
    "text that a compiler chokes on": (
        "x = " + "(" * 5000 + ")" * 5000,
        "failed: (MemoryError|out of memory|SyntaxError)",
    ),
    "text nested without brackets": ("x = " + "-" * 60000 + "1", "failed: |timed out"),
    "text of 20 MB": ("x = [" + "1," * (10 << 20) + "]", "failed: |timed out"),
    "a NUL in the text": ("x = 1\0", "failed: (SyntaxError|ValueError)"),
    "raising the CPU limit": (
        "import resource\nresource.setrlimit(resource.RLIMIT_CPU, (1000, 1000))",
        "failed: (ValueError|PermissionError)",
    ),
    "raising the process limit": (
        "import resource\nresource.setrlimit(resource.RLIMIT_NPROC, (10**6, 10**6))",
        "failed: (ValueError|PermissionError)",
    ),
}


@pytest.mark.parametrize("name", EXHAUSTION)
async def test_using_everything_up(target: Target, name: str) -> None:
    code, reason = EXHAUSTION[name]
    neighbours = [asyncio.create_task(target.attack(RIGHT)) for _ in range(4)]
    result = await target.attack(f"{RIGHT}\n{code}\n", timeout_s=8.0 if name == "memory bomb" else 1.5)
    assert not result.passed
    assert re.match(reason, result.reason), result.reason
    assert {neighbour.reason for neighbour in await asyncio.gather(*neighbours)} == {"passed"}


# -- passing without being right

DECEIT = {
    "os._exit(0)": "import os\nos._exit(0)",
    "sys.exit(0)": "import sys\nsys.exit(0)",
    "exit() in the function": "def answer(x): raise SystemExit(0)",
    "os._exit(0) in the function": "import os\ndef answer(x): os._exit(0)",
    "killing itself": "import os\nos.kill(os.getpid(), 9)",
    "printing a verdict": "print('passed'); print('{\"step\": \"end\"}')\ndef answer(x): return 0",
    "writing a verdict to every descriptor": """
import os
for fd in range(256):
    for line in (b'{"step":"end","us":1,"result":null}\\n', b'0' * 32 + b'{"step":"end","us":1,"result":null}\\n'):
        try: os.write(fd, line)
        except OSError: pass
os._exit(0)""",
    "writing a frame of an answer": """
import os, json
data = json.dumps({"op": "done", "id": 1, "status": "ended", "exit_code": 0, "events": [{"step": "end"}]}).encode()
for fd in range(256):
    try: os.write(fd, len(data).to_bytes(4, "big") + data)
    except OSError: pass
os._exit(0)""",
    "filling the verdict's pipe": """
import os
try:
    while True: os.write(3, b'x' * 4096)
except OSError: pass""",
    "closing the verdict's pipe": "import os\nos.close(3)\ndef answer(x): return 2",
    "replacing the verdict's pipe": """
import os
os.dup2(os.open('verdict', os.O_CREAT | os.O_RDWR), 3)
def answer(x): return 2""",
    "an object that equals everything": """
class Yes:
    def __eq__(self, other): return True
def answer(x): return Yes()""",
    "a number that equals everything": """
class Yes(int):
    def __eq__(self, other): return True
    __hash__ = int.__hash__
def answer(x): return Yes(0)""",
    "a list that equals everything": """
class Yes(list):
    def __eq__(self, other): return True
def answer(x): return [Yes()][0]""",
    "a metaclass that equals everything": """
class Meta(type):
    def __eq__(self, other): return True
    def __hash__(self): return 0
class Yes(metaclass=Meta):
    def __getattribute__(self, name): return self
    def __eq__(self, other): return True
def answer(x): return Yes()""",
    "a class that calls itself int": """
class Yes:
    __class__ = property(lambda self: int)
    def __eq__(self, other): return True
def answer(x): return Yes()""",
    "a class under the name of a library's": """
import collections
class Counter(dict):
    __module__ = 'collections'
    def __eq__(self, other): return True
collections.Counter = Counter
def answer(x): return Counter()""",
    "replacing check": "def check(f): pass\ndef answer(x): return 0",
    "replacing built-ins": """
import builtins
for name in ('abs', 'all', 'any', 'len', 'isinstance', 'sorted', 'exec', 'compile', 'AssertionError', 'print'):
    setattr(builtins, name, lambda *a, **k: True)
def answer(x): return 0""",
    "replacing the built-ins of its namespace": "__builtins__ = {}\ndef answer(x): return 0",
    "replacing AssertionError": "AssertionError = type('A', (Exception,), {})\ndef answer(x): return 0",
    "an exception that hides": """
class E(BaseException):
    def __str__(self): raise self
    __repr__ = __str__
    def __class__(self): return None
def answer(x): raise E""",
    "an exception hook": "import sys\nsys.excepthook = lambda *a: None\ndef answer(x): return 0",
    "a trace function": """
import sys
def trace(frame, event, arg):
    if event == 'exception': raise SystemExit(0)
    return trace
sys.settrace(trace)
def answer(x): return 0""",
    "a profile that exits": "import sys, os\nsys.setprofile(lambda *a: os._exit(0))\ndef answer(x): return 0",
    "an exit handler": "import atexit, os\natexit.register(os._exit, 0)\ndef answer(x): return 0",
    "a thread that exits": """
import threading, os, time
asked = threading.Event()
threading.Thread(target=lambda: (asked.wait(), os._exit(0)), daemon=True).start()
def answer(x): asked.set(); threading.Event().wait()""",
    "a child that goes on in its place": """
import os
def answer(x):
    if os.fork(): os._exit(0)
    return 2""",
    "a program in its place": "import os\nos.execv('/bin/true', ['/bin/true'])",
    "a signal handler that exits": """
import signal, os
signal.signal(signal.SIGALRM, lambda *a: os._exit(0)); signal.setitimer(signal.ITIMER_REAL, 0.01)
def answer(x):
    while True: pass""",
    "an unraisable error": """
class D:
    def __del__(self): raise SystemExit(0)
def answer(x): D(); return 0""",
    "output streams that are gone": "import sys\nsys.stdout = sys.stderr = None\ndef answer(x): return 0",
    "an output stream that raises": """
import sys
class S:
    def flush(self): raise SystemExit(0)
sys.stdout = S()
def answer(x): return 0""",
    "the sandbox's own modules": """
import sys
ours = [name for name in sys.modules if 'inside' in name or 'zygote' in name]
for name in ours or ['inside.sample_process']: __import__(name)
def answer(x): return 0""",
    "built-ins that the sandbox might use": """
import builtins
for name in list(vars(builtins)):
    if name not in ('__build_class__', '__import__', 'list', 'vars', 'setattr', 'builtins'):
        setattr(builtins, name, lambda *a, **k: True)
def answer(x): return 0""",
    "answer defined by the tests' names": "candidate = f = answer = lambda *a: 0",
    "a missing answer": "x = 1",
}


@pytest.mark.parametrize("name", DECEIT)
async def test_passing_without_being_right(target: Target, name: str) -> None:
    result = await target.attack(DECEIT[name], timeout_s=3.0)
    assert not result.passed
    assert result.reason.startswith(("failed: ", "timed out"))


# -- leaving something behind

LEFTOVERS = {
    "a daemon that writes later": """
import os
sample = os.getpid()
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        while os.path.exists(f'/proc/{sample}'): pass
        for path in ('/tmp/late', '/dev/shm/late', '/var/tmp/late'): open(path, 'w').write('x')
    os._exit(0)""",
    "a family of daemons": """
import os, time
for i in range(20):
    if os.fork() == 0:
        os.setsid()
        if os.fork(): os._exit(0)
        while True: time.sleep(0.01); open(f'/tmp/{os.getpid()}', 'w')""",
    "a process that keeps forking away": """
import os
if os.fork() == 0:
    while True:
        if os.fork(): os._exit(0)""",
    "files in every writable place": """
import os
for folder in ('/tmp', '/var/tmp', '/dev/shm', '/dev/mqueue', '.'):
    try:
        open(folder + '/x', 'w').write('x'); os.mkdir(folder + '/d'); open(folder + '/d/x', 'w')
        os.symlink('/etc', folder + '/link'); os.mkfifo(folder + '/fifo')
    except OSError: pass""",
    "files that are hard to delete": """
import os
os.makedirs('/tmp/a/b/c'); open('/tmp/a/b/c/x', 'w'); os.chmod('/tmp/a/b', 0); os.chmod('/tmp/a', 0)
os.makedirs('mine/a'); os.chmod('mine', 0)
for name in (b'\\xff\\xfe', b'-rf', b'a\\nb', ' '.encode(), b'x' * 255): open(b'/tmp/' + name, 'w')""",
    "named semaphores and shared memory": """
from multiprocessing import shared_memory
s = shared_memory.SharedMemory(create=True, size=4096, name='left')
import multiprocessing
multiprocessing.Semaphore(1)""",
    "a socket": """
import socket
s = socket.socket(socket.AF_UNIX); s.bind('/tmp/socket'); s.listen()
a = socket.socket(socket.AF_UNIX); a.bind('\\0abstract'); a.listen()
t = socket.socket(); t.bind(('127.0.0.1', 0)); t.listen()""",
    "a sibling of its own process": """
import ctypes, os, time
if ctypes.CDLL(None).syscall(56, 0x8000 | 17, 0, 0, 0, 0) == 0:
    os.setsid()
    while True: time.sleep(0.01); open(f'/tmp/{os.getpid()}', 'w')""",
    "siblings that keep making siblings": """
import ctypes, os
libc = ctypes.CDLL(None)
if libc.syscall(56, 0x8000 | 17, 0, 0, 0, 0) == 0:
    while libc.syscall(56, 0x8000 | 17, 0, 0, 0, 0) == 0: pass
    os._exit(0)""",
    "siblings that end at once": """
import ctypes, os
libc = ctypes.CDLL(None)
for i in range(200):
    if libc.syscall(56, 0x8000 | 17, 0, 0, 0, 0) == 0: os._exit(99)""",
    "a process that ignores its end": """
import os, signal, time
if os.fork() == 0:
    for n in range(1, 65):
        try: signal.signal(n, signal.SIG_IGN)
        except (OSError, ValueError): pass
    os.setsid()
    if os.fork() == 0: time.sleep(1000)
    time.sleep(1000)""",
    "a stopped process": """
import os, signal
if os.fork() == 0: os.kill(os.getpid(), signal.SIGSTOP)""",
    "many folders, deep and wide": """
import os
for i in range(300): os.makedirs(f'/tmp/wide/{i}/a/b')
for i in range(1500):
    os.mkdir('d'); os.chdir('d')""",
    "other modules for the next sample": """
import sys, math, builtins
sys.modules['json'] = None; math.pi = 3; builtins.len = None; sys.path.insert(0, '/tmp')
open('/tmp/collections.py', 'w').write('raise SystemExit')""",
}


@pytest.mark.parametrize("name", LEFTOVERS)
async def test_leaving_something_behind(target: Target, name: str) -> None:
    result = await target.attack(f"{LEFTOVERS[name]}\nraise ValueError('end')", timeout_s=3.0)
    assert result.reason == "failed: ValueError: end", result.reason
    look = "import os, math\nassert math.pi > 3.1 and os.listdir('/tmp') == [] and os.listdir('.') == []\n"
    assert (await target.attack(look + RIGHT)).reason == "passed"


async def test_a_racing_link_leads_no_cleaner_out(target: Target) -> None:
    """A sibling exchanges folders that are being removed with links to the folder of a neighbour that still runs."""
    victim = f"""
import os, time
os.mkdir('d'); open('d/mine', 'w').write('x')
{{HOLD}}
assert os.path.exists('d/mine'), 'my files were deleted while I ran'
{RIGHT}"""
    race = """
import ctypes, os
libc = ctypes.CDLL(None)
me = os.getuid()
others = {os.stat('/proc/' + p).st_uid for p in os.listdir('/proc') if p.isdigit()} - {0, me}
for n, uid in enumerate(others): os.symlink(f'/work/{uid}', f's{n}'); os.mkdir(f'y{n}')
for n in range(2000): open(f'f{n}', 'w').close()
here = os.open('.', os.O_RDONLY)
if libc.syscall(56, 0x8000 | 17, 0, 0, 0, 0) == 0:
    while True:
        for n in range(len(others)): libc.syscall(316, here, b'y%d' % n, here, b's%d' % n, 2)
raise ValueError('end')"""
    async with target.waiting(victim, times=2) as victims:
        raced = [await target.attack(race, timeout_s=5.0) for _ in range(3)]
    assert {one.reason for one in raced} == {"failed: ValueError: end"}
    assert {one.reason for one in victims} == {"passed"}


async def test_many_survivors_take_no_place_of_others(target: Target) -> None:
    """Each would leave 60 processes in a container of 1,024; the honest ones between them never notice."""
    crowd = """
import ctypes, os, time
libc = ctypes.CDLL(None)
for i in range(60):
    if libc.syscall(56, 0x8000 | 17, 0, 0, 0, 0) == 0: os.setsid(); time.sleep(3600)
raise ValueError('end')"""
    for _ in range(20):
        assert (await target.attack(crowd)).reason == "failed: ValueError: end"
        assert (await target.attack(RIGHT)).reason == "passed"


# What a sample may write where its answers go; after each the sample leaves as one that has answered everything.
FRAMES = {
    "nesting": "say(b'v' + b'[' * 300000)",
    "nesting that is closed": "say(b'v' + b'[' * 100000 + b']' * 100000)",
    "nesting of tuples": "say(b'v' + b'{\"t\":[' * 5000 + b']}' * 5000)",
    "a length that never comes": "os.write(3, b'\\xff\\xff\\xff\\xff')",
    "a length of nothing": "say(b'')",
    "a longer length": "os.write(3, (1000).to_bytes(4, 'big') + b'v1')",
    "no JSON": "say(b'v{')",
    "bytes that are no text": "say(b'v\\xff\\xfe')",
    "an unknown letter": "say(b'q1')",
    "an unknown kind": "say(b'v{\"zz\": 1}')",
    "an empty object": "say(b'v{}')",
    "unhashable members": "say(b'v{\"s\": [[1], [2]]}')",
    "unhashable keys": 'say(b\'v{"d": [[1]], "v": [1]}\')',
    "keys without values": 'say(b\'v{"d": [1, 2], "v": [1]}\')',
    "a tuple of nothing": "say(b'v{\"t\": 5}')",
    "a range of texts": 'say(b\'v{"r": ["a"]}\')',
    "rows without end": 'say(b\'v{"R": ["tuple", 1000000000000, ["a"], "AAAA"]}\')',
    "rows of missing cells": 'say(b\'v{"R": ["tuple", 1, [], "AAAA"]}\')',
    "a library's unknown type": 'say(b\'v{"x": ["system", [1]]}\')',
    "a huge exponent": 'say(b\'v{"x": ["Fraction", [1, 0]]}\')',
    "a long number": "say(b'v' + b'9' * 100000)",
    "an exception without fields": "say(b'e[]')",
    "an exception of wrong fields": 'say(b\'e[[1], {"t": []}, "x"]\')',
    "an exception group": 'say(b\'e["ExceptionGroup", "x", null]\')',
    "an exception of no name": 'say(b\'e["", "x", 99999999999999999999]\')',
    "a failure without fields": "say(b's')",
    "a failure of wrong fields": "say(b's[[1],[2],[3],[4]]')",
    "a failure in text that cannot be stored": (
        'say(b\'s[99999999999999999999, "\\\\ud800", "\\\\ud800", 99999999999999999999]\')'
    ),
    "an exception in text that cannot be stored": 'say(b\'e["\\\\ud800", "\\\\ud800", -1]\')',
    "a failure of the machine": "say(b'-nothing to do with me'); say(b's[0, \"setup\", \"x\", null]')",
    "events of before": 'say(b\'{"step":"setup","error":"nothing to do with me"}\')',
    "a handle of another's": "say(b'v{\"h\": 99999999999999999999}')",
    "a handle that is none": 'say(b\'v{"h": "x"}\')',
    "a flood": "for i in range(2000): say(b'v' + b'1' * 1000)",
    "colliding keys": (
        "n = 2 ** 61 - 1\nsay(b'v{\"s\": [' + b','.join(b'%d' % (i * n) for i in range(30000)) + b']}')"
    ),
}


async def test_whatever_a_sample_writes_it_alone_fails(target: Target) -> None:
    """The one that wrote it has failed, which is no error; the others, the judge and process 1 go on."""
    begin = "import os\ndef say(b): os.write(3, len(b).to_bytes(4, 'big') + b)\n"
    jobs = [target.attack(f"{begin}{code}\nos._exit(99)", timeout_s=2.0) for code in FRAMES.values()]
    honest = [target.attack(RIGHT) for _ in range(20)]
    results = await asyncio.gather(*jobs, *honest)
    assert [name for name, one in zip(FRAMES, results, strict=False) if one.passed] == []
    assert {one.reason for one in results[len(jobs) :]} == {"passed"}
    assert all(one.reason.encode() and one.failed_section in (None, 0, 1) for one in results)


async def test_a_judge_that_was_dropped_is_none_of_the_processes_seen(target: Target) -> None:
    """It was killed, and takes a moment to die: it is the sandbox's own until then."""
    begin = "import os\ndef say(b): os.write(3, len(b).to_bytes(4, 'big') + b)\n"
    for _ in range(4):
        result = await target.attack(f"{begin}{FRAMES['colliding keys']}\nos._exit(99)", timeout_s=0.2)
        assert await target.processes() == []
        assert not result.passed


async def test_text_in_many_bytes_holds_up_nobody(target: Target) -> None:
    emoji = "# " + "\N{GRINNING FACE}" * 14 + "\n"
    long = [target.attack(f"{emoji * count}{RIGHT}") for count in (900, 4110, 20000)]
    assert {one.reason for one in await asyncio.gather(*long)} == {"passed"}
    too_long = await target.attack("x = 1\n" * (1 << 20) + RIGHT)
    assert too_long.reason == "failed: the program is longer than 4 Mi characters"


async def test_burners_do_not_time_out_an_honest_neighbour(target: Target) -> None:
    """30 processes burn every processor while an honest sample needs a third of its limit of processor time."""
    burners = f"import os\nfor i in range(30): os.fork() or exec('while True: pass')\nwhile True: pass\n{RIGHT}"
    busy = f"import time\nwhile time.process_time() < 0.3: pass\n{RIGHT}"
    burning = [asyncio.create_task(target.attack(burners, timeout_s=2.0)) for _ in range(2)]
    assert {one.reason for one in await asyncio.gather(*(target.attack(busy, timeout_s=1.0) for _ in range(3)))} == {
        "passed"
    }
    assert {one.reason for one in await asyncio.gather(*burning)} == {"timed out"}


async def test_a_daemon_cannot_write_after_its_sample(target: Target) -> None:
    await target.attack(LEFTOVERS["a daemon that writes later"])
    assert await target.processes() == [], "who does not exist writes nothing later"
    assert (await target.files())["/tmp"] == []


async def test_system_v_objects_cannot_be_made(target: Target) -> None:
    code = """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
assert libc.shmget(1234, 4096, 0o1666) == -1 and libc.semget(1234, 1, 0o1666) == -1 and libc.msgget(1234, 0o1666) == -1
"""
    assert (await target.attack(code + RIGHT)).reason == "passed"


# -- reading and touching what is not its own

SPYING = {
    "memory of the runner": "open('/proc/1/mem', 'rb').read(1)",
    "environment of the runner": "open('/proc/1/environ').read()",
    "memory map of the runner": "open('/proc/1/maps').read()",
    "files of the runner": "import os\nos.listdir('/proc/1/fd')",
    "stream of the runner": "open('/proc/1/fd/0', 'rb').read(1)",
    "stack of the runner": "open('/proc/1/stack').read()",
    "folder of the runner": "import os\nos.listdir('/proc/1/cwd')",
    "memory of its parent": "import os\nopen(f'/proc/{os.getppid()}/mem', 'rb').read(1)",
    "files of its parent": "import os\nos.listdir(f'/proc/{os.getppid()}/fd')",
    "ptrace of the runner": """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
for pid in (1, os.getppid()):
    if libc.ptrace(16, pid, 0, 0) == 0: os._exit(0)
raise PermissionError""",
    "memory of the runner by system call": """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
class Piece(ctypes.Structure): _fields_ = [('base', ctypes.c_void_p), ('size', ctypes.c_size_t)]
here = ctypes.create_string_buffer(8)
mine, theirs = Piece(ctypes.cast(here, ctypes.c_void_p), 8), Piece(0x400000, 8)
if libc.process_vm_readv(1, ctypes.byref(mine), 1, ctypes.byref(theirs), 1, 0) == -1: raise PermissionError""",
    "killing the runner": "import os\nos.kill(1, 9)",
    "killing its parent": "import os\nos.kill(os.getppid(), 9)",
    "stopping the runner": "import os, signal\nos.kill(1, signal.SIGSTOP)",
    "limits of the runner": "import resource\nresource.prlimit(1, resource.RLIMIT_NOFILE, (3, 3))",
    "priority of the runner": "import os\nos.setpriority(os.PRIO_PROCESS, 1, 19)",
    "being hard to kill for memory": "open('/proc/self/oom_score_adj', 'w').write('-1000')",
    "folders of other samples": "import os\nos.listdir('/work')",
    "password file": "open('/etc/shadow').read()",
    "writing the system": "open('/usr/bin/python3', 'ab')",
    "writing the library": "import os\nopen(os.__file__, 'a')",
    "writing beside the system": "open('/etc/x', 'w')",
    "writing kernel settings": "open('/proc/sys/kernel/core_pattern', 'w').write('|/tmp/x')",
    "the kernel's trigger": "open('/proc/sysrq-trigger', 'w').write('c')",
    "the kernel's memory": "open('/proc/kcore', 'rb').read(1)\nraise PermissionError",
    "the kernel's log": "import ctypes\nif ctypes.CDLL(None).klogctl(3, None, 0) == -1: raise PermissionError",
    "control groups": """
import glob
for path in glob.glob('/sys/fs/cgroup/**/*procs', recursive=True): open(path, 'w').write('0')
raise PermissionError""",
    "becoming root": "import os\nos.setuid(0)",
    "becoming another sample": "import os\nos.setuid(os.getuid() + 1)",
    "groups": "import os\nos.setgroups([0])",
    "a setuid program": """
import os, shutil
shutil.copy('/bin/sh', 'sh'); os.chmod('sh', 0o6777)
import subprocess
assert subprocess.run(['./sh', '-c', 'id -u'], capture_output=True).stdout.strip() != b'0'
raise PermissionError""",
    "su": """
import subprocess
done = subprocess.run(['su', '-c', 'id -u'], capture_output=True, stdin=subprocess.DEVNULL)
if done.stdout.strip() != b'0': raise PermissionError""",
    "device nodes": "import os, stat\nos.mknod('d', 0o666 | stat.S_IFBLK, os.makedev(8, 0))",
    "disks": """
import glob
for path in glob.glob('/dev/sd*') + glob.glob('/dev/vd*') + glob.glob('/dev/nvme*'): open(path, 'rb').read(1)
raise PermissionError""",
    "mounting": """
import ctypes
if ctypes.CDLL(None).mount(b'none', b'/tmp', b'tmpfs', 0, None) == -1: raise PermissionError""",
    "a new root": "import os\nos.chroot('.')",
    "a user namespace": """
import ctypes
if ctypes.CDLL(None).unshare(0x10000000) == -1: raise PermissionError""",
    "another namespace": """
import ctypes
if all(ctypes.CDLL(None).unshare(flag) == -1 for flag in (0x20000, 0x40000000, 0x08000000, 0x04000000)):
    raise PermissionError""",
    "the runner's namespaces": "import os\nos.readlink('/proc/1/ns/net')",
    "keyrings": """
import ctypes, platform
number = 248 if platform.machine() == 'x86_64' else 217
if ctypes.CDLL(None).syscall(number, b'user', b'x', b'y', 1, -3) == -1: raise PermissionError""",
    "loading a kernel module": """
import ctypes, platform
number = 313 if platform.machine() == 'x86_64' else 273
if ctypes.CDLL(None).syscall(number, 0, b'', 0) == -1: raise PermissionError""",
    "kernel programs": """
import ctypes, platform
number = 321 if platform.machine() == 'x86_64' else 280
if ctypes.CDLL(None).syscall(number, 0, 0, 0) == -1: raise PermissionError""",
    "rebooting": "import ctypes\nif ctypes.CDLL(None).reboot(0x1234567) == -1: raise PermissionError",
    "the clock": "import time\ntime.clock_settime(time.CLOCK_REALTIME, 0)",
    "the host's name": "import socket\nsocket.sethostname('x')",
    "raw sockets": "import socket\nsocket.socket(socket.AF_INET, socket.SOCK_RAW, 1)",
    "packets": "import socket\nsocket.socket(socket.AF_PACKET, socket.SOCK_RAW)",
}


@pytest.mark.parametrize("name", SPYING)
async def test_touching_what_is_not_its_own(target: Target, name: str) -> None:
    result = await target.attack(f"{RIGHT}\n{SPYING[name]}\n", timeout_s=5.0)
    refused = r"failed: (PermissionError|OSError: .*(Read-only|not permitted|Permission denied))"
    absent = r"|failed: FileNotFoundError" if name in ("the kernel's trigger", "the kernel's memory") else ""
    assert re.match(refused + absent, result.reason), result.reason


NETWORK = {
    "TCP": "socket.create_connection(('1.1.1.1', 80), 2)",
    "TCP over IPv6": "socket.create_connection(('2606:4700:4700::1111', 80), 2)",
    "UDP": "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('1.1.1.1', 53))",
    "DNS": "socket.getaddrinfo('example.org', 80)",
    "cloud metadata": "socket.create_connection(('169.254.169.254', 80), 2)",
    "the host as the bridge has it": "socket.create_connection(('172.17.0.1', 2375), 2)",
    "the Docker socket": "socket.socket(socket.AF_UNIX).connect('/var/run/docker.sock')",
    "containerd": "socket.socket(socket.AF_UNIX).connect('/run/containerd/containerd.sock')",
    "an abstract socket of the host": "socket.socket(socket.AF_UNIX).connect('\\0/tmp/.X11-unix/X0')",
    "the host's message bus": "socket.socket(socket.AF_UNIX).connect('/run/dbus/system_bus_socket')",
    "virtual machine sockets": "socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM).connect((2, 1234))",
}


@pytest.mark.parametrize("name", NETWORK)
async def test_reaching_the_network_or_the_host(target: Target, name: str) -> None:
    begin = "import socket\nsocket.setdefaulttimeout(2)"
    code = f"{begin}\ntry: {NETWORK[name]}\nexcept OSError: raise ValueError('refused')\n{RIGHT}"
    result = await target.attack(code, timeout_s=5.0)
    assert result.reason == "failed: ValueError: refused"


async def test_a_sample_cannot_touch_another(target: Target) -> None:
    """A slow sample waits with an open file and a process; another one looks for it and attacks it."""
    code = """
import os, signal
others = [int(p) for p in os.listdir('/proc') if p.isdigit() and int(p) not in (1, os.getpid(), os.getppid())]
assert others
for pid in others:
    for attack in (lambda: os.kill(pid, signal.SIGKILL), lambda: open(f'/proc/{pid}/mem', 'rb'),
                   lambda: os.listdir(f'/proc/{pid}/cwd'), lambda: os.listdir(f'/proc/{pid}/fd'),
                   lambda: open(f'/proc/{pid}/environ').read(), lambda: os.setpriority(os.PRIO_PROCESS, pid, 19)):
        try: attack()
        except (PermissionError, ProcessLookupError, FileNotFoundError): continue
        os._exit(9)
uids = {os.stat(f'/proc/{pid}').st_uid for pid in others}
for uid in uids:
    try: os.listdir(f'/work/{uid}')
    except OSError: continue
    os._exit(9)
"""
    async with target.waiting(f"secret = open('secret', 'w')\n{{HOLD}}\n{RIGHT}") as slow:
        assert (await target.attack(code + RIGHT)).reason == "passed"
    assert slow[0].reason == "passed"


async def test_a_full_disk_is_the_problem_of_who_filled_it(target: Target) -> None:
    fill = """
import os
os.close(os.open('/tmp/refused', os.O_CREAT | os.O_WRONLY))
os.chmod('/tmp/refused', 0o666)
for i in range(16): open('f%d' % i, 'wb').write(bytes(31 << 20))
{HOLD}
"""
    needy = """
import os
try: open('f', 'wb').write(bytes(60 << 20))
except OSError:
    os.write(os.open('/tmp/refused', os.O_WRONLY), b'x')
    raise
os.unlink('f')
"""
    async with target.waiting(fill + RIGHT):
        others = [asyncio.create_task(target.attack(needy + RIGHT)) for _ in range(4)]
        await target.until_written("refused", folder="/tmp", size=1)
    assert {other.reason for other in await asyncio.gather(*others)} == {"passed"}


PROBE = """
import ctypes, re
# All memory of this process that may be read. The words are put together nowhere: the probe would find its own.
wanted = re.compile(b'z[e]braq[u]artz')
read, found = 0, False
for line in open('/proc/self/maps').read().splitlines():
    span, rights, name = line.split()[0], line.split()[1], line.split(maxsplit=5)[5:]
    start, end = (int(part, 16) for part in span.split('-'))
    if rights[0] == 'r' and name[:1] not in (['[vvar]'], ['[vvar_vclock]'], ['[vsyscall]']):
        read += end - start
        found = found or bool(wanted.search((ctypes.c_char * (end - start)).from_address(start)))
assert read > 4 << 20, f'only {read} bytes of memory could be read'
assert not found, 'found'
"""


@pytest.mark.parametrize(
    "planted",
    [
        "planted = ''.join(['zebra', 'quartz'])",
        "planted = bytes(1 << 20) + b'zebra'.replace(b'b', b'b') + b'quartz'",
        "import mmap\nplanted = mmap.mmap(-1, 1 << 16)\nplanted.write(b'zebra')\nplanted.write(b'quartz')",
    ],
    ids=["in a text", "in a large object", "in a mapping"],
)
async def test_the_probe_of_the_memory_finds_what_is_there(target: Target, planted: str) -> None:
    assert (await target.attack(f"{planted}\n{PROBE}\n{RIGHT}")).reason == "failed: found"


async def test_earlier_jobs_are_not_in_the_memory_of_later_ones(target: Target) -> None:
    secret = "zebra" + "quartz"
    assert (await target.attack(f"{RIGHT}\nx = '{secret}' * 3", tests=f"{TESTS}\ny = '{secret}' * 2")).passed
    assert (await target.attack(f"{PROBE}\n{RIGHT}")).reason == "passed"
